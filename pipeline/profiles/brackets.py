"""Time brackets: their ranges, and the TPO profiles made of them (contract §3.8)."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, label_sessions
from pipeline.profiles.histogram import SessionLevels
from pipeline.profiles.kernels import MAX_TICKS, MICRO_LOTS
from pipeline.profiles.refusals import too_wide
from pipeline.profiles.rows import RowRule

__all__ = ["bracket_ranges", "brackets_by_session", "tpo_levels", "tpo_rows"]

Ints = NDArray[np.int64]


def bracket_ranges(low: Ints, high: Ints, *keys: Ints) -> tuple[Ints, Ints, Ints]:
    """Range of each run of bars that have the same keys: where it begins, its lowest low and its highest high."""
    if len(low) == 0:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    changed = np.zeros(len(low) - 1, np.bool_)
    for key in keys:
        changed |= key[1:] != key[:-1]
    begins = np.append(0, np.flatnonzero(changed) + 1)
    return begins, np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins)


def brackets_by_session(
    instants: Ints, instrument: Instrument, rule: RowRule, hours: Hours | None = None
) -> tuple[Ints, Ints]:
    """Session and bracket of each bar (its open, UTC nanoseconds), both as numbers that rise with time.

    Brackets begin at the open of the hours; of none, at the open of regular hours where all bars lie in these, and at
    the trade date's open otherwise. A bar outside every session counts with the one before.
    """
    labels = label_sessions(pd.DatetimeIndex(instants.view("M8[ns]"), tz="UTC"), instrument)
    regular = labels.regular.all() if hours is None else hours == "rth"
    opened = labels.schedule["rth_open" if regular else "open"]
    opens = pd.DatetimeIndex(opened).as_unit("ns").asi8
    session = np.searchsorted(opens, instants, side="right") - 1
    return session, rule.bracket(instants, opens[session] if len(opens) else 0)


def tpo_rows(low: Ints, high: Ints, rule: RowRule, name: str = "the bars given") -> tuple[int, Ints]:
    """TPO profile of brackets.

    Parameters
    ----------
    low, high
        Ticks of each bracket's range, shape (brackets,).
    name
        What to call the bars in an error.

    Returns
    -------
    (int, ndarray of int64)
        The lowest row, and TPOs per row from there to the highest, shape (rows,); (0, empty) without brackets.

    Raises
    ------
    DataError
        Where prices span more than 2**24 ticks.

    Examples
    --------
    >>> import numpy as np
    >>> tpo_rows(np.array([10, 12]), np.array([12, 14]), RowRule("tpo"))
    (10, array([1, 1, 2, 1, 1]))
    """
    if len(low) == 0:
        return 0, np.empty(0, np.int64)
    if int(high.max()) - int(low.min()) >= MAX_TICKS:
        raise too_wide(name)
    bottoms, tops = rule.row(low), rule.row(high)
    lowest = int(bottoms.min())
    edges = np.zeros(int(tops.max()) - lowest + 2, np.int64)
    np.add.at(edges, bottoms - lowest, 1)
    np.add.at(edges, tops - lowest + 1, -1)
    return lowest, np.cumsum(edges[:-1])


def tpo_levels(found: SessionLevels, low: Ints, high: Ints, rule: RowRule) -> SessionLevels:
    """Levels in ticks and TPOs, from what an engine made of brackets in rows.

    Given a volume of as many steps as a bracket has rows, an engine for volume puts one step in each: a TPO. So every
    engine makes TPO profiles, and what it compares is the same, times 2**20.

    Parameters
    ----------
    found
        Levels in rows and micro-lots.
    low, high
        Lowest and highest tick of each session, shape (sessions,).
    """
    return replace(
        found,
        vpoc=rule.middle(found.vpoc),
        val=rule.bottom(found.val),
        vah=rule.top(found.vah),
        low=low,
        high=high,
        total=found.total // MICRO_LOTS,
        held=found.held // MICRO_LOTS,
    )
