"""One row a session: its bars' summary, its profile, and everything the gates know at its close.

Everything in row t comes from sessions up to t and acts from the next session on (contract §4).
"""

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market import Hours, Instrument, label_sessions
from pipeline.market.bars import require_bars
from pipeline.strategy.gates import (
    direction_probability,
    is_calm,
    longest_run,
    runs_p_value,
    trailing_windows,
    trend,
    window_deviation,
)
from pipeline.strategy.settings import StrategySettings

__all__ = ["session_history"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_PROFILE_COLUMNS = ("vpoc", "val", "vah", "volume")


def session_history(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    instrument: Instrument,
    settings: StrategySettings | None = None,
    *,
    hours: Hours | None = None,
) -> pd.DataFrame:
    """Per session with a profile, what is known at its close.

    Only bars with volume, in these hours and of the profile's contract count. A session before means the
    row before, whatever time lies between.

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
            In volume units.
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
            Of the last 20 VPOCs, ticks a session and 0 to 1 (:func:`pipeline.strategy.trend`); NaN before there are 20.
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
    chosen = settings or StrategySettings()
    sessions = _checked_profiles(profiles)
    history = _session_bars(bars, profiles, sessions, instrument, hours or chosen.hours)
    for column in ("vpoc", "val", "vah"):
        history[column] = profiles[column].to_numpy(np.float64)

    contracts = _contract_numbers(history)
    rolled = np.ones(len(history), np.bool_)
    rolled[1:] = contracts[1:] != contracts[:-1]
    ticks = instrument.to_ticks(history["vpoc"])

    moves = np.full(len(history), np.nan)
    moves[1:] = np.diff(ticks)
    moves[rolled] = np.nan
    returns = _log_returns(history["close"].to_numpy(), rolled)
    history["vpoc_move"] = moves
    history["log_return"] = returns
    history[chosen.atr_column] = _average_true_range(history, rolled, instrument, chosen.atr_window)

    for name, values in _trend_columns(ticks, contracts, moves, chosen.trend_window).items():
        history[name] = values
    history["direction_probability"] = direction_probability(trailing_windows(moves, chosen.direction_window))
    short, long = (
        window_deviation(trailing_windows(returns, window)) for window in (chosen.calm_short, chosen.calm_long)
    )
    short_name, long_name = chosen.volatility_columns
    history[short_name], history[long_name] = short, long
    history["calm"] = is_calm(short, long)
    return history


def _checked_profiles(profiles: pd.DataFrame) -> pd.DatetimeIndex:
    missing = [name for name in _PROFILE_COLUMNS if name not in profiles.columns]
    if missing:
        raise DataError(f"profiles lack {', '.join(missing)}; make them with session_profiles")
    index = profiles.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        raise DataError("profiles are not indexed by session (dates without a zone); make them with session_profiles")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("profiles are not in the order of their sessions, each once; sort them and drop repetitions")
    return index.as_unit("ns").rename("session")


def _session_bars(
    bars: pd.DataFrame, profiles: pd.DataFrame, sessions: pd.DatetimeIndex, instrument: Instrument, hours: Hours
) -> pd.DataFrame:
    """Open, high, low, close, volume and contract of each profile's session."""
    clean = require_bars(bars)
    labels = label_sessions(clean["timestamp"], instrument)
    steps = instrument.to_steps(clean["volume"])
    # Where each calendar session stands among the profiles.
    row_of = sessions.get_indexer(pd.DatetimeIndex(labels.schedule.index).as_unit("ns"))
    row = np.where(labels.mask(hours) & (steps > 0), row_of[labels.position] if len(row_of) else -1, -1)
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
            f"({len(absent)} such sessions); make the profiles from the same bars and hours"
        )
    ends = np.append(starts[1:], len(row)) - 1
    held = np.add.reduceat(steps[kept], starts) if len(starts) else np.empty(0, np.int64)
    expected = instrument.to_steps(profiles["volume"])
    if (held != expected).any():
        bad = int(np.flatnonzero(held != expected)[0])
        raise DataError(
            f"the profile of session {sessions[bad].date()} holds volume {profiles['volume'].iloc[bad]:g}, its bars in "
            f"{hours} hours {held[bad] * instrument.volume_step:g}; make the profiles from the same bars and hours"
        )
    low, high = clean["low"].to_numpy()[kept], clean["high"].to_numpy()[kept]
    columns = {
        "open": clean["open"].to_numpy()[kept[starts]],
        "high": np.maximum.reduceat(high, starts) if len(starts) else high,
        "low": np.minimum.reduceat(low, starts) if len(starts) else low,
        "close": clean["close"].to_numpy()[kept[ends]] if len(starts) else low,
        "volume": profiles["volume"].to_numpy(np.float64),
    }
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
        return {name: np.full(len(ticks), np.nan) for name in ("slope", "r_squared", "runs_p_value", "longest_run")}
    slope, r_squared = trend(sliding_window_view(ticks, window), sliding_window_view(contracts, window))
    inner = trailing_windows(moves, window - 1)[window - 1 :]
    found = {
        "slope": slope,
        "r_squared": r_squared,
        "runs_p_value": runs_p_value(inner),
        "longest_run": longest_run(inner),
    }
    warm_up = np.full(window - 1, np.nan)
    return {name: np.concatenate([warm_up, values]) for name, values in found.items()}
