"""Profiles from frames of bars: of every session, or of all bars given."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.bars import require_bars
from pipeline.market.contracts import contract_runs, contracts_of_sessions
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, rows_of, session_slices, trade_date
from pipeline.profiles.brackets import bracket_ranges, brackets_by_session, tpo_levels, tpo_rows
from pipeline.profiles.engines import on_device
from pipeline.profiles.engines.choice import Engine
from pipeline.profiles.histogram import SessionLevels, spread_rows
from pipeline.profiles.levels import to_volume
from pipeline.profiles.ordinary import ordinary_profiles
from pipeline.profiles.rows import Allocation, RowRule
from pipeline.profiles.settings import ProfileSettings
from pipeline.profiles.value_area import AreaRule
from pipeline.profiles.whole_bars import WholeBars, whole_steps

__all__ = ["ProfileBars", "profile_rows", "select_sessions", "session_profiles"]


def session_profiles(
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    hours: Hours = "rth",
    device: str = "cpu",
    ticks_per_row: int = 1,
    tpo_minutes: int = 30,
) -> pd.DataFrame:
    """VPOC and value area of every session with volume (contract §3), or with bars, where time is counted.

    Parameters
    ----------
    bars
        ``timestamp`` (the bar's open), ``low``, ``high``, ``close``, ``volume``, optional ``contract``;
        what else :func:`pipeline.market.bars.require_bars` takes. Bars outside the hours are not used.
    instrument
        Its calendar says which session a bar belongs to, its tick and volume step what is counted.
    allocation
        ``"uniform"`` spreads a bar's volume over its ticks from low to high, ``"close"`` puts it on its close.
        ``"tpo"`` counts time: in each bracket every row from its lowest low to its highest high once, bars without
        volume included.
    value_area_basis_points
        Share of the volume the value area holds at least, 1 to 10000.
    expansion_rows
        Rows the value area takes at a time; 2 is the usual rule.
    hours
        ``"rth"``: the regular hours; ``"eth"``: the whole trade date.
    device
        ``"cpu"`` (one thread), ``"threads"``, ``"torch"`` (torch on the processor), ``"cuda"`` or ``"cuda:1"``
        (an NVIDIA GPU, or an AMD one under ROCm), several as ``"cuda:0,cuda:1"``, or ``"auto"``, by the number of
        bars. All give the same bits. One that is missing, or has too little memory, gives way to the next
        engine, with a warning in the log.
    ticks_per_row
        Height of a row: row k holds the ticks from ``k * ticks_per_row`` on. The VPOC is its row's middle tick, VAL
        the lowest tick of its row, VAH the highest of its row; low and high stay the traded extremes.
    tpo_minutes
        Length of a bracket, from the open of the hours.

    Returns
    -------
    DataFrame
        Indexed by ``session`` (midnight, no zone): ``vpoc``, ``val``, ``vah``, ``low``, ``high`` (prices),
        ``volume``, ``value_area_volume`` (in units of volume; TPOs where time is counted). Where the bars carry
        ``contract``, also that: of two contracts in a session only the one with more volume in those hours counts
        (equal: the later).
        ``attrs`` holds ``prices_rounded`` and ``volume_rounded``: how many of the bars given had a price off
        the tick, or a volume off the step, and were rounded to the nearest.

    Raises
    ------
    ConfigurationError
        For settings that are not among these.
    DataError
        For bars that are not clean, and, naming the session, for volume past 2**62 micro-lots or prices
        more than 2**24 ticks apart.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:35Z"]),
    ...     "open": [5100.0, 5101.0], "high": [5101.0, 5101.5], "low": [5099.75, 5100.75],
    ...     "close": [5101.0, 5101.25], "volume": [600, 400]})
    >>> profiles = session_profiles(bars, load_instruments()["ES"])
    >>> profiles.loc["2024-03-05", ["vpoc", "val", "vah", "volume"]].tolist()
    [5100.75, 5100.25, 5101.25, 1000.0]
    """
    rows, area = RowRule(allocation, ticks_per_row, tpo_minutes), AreaRule(value_area_basis_points, expansion_rows)
    settings, engine = ProfileSettings(hours, rows, area), on_device(device)
    if device == "cpu" and not rows.by_time:
        found = ordinary_profiles(bars, instrument, settings)
        if found is not None:
            profiles = _frame(*found, instrument, rows)
            profiles.attrs.update(volume_rounded=0, prices_rounded=0)
            return profiles
    return ProfileBars.of(bars, instrument, hours, rows).profiles(area, engine)


@dataclass(frozen=True)
class ProfileBars:
    """Input of session profiles, independent of the value area's share: prepared once, used many times.

    Attributes
    ----------
    instrument
        Whose bars they are.
    sessions
        Sessions with bars in the hours, shape (s,).
    rule
        What their rows are.
    low, high, steps
        Ticks from and to, and volume in steps (0 in a session's lesser contract), shape (n,). Where time is counted,
        a bracket each instead of a bar: rows from and to, and how many rows.
    starts, stops
        Each session's slice of them, shape (s,).
    extremes
        Where time is counted, lowest and highest tick of each session, shape (2, s); None otherwise.
    contracts
        Each session's contract, shape (s,); None where the bars carry none.
    rounded
        How many bars had a price or a volume rounded.
    """

    instrument: Instrument
    rule: RowRule
    sessions: pd.DatetimeIndex
    low: NDArray[Any]
    high: NDArray[Any]
    steps: NDArray[Any]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    extremes: NDArray[np.int64] | None
    contracts: NDArray[np.object_] | None
    rounded: Mapping[str, int]

    @classmethod
    def of(cls, bars: pd.DataFrame, instrument: Instrument, hours: Hours, rule: RowRule) -> Self:
        """Check bars and turn them into whole numbers; as :func:`session_profiles`."""
        whole = WholeBars.of(bars, instrument, rule.allocation, narrow=not rule.by_time)
        low, high, steps = whole.low, whole.high, whole.steps
        slices = session_slices(whole.instants, instrument, hours)
        starts, stops = slices.starts, slices.stops
        contracts: NDArray[np.object_] | None = None
        lesser = np.empty(0, np.int64)
        if whole.runs is not None:
            winners, lesser = contracts_of_sessions(whole.runs, starts, stops, lambda rows: steps[rows])
            contracts = whole.runs.names[winners]
        extremes = None
        if rule.by_time:
            kept, owner = slices.rows, np.repeat(np.arange(len(starts)), stops - starts)
            if len(lesser):
                ours = ~np.isin(kept, lesser)
                kept, owner = kept[ours], owner[ours]
            bracket = rule.bracket(whole.instants[kept], slices.opens[owner])
            begins, low, high = bracket_ranges(low[kept], high[kept], owner, bracket)
            # Every session's contract has a bar in it, so no session is without a bracket.
            starts = np.searchsorted(owner[begins], np.arange(len(starts))).astype(np.int64)
            stops = np.append(starts[1:], len(low))[: len(starts)]
            extremes = np.zeros((2, 0), np.int64)
            if len(starts):
                extremes = np.stack([np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)])
            low, high = rule.row(low), rule.row(high)
            steps = high - low + 1
        else:
            steps[lesser] = 0
        return cls(instrument, rule, slices.index, low, high, steps, starts, stops, extremes, contracts, whole.rounded)

    def profiles(self, area: AreaRule, engine: Engine | None = None) -> pd.DataFrame:
        """The frame of :func:`session_profiles`; on one thread where no engine is given."""
        return self.frame(self.levels(area, engine))

    def frame(self, levels: SessionLevels) -> pd.DataFrame:
        """The frame of :meth:`profiles` of their levels."""
        profiles = _frame(levels, self.sessions, self.contracts, self.instrument, self.rule)
        profiles.attrs.update(self.rounded)
        return profiles

    def levels(self, area: AreaRule, engine: Engine | None = None) -> SessionLevels:
        """The levels of :meth:`profiles` in ticks, of sessions without volume too."""
        levels = (engine or on_device("cpu"))(
            self.low,
            self.high,
            self.steps,
            self.starts,
            self.stops,
            **area.options,
            ticks_per_row=1 if self.rule.by_time else self.rule.ticks_per_row,
            name=lambda k: f"session {self.sessions[k].date()} of {self.instrument.symbol}",
        )
        if self.extremes is not None:
            levels = tpo_levels(levels, self.extremes[0], self.extremes[1], self.rule)
        return levels


def _frame(
    levels: SessionLevels,
    sessions: pd.DatetimeIndex,
    contracts: NDArray[np.object_] | None,
    instrument: Instrument,
    rule: RowRule,
) -> pd.DataFrame:
    traded = levels.total > 0
    columns: dict[str, Any] = {
        name: instrument.to_prices(getattr(levels, name)[traded]) for name in ("vpoc", "val", "vah", "low", "high")
    }
    columns["volume"] = to_volume(levels.total[traded], instrument, rule)
    columns["value_area_volume"] = to_volume(levels.held[traded], instrument, rule)
    if contracts is not None:
        columns["contract"] = pd.array(contracts[traded], dtype="str")
    return pd.DataFrame(columns, index=sessions[traded])


def profile_rows(
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    allocation: Allocation = "uniform",
    ticks_per_row: int = 1,
    tpo_minutes: int = 30,
) -> tuple[int, NDArray[np.int64]]:
    """One profile of all bars given, whatever their session or contract.

    Volume profiles add: that of two sets of bars is the sum, row by row, of theirs. TPO profiles add where no bracket
    of a session and contract has bars in both sets.

    Parameters
    ----------
    bars
        ``low``, ``high``, ``close``, ``volume``, in any order of rows; for ``"tpo"`` in the order of ``timestamp``.
    instrument, allocation, ticks_per_row, tpo_minutes
        As in :func:`session_profiles`. Brackets begin at the open of regular hours where all bars lie in these, and
        otherwise at the trade date's open.

    Returns
    -------
    (int, ndarray of int64)
        The lowest row (the lowest tick over ``ticks_per_row``, floored), and micro-lots (2**-20 volume steps) or TPOs
        per row up to the highest, shape (rows,); (0, empty) where no bar has volume, or counts.

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`session_profiles`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({"low": [25.0], "high": [25.5], "close": [25.25], "volume": [1]})
    >>> profile_rows(bars, load_instruments()["ES"])
    (100, array([349526, 349525, 349525]))
    """
    rule = RowRule(allocation, ticks_per_row, tpo_minutes)
    whole = WholeBars.of(bars, instrument, allocation, times=rule.by_time)
    if not rule.by_time:
        return spread_rows(whole.low, whole.high, whole.steps, ticks_per_row=ticks_per_row)
    session, bracket = brackets_by_session(whole.instants, instrument, rule)
    rows = np.arange(len(whole.low))
    codes = np.zeros(len(rows), np.int64) if whole.runs is None else whole.runs.at(rows)
    order = np.argsort(codes, kind="stable")
    _, low, high = bracket_ranges(whole.low[order], whole.high[order], codes[order], session[order], bracket[order])
    return tpo_rows(low, high, rule)


def select_sessions(
    bars: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
) -> pd.DataFrame:
    """The bars of some sessions, in those hours, with a column ``session``.

    Of two contracts in a session, those of the one that makes its profile.

    Parameters
    ----------
    bars
        As in :func:`session_profiles`, with ``open`` as well.
    first, last
        Sessions from and to, both included. ``first`` alone is that session; neither is the last session
        with bars in those hours.

    Raises
    ------
    DataError
        Where no bar lies there: says which sessions there are.
    """
    clean = require_bars(bars)
    slices = session_slices(pd.DatetimeIndex(clean["timestamp"]).asi8, instrument, hours)
    sessions, starts, stops = slices.index, slices.starts, slices.stops
    if len(sessions) == 0:
        raise DataError(f"no bar lies in the {hours} hours of a session of {instrument.symbol}; check zone and symbol")
    from_session = None if first is None else trade_date(first, "session")
    to_session = None if last is None else trade_date(last, "session")
    begin = from_session or (sessions[0] if to_session else sessions[-1])
    end = to_session or begin
    chosen = np.flatnonzero((sessions >= begin) & (sessions <= end))
    if len(chosen) == 0:
        raise DataError(
            f"no session of {instrument.symbol} from {begin.date()} to {end.date()} has bars in {hours} hours; "
            f"there are {len(sessions)} from {sessions[0].date()} to {sessions[-1].date()}"
        )
    rows = rows_of(starts[chosen], stops[chosen])
    owner = np.repeat(chosen, (stops - starts)[chosen])
    if "contract" in clean.columns:
        volume, runs = clean["volume"].to_numpy(), contract_runs(clean["contract"])
        _, lesser = contracts_of_sessions(runs, starts, stops, lambda some: whole_steps(volume[some], instrument))
        kept = ~np.isin(rows, lesser)
        rows, owner = rows[kept], owner[kept]
    selected = clean.iloc[rows].reset_index(drop=True)
    selected["session"] = sessions[owner]
    return selected
