"""Names of model families and importance measures as readers see them."""

import pandas as pd

__all__ = ["METHOD_NAMES", "family_name", "importance_methods"]

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


def importance_methods(importance: pd.DataFrame) -> list[str]:
    """Measures by which some feature matters, in the order shown."""
    held = set(importance.loc[importance["value"].fillna(0.0) != 0, "method"])
    return [method for method in METHOD_NAMES if method in held]
