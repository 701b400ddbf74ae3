"""Input of every kind of evidence, computed once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.cleaning import CleanBars
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import session_schedule

__all__ = ["HOUR", "MINUTE", "Evidence"]

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE

_HORIZON = pd.Timedelta(days=10)
# Times beyond are broken, and no calendar is asked for them.
_FIRST, _LAST = (pd.Timestamp(each, tz="UTC").as_unit("ns").value for each in ("1950-01-01", "2150-01-01"))


@dataclass(frozen=True)
class Evidence:
    """Bars as read and as cleaned.

    Attributes
    ----------
    raw
        Bars before cleaning: ``timestamp`` and the columns of bars.
    clean
        What :func:`pipeline.market.cleaning.clean_bars` made of them.
    instrument
        What they are taken for.
    zone, offset
        Of the times, as :class:`pipeline.market.readers.RawBars` has them.
    """

    raw: pd.DataFrame
    clean: CleanBars
    instrument: Instrument
    zone: str | None = None
    offset: str = ""

    @property
    def clock(self) -> str:
        """The zone in which the times stand in the file."""
        return self.zone or f"UTC{self.offset}"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """``instant`` (UTC nanoseconds) and ``volume`` (none below zero, none missing) of rows with a plausible time.

        In order of time.
        """
        instants = pd.DatetimeIndex(self.raw["timestamp"]).tz_convert("UTC").as_unit("ns").asi8
        volume = self.raw["volume"].to_numpy(dtype=np.float64, na_value=0.0)
        usable = np.isfinite(volume) & (volume > 0) & (volume < 1e12)
        rows = pd.DataFrame({"instant": instants, "volume": np.where(usable, volume, 0.0)})
        rows = rows[rows["instant"].between(_FIRST, _LAST)]
        return rows if rows["instant"].is_monotonic_increasing else rows.sort_values("instant", ignore_index=True)

    @cached_property
    def instants(self) -> NDArray[np.int64]:
        """The different times of the rows, rising."""
        rising = self.rows["instant"].to_numpy()
        return rising[np.append(True, rising[1:] != rising[:-1])] if len(rising) else rising

    @cached_property
    def bar_length(self) -> int | None:
        """The most common step between times in nanoseconds; None for fewer than three times."""
        if len(self.instants) < 3:
            return None
        steps, counts = np.unique(np.diff(self.instants), return_counts=True)
        return int(steps[np.argmax(counts)])

    @cached_property
    def schedule(self) -> pd.DataFrame:
        """The sessions around the rows, as :func:`pipeline.market.session_schedule` gives them."""
        first, last = (
            (pd.Timestamp(int(self.instants[place])).normalize() if len(self.instants) else pd.Timestamp("2020-01-01"))
            for place in (0, -1)
        )
        return session_schedule(self.instrument, first - _HORIZON, last + _HORIZON)

    def bounds(self, name: str) -> NDArray[np.int64]:
        """A column of the schedule in nanoseconds, shape (sessions,)."""
        return pd.DatetimeIndex(self.schedule[name]).as_unit("ns").asi8

    @property
    def closes_daily(self) -> bool:
        """Return True if the market closes at some hour of the day, which times can be held against."""
        return not self.instrument.always_open
