"""Several models' scores into one: the mean, a weighted mean, or a regression on their log-odds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.learning.calibration import log_odds

__all__ = ["Combination", "Method", "combination_from_json", "equal_combination", "fit_combination"]

Method = Literal["average", "weighted", "stacked"]
Values = NDArray[np.float64]

_EDGE = 1e-6
_ROUNDS = 5_000
_SETTLED = 1e-10


@dataclass(frozen=True)
class Combination:
    """Weights of the members, none below zero (that would bet against one): of scores, or, ``stacked``, of log-odds."""

    method: Method
    weights: tuple[float, ...]
    intercept: float = 0.0

    def apply(self, scores: Values) -> Values:
        """One score a row, shape (n,), from the members' scores, shape (n, members)."""
        if self.method == "stacked":
            return expit((log_odds(scores) * self.weights).sum(axis=1) + self.intercept)
        return np.clip((scores * self.weights).sum(axis=1), 0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Numbers that :func:`combination_from_json` makes the same combination from, to the bit."""
        return {"method": self.method, "weights": list(self.weights), "intercept": self.intercept}


def combination_from_json(raw: Mapping[str, Any], members: int) -> Combination:
    """Rebuild a combination from what :meth:`Combination.to_json` wrote.

    Raises
    ------
    ValueError, KeyError
        If it isn't that, or is of another number of members.
    """
    weights = tuple(map(float, raw["weights"]))
    if raw["method"] not in ("average", "weighted", "stacked") or len(weights) != members:
        raise ValueError(f"{raw['method']!r} of {len(weights)} weights for {members} members")
    return Combination(raw["method"], weights, float(raw["intercept"]))


def equal_combination(members: int) -> Combination:
    """The mean of the members' scores."""
    return Combination("average", (1 / members,) * members)


def fit_combination(
    method: Literal["weighted", "stacked"], scores: Values, label: Values, weight: Values
) -> Combination:
    """The combination with the least weighted log loss on scores made out of fold.

    Parameters
    ----------
    method
        ``weighted``: of scores, weights that sum to one; the members' likelihoods are mixed, and the weights found
        by expectation-maximisation from equal ones on. ``stacked``: logistic regression on log-odds with an intercept,
        half the sum of the squared weights added to the loss as scikit-learn's C = 1 does.
    scores
        Shape (n, members), each row by members that did not learn from it.
    label, weight
        0 or 1, and above 0, shape (n,).
    """
    return _fit_pool(scores, label, weight) if method == "weighted" else _fit_stack(scores, label, weight)


def _fit_pool(scores: Values, label: Values, weight: Values) -> Combination:
    chance = np.clip(scores, _EDGE, 1 - _EDGE)
    of_outcome = np.where(label[:, None] > 0, chance, 1 - chance)
    share = weight / weight.sum()
    pool = np.full(scores.shape[1], 1 / scores.shape[1])
    for _ in range(_ROUNDS):
        before = pool
        # Whatever rounding leaves beside one is taken out again, so that nothing drifts.
        pool = before * (of_outcome * (share / (of_outcome * before).sum(axis=1))[:, None]).sum(axis=0)
        pool /= pool.sum()
        if np.abs(pool - before).max() < _SETTLED:
            break
    return Combination("weighted", tuple(pool.tolist()))


def _fit_stack(scores: Values, label: Values, weight: Values) -> Combination:
    from scipy.optimize import minimize

    odds = log_odds(scores)

    def loss(at: Values) -> tuple[float, Values]:
        raw = (odds * at[:-1]).sum(axis=1) + at[-1]
        miss = weight * (expit(raw) - label)
        value = (weight * (np.logaddexp(0, raw) - label * raw)).sum() + (at[:-1] ** 2).sum() / 2
        return float(value), np.append((miss[:, None] * odds).sum(axis=0) + at[:-1], miss.sum())

    members = scores.shape[1]
    found = minimize(
        loss,
        np.append(np.full(members, 1 / members), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * members + [(None, None)],
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1_000},
    ).x
    return Combination("stacked", tuple(found[:-1].tolist()), float(found[-1]))
