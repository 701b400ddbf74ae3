"""Rate at which each gate opens on pure chance, beside its rate on the market.

A gate says something only as far as it opens more often than on a random walk: R² > 0.6 alone opens on more
than a third of them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.strategy.gates import (
    GateValues,
    direction_probability,
    is_calm,
    pass_gates,
    runs_p_value,
    trend,
    window_deviation,
)
from pipeline.strategy.settings import StrategySettings
from pipeline.strategy.signals import gate_values

__all__ = ["gate_pass_rates", "null_pass_rates"]

# Ticks: as many moves are zero as in ES, 1 in 120; beyond that the gates see signs and ratios only.
_MOVE_DEVIATION = 48.0
# Paths simulated at once, to keep memory flat.
_CHUNK = 4096


def null_pass_rates(settings: StrategySettings | None = None, *, paths: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """Share of driftless random-walk VPOC paths that passes each gate.

    Each path is one decision with a full history behind it: VPOC moves are normal, rounded to ticks, independent and
    without drift; log returns are normal and independent, of the moves too. The gates are the very functions
    the real history goes through.

    Parameters
    ----------
    paths
        Number of independent paths.
    seed
        The same seed gives the same figures.

    Returns
    -------
    DataFrame
        Indexed by ``gate``: ``slope_long``, ``slope_short`` (its sign alone), ``r_squared`` (alone), ``trend_long``,
        ``trend_short`` (sign and R²), ``calm``, ``direction_long``, ``direction_short``, ``confidence_long``,
        ``confidence_short``, ``rule_signal_long``, ``rule_signal_short``; columns ``pass_rate``, ``standard_error``
        (binomial), ``paths``.

    Raises
    ------
    ConfigurationError
        If ``paths`` is not positive.
    """
    if paths < 1:
        raise ConfigurationError(f"paths is {paths}; at least 1 random walk is needed, 20000 by default")
    chosen = settings or StrategySettings()
    rng = np.random.default_rng(seed)
    passed: dict[str, int] = {}
    for first in range(0, paths, _CHUNK):
        values = _random_walks(min(_CHUNK, paths - first), rng, chosen)
        for gate, opened in _by_gate(values, chosen).items():
            passed[gate] = passed.get(gate, 0) + int(opened.sum())
    return _rates(passed, paths).rename(columns={"decisions": "paths"})


def gate_pass_rates(history: pd.DataFrame, settings: StrategySettings | None = None) -> pd.DataFrame:
    """Share of a history's sessions on which each gate opened, to set beside :func:`null_pass_rates`.

    Sessions before there is a trend window are left out. The standard error is the binomial one, as if sessions were
    independent; windows overlap, so the true one is several times larger.

    Returns
    -------
    DataFrame
        Indexed by ``gate`` as :func:`null_pass_rates`; columns ``pass_rate``, ``standard_error``, ``decisions``
        (sessions).
    """
    known = history[history["r_squared"].notna()]
    opened = _by_gate(gate_values(known), settings or StrategySettings())
    return _rates({gate: int(flags.sum()) for gate, flags in opened.items()}, len(known))


def _random_walks(paths: int, rng: np.random.Generator, settings: StrategySettings) -> GateValues:
    length = max(settings.direction_window, settings.trend_window - 1)
    moves = np.rint(rng.normal(0.0, _MOVE_DEVIATION, (paths, length)))
    returns = rng.normal(0.0, 1.0, (paths, settings.calm_long))
    recent = moves[:, length - (settings.trend_window - 1) :]
    vpocs = np.concatenate([np.zeros((paths, 1)), np.cumsum(recent, axis=1)], axis=1).astype(np.int64)
    slope, r_squared = trend(vpocs)
    return GateValues(
        slope=slope,
        r_squared=r_squared,
        runs_p_value=runs_p_value(recent),
        direction_probability=direction_probability(moves[:, length - settings.direction_window :]),
        calm=is_calm(
            window_deviation(returns[:, settings.calm_long - settings.calm_short :]), window_deviation(returns)
        ),
    )


def _by_gate(values: GateValues, settings: StrategySettings) -> dict[str, NDArray[np.bool_]]:
    long, short = pass_gates(values, 1, settings), pass_gates(values, -1, settings)
    return {
        "slope_long": long["slope"],
        "slope_short": short["slope"],
        "r_squared": long["r_squared_high"],
        "trend_long": long["trend"],
        "trend_short": short["trend"],
        "calm": long["calm"],
        "direction_long": long["direction"],
        "direction_short": short["direction"],
        "confidence_long": long["confidence_high"],
        "confidence_short": short["confidence_high"],
        "rule_signal_long": long["rule_signal"],
        "rule_signal_short": short["rule_signal"],
    }


def _rates(passed: dict[str, int], decisions: int) -> pd.DataFrame:
    counts = np.array(list(passed.values()), dtype=np.float64)
    rate = counts / decisions if decisions else np.full(len(counts), np.nan)
    return pd.DataFrame(
        {"pass_rate": rate, "standard_error": np.sqrt(rate * (1 - rate) / max(decisions, 1)), "decisions": decisions},
        index=pd.Index(list(passed), name="gate", dtype="str"),
    )
