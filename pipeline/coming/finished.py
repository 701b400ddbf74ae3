"""Tells whether the bars of a session are all there, so that the next one can be decided on."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.coming.unusual import session_bounds
from pipeline.market import Hours, Instrument, session_schedule
from pipeline.market.sessions import session_slices

__all__ = ["is_finished"]

Ints = NDArray[np.int64]

_SESSIONS = 20
_FEWEST = 5
_USUALLY = 0.9


def is_finished(session: pd.Timestamp, opens: Ints, ends: Ints, instrument: Instrument, hours: Hours) -> bool:
    """Return True where bars reach a session's close, or come as near to it as they usually do.

    Files of regular hours end before the trade date does, and a quiet market's last minute may have no bar. What is
    usual is how near nine in ten of the twenty sessions before came.

    Parameters
    ----------
    session
        With bars in its hours.
    opens, ends
        Of the bars, UTC nanoseconds, shape (n,).
    instrument, hours
        Whose sessions, and which of their hours.
    """
    if ends[-1] >= session_bounds(session, instrument, hours)[1].value:
        return True
    slices = session_slices(opens, instrument, hours)
    place = int(slices.index.get_loc(session))
    near = slice(max(0, place - _SESSIONS), place + 1)
    if place < _FEWEST:
        return False
    days = slices.index[near]
    name = "rth_close" if hours == "rth" else "close"
    closes = pd.DatetimeIndex(session_schedule(instrument, days[0], days[-1]).loc[days, name]).as_unit("ns").asi8
    missing = closes - ends[slices.stops[near] - 1]
    return bool(missing[-1] <= np.quantile(missing[:-1], _USUALLY, method="lower"))
