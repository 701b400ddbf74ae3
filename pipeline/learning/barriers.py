"""Generic labels of bars: which of three barriers the price meets first (López de Prado 2018, 3.4)."""

from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Hours, Instrument, label_sessions
from pipeline.market.bar_times import bar_ends, complete_until, session_ends
from pipeline.market.bars import require_bars

__all__ = ["BARRIERS", "barrier_labels"]

BARRIERS = ("", "up", "down", "both", "horizon", "session_end", "contract_end")
UNKNOWN, UP, DOWN, BOTH, HORIZON, SESSION_END, CONTRACT_END = range(7)

_NOISE = 1e-9  # a width of 12.000000000000002 ticks is 12


def barrier_labels(
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    horizon: int = 12,
    up: float = 1.0,
    down: float = 1.0,
    volatility_window: int = 78,
    hours: Hours = "rth",
    known_until: pd.Timestamp | str | None = None,
) -> pd.DataFrame:
    """Buy, sell or hold at each bar's close: whether price first moves up or down by so much within a horizon.

    The barriers lie ``up`` and ``down`` times ``σ × √horizon`` from the close, rounded up to whole ticks; σ is the
    standard deviation of the last ``volatility_window`` bar-to-bar changes of the close, in ticks, each within one
    session and contract, the bar's own among them. A touch counts. A bar that opens at or beyond a barrier has met
    that one; a bar that meets both otherwise does not say which came first, and is neither. A label's life ends with
    its session's hours, or sooner with its contract; the last bar of either has no label.

    Parameters
    ----------
    bars
        Clean bars, two or more.
    horizon
        Bars after the one decided on.
    up, down
        Widths in standard deviations of the whole horizon's move.
    volatility_window
        Changes σ is taken from; 78 bars of 5 minutes are a session of ES.
    hours
        Bars that are labelled and used.
    known_until
        As for :func:`~pipeline.learning.labels.candidate_labels`.

    Returns
    -------
    DataFrame
        One row per bar in the hours, indexed by its open (``timestamp``, UTC).

        start, end
            The bar's end, and from when on the label is known (UTC, NaT while it is not): the end of the bar
            that met a barrier, or of the horizon's last; the end of the session's hours; the end of the bar
            that shows another contract.
        label
            1.0 buy, −1.0 sell, 0.0 hold; NaN where not known.
        barrier
            ``up``, ``down``, ``both``, ``horizon``, ``session_end``, ``contract_end``; empty where not known.
        up_ticks, down_ticks
            The barriers' distances; NaN before there are enough changes, or where σ is zero.
        move_ticks
            From the bar's close to where the label's life ended: a barrier, the open beyond it, or a close; NaN for
            ``both``.

    Raises
    ------
    ConfigurationError
        For an impossible setting.
    DataError
        For bars that can't be used.
    """
    _whole(horizon, "horizon", 1)
    _whole(volatility_window, "volatility_window", 2)
    for name, width in (("up", up), ("down", down)):
        if isinstance(width, bool) or not isinstance(width, int | float | np.number) or not 0 < width < np.inf:
            raise ConfigurationError(f"{name} is {width!r}; give a width in standard deviations, above zero")
    frame = require_bars(bars, ("timestamp", "open", "high", "low", "close"))
    timestamps = pd.DatetimeIndex(frame["timestamp"])
    over = bar_ends(timestamps.asi8)
    until = complete_until(known_until, over)
    labels = label_sessions(timestamps, instrument)
    rows = np.flatnonzero(labels.mask(hours))
    ticks = np.stack([instrument.to_ticks(frame[name])[rows] for name in ("open", "high", "low", "close")])
    session = labels.position[rows]
    last, contract_ends = _lives(session, _contract_runs(frame)[rows])
    sigma = _volatility(ticks[3], last, volatility_window)
    with np.errstate(invalid="ignore"):
        widths = np.ceil(np.stack([up * sigma, down * sigma]) * np.sqrt(horizon) - _NOISE)
    known_width = sigma > 0  # False for NaN
    reach = np.where(known_width, widths, 0).astype(np.int64)
    met, at, move = _first_barrier(ticks, last, contract_ends, reach, horizon)

    end = over[rows][at]
    session_over = np.maximum(session_ends(timestamps.asi8, labels, hours)[session], end)
    end = np.where(met == SESSION_END, session_over, end)
    end = np.where(met == CONTRACT_END, over[rows][np.minimum(at + 1, max(len(rows) - 1, 0))], end)
    met = np.where(known_width & (end <= until), met, UNKNOWN)
    known = met != UNKNOWN
    label = np.select([~known, met == UP, met == DOWN], [np.nan, 1.0, -1.0], 0.0)
    return pd.DataFrame(
        {
            "start": _times(over[rows]),
            "end": _times(np.where(known, end, pd.NaT.value)),
            "label": label,
            "barrier": pd.array(np.array(BARRIERS, dtype=object)[met], dtype="str"),
            "up_ticks": np.where(known_width, widths[0], np.nan),
            "down_ticks": np.where(known_width, widths[1], np.nan),
            "move_ticks": np.where(known & (met != BOTH), move, np.nan),
        },
        index=pd.DatetimeIndex(timestamps[rows], name="timestamp"),
    )


def _times(instants: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(instants.view("M8[ns]")).tz_localize("UTC")


def _whole(value: Any, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigurationError(f"{name} is {value!r}; give a whole number, {least} or more")


def _contract_runs(frame: pd.DataFrame) -> NDArray[np.int64]:
    if "contract" not in frame.columns:
        return np.zeros(len(frame), np.int64)
    codes = pd.factorize(frame["contract"])[0]
    return np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])])


def _lives(session: NDArray[np.int64], run: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Per bar the last one of its session and contract, and whether another contract ends it within the session."""
    same_session = session[1:] == session[:-1]
    ends = np.append(~same_session | (run[1:] != run[:-1]), True)[: len(session)]
    rolls = np.append(same_session & (run[1:] != run[:-1]), False)[: len(session)]
    stops = np.flatnonzero(ends)
    last = stops[np.searchsorted(stops, np.arange(len(session)))] if len(session) else stops
    return last, rolls[last]


def _volatility(close: NDArray[np.int64], last: NDArray[np.int64], window: int) -> NDArray[np.float64]:
    """Standard deviation (ddof 1) of the last ``window`` changes to each bar; NaN where there are fewer, shape (n,).

    From sums of whole ticks, which are exact: a value does not depend on where the bars begin.
    """
    inside = np.flatnonzero(last[1:] == last[:-1]) + 1 if len(last) else last
    changes = close[inside] - close[inside - 1]
    if len(changes) and np.abs(changes).max() > 2**20:
        raise DataError("bars' closes change by more than a million ticks at once; check the instrument's tick size")
    sums = np.concatenate([[0], np.cumsum(changes)])
    squares = np.concatenate([[0], np.cumsum(changes * changes)])
    count = np.searchsorted(inside, np.arange(len(close)), side="right")  # changes up to each bar
    enough = count >= window
    upper, lower = count[enough], count[enough] - window
    total = (sums[upper] - sums[lower]).astype(np.float64)
    square = (squares[upper] - squares[lower]).astype(np.float64)
    sigma = np.full(len(close), np.nan)
    sigma[enough] = np.sqrt((square * window - total * total) / (window * (window - 1)))
    return sigma


@njit(cache=True, nogil=True)
def _first_barrier(
    ticks: NDArray[np.int64],
    last: NDArray[np.int64],
    contract_ends: NDArray[np.bool_],
    reach: NDArray[np.int64],
    horizon: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Per bar which barrier was met, in which bar, and the move to there; all shape (n,)."""
    n = ticks.shape[1]
    met, at, move = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    for i in range(n):
        stop = min(i + horizon, last[i])
        if stop == i:  # nothing follows
            met[i], at[i], move[i] = UNKNOWN, i, np.nan
            continue
        close = ticks[3, i]
        upper, lower = close + reach[0, i], close - reach[1, i]
        at[i], move[i] = stop, ticks[3, stop] - close
        if stop == i + horizon:
            met[i] = HORIZON
        else:
            met[i] = CONTRACT_END if contract_ends[i] else SESSION_END
        for j in range(i + 1, stop + 1):
            opened = ticks[0, j]
            if opened >= upper or opened <= lower:
                met[i], at[i], move[i] = UP if opened >= upper else DOWN, j, opened - close
                break
            above, below = ticks[1, j] >= upper, ticks[2, j] <= lower
            if above or below:
                at[i] = j
                if above and below:
                    met[i], move[i] = BOTH, np.nan
                else:
                    met[i], move[i] = (UP, upper - close) if above else (DOWN, lower - close)
                break
    return met, at, move
