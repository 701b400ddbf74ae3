"""Time-based structure of a session: initial balance, single prints, tails, poor highs and lows.

Time is counted in brackets of half an hour from the open of the hours. A bracket touches a row (prints it, one TPO) if
one of its bars with volume has some of it between low and high; in a profile of TPOs, as there, if the row lies in the
bracket's range, bars without volume included.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.profiles.aligned import AlignedBars, SessionBars
from pipeline.profiles.kernels import MAX_TICKS
from pipeline.profiles.refusals import too_wide

__all__ = ["Prints", "bracket_prints", "initial_balance", "session_prints"]

Ints = NDArray[np.int64]

_MINUTE = 60_000_000_000


@dataclass(frozen=True)
class Prints:
    """Single prints and extremes of one session.

    Attributes
    ----------
    zone_low, zone_high
        Ticks, int64, shape (zones,), rising: the stretches of prices that one and the same bracket alone touched,
        tails left out.
    zone_bracket
        Which bracket that was, counted from 0 at the open of the hours.
    selling_tail, buying_tail
        How many ticks from the high down, and from the low up, only one bracket touched, one and the same.
    poor_high, poor_low
        Whether two brackets or more touched the high, the low.
    """

    zone_low: Ints
    zone_high: Ints
    zone_bracket: Ints
    selling_tail: int
    buying_tail: int
    poor_high: bool
    poor_low: bool


def initial_balance(aligned: AlignedBars, own: SessionBars, instrument: Instrument, minutes: int) -> pd.DataFrame:
    """Range of the first minutes of regular hours, and how far the rest of the session went beyond.

    A bar belongs to it by its open. Where regular hours are missing, or no bar lies in those minutes, there is none.
    After it come all later bars of the session in the hours of ``own``.

    Returns
    -------
    DataFrame
        One row per session: ``ib_high``, ``ib_low`` (prices), ``ib_range_ticks``, ``ib_extension_up_ticks``,
        ``ib_extension_down_ticks`` (0 where not broken), all NaN where there is none; ``ib_broken_up``,
        ``ib_broken_down`` (bool).
    """
    opens, closes = aligned.instants_of("rth_open"), aligned.instants_of("rth_close")
    ends = np.minimum(opens + minutes * _MINUTE, closes)
    first = np.clip(np.searchsorted(own.instants, opens), own.starts, own.stops)
    last = np.clip(np.searchsorted(own.instants, ends), first, own.stops)
    bottom, top, found = _ranges(own.low, own.high, first, last)
    later_bottom, later_top, later = _ranges(own.low, own.high, last, own.stops)
    up = np.where(later, np.maximum(later_top - top, 0), 0)
    down = np.where(later, np.maximum(bottom - later_bottom, 0), 0)
    ticks = {"ib_range_ticks": top - bottom, "ib_extension_up_ticks": up, "ib_extension_down_ticks": down}
    return pd.DataFrame(
        {
            "ib_high": np.where(found, instrument.to_prices(top), np.nan),
            "ib_low": np.where(found, instrument.to_prices(bottom), np.nan),
            **{name: np.where(found, values, np.nan) for name, values in ticks.items()},
            "ib_broken_up": found & (up > 0),
            "ib_broken_down": found & (down > 0),
        }
    )


def session_prints(own: SessionBars, k: int, name: str) -> Prints:
    """Single prints and extremes of session ``k``, in ticks; ``name`` is what to call it in an error.

    With rows of several ticks a row is touched as a whole. A tail reaches from the extreme to the end of its last row.
    """
    rule, chosen = own.rule, slice(own.starts[k], own.stops[k])
    low, high = own.low[chosen], own.high[chosen]
    brackets = rule.bracket(own.instants[chosen], own.opens[k])
    lowest, highest = int(low.min()), int(high.max())
    if rule.by_time:
        brackets, low, high = own.brackets(k)
    found = bracket_prints(rule.row(low), rule.row(high), brackets, name)
    buying, selling = found.buying_tail, found.selling_tail
    return replace(
        found,
        zone_low=rule.bottom(found.zone_low),
        zone_high=rule.top(found.zone_high),
        buying_tail=min(rule.top(rule.row(lowest) + buying - 1), highest) - lowest + 1 if buying else 0,
        selling_tail=highest - max(rule.bottom(rule.row(highest) - selling + 1), lowest) + 1 if selling else 0,
    )


def bracket_prints(low: Ints, high: Ints, brackets: Ints, name: str = "the bars given") -> Prints:
    """Single prints and extremes of bars.

    Parameters
    ----------
    low, high
        Ticks, or rows, shape (bars,), at least one.
    brackets
        Which bracket each bar belongs to, 0 or more, not falling.
    name
        What to call the bars in an error.

    Raises
    ------
    DataError
        Where prices span more than 2**24 ticks.

    Notes
    -----
    Single prints within the range are prices the market passed without trading back to them. Those at an extreme are
    tails, buying below and selling above: excess, the sign that the auction ended there; an extreme that two brackets
    touched is poor, it has none (Dalton, Jones and Dalton, *Mind over Markets*, 1993; Dalton, Dalton and Jones,
    *Markets in Profile*, 2007). A session of one bracket is all tail.
    """
    lowest, highest = int(low.min()), int(high.max())
    if highest - lowest >= MAX_TICKS:
        raise too_wide(name)
    owner = np.full(highest - lowest + 1, _NOBODY, dtype=np.int64)
    _print_brackets(low, high, brackets, lowest, owner)
    edges = np.flatnonzero(np.diff(owner)) + 1
    begins, ends = np.append(0, edges), np.append(edges, len(owner))
    single = owner[begins] >= 0
    buying = int(ends[0]) if single[0] else 0
    selling = len(owner) - int(begins[-1]) if single[-1] else 0
    inner = np.flatnonzero(single & (begins > 0) & (ends < len(owner)))
    return Prints(
        zone_low=begins[inner] + lowest,
        zone_high=ends[inner] - 1 + lowest,
        zone_bracket=owner[begins[inner]],
        selling_tail=selling,
        buying_tail=buying,
        poor_high=bool(owner[-1] == _SEVERAL),
        poor_low=bool(owner[0] == _SEVERAL),
    )


def _ranges(low: Ints, high: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    bottom, top = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    _slice_ranges(low, high, starts, stops, bottom, top)
    return bottom, top, stops > starts


_NOBODY = -1
_SEVERAL = -2


@njit(cache=True, nogil=True)
def _print_brackets(low, high, brackets, lowest, owner):  # type: ignore[no-untyped-def]
    """Write into ``owner`` the one bracket that touched each tick, −2 where several did; −1 stays where none did."""
    for i in range(low.size):
        bracket = brackets[i]
        for place in range(low[i] - lowest, high[i] - lowest + 1):
            if owner[place] == -1:
                owner[place] = bracket
            elif owner[place] != bracket:
                owner[place] = -2


@njit(cache=True, nogil=True)
def _slice_ranges(low, high, starts, stops, bottom, top):  # type: ignore[no-untyped-def]
    """Lowest low and highest high of each slice; what is there stays for an empty one."""
    for k in range(starts.size):
        for i in range(starts[k], stops[k]):
            if i == starts[k] or low[i] < bottom[k]:
                bottom[k] = low[i]
            if i == starts[k] or high[i] > top[k]:
                top[k] = high[i]
