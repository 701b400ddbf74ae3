"""Levels of every session straight from a frame's columns, where nothing about the bars is out of the ordinary."""

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.contracts import contracts_of_sessions
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import session_slices
from pipeline.profiles import kernels
from pipeline.profiles.histogram import SessionLevels
from pipeline.profiles.settings import ProfileSettings
from pipeline.profiles.whole_bars import OrdinaryBars, whole_steps

__all__ = ["ordinary_profiles"]

_CHUNK = 1 << 17  # bars converted at a time: as whole numbers they stay in the cache until their profiles are made


def ordinary_profiles(
    bars: pd.DataFrame, instrument: Instrument, settings: ProfileSettings
) -> tuple[SessionLevels, pd.DatetimeIndex, NDArray[np.object_] | None] | None:
    """Levels, sessions and their contracts, in one pass over the columns.

    A few sessions are converted at a time and profiled at once, so that no whole number goes through memory.

    Returns
    -------
    tuple or None
        None where anything is out of the ordinary, or refused: then :class:`pipeline.profiles.sessions.ProfileBars`
        looks closer and says what.
    """
    columns = OrdinaryBars.of(bars, instrument, settings.rows.allocation)
    if columns is None:
        return None
    try:
        slices = session_slices(columns.instants, instrument, settings.hours)
    except DataError:
        return None
    starts, stops, count = slices.starts, slices.stops, len(columns.instants)
    contracts, lesser = None, np.empty(0, np.int64)
    if columns.runs is not None:
        with np.errstate(invalid="ignore"):  # what is no volume at all shows when it is converted
            winners, lesser = contracts_of_sessions(
                columns.runs, starts, stops, lambda rows: whole_steps(columns.volume[rows], instrument)
            )
        contracts = columns.runs.names[winners]
    # Runs of sessions with about as many bars each; what lies between two sessions goes with the one before it.
    cuts = np.unique(np.searchsorted(starts, np.arange(_CHUNK, count, _CHUNK)))
    cuts = cuts[(cuts > 0) & (cuts < len(starts))]
    runs, edges = [0, *cuts.tolist(), len(starts)], [0, *starts[cuts].tolist(), count]
    buffers = columns.buffers(int(np.diff(edges).max()), np.int32)
    levels = np.empty((len(starts), 7), dtype=np.int64)
    numbers = *settings.area.numbers, int(settings.rows.ticks_per_row)
    for (first, last), (begin, end) in zip(pairwise(runs), pairwise(edges), strict=True):
        low, steps = buffers[0][: end - begin], buffers[2][: end - begin]
        high = low if buffers[1] is buffers[0] else buffers[1][: end - begin]
        if not columns.convert(begin, end, low, high, steps):
            return None
        steps[lesser[slice(*np.searchsorted(lesser, [begin, end]))] - begin] = 0
        own = starts[first:last] - begin, stops[first:last] - begin
        _, status = kernels.profile_slices(low, high, steps, low is high, *own, numbers, levels[first:last])
        if status != kernels.STATUS_OK:
            return None
    return SessionLevels(*np.ascontiguousarray(levels.T)), slices.index, contracts
