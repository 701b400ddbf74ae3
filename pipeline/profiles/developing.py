"""The session's profile as it was after every bar: developing VPOC, VAL and VAH."""

from dataclasses import dataclass
from typing import Self, Unpack

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.market.session_clock import known_session_slices
from pipeline.profiles import kernels
from pipeline.profiles.kernels import MICRO_LOTS, WHOLE
from pipeline.profiles.levels import to_volume
from pipeline.profiles.refusals import raise_for
from pipeline.profiles.settings import ProfileOptions, ProfileSettings
from pipeline.profiles.whole_bars import WholeBars

__all__ = ["developing_levels"]

_Ints = NDArray[np.int64]
_Levels = _Ints  # (bars, 7), as kernels.profile_slices orders them


def developing_levels(bars: pd.DataFrame, instrument: Instrument, **profile: Unpack[ProfileOptions]) -> pd.DataFrame:
    """VPOC and value area of the session so far, after every bar, in one pass.

    A bar's row is, bit for bit, what :func:`pipeline.profiles.session_profiles` gives for the session's bars up to
    that one included, so it is known at the bar's close and depends on nothing later. Where a session holds
    two contracts it is the profile of the one with more volume so far.

    Parameters
    ----------
    bars, instrument, **profile
        As in :func:`pipeline.profiles.session_profiles`.

    Returns
    -------
    DataFrame
        A row for each bar in those hours, indexed by ``timestamp`` (the bar's open, datetime64[ns, UTC]):
        ``session`` (datetime64[ns]), ``vpoc``, ``val``, ``vah``, ``low``, ``high`` (prices), ``volume``,
        ``value_area_volume`` (or TPOs), float64; ``contract`` where the bars name it. Until the session's first
        volume the prices are NaN and the volumes 0.

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`pipeline.profiles.session_profiles`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:35Z", "2024-03-05 14:40Z"]),
    ...     "low": [5100.0, 5101.0, 5100.0], "high": [5100.0, 5101.0, 5100.0], "close": [5100.0, 5101.0, 5100.0],
    ...     "volume": [10, 30, 40]})
    >>> developing_levels(bars, load_instruments()["ES"])["vpoc"].tolist()
    [5100.0, 5101.0, 5100.0]
    """
    settings = ProfileSettings.of(**profile)
    rule = settings.rows
    whole = WholeBars.of(bars, instrument, rule.allocation)
    instants = whole.instants
    slices = known_session_slices(instants, instrument, settings.hours)
    sessions, starts, stops = slices.sessions, slices.starts, slices.stops
    bracket = np.zeros(len(instants), np.int64)
    for k in range(len(starts)) if rule.by_time else ():
        where = slice(starts[k], stops[k])
        bracket[where] = rule.bracket(instants[where], slices.opens[k])
    all_bars = _Bars(whole.low, whole.high, whole.steps, bracket)

    def develop(some: _Bars, which: _Ints, begins: _Ints, ends: _Ints) -> _Levels:
        develop_bars = _develop_time if rule.by_time else _develop_volume
        failed, status, levels = develop_bars(some, begins, ends, settings)
        raise_for(status, lambda: f"session {pd.Timestamp(int(which[failed])).date()} of {instrument.symbol}")
        return levels

    contracts: NDArray[np.object_] | None = None
    if whole.runs is not None:
        codes = whole.runs.at(np.arange(len(instants)))
        run_of = np.searchsorted(whole.runs.changes, [starts, stops - 1], side="right")
        mixed = np.flatnonzero(run_of[1] > run_of[0])
        alone = np.setdiff1d(np.arange(len(starts)), mixed)
        levels = develop(all_bars, sessions[alone], starts[alone], stops[alone])
        leaders = codes.copy()
        for k in mixed.tolist():
            where = slice(starts[k], stops[k])
            own: dict[int, tuple[_Ints, _Ints, _Levels]] = {}
            for code in np.unique(codes[where]).tolist():
                chosen = np.flatnonzero(codes[where] == code)
                some = all_bars.take(starts[k] + chosen)
                developed = develop(some, sessions[[k]], np.array([0]), np.array([len(chosen)]))
                own[code] = chosen, np.cumsum(some.steps), developed
            levels[where], leaders[where] = _of_the_leader(own, stops[k] - starts[k])
        contracts = whole.runs.names[leaders]
    else:
        levels = develop(all_bars, sessions, starts, stops)

    inside = slices.rows
    levels = levels[inside]
    index = pd.DatetimeIndex(instants[inside].view("M8[ns]"), tz="UTC", name="timestamp")
    frame = pd.DataFrame({"session": np.repeat(sessions, stops - starts).view("M8[ns]")}, index=index)
    empty = levels[:, 5] == 0
    for place, name in enumerate(("vpoc", "val", "vah", "low", "high")):
        frame[name] = np.where(empty, np.nan, instrument.to_prices(levels[:, place]))
    frame["volume"] = to_volume(levels[:, 5], instrument, rule)
    frame["value_area_volume"] = to_volume(levels[:, 6], instrument, rule)
    if contracts is not None:
        frame["contract"] = pd.array(contracts[inside], dtype="str")
    frame.attrs.update(whole.rounded)
    return frame


@dataclass(frozen=True)
class _Bars:
    """Bars in whole numbers, and which bracket of its session each lies in (0 where time is not counted)."""

    low: _Ints
    high: _Ints
    steps: _Ints
    bracket: _Ints

    def take(self, rows: _Ints) -> Self:
        return type(self)(self.low[rows], self.high[rows], self.steps[rows], self.bracket[rows])


def _develop_volume(bars: _Bars, starts: _Ints, stops: _Ints, settings: ProfileSettings) -> tuple[int, int, _Levels]:
    """Levels after every bar; which slice was refused, and why."""
    levels, height = np.zeros((len(bars.low), 7), dtype=np.int64), settings.rows.ticks_per_row
    failed, status = _develop(bars.low, bars.high, bars.steps, starts, stops, *settings.area.numbers, height, levels)
    return int(failed), int(status), levels


def _develop_time(bars: _Bars, starts: _Ints, stops: _Ints, settings: ProfileSettings) -> tuple[int, int, _Levels]:
    """Develop TPOs as :func:`_develop_volume` does: new rows of a bracket are bars of one volume step per row."""
    rule = settings.rows
    low, high, steps = np.zeros((3, 2 * len(bars.low)), dtype=np.int64)
    _added_rows(rule.row(bars.low), rule.row(bars.high), bars.bracket, starts, stops, low, high, steps)
    both = np.zeros((len(low), 7), dtype=np.int64)
    failed, status = _develop(low, high, steps, 2 * starts, 2 * stops, *settings.area.numbers, 1, both)
    levels = both[1::2].copy()
    for place, in_ticks in enumerate((rule.middle, rule.bottom, rule.top)):
        levels[:, place] = in_ticks(levels[:, place])
    _extremes_so_far(bars.low, bars.high, starts, stops, levels)
    levels[:, 5:] //= MICRO_LOTS
    return int(failed), int(status), levels


def _of_the_leader(own: dict[int, tuple[_Ints, _Ints, _Levels]], bars: int) -> tuple[_Levels, _Ints]:
    """Return after every bar the levels of whichever contract has more volume so far.

    ``own`` holds each contract's rows within the session, and its volume and levels after each of them.
    """
    levels = np.zeros((bars, 7), dtype=np.int64)
    leaders = np.full(bars, -1, dtype=np.int64)
    most = np.full(bars, -1, dtype=np.int64)
    latest = np.full(bars, -1, dtype=np.int64)
    for code, (rows, volume, developed) in own.items():
        seen = np.searchsorted(rows, np.arange(bars), side="right") - 1
        begun = seen >= 0
        total = np.where(begun, volume[seen], -1)
        last = np.where(begun, rows[seen], -1)
        leads = (total > most) | ((total == most) & (last > latest))
        most, latest = np.where(leads, total, most), np.where(leads, last, latest)
        leaders[leads] = code
        levels[leads] = developed[seen[leads]]
    return levels, leaders


@njit(cache=True, nogil=True)
def _added_rows(low, high, bracket, starts, stops, bottoms, tops, counts):  # type: ignore[no-untyped-def]
    """The rows that each bar adds to its bracket: below what the bracket had (or all), and above; a count each."""
    for k in range(starts.size):
        for i in range(starts[k], stops[k]):
            below, above = 2 * i, 2 * i + 1
            if i == starts[k] or bracket[i] != bracket[i - 1]:
                lowest, highest = low[i], high[i]
                bottoms[below], tops[below], counts[below] = lowest, highest, highest - lowest + 1
                continue
            bottoms[below], tops[below], counts[below] = low[i], lowest - 1, max(lowest - low[i], 0)
            bottoms[above], tops[above], counts[above] = highest + 1, high[i], max(high[i] - highest, 0)
            lowest, highest = min(lowest, low[i]), max(highest, high[i])


@njit(cache=True, nogil=True)
def _extremes_so_far(low, high, starts, stops, levels):  # type: ignore[no-untyped-def]
    for k in range(starts.size):
        for i in range(starts[k], stops[k]):
            levels[i, 3] = low[i] if i == starts[k] else min(levels[i - 1, 3], low[i])
            levels[i, 4] = high[i] if i == starts[k] else max(levels[i - 1, 4], high[i])


@njit(cache=True, nogil=True)
def _develop(low, high, steps, starts, stops, basis_points, expansion_rows, ticks_per_row, levels):  # type: ignore[no-untyped-def]
    """Levels after every bar of every slice, in ``levels`` (bars, 7) as ``kernels.profile_slices`` orders them.

    Returns
    -------
    (int64, int64)
        The slice that was refused and why; (−1, STATUS_OK) where none was.
    """
    for k in range(starts.size):
        start = starts[k]
        stop = stops[k]
        _, status = kernels.total_steps(steps, start, stop)
        if status != kernels.STATUS_OK:
            return k, status
        lowest, highest, status = kernels.extent(low, high, steps, start, stop)
        if status != kernels.STATUS_OK:
            return k, status
        if highest < lowest:
            continue
        # How far the session will go sizes the array only; only the rows traded so far are used.
        base = lowest // ticks_per_row
        rows = np.zeros(highest // ticks_per_row - base + 1, np.int64)
        lowest, highest = highest, lowest
        total = np.int64(0)
        most = np.int64(0)
        ties = 0
        vpoc = np.int64(0)
        for i in range(start, stop):
            volume = np.int64(steps[i])
            if volume == 0:
                if i > start:
                    levels[i] = levels[i - 1]
                continue
            micro = volume * MICRO_LOTS
            bottom, top = _add_bar(low[i], high[i], micro, ticks_per_row, base, rows)
            lowest = min(lowest, low[i])
            highest = max(highest, high[i])
            first = lowest // ticks_per_row - base
            last = highest // ticks_per_row - base
            total += micro
            # Only a row of this bar can pass the most there was; and only while several hold as much does the
            # VPOC move without that, as the range's middle does.
            for row in range(bottom, top + 1):
                if rows[row] > most:
                    most = rows[row]
                    ties = 1
                    vpoc = np.int64(row)
                elif rows[row] == most:
                    ties += 1
            if ties > 1:
                vpoc = _nearest_of_equals(rows, first, last, most)
            val, vah, held = _expand(rows, first, last, vpoc, total, basis_points, expansion_rows)
            levels[i, 0] = (base + vpoc) * ticks_per_row + (ticks_per_row - 1) // 2
            levels[i, 1] = (base + val) * ticks_per_row
            levels[i, 2] = (base + vah) * ticks_per_row + ticks_per_row - 1
            levels[i, 3] = lowest
            levels[i, 4] = highest
            levels[i, 5] = total
            levels[i, 6] = held
    return -1, kernels.STATUS_OK


@njit(cache=True, nogil=True)
def _add_bar(low, high, micro, ticks_per_row, base, rows):  # type: ignore[no-untyped-def]
    """Add a bar's volume, tick by tick, to the rows; the first and the last row of it."""
    each = micro // (high - low + 1)
    richer = low + micro - each * (high - low + 1)  # ticks below it get one more
    first = low // ticks_per_row - base
    last = high // ticks_per_row - base
    if ticks_per_row == 1:
        for row in range(first, last + 1):
            rows[row] += each
        for row in range(first, richer - base):
            rows[row] += 1
        return first, last
    for row in range(first, last + 1):
        begin = max((base + row) * ticks_per_row, low)
        end = min((base + row + 1) * ticks_per_row, high + 1)
        rows[row] += each * (end - begin) + max(min(richer, end) - begin, 0)
    return first, last


@njit(cache=True, nogil=True)
def _nearest_of_equals(rows, first, last, most):  # type: ignore[no-untyped-def]
    """The tick of those holding ``most`` that is nearest the middle, the lower of two as near."""
    ends = first + last
    vpoc = np.int64(-1)
    for i in range(first, last + 1):
        if rows[i] == most and (vpoc < 0 or abs(2 * i - ends) < abs(2 * vpoc - ends)):
            vpoc = np.int64(i)
    return vpoc


@njit(cache=True, nogil=True)
def _expand(rows, first, last, vpoc, total, basis_points, expansion_rows):  # type: ignore[no-untyped-def]
    """VAL, VAH and what they hold: ``kernels.find_value_area`` from a VPOC that is known already."""
    target = basis_points * (total // WHOLE) + (basis_points * (total % WHOLE) + WHOLE - 1) // WHOLE
    val = vpoc
    vah = vpoc
    held = rows[vpoc]
    up = min(vah + expansion_rows, last)
    down = max(val - expansion_rows, first)
    above = _sum_between(rows, vah + 1, up)
    below = _sum_between(rows, down, val - 1)
    while held < target:
        if above >= below:
            held += above
            vah = up
            up = min(vah + expansion_rows, last)
            above = _sum_between(rows, vah + 1, up)
        else:
            held += below
            val = down
            down = max(val - expansion_rows, first)
            below = _sum_between(rows, down, val - 1)
    return val, vah, held


@njit(cache=True, nogil=True)
def _sum_between(rows, begin, end):  # type: ignore[no-untyped-def]
    if end < begin:
        return np.int64(-1)
    held = np.int64(0)
    for i in range(begin, end + 1):
        held += rows[i]
    return held
