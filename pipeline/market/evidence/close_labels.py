"""Bars labelled by the other end: one at the minute of the close, none at that of the open."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.market.evidence.data import HOUR, Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_FEWEST_SESSIONS = 2
_SHARE = 0.8


def look(data: Evidence) -> Iterator[Finding]:
    """Look for bars at the instants where sessions, or regular hours, begin and end."""
    step = data.bar_length
    if not data.closes_daily or step is None or step > HOUR:
        return
    for opens, closes, hours in (("open", "close", "session"), ("rth_open", "rth_close", "day of regular hours")):
        begin, end = data.bounds(opens), data.bounds(closes)
        long = end - begin > 4 * step
        begin, end = begin[long], end[long]
        labelled_by_close = ~_at(data, begin) & _at(data, begin + step) & _at(data, end - step) & _at(data, end)
        labelled_by_open = (
            _at(data, begin - step) & _at(data, begin) & _at(data, end - 2 * step) & ~_at(data, end - step)
        )
        covered = _at(data, begin + step) & _at(data, end - 2 * step)
        least = max(_FEWEST_SESSIONS, _SHARE * int(covered.sum()))
        if (count := int(labelled_by_close.sum())) >= least:
            yield Finding(
                "label",
                "warning",
                f"{count} of {int(covered.sum())} times a {hours} has a bar at the minute of its close and none at its "
                "open: the times are probably the bars' closes; give --label close",
            )
            return
        if (count := int(labelled_by_open.sum())) >= least:
            yield Finding(
                "label",
                "warning",
                f"{count} of {int(covered.sum())} times a {hours} has a bar before its open and none in its last "
                "minutes: the times are probably the bars' opens; give --label open",
            )
            return


def _at(data: Evidence, instants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the instants at which a bar stands."""
    place = np.searchsorted(data.instants, instants)
    return data.instants[np.minimum(place, len(data.instants) - 1)] == instants
