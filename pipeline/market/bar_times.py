"""End of a bar and of a session: the instant from which an outcome is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.sessions import Hours, SessionLabels

__all__ = ["bar_ends", "bar_length", "bar_lengths", "complete_until", "session_ends"]

_EVIDENCE = 12  # bars; fewer of one length, in a thin market, may be gaps


def bar_length(opens: NDArray[np.int64]) -> int:
    """The usual length of a bar in nanoseconds: the commonest step between opens; of equally common ones the shortest.

    Raises
    ------
    DataError
        For fewer than two bars.
    """
    if len(opens) < 2:
        raise DataError(
            f"{len(opens)} bars don't say how long one lasts, so not when a label is known; give two or more"
        )
    steps, counts = np.unique(np.diff(opens), return_counts=True)
    return int(steps[np.argmax(counts)])


def bar_lengths(opens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the length of each bar in nanoseconds, shape (n,): the usual one, but for runs of bars of another.

    A run is a stretch of bars with steps that are all whole multiples of its length, gaps too, and twelve or more of
    exactly that length. So a gap makes no bar look long, and a file whose bars change from 5 minutes to 30 has both.
    A bar between two runs that may be of either is of the longer: none is taken as complete too soon.

    Raises
    ------
    DataError
        For fewer than two bars.
    """
    usual = bar_length(opens)
    lengths = np.full(len(opens), usual)
    steps = np.diff(opens)
    odd = steps != usual
    others, counts = np.unique(steps[1:][odd[1:] & (steps[1:] == steps[:-1])], return_counts=True)
    others = others[counts >= _EVIDENCE // 2]  # a gap is seldom followed by one of the same length
    known = np.zeros(len(opens), np.bool_)
    # Every run of long bars is one of shorter ones with gaps, too.
    for length in sorted([*others.tolist(), usual], reverse=True) if len(others) else []:
        fits = ~known[:-1] & (steps % length == 0)
        edges = np.flatnonzero(np.diff(fits, prepend=False, append=False))
        exact = np.append(0, np.cumsum(steps == length))
        for first, end in edges.reshape(-1, 2)[exact[edges[1::2]] - exact[edges[::2]] >= _EVIDENCE]:
            # The bar that the last step leads to: of this length, too, unless the next opens sooner.
            also = not known[end] and (end == len(steps) or steps[end] >= length)
            lengths[first : end + also], known[first : end + also] = length, True
    return lengths


def bar_ends(opens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The end of each bar, shape (n,): its open and its length (:func:`bar_lengths`), or the next open where sooner."""
    ends = opens + bar_lengths(opens)
    ends[:-1] = np.minimum(ends[:-1], opens[1:])
    return ends


def session_ends(opens: NDArray[np.int64], labels: SessionLabels, hours: Hours) -> NDArray[np.int64]:
    """Return when the hours of each session end on these bars, one value per row of ``labels.schedule``.

    That is their close by the exchange's calendar, so that an outage does not make it sooner, or, where the bars' grid
    does not meet the close, the end of the bar that the close falls into.
    """
    name = "rth_close" if hours == "rth" else "close"
    closes = pd.DatetimeIndex(labels.schedule[name]).as_unit("ns").asi8.copy()
    tradable = np.flatnonzero(labels.mask(hours))
    session = labels.position[tradable]
    sessions, first = np.unique(session, return_index=True)
    anchor = opens[tradable[first]]
    length = bar_lengths(opens)[tradable[first]]
    closes[sessions] = anchor + -(-(closes[sessions] - anchor) // length) * length
    return closes


def complete_until(value: pd.Timestamp | str | None, ends: NDArray[np.int64]) -> int:
    """Return the instant up to which the bars are complete; by default the end of the last bar.

    Raises
    ------
    DataError
        If it carries no zone, or lies before the last bar's end.
    """
    if value is None:
        return int(ends[-1])
    stamp = pd.Timestamp(value)
    if stamp is pd.NaT or stamp.tzinfo is None:
        raise DataError(f"known_until is {value!r}; give a time with a zone, e.g. 2021-03-15 21:00Z")
    instant = int(stamp.tz_convert("UTC").as_unit("ns").value)
    if instant < ends[-1]:
        raise DataError(
            f"known_until is {stamp}, but the last bar ends at {pd.Timestamp(ends[-1], tz='UTC')}; cut the bars "
            "there too"
        )
    return instant
