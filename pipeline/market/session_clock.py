"""Sessions of times that may lie anywhere: those of trades, chunk after chunk of a long file."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, SessionSlices, session_slices

__all__ = ["inside_sessions", "known_session_slices"]

# No calendar reaches beyond; a time outside belongs to no session.
_EARLIEST, _LATEST = (pd.Timestamp(each, tz="UTC").as_unit("ns").value for each in ("1901-01-01", "2200-01-01"))


def known_session_slices(instants: NDArray[np.int64], instrument: Instrument, hours: Hours) -> SessionSlices:
    """Do as :func:`pipeline.market.sessions.session_slices`; times beyond every calendar belong to no session."""
    first, last = np.searchsorted(instants, [_EARLIEST, _LATEST])
    found = session_slices(instants[first:last], instrument, hours)
    return found if first == 0 else replace(found, starts=found.starts + first, stops=found.stops + first)


def inside_sessions(instants: NDArray[np.int64], instrument: Instrument) -> NDArray[np.bool_] | None:
    """Mark the instants (UTC nanoseconds, not falling) that lie in any session; None where all do."""
    slices = known_session_slices(instants, instrument, "eth")
    return None if int((slices.stops - slices.starts).sum()) == len(instants) else slices.mask(len(instants))
