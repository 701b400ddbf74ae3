"""One row per session: its bars' summary, its profile, and everything the gates know at its close.

Everything in row t comes from sessions up to t and acts from the next session on (contract §4).
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market import Hours, Instrument, label_sessions
from pipeline.market.bars import require_bars
from pipeline.strategy.gates import (
    direction_probability,
    is_calm,
    longest_run,
    trailing_windows,
    window_deviation,
)
from pipeline.strategy.rolling import rolling_runs_p_value, rolling_trend
from pipeline.strategy.settings import HistorySettings

__all__ = ["HistoryParts", "session_history"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_PROFILE_COLUMNS = ("vpoc", "val", "vah", "volume")


def session_history(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    instrument: Instrument,
    settings: HistorySettings | None = None,
    *,
    hours: Hours | None = None,
) -> pd.DataFrame:
    """Per session with a profile, what is known at its close.

    Only bars with volume (all, where the profiles count time), in these hours and of the profile's contract count. A
    session before means the row before, whatever time lies between.

    Parameters
    ----------
    bars
        Clean bars; ``contract`` where the series is continuous.
    profiles
        Of the same bars and hours, from ``pipeline.profiles.session_profiles``.
    settings
        Windows; the contract's by default.
    hours
        ``rth`` or ``eth``; the settings' by default.

    Returns
    -------
    DataFrame
        Indexed by session, in order:

        open, high, low, close
            Prices.
        volume
            In volume units; NaN where profiles count time and the session's bars have none.
        contract
            Only where the bars carry one.
        vpoc, val, vah
            Prices.
        vpoc_move
            VPOC less the one before, ticks; NaN across a roll and in the first row.
        log_return
            Close to close; NaN across a roll, in the first row and where a price is not positive.
        atr_14
            Mean of the last 14 true ranges, price units; NaN before there are 14. The previous close is that of
            the same contract; across a roll and in the first row the true range is high less low.
        slope, r_squared
            Of the last 20 VPOCs, ticks per session and 0 to 1 (:func:`pipeline.strategy.trend`); NaN for the first 19.
        runs_p_value, longest_run
            Of the 19 moves between them; NaN before there are 20 sessions.
        direction_probability
            That the next move is up (:func:`pipeline.strategy.direction_probability`).
        volatility_5, volatility_20
            Standard deviations of log returns, NaN where too few are known.
        calm
            Whether the first of them is below the second (bool).

        The three names that carry a window carry the settings' own.

    Raises
    ------
    DataError
        For unusable bars or profiles, or profiles that are not of these bars and hours.
    """
    chosen = settings or HistorySettings()
    parts = HistoryParts.of(bars, profiles, instrument, hours=hours or chosen.hours, by_time=chosen.allocation == "tpo")
    return parts.history(profiles, chosen)


class HistoryParts:
    """The columns of a session history, each worked out once for the windows it depends on.

    One serves every setting that leaves the VPOCs as they are: hours and allocation are the same, windows and value
    area may differ.

    Parameters
    ----------
    summary
        Open, high, low, close, volume and, where there is one, contract of every session.
    vpocs
        Prices, shape (n,).
    instrument
        Whose they are.
    """

    def __init__(self, summary: pd.DataFrame, vpocs: Floats, instrument: Instrument) -> None:
        self._summary = summary
        self._instrument = instrument
        self._vpocs = vpocs
        self._ticks = instrument.to_ticks(vpocs)
        self._contracts = _contract_numbers(summary)
        self._rolled = np.ones(len(summary), np.bool_)
        self._rolled[1:] = self._contracts[1:] != self._contracts[:-1]
        self._moves = np.full(len(summary), np.nan)
        self._moves[1:] = np.diff(self._ticks)
        self._moves[self._rolled] = np.nan
        self._returns = _log_returns(summary["close"].to_numpy(), self._rolled)
        self._ranges: dict[int, Floats] = {}
        self._trends: dict[int, dict[str, Floats]] = {}
        self._longest_runs: dict[int, Floats] = {}
        self._directions: dict[int, Floats] = {}
        self._deviations: dict[int, Floats] = {}

    @classmethod
    def of(
        cls,
        bars: pd.DataFrame,
        profiles: pd.DataFrame,
        instrument: Instrument,
        *,
        hours: Hours = "rth",
        by_time: bool = False,
    ) -> Self:
        """Summarise bars by the sessions of their profiles, which may count time; as :func:`session_history`."""
        sessions = _checked_profiles(profiles)
        summary = _session_bars(bars, profiles, sessions, instrument, hours, by_time)
        return cls(summary, _floats(profiles, "vpoc"), instrument)

    def history(self, profiles: pd.DataFrame, settings: HistorySettings) -> pd.DataFrame:
        """The frame of :func:`session_history`; the profiles may differ from the first ones in their value areas."""
        own = ("vpoc_move", "log_return", settings.atr_column, "slope", "r_squared", "runs_p_value", "longest_run")
        names = (*own, "direction_probability", *settings.volatility_columns, "calm")
        columns = {
            "vpoc": self._vpocs,
            "val": _floats(profiles, "val"),
            "vah": _floats(profiles, "vah"),
            **{name: self.column(name, settings) for name in names},
        }
        return pd.concat([self._summary, pd.DataFrame(columns, index=self._summary.index)], axis=1)

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The sessions, shape (n,)."""
        return pd.DatetimeIndex(self._summary.index)

    @cached_property
    def contracts(self) -> NDArray[np.object_] | None:
        """Each session's contract, shape (n,); None where the bars carry none."""
        return self._summary["contract"].to_numpy(object) if "contract" in self._summary.columns else None

    def column(self, name: str, settings: HistorySettings) -> NDArray[Any]:
        """A column of :meth:`history`, but for those of the value area, shape (n,).

        Raises
        ------
        KeyError
            If there is none.
        """
        if name in self._summary.columns:
            return self._summary[name].to_numpy()
        if name in ("slope", "r_squared", "runs_p_value"):
            return self._trend(settings.trend_window)[name]
        short_name, long_name = settings.volatility_columns
        found: dict[str, Callable[[], NDArray[Any]]] = {
            "vpoc": lambda: self._vpocs,
            "vpoc_move": lambda: self._moves,
            "log_return": lambda: self._returns,
            settings.atr_column: lambda: self.average_true_range(settings.atr_window),
            "longest_run": lambda: self._longest_run(settings.trend_window),
            "direction_probability": lambda: self._direction(settings.direction_window),
            short_name: lambda: self._deviation(settings.calm_short),
            long_name: lambda: self._deviation(settings.calm_long),
            "calm": lambda: is_calm(self._deviation(settings.calm_short), self._deviation(settings.calm_long)),
        }
        return found[name]()

    def average_true_range(self, window: int) -> Floats:
        """The column ``atr_14`` for any window, shape (n,)."""
        if window not in self._ranges:
            self._ranges[window] = _average_true_range(self._summary, self._rolled, self._instrument, window)
        return self._ranges[window]

    def _trend(self, window: int) -> dict[str, Floats]:
        if window not in self._trends:
            self._trends[window] = _trend_columns(self._ticks, self._contracts, self._moves, window)
        return self._trends[window]

    def _longest_run(self, window: int) -> Floats:
        if window not in self._longest_runs:
            found = np.full(len(self._moves), np.nan)
            found[window - 1 :] = longest_run(trailing_windows(self._moves, window - 1)[window - 1 :])
            self._longest_runs[window] = found
        return self._longest_runs[window]

    def _direction(self, window: int) -> Floats:
        if window not in self._directions:
            self._directions[window] = direction_probability(trailing_windows(self._moves, window))
        return self._directions[window]

    def _deviation(self, window: int) -> Floats:
        if window not in self._deviations:
            self._deviations[window] = window_deviation(trailing_windows(self._returns, window))
        return self._deviations[window]


def _floats(profiles: pd.DataFrame, column: str) -> Floats:
    return profiles[column].to_numpy(np.float64)


def _checked_profiles(profiles: pd.DataFrame) -> pd.DatetimeIndex:
    missing = [name for name in _PROFILE_COLUMNS if name not in profiles.columns]
    if missing:
        raise DataError(f"profiles lack {', '.join(missing)}; make them with session_profiles")
    index = profiles.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        raise DataError("profiles are not indexed by session (dates without a zone); make them with session_profiles")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("profiles must have one row per session in order; sort them and drop duplicates")
    return index.as_unit("ns").rename("session")


def _session_bars(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    instrument: Instrument,
    hours: Hours,
    by_time: bool,
) -> pd.DataFrame:
    """Open, high, low, close, volume and contract of each profile's session."""
    clean = require_bars(bars)
    labels = label_sessions(clean["timestamp"], instrument)
    steps = instrument.to_steps(clean["volume"])
    # Where each calendar session stands among the profiles.
    row_of = sessions.get_indexer(pd.DatetimeIndex(labels.schedule.index).as_unit("ns"))
    row = np.where(labels.mask(hours) & ((steps > 0) | by_time), row_of[labels.position] if len(row_of) else -1, -1)
    kept = np.flatnonzero(row >= 0)
    row = row[kept]
    contract = None
    if "contract" in clean.columns:
        names = clean["contract"].iloc[kept]
        contract = _profile_contracts(profiles, sessions, row, names)
        ours = np.flatnonzero(names.to_numpy() == contract[row])
        kept, row = kept[ours], row[ours]
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    if len(starts) != len(sessions):
        absent = sessions[np.setdiff1d(np.arange(len(sessions)), row)]
        raise DataError(
            f"profiles hold session {absent[0].date()}, which has no bars with volume in {hours} hours "
            f"({len(absent)} such sessions); build the profiles from the same bars and hours"
        )
    ends = np.append(starts[1:], len(row)) - 1
    held = np.add.reduceat(steps[kept], starts) if len(starts) else np.empty(0, np.int64)
    expected = instrument.to_steps(profiles["volume"])
    if not by_time and (held != expected).any():
        bad = int(np.flatnonzero(held != expected)[0])
        raise DataError(
            f"the profile of session {sessions[bad].date()} holds volume {profiles['volume'].iloc[bad]:g}, its bars in "
            f"{hours} hours {held[bad] * instrument.volume_step:g}; build the profiles from the same bars and hours"
        )
    low, high = clean["low"].to_numpy()[kept], clean["high"].to_numpy()[kept]
    columns = {
        "open": clean["open"].to_numpy()[kept[starts]],
        "high": np.maximum.reduceat(high, starts) if len(starts) else high,
        "low": np.minimum.reduceat(low, starts) if len(starts) else low,
        "close": clean["close"].to_numpy()[kept[ends]] if len(starts) else low,
        "volume": profiles["volume"].to_numpy(np.float64),
    }
    if by_time and len(starts):
        # A market whose data has no volume has an unknown one.
        volume = np.add.reduceat(clean["volume"].to_numpy(np.float64)[kept], starts)
        columns["volume"] = np.where(volume > 0, volume, np.nan)
    history = pd.DataFrame(columns, index=sessions, dtype=np.float64)
    if contract is not None:
        history["contract"] = pd.array(contract, dtype="str")
    return history


def _profile_contracts(
    profiles: pd.DataFrame, sessions: pd.DatetimeIndex, row: Ints, names: pd.Series
) -> NDArray[np.object_]:
    """The contract of each profile: as it says, or the only one of its session."""
    if "contract" in profiles.columns:
        return profiles["contract"].to_numpy(object)
    codes, labels = pd.factorize(names)
    changed = np.flatnonzero((np.diff(row) == 0) & (np.diff(codes) != 0))
    if len(changed):
        raise DataError(
            f"session {sessions[row[changed[0]]].date()} holds bars of two contracts and the profiles don't say which "
            "is theirs; make them with session_profiles from bars that carry the contract"
        )
    found = np.full(len(sessions), None, dtype=object)
    found[row] = np.asarray(labels, dtype=object)[codes]
    return found


def _contract_numbers(history: pd.DataFrame) -> Ints:
    if "contract" not in history.columns:
        return np.zeros(len(history), np.int64)
    names = history["contract"].to_numpy(object)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(names[1:] != names[:-1])])[: len(names)]


def _log_returns(close: Floats, rolled: Bools) -> Floats:
    positive = np.where(close > 0, close, np.nan)
    logs = np.log(positive)
    returns = np.full(len(close), np.nan)
    returns[1:] = logs[1:] - logs[:-1]
    returns[rolled] = np.nan
    return returns


def _average_true_range(history: pd.DataFrame, rolled: Bools, instrument: Instrument, window: int) -> Floats:
    high, low, close = (instrument.to_ticks(history[name]) for name in ("high", "low", "close"))
    above, below = high.copy(), low.copy()
    carried = ~rolled[1:]
    above[1:] = np.where(carried, np.maximum(high[1:], close[:-1]), high[1:])
    below[1:] = np.where(carried, np.minimum(low[1:], close[:-1]), low[1:])
    # Whole ticks: the running sum is exact, wherever the history starts.
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(above - below)])
    average = np.full(len(high), np.nan)
    average[window - 1 :] = instrument.to_prices(total[window:] - total[:-window]) / window
    return average


def _trend_columns(ticks: Ints, contracts: Ints, moves: Floats, window: int) -> dict[str, Floats]:
    if len(ticks) < window:
        return {name: np.full(len(ticks), np.nan) for name in ("slope", "r_squared", "runs_p_value")}
    slope, r_squared = rolling_trend(ticks, contracts, window)
    found = {
        "slope": slope,
        "r_squared": r_squared,
        "runs_p_value": rolling_runs_p_value(moves[1:], window - 1),
    }
    warm_up = np.full(window - 1, np.nan)
    return {name: np.concatenate([warm_up, values]) for name, values in found.items()}
