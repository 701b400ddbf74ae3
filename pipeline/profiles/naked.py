"""Naked VPOCs: those at which nothing has been traded since."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.profiles.aligned import AlignedBars, align_bars, session_bars
from pipeline.profiles.rows import RowOptions, RowRule

__all__ = ["naked_at_close", "naked_vpocs"]

Ints = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).max


def naked_vpocs(
    profiles: pd.DataFrame,
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    hours: Hours = "rth",
    tested_in: Hours = "eth",
    **rows: Unpack[RowOptions],
) -> pd.DataFrame:
    """Every VPOC, whether it is naked, and which session tested it.

    A VPOC is naked until a bar with volume, after the hours its profile is made of, has it between low and high. It
    is a price of its contract: only bars of that contract test it, and at the roll, the first session whose profile
    is another contract's, it is given up.

    Parameters
    ----------
    profiles
        From :func:`pipeline.profiles.session_profiles`, shape (sessions, ...).
    bars
        The bars they were made of, and as many later ones as there are.
    instrument
        Its calendar says which session a bar belongs to.
    hours
        The hours the profiles are made of.
    tested_in
        Which trade tests a VPOC: ``"eth"``, any; ``"rth"``, that of regular hours only. With profiles of regular hours
        the default lets the last hours of a trade date test that date's own VPOC.
    **rows
        ``allocation``, ``ticks_per_row``, ``tpo_minutes``: those the profiles were made with. Of rows of several
        ticks the VPOC is the middle tick, and trade at that price tests it. Where time is counted, bars without volume
        test it too.

    Returns
    -------
    DataFrame
        Indexed like ``profiles``:

        vpoc
            Price (float64).
        contract
            Only where the profiles carry one (str).
        state
            ``naked``, ``tested`` or ``rolled`` (str), as of the end of the bars.
        tested_on
            The session whose bar traded there first (datetime64[ns]); NaT where none did.
        tested_at
            That bar's open (datetime64[ns, UTC]).
        rolled_on
            The session that gave it up (datetime64[ns]); NaT where it was tested before, or is naked.
        age
            Sessions of the calendar from its own to ``tested_on``, to ``rolled_on``, or, of a naked one, to the
            last session there is (int64).

        A VPOC of a session up to t was naked at the end of trade date t where neither ``tested_on`` nor
        ``rolled_on`` is t or earlier.

    Raises
    ------
    ConfigurationError
        For other hours.
    DataError
        For bars or profiles that are not usable, or not of each other.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> from pipeline.profiles import session_profiles
    >>> es = load_instruments()["ES"]
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-06 14:30Z", "2024-03-07 14:30Z"]),
    ...     "low": [5100.0, 5110.0, 5099.0], "high": [5100.0, 5111.0, 5109.0],
    ...     "close": [5100.0, 5110.0, 5105.0], "volume": [10, 10, 10]})
    >>> vpocs = naked_vpocs(session_profiles(bars, es), bars, es)
    >>> vpocs["vpoc"].tolist(), vpocs["state"].tolist(), vpocs["age"].tolist()
    ([5100.0, 5110.5, 5101.25], ['tested', 'naked', 'naked'], [2, 1, 0])
    """
    found = _find_tests(profiles, bars, instrument, hours, tested_in, RowRule(**rows))
    calendar = pd.DatetimeIndex(found.aligned.schedule.index).as_unit("ns")
    own = found.aligned.session_dates
    tested, rolled = found.tested_date < _NEVER, found.rolled_date < _NEVER
    last = max(own.max(initial=0), found.aligned.date.max(initial=0))
    until = np.where(tested, found.tested_date, np.where(rolled, found.rolled_date, last))
    columns: dict[str, object] = {"vpoc": instrument.to_prices(found.vpoc)}
    if "contract" in profiles.columns:
        columns["contract"] = profiles["contract"].astype("str").array
    columns["state"] = pd.array(np.select([tested, rolled], ["tested", "rolled"], default="naked"), dtype="str")
    columns["tested_on"] = _dates(calendar, found.tested_date, tested)
    instants = np.where(tested, found.tested_at, pd.NaT.value)
    columns["tested_at"] = pd.DatetimeIndex(instants.astype("M8[ns]"), tz="UTC")
    columns["rolled_on"] = _dates(calendar, found.rolled_date, rolled)
    columns["age"] = (until - own).astype(np.int64)
    return pd.DataFrame(columns, index=found.sessions)


def naked_at_close(
    profiles: pd.DataFrame,
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    hours: Hours = "rth",
    tested_in: Hours = "eth",
    minimum_age: int = 1,
    **rows: Unpack[RowOptions],
) -> pd.DataFrame:
    """Naked VPOCs as each session left them: how many, and the nearest above and below.

    Row t knows the bars of trade dates up to t and nothing later, and only VPOCs of t's contract.

    Parameters
    ----------
    profiles, bars, instrument, hours, tested_in, **rows
        As in :func:`naked_vpocs`.
    minimum_age
        Sessions of the calendar a VPOC must be old. By default a session's own is not among them: a VPOC is called
        naked once a session has passed that didn't trade there. 0 counts it in.

    Returns
    -------
    DataFrame
        Indexed like ``profiles``:

        close
            The last price of the session, in regular hours if ``hours`` and ``tested_in`` both are ``"rth"``, of the
            whole trade date otherwise (float64).
        naked_count
            How many (int64).
        naked_above, naked_below
            The nearest at or above the close, at or below it: price; NaN where there is none.
        naked_above_ticks, naked_below_ticks
            Its distance from the close in ticks, 0 or more; NaN where there is none.
        naked_above_age, naked_below_age
            Its age in sessions of the calendar, the youngest of several at one price; NaN where there is none.

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`naked_vpocs`.
    """
    if not isinstance(minimum_age, int | np.integer) or isinstance(minimum_age, bool) or minimum_age < 0:
        raise ConfigurationError(f"minimum_age is {minimum_age!r}; it must be a whole number of sessions, 0 or more")
    found = _find_tests(profiles, bars, instrument, hours, tested_in, RowRule(**rows))
    aligned = found.aligned
    counted = aligned.in_hours("rth" if hours == tested_in == "rth" else "eth")
    closing = np.flatnonzero(counted & (aligned.date == aligned.session_dates[aligned.owner]))
    close = aligned.close[closing[np.searchsorted(aligned.owner[closing], np.arange(len(found.vpoc)), "right") - 1]]
    nearest = np.full((len(found.vpoc), 3), -1, dtype=np.int64)
    _nearest_naked(
        found.vpoc, close, aligned.session_dates, aligned.runs, found.tested_date, np.int64(minimum_age), nearest
    )
    columns: dict[str, object] = {"close": instrument.to_prices(close), "naked_count": nearest[:, 0]}
    for name, which in (("naked_above", nearest[:, 1]), ("naked_below", nearest[:, 2])):
        known = which >= 0
        columns[name] = np.where(known, instrument.to_prices(found.vpoc[which]), np.nan)
        columns[f"{name}_ticks"] = np.where(known, np.abs(found.vpoc[which] - close), np.nan)
        ages = aligned.session_dates - aligned.session_dates[which]
        columns[f"{name}_age"] = np.where(known, ages, np.nan)
    return pd.DataFrame(columns, index=found.sessions)


@dataclass(frozen=True)
class _Tests:
    """Test and roll of each VPOC: numbers of calendar sessions, ``_NEVER`` where there was none."""

    sessions: pd.DatetimeIndex
    aligned: AlignedBars
    vpoc: Ints
    tested_date: Ints
    tested_at: Ints
    rolled_date: Ints


def _find_tests(
    profiles: pd.DataFrame,
    bars: pd.DataFrame,
    instrument: Instrument,
    hours: Hours,
    tested_in: Hours,
    rule: RowRule,
) -> _Tests:
    for name, value in (("hours", hours), ("tested_in", tested_in)):
        if value not in ("rth", "eth"):
            raise ConfigurationError(f"{name} is {value!r}; it must be 'rth' (regular) or 'eth' (the whole trade date)")
    aligned = align_bars(bars, profiles, instrument, rule)
    session_bars(aligned, profiles, instrument, hours)  # that they are of each other
    vpoc = instrument.to_ticks(profiles["vpoc"].to_numpy(np.float64))
    own, runs = aligned.session_dates, aligned.runs
    # The first profile of the next contract gives up those of this one.
    following = np.searchsorted(runs, runs, side="right")
    rolled_date = np.append(own, _NEVER)[following]

    rows = np.flatnonzero(aligned.in_hours(tested_in))
    date = aligned.date[rows]
    first = np.searchsorted(aligned.instants[rows], aligned.instants_of("rth_close" if hours == "rth" else "close"))
    end = np.searchsorted(date, rolled_date)
    blocks = np.flatnonzero(np.diff(date, prepend=-1))
    low, high = aligned.low[rows], aligned.high[rows]
    bottoms = np.minimum.reduceat(low, blocks) if len(blocks) else low
    tops = np.maximum.reduceat(high, blocks) if len(blocks) else high
    block = np.searchsorted(blocks, first, side="right") - 1
    touch = np.full(len(vpoc), -1, dtype=np.int64)
    _first_touches(low, high, np.append(blocks, len(rows)), bottoms, tops, vpoc, first, end, block, touch)

    tested = touch >= 0
    return _Tests(
        sessions=pd.DatetimeIndex(profiles.index).as_unit("ns").rename("session"),
        aligned=aligned,
        vpoc=vpoc,
        tested_date=np.where(tested, np.append(date, _NEVER)[touch], _NEVER),
        tested_at=np.append(aligned.instants[rows], _NEVER)[touch],
        rolled_date=np.where(tested, _NEVER, rolled_date),
    )


def _dates(calendar: pd.DatetimeIndex, numbers: Ints, known: NDArray[np.bool_]) -> pd.DatetimeIndex:
    dates = np.full(len(numbers), np.datetime64("NaT", "ns"))
    dates[known] = calendar.to_numpy()[numbers[known]]
    return pd.DatetimeIndex(dates)


@njit(cache=True, nogil=True)
def _first_touches(low, high, edges, bottoms, tops, vpoc, first, end, block, touch):  # type: ignore[no-untyped-def]
    """Find for each VPOC the first bar of ``first:end`` that holds it; block j is bars ``edges[j]:edges[j + 1]``."""
    for k in range(vpoc.size):
        tick = vpoc[k]
        j = max(block[k], 0)
        while touch[k] < 0 and j < bottoms.size and edges[j] < end[k]:
            if bottoms[j] <= tick <= tops[j]:
                for i in range(max(edges[j], first[k]), min(edges[j + 1], end[k])):
                    if low[i] <= tick <= high[i]:
                        touch[k] = i
                        break
            j += 1


@njit(cache=True, nogil=True)
def _nearest_naked(vpoc, close, dates, runs, tested_date, minimum_age, nearest):  # type: ignore[no-untyped-def]
    """Per session: how many are naked, and which is nearest at or above and at or below its close."""
    begin = 0
    for t in range(vpoc.size):
        if runs[t] != runs[begin]:
            begin = t
        count = 0
        above = -1
        below = -1
        for k in range(begin, t + 1):
            if tested_date[k] <= dates[t] or dates[t] - dates[k] < minimum_age:
                continue
            count += 1
            # Going forward in time, an equal one is younger and takes the place.
            if vpoc[k] >= close[t] and (above < 0 or vpoc[k] <= vpoc[above]):
                above = k
            if vpoc[k] <= close[t] and (below < 0 or vpoc[k] >= vpoc[below]):
                below = k
        nearest[t, 0] = count
        nearest[t, 1] = above
        nearest[t, 2] = below
