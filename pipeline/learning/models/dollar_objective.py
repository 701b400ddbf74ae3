"""The dollar objective: expected profit as a function of the raw score, its derivatives, and the step taken on them.

The derivation is in ``docs/dollar_objective.md``.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.errors import DataError

__all__ = ["dollar_curvature", "dollar_gradient", "dollar_hessian", "dollar_loss", "dollar_scale", "dollar_start"]

Values = NDArray[np.float64]

# A start further out would mean that near all trades won, or lost; trees should say so.
_FURTHEST_START = 2.0


def dollar_scale(net: Values, weight: Values) -> float:
    """Weighted mean size of a trade's result, Σ w |net| / Σ w: what counts as one.

    Raises
    ------
    DataError
        If no trade won or lost anything.
    """
    scale = float(np.sum(weight * np.abs(net)) / np.sum(weight))
    if not scale > 0:
        raise DataError(f"none of {len(net)} training rows won or lost money; check the column net")
    return scale


def dollar_start(net: Values, weight: Values) -> float:
    """Raw score before the first tree: log of the profit factor, within ±2; 0 where gains and losses are even.

    σ of it is the share that gains have in all money won and lost.
    """
    won, lost = float(np.sum(weight * np.maximum(net, 0))), float(np.sum(weight * np.maximum(-net, 0)))
    with np.errstate(divide="ignore"):
        return float(np.clip(np.log(won) - np.log(lost), -_FURTHEST_START, _FURTHEST_START))


def dollar_loss(raw: Values, net: Values, weight: Values, scale: float) -> float:
    """−Σ w net σ(raw) / s: the loss of taking the share σ(raw) of each trade, over the scale."""
    return -float(np.sum(weight * net * expit(raw))) / scale


def dollar_gradient(raw: Values, net: Values, weight: Values, scale: float) -> Values:
    """∂/∂raw of :func:`dollar_loss`, −w (net / s) p (1 − p), shape (n,)."""
    return -weight * (net / scale) * _slope(raw)


def dollar_hessian(raw: Values, net: Values, weight: Values, scale: float) -> Values:
    """∂²/∂raw² of :func:`dollar_loss` (its diagonal; the rest is zero), −w (net / s) p (1 − p) (1 − 2p), shape (n,).

    Of either sign, so no step is taken on it.
    """
    return dollar_gradient(raw, net, weight, scale) * (1 - 2 * expit(raw))


def dollar_curvature(raw: Values, net: Values, weight: Values, scale: float) -> Values:
    """Substitute for the hessian: w (abs net / s) p (1 − p), shape (n,); never below the hessian or its magnitude."""
    return weight * (np.abs(net) / scale) * _slope(raw)


def _slope(raw: Values) -> Values:
    # p (1 − p) as a product of two tails: 1 − p loses all digits where p is near one.
    return np.asarray(expit(raw) * expit(-raw), dtype=np.float64)
