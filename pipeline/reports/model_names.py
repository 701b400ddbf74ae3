"""Names of model families and importance measures as readers see them, and the colours they are drawn in."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.reports.theme import FADED, STRATEGY_COLORS

__all__ = ["METHOD_NAMES", "family_colors", "family_name", "importance_methods"]

_FAMILIES = {
    "constant": "Constant",
    "logistic": "Logistic regression",
    "lightgbm": "LightGBM",
    "lightgbm_dollars": "LightGBM on dollars",
    "lightgbm_r": "LightGBM on R",
    "mlp": "MLP",
    "lstm": "LSTM",
    "attention": "Attention",
    "ensemble": "Ensemble",
}
METHOD_NAMES = {
    "gain": "Gain (training)",
    "permutation": "Permutation importance",
    "shap": "Mean |SHAP value|",
}


def family_name(family: str) -> str:
    """A family's name in words; the name itself where none is known."""
    return _FAMILIES.get(family, family)


def family_colors(strategies: Mapping[str, str], results: Sequence[str]) -> dict[str, str]:
    """Colour of each family: that of its backtest, else one no backtest has, else grey.

    Parameters
    ----------
    strategies
        Family → name of its backtest.
    results
        Names of the backtests, in the order shown.
    """
    held = dict(zip(results, STRATEGY_COLORS, strict=False))
    left = iter(color for color in STRATEGY_COLORS if color not in held.values())
    return {
        family: held[strategy] if strategy in held else next(left, FADED) for family, strategy in strategies.items()
    }


def importance_methods(importance: pd.DataFrame) -> list[str]:
    """Measures by which some feature matters, in the order shown."""
    held = set(importance.loc[importance["value"].fillna(0.0) != 0, "method"])
    return [method for method in METHOD_NAMES if method in held]
