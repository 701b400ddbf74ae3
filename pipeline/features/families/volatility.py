"""Features of volatility: realized, forecast, and how steady. Units: log return per session, not annualised."""

import logging
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features.anchors import anchor_warmup, anchored
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing_deviation, trailing_mean
from pipeline.market import Instrument
from pipeline.strategy import HistorySettings

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)

# RiskMetrics' decay for daily returns (J.P. Morgan/Reuters 1996).
_DECAY = 0.94
# Whole quarters that GARCH parameters are estimated on, and the fewest returns among them.
_FIT_QUARTERS = 4
_FEWEST_RETURNS = 150
# The optimizer may end beyond its bound, alpha + beta = 1, by its tolerance.
_MOST_PERSISTENT = 1 + 1e-4
# The optimizer wants numbers near 1.
_PERCENT = 100.0


def _logs(inputs: FeatureInputs, column: str) -> Floats:
    prices = inputs.history[column].to_numpy(np.float64)
    return np.log(np.where(prices > 0, prices, np.nan))


def _returns(inputs: FeatureInputs) -> Floats:
    return inputs.history["log_return"].to_numpy(np.float64)


@feature(
    family="volatility",
    warmup=lambda sessions: sessions + 1,
    description="Standard deviation (ddof 1) of the last {sessions} close-to-close log returns; those across a roll "
    "are left out, and it is missing where less than three quarters are known.",
    over={"sessions": (5, 10, 20, 50)},
)
def close_volatility(inputs: FeatureInputs, sessions: int) -> Floats:
    return trailing_deviation(_returns(inputs), sessions)


@feature(
    family="volatility",
    warmup=lambda sessions: sessions,
    description="Parkinson (1980): square root of the mean of ln(high/low)² / (4 ln 2) over {sessions} sessions; "
    "within sessions, so rolls and gaps don't enter.",
    over={"sessions": (20,)},
)
def parkinson_volatility(inputs: FeatureInputs, sessions: int) -> Floats:
    squares = (_logs(inputs, "high") - _logs(inputs, "low")) ** 2 / (4 * np.log(2))
    return np.sqrt(trailing_mean(squares, sessions))


@feature(
    family="volatility",
    warmup=lambda sessions: sessions,
    description="Garman and Klass (1980): square root of the mean of ½ ln(high/low)² − (2 ln 2 − 1) ln(close/open)² "
    "over {sessions} sessions; within sessions.",
    over={"sessions": (20,)},
)
def garman_klass_volatility(inputs: FeatureInputs, sessions: int) -> Floats:
    height, body = _logs(inputs, "high") - _logs(inputs, "low"), _logs(inputs, "close") - _logs(inputs, "open")
    # Never negative: the body is no longer than the range, and 2 ln 2 − 1 < ½.
    return np.sqrt(trailing_mean(0.5 * height**2 - (2 * np.log(2) - 1) * body**2, sessions))


@feature(
    family="volatility",
    warmup=lambda sessions: sessions + 1,
    description="Yang and Zhang (2000) over {sessions} sessions: square root of the variance of the opening gaps, plus "
    "k times that of the open-to-close returns, plus (1 − k) times Rogers and Satchell's; gaps across a roll are left "
    "out.",
    over={"sessions": (20,)},
)
def yang_zhang_volatility(inputs: FeatureInputs, sessions: int) -> Floats:
    opened, high, low, close = (_logs(inputs, name) for name in ("open", "high", "low", "close"))
    gaps = np.full(len(opened), np.nan)
    gaps[1:] = opened[1:] - close[:-1]
    gaps[inputs.rolled] = np.nan
    inside = (high - close) * (high - opened) + (low - close) * (low - opened)
    k = 0.34 / (1.34 + (sessions + 1) / (sessions - 1))
    return np.sqrt(
        trailing_deviation(gaps, sessions) ** 2
        + k * trailing_deviation(close - opened, sessions) ** 2
        + (1 - k) * trailing_mean(inside, sessions)
    )


@feature(
    family="volatility",
    warmup=anchor_warmup,
    description="Exponentially weighted volatility with RiskMetrics' decay 0.94: square root of the weighted mean of "
    "squared log returns, from the anchor on; returns across a roll are left out.",
)
def ewma_volatility(inputs: FeatureInputs) -> Floats:
    return anchored(pd.DataFrame({"r": _returns(inputs)}, index=inputs.sessions), _ewma)["value"].to_numpy()


def _ewma(part: pd.DataFrame) -> Floats:
    total = weight = 0.0
    found = np.full(len(part), np.nan)
    for row, value in enumerate(part["r"].to_numpy().tolist()):
        if value == value:  # not missing
            total = _DECAY * total + value * value
            weight = _DECAY * weight + 1.0
        if weight:
            found[row] = np.sqrt(total / weight)
    return found


def _garch_warmup(instrument: Instrument) -> int:
    return anchor_warmup(instrument, _FIT_QUARTERS)


@feature(
    family="volatility",
    warmup=_garch_warmup,
    description="GARCH(1,1) forecast of the next session's volatility, zero mean, normal errors: parameters estimated "
    "for each calendar quarter on the four whole quarters before it, then filtered; where the estimate fails, EWMA's "
    "(0, 0.06, 0.94); across a roll the variance moves on by its expectation.",
)
def garch_forecast(inputs: FeatureInputs) -> Floats:
    returns = pd.DataFrame({"r": _returns(inputs) * _PERCENT}, index=inputs.sessions)

    def fit(past: pd.DataFrame) -> _Garch:
        return _estimate(past["r"].to_numpy(), inputs.instrument.symbol, past.index)

    table = anchored(returns, _filtered, before=_FIT_QUARTERS, fit=fit)
    return table["value"].to_numpy() / _PERCENT


@dataclass(frozen=True)
class _Garch:
    """Next variance = omega + alpha × return² + beta × variance, in percent squared; ``first`` starts it."""

    omega: float
    alpha: float
    beta: float
    first: float


def _estimate(returns: Floats, symbol: str, sessions: pd.Index) -> _Garch:
    """Parameters by maximum likelihood, EWMA's where that fails; the reason is logged."""
    known = returns[~np.isnan(returns)]
    first = float(np.mean(known**2)) if len(known) else np.nan
    ewma = _Garch(omega=0.0, alpha=1 - _DECAY, beta=_DECAY, first=first)
    if len(known) < _FEWEST_RETURNS or not 0 < first < np.inf:
        reason = f"{len(known)} returns, mean square {first:g}; {_FEWEST_RETURNS} that move are needed"
        _log.debug("%s: no GARCH estimate after %s: %s; EWMA's parameters stand in", symbol, _end(sessions), reason)
        return ewma
    from arch import arch_model
    from threadpoolctl import threadpool_limits

    # On one thread: the optimizer's sums, and with them the last digits, hang on how many there are.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        # What the optimizer warns of is in its result, which is checked below.
        warnings.simplefilter("ignore")
        # Returns of size 1, whatever the market: the optimizer's tolerances are absolute.
        model = arch_model(known / np.sqrt(first), mean="Zero", vol="GARCH", p=1, q=1, dist="normal", rescale=False)
        try:
            result = model.fit(disp="off", update_freq=0, show_warning=False)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            problem: str | None = f"{type(error).__name__}: {' '.join(str(error).split())}"
        else:
            omega, alpha, beta = (float(result.params[name]) for name in ("omega", "alpha[1]", "beta[1]"))
            problem = _problem(omega, alpha, beta, int(result.convergence_flag))
    if problem is not None:
        _log.info("%s: no GARCH estimate after %s: %s; EWMA's parameters stand in", symbol, _end(sessions), problem)
        return ewma
    return _Garch(omega * first, alpha, beta, first)


def _problem(omega: float, alpha: float, beta: float, flag: int) -> str | None:
    """Say why an estimate can't be used; None where it can. Alpha + beta = 1 still defines the next variance."""
    if flag != 0:
        return f"the optimizer did not converge (flag {flag})"
    if not (omega >= 0 and alpha >= 0 and beta >= 0 and omega + alpha + beta > 0 and alpha + beta <= _MOST_PERSISTENT):
        return f"omega {omega:g}, alpha {alpha:g} and beta {beta:g} make no variance"
    return None


def _end(sessions: pd.Index) -> str:
    return str(sessions[-1].date()) if len(sessions) else "the start"


def _filtered(part: pd.DataFrame, garch: _Garch) -> Floats:
    variance = garch.first
    found = np.full(len(part), np.nan)
    for row, value in enumerate(part["r"].to_numpy().tolist()):
        if variance != variance:  # no past: begin with the first move there is
            variance = value * value
        elif value == value:
            variance = garch.omega + garch.alpha * value * value + garch.beta * variance
        else:
            variance = garch.omega + (garch.alpha + garch.beta) * variance
        found[row] = np.sqrt(variance)
    return found


@feature(
    family="volatility",
    warmup=lambda sessions: sessions,
    description="Standard deviation of ln(ln(high/low)) over the last {sessions} sessions: by what factor the "
    "sessions' ranges differ; sessions without a range are left out.",
    over={"sessions": (20,)},
)
def volatility_of_volatility(inputs: FeatureInputs, sessions: int) -> Floats:
    height = _logs(inputs, "high") - _logs(inputs, "low")
    return trailing_deviation(np.log(np.where(height > 0, height, np.nan)), sessions)


def _calm_warmup(settings: HistorySettings) -> int:
    return settings.calm_long + 1


@feature(
    family="volatility",
    warmup=_calm_warmup,
    description="1 where the short standard deviation of log returns (5 sessions by default) is below the long one "
    "(20), else 0; missing where either is.",
)
def calm(inputs: FeatureInputs) -> Floats:
    short, long = _calm_pair(inputs)
    return np.where(np.isnan(short) | np.isnan(long), np.nan, inputs.history["calm"].to_numpy(np.float64))


@feature(
    family="volatility",
    warmup=_calm_warmup,
    description="The short standard deviation of log returns (5 sessions by default) over the long one (20); missing "
    "where the long one is 0.",
)
def calm_ratio(inputs: FeatureInputs) -> Floats:
    short, long = _calm_pair(inputs)
    return np.divide(short, long, out=np.full(len(short), np.nan), where=long > 0)


def _calm_pair(inputs: FeatureInputs) -> tuple[Floats, Floats]:
    short, long = (inputs.history[name].to_numpy(np.float64) for name in inputs.settings.volatility_columns)
    return short, long
