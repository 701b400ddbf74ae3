"""Instruments that trade as dated contracts."""

import numpy as np
import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.market.simulator.contracts import has_contracts

__all__ = ["is_futures", "third_fridays"]


def is_futures(instrument: Instrument) -> bool:
    """Return True if the instrument trades as dated contracts, by its exchange's calendar."""
    return has_contracts(instrument)


def third_fridays(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Expiry of CME's equity-index futures: third Fridays of March, June, September and December."""
    months = pd.period_range(first, last, freq="M")
    starts = months[np.isin(months.month, (3, 6, 9, 12))].to_timestamp()
    return starts + pd.to_timedelta((4 - starts.day_of_week) % 7 + 14, unit="D")
