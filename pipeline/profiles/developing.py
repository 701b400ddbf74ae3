"""The session's profile as it was after every bar: developing VPOC, VAL and VAH."""

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.bars import require_bars
from pipeline.market.instruments import Instrument
from pipeline.market.session_clock import SessionClock
from pipeline.market.sessions import Hours
from pipeline.profiles import kernels
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS, WHOLE
from pipeline.profiles.levels import to_volume
from pipeline.profiles.sessions import Allocation, _check_allocation, _integers
from pipeline.profiles.value_area import check_value_area_settings

__all__ = ["developing_levels"]

_PRICES = ("timestamp", "low", "high", "close", "volume")
_Rows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # low, high, steps
_Levels = NDArray[np.int64]  # (bars, 7), as kernels.profile_slices orders them


def developing_levels(
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    hours: Hours = "rth",
) -> pd.DataFrame:
    """VPOC and value area of the session so far, after every bar, in one pass.

    A bar's row is, bit for bit, what :func:`pipeline.profiles.session_profiles` gives for the session's bars up to
    that one included, so it is known at the bar's close and depends on nothing later. Where a session holds
    two contracts it is the profile of the one with more volume so far.

    Parameters
    ----------
    bars, instrument, allocation, value_area_basis_points, expansion_rows, hours
        As in :func:`pipeline.profiles.session_profiles`.

    Returns
    -------
    DataFrame
        A row for each bar in those hours, indexed by ``timestamp`` (the bar's open, datetime64[ns, UTC]):
        ``session`` (datetime64[ns]), ``vpoc``, ``val``, ``vah``, ``low``, ``high`` (prices), ``volume``,
        ``value_area_volume``, float64; ``contract`` where the bars name it. Until the session's first volume the
        prices are NaN and the volumes 0.

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
    _check_allocation(allocation)
    check_value_area_settings(value_area_basis_points, expansion_rows)
    clean = require_bars(bars, _PRICES)
    low, high, steps, rounded = _integers(clean, instrument, allocation)
    instants = pd.DatetimeIndex(clean["timestamp"]).asi8
    slices = SessionClock(instrument, hours).slices(instants)
    sessions, starts, stops = slices.sessions, slices.starts, slices.stops

    def develop(rows: _Rows, which: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> _Levels:
        levels = np.zeros((len(rows[0]), 7), dtype=np.int64)
        failed, status = _develop(*rows, begins, ends, value_area_basis_points, expansion_rows, levels)
        if status != kernels.STATUS_OK:
            day = pd.Timestamp(int(which[failed])).date()
            _raise(int(status), f"session {day} of {instrument.symbol}")
        return levels

    contracts: NDArray[np.object_] | None = None
    if "contract" in clean.columns:
        codes, names = pd.factorize(clean["contract"])
        changes = np.cumsum(np.append(0, codes[1:] != codes[:-1]))[: len(codes)]
        mixed = np.flatnonzero(changes[stops - 1] > changes[starts])
        alone = np.setdiff1d(np.arange(len(starts)), mixed)
        levels = develop((low, high, steps), sessions[alone], starts[alone], stops[alone])
        leaders = codes.copy()
        for k in mixed:
            where = slice(starts[k], stops[k])
            own = {}
            for code in np.unique(codes[where]):
                rows = np.flatnonzero(codes[where] == code)
                ends = np.array([0]), np.array([len(rows)])
                own[code] = (
                    rows,
                    develop((low[where][rows], high[where][rows], steps[where][rows]), sessions[[k]], *ends),
                )
            levels[where], leaders[where] = _of_the_leader(own, stops[k] - starts[k])
        contracts = np.asarray(names, dtype=object)[leaders]
    else:
        levels = develop((low, high, steps), sessions, starts, stops)

    inside = np.repeat(starts - np.append(0, np.cumsum(stops - starts)[:-1])[: len(starts)], stops - starts)
    inside += np.arange(len(inside))
    levels = levels[inside]
    index = pd.DatetimeIndex(instants[inside].view("M8[ns]"), tz="UTC", name="timestamp")
    frame = pd.DataFrame({"session": np.repeat(sessions, stops - starts).view("M8[ns]")}, index=index)
    empty = levels[:, 5] == 0
    for place, name in enumerate(("vpoc", "val", "vah", "low", "high")):
        frame[name] = np.where(empty, np.nan, instrument.to_prices(levels[:, place]))
    frame["volume"] = to_volume(levels[:, 5], instrument)
    frame["value_area_volume"] = to_volume(levels[:, 6], instrument)
    if contracts is not None:
        frame["contract"] = pd.array(contracts[inside], dtype="str")
    frame.attrs.update(rounded)
    return frame


def _of_the_leader(own: dict[int, tuple[NDArray[np.int64], _Levels]], bars: int) -> tuple[_Levels, NDArray[np.int64]]:
    """Of contracts developing side by side, after every bar the levels of the one with more volume so far.

    ``own`` holds each contract's rows within the session, and its levels after each of them.
    """
    levels = np.zeros((bars, 7), dtype=np.int64)
    leaders = np.full(bars, -1, dtype=np.int64)
    most = np.full(bars, -1, dtype=np.int64)
    latest = np.full(bars, -1, dtype=np.int64)
    for code, (rows, developed) in own.items():
        seen = np.searchsorted(rows, np.arange(bars), side="right") - 1
        begun = seen >= 0
        total = np.where(begun, developed[seen, 5], -1)
        last = np.where(begun, rows[seen], -1)
        leads = (total > most) | ((total == most) & (last > latest))
        most, latest = np.where(leads, total, most), np.where(leads, last, latest)
        leaders[leads] = code
        levels[leads] = developed[seen[leads]]
    return levels, leaders


def _raise(status: int, name: str) -> None:
    if status == kernels.STATUS_TOO_MUCH:
        raise DataError(
            f"{name}: volume passes 2**62 micro-lots ({MAX_STEPS:,} volume steps of {MICRO_LOTS:,}), the most that is "
            "summed exactly; check the volume and the instrument's volume_step"
        )
    raise DataError(
        f"{name}: prices span more than {MAX_TICKS:,} ticks, so one of them must be wrong; "
        "check them and the instrument's tick_size"
    )


@njit(cache=True, nogil=True)
def _develop(low, high, steps, starts, stops, basis_points, expansion_rows, levels):  # type: ignore[no-untyped-def]
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
        # How far the session will go sizes the array only; what is looked at are the ticks traded so far.
        rows = np.zeros(highest - lowest + 1, np.int64)
        first = np.int64(rows.size)
        last = np.int64(-1)
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
            bottom = np.int64(low[i]) - lowest
            top = np.int64(high[i]) - lowest
            micro = volume * MICRO_LOTS
            each = micro // (top - bottom + 1)
            rest = micro - each * (top - bottom + 1)
            for tick in range(bottom, top + 1):
                rows[tick] += each
            for tick in range(bottom, bottom + rest):
                rows[tick] += 1
            first = min(first, bottom)
            last = max(last, top)
            total += micro
            # Only a tick of this bar can pass the most there was; and only while several hold as much does the
            # VPOC move without that, as the range's middle does.
            for tick in range(bottom, top + 1):
                if rows[tick] > most:
                    most = rows[tick]
                    ties = 1
                    vpoc = np.int64(tick)
                elif rows[tick] == most:
                    ties += 1
            if ties > 1:
                vpoc = _nearest_of_equals(rows, first, last, most)
            val, vah, held = _expand(rows, first, last, vpoc, total, basis_points, expansion_rows)
            levels[i, 0] = lowest + vpoc
            levels[i, 1] = lowest + val
            levels[i, 2] = lowest + vah
            levels[i, 3] = lowest + first
            levels[i, 4] = lowest + last
            levels[i, 5] = total
            levels[i, 6] = held
    return -1, kernels.STATUS_OK


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
