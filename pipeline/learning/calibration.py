"""Scores into probabilities: Platt's sigmoid and isotonic regression, both rising, both plain numbers in JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.errors import DataError

__all__ = ["Calibration", "Calibrator", "Isotonic", "Platt", "calibrator_from_json", "fit_calibrator", "log_odds"]

Calibration = Literal["none", "platt", "isotonic"]
Values = NDArray[np.float64]

# Log-odds of a score of 0 or 1 are infinite; beyond this no family here means what it says.
_EDGE = 1e-6


class Calibrator(Protocol):
    """A rising function from scores to probabilities."""

    def apply(self, scores: Values) -> Values:
        """Probabilities of scores, shape (n,)."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Numbers that :func:`calibrator_from_json` makes the same function from, to the bit."""
        ...


@dataclass(frozen=True)
class Platt:
    """σ(slope × log-odds of the score + intercept) (Platt 1999); slope 1 and intercept 0 change nothing.

    The slope is not below zero: a falling sigmoid would bet against the model. Where one would fit best, the slope is
    0, and every row gets the share of ones.
    """

    slope: float
    intercept: float

    def apply(self, scores: Values) -> Values:
        """Probabilities of scores, shape (n,)."""
        return expit(self.slope * log_odds(scores) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        """``kind``, ``slope`` and ``intercept``."""
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots that never fall; level before the first and after the last."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def apply(self, scores: Values) -> Values:
        """Probabilities of scores, shape (n,)."""
        return np.interp(scores, self.scores, self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """``kind``, and the knots as ``scores`` and ``probabilities``."""
        return {"kind": "isotonic", "scores": list(self.scores), "probabilities": list(self.probabilities)}


def fit_calibrator(kind: Calibration, scores: Values, label: Values, weight: Values) -> Calibrator:
    """The calibrator that fits out-of-fold scores best.

    Parameters
    ----------
    kind
        ``platt``: weighted log loss against Platt's smoothed targets, (n₁ + 1)/(n₁ + 2) and 1/(n₀ + 2), n₁ and
        n₀ the weights of ones and zeros; on log-odds. ``isotonic``: weighted squares, by pool adjacent violators.
    scores, label, weight
        Of rows that the scoring models did not learn from; 0 to 1, 0 or 1, above 0; shape (n,) each.

    Raises
    ------
    DataError
        For a score that is not a number.
    """
    if not np.isfinite(scores).all():
        raise DataError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores to calibrate are not numbers")
    return _fit_isotonic(scores, label, weight) if kind == "isotonic" else _fit_platt(scores, label, weight)


def calibrator_from_json(raw: Mapping[str, Any]) -> Calibrator:
    """Rebuild a calibrator from what :meth:`Calibrator.to_json` wrote.

    Raises
    ------
    ValueError, KeyError
        If it isn't that.
    """
    if raw["kind"] == "platt":
        return Platt(float(raw["slope"]), float(raw["intercept"]))
    if raw["kind"] == "isotonic":
        knots = Isotonic(tuple(map(float, raw["scores"])), tuple(map(float, raw["probabilities"])))
        if not knots.scores or len(knots.scores) != len(knots.probabilities):
            raise ValueError(f"{len(knots.scores)} scores for {len(knots.probabilities)} probabilities")
        return knots
    raise ValueError(f"there is no calibrator {raw['kind']!r}")


def log_odds(scores: Values) -> Values:
    """log(s / (1 − s)), scores kept within 10⁻⁶ and 1 − 10⁻⁶."""
    return logit(np.clip(scores, _EDGE, 1 - _EDGE))


def _fit_isotonic(scores: Values, label: Values, weight: Values) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, label, weight)
    return Isotonic(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


def _fit_platt(scores: Values, label: Values, weight: Values) -> Platt:
    ones, zeros = weight[label > 0].sum(), weight[label <= 0].sum()
    target = np.where(label > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    level = float(logit((weight * target).sum() / weight.sum()))
    odds = log_odds(scores)
    center, spread = odds.mean(), odds.std()
    if spread <= 1e-12 * max(1.0, abs(center)):
        return Platt(0.0, level)
    slope, intercept = _newton((odds - center) / spread, target, weight, level)
    if slope <= 0:
        return Platt(0.0, level)
    return Platt(float(slope / spread), float(intercept - slope * center / spread))


def _newton(odds: Values, target: Values, weight: Values, level: float) -> tuple[float, float]:
    """Least log loss of σ(slope × odds + intercept), to the last digits.

    By sums, not dot products, so that no library's threads reorder them.
    """

    def loss(at: tuple[float, float]) -> float:
        raw = at[0] * odds + at[1]
        return float((weight * (np.logaddexp(0, raw) - target * raw)).sum())

    slope, intercept = 0.0, level
    for _ in range(100):
        chance = expit(slope * odds + intercept)
        miss, curve = weight * (target - chance), weight * chance * (1 - chance)
        g, h = (miss * odds).sum(), miss.sum()
        a, b, c = (curve * odds * odds).sum(), (curve * odds).sum(), curve.sum()
        room = a * c - b * b
        if room <= 0:
            break
        step = ((c * g - b * h) / room, (a * h - b * g) / room)
        if max(abs(step[0]), abs(step[1])) <= 1e-15 * max(1.0, abs(slope), abs(intercept)):
            break
        here, part = loss((slope, intercept)), 1.0
        while part > 1e-10 and loss((slope + part * step[0], intercept + part * step[1])) > here:
            part /= 2
        if part <= 1e-10:
            break
        slope, intercept = slope + part * step[0], intercept + part * step[1]
    return float(slope), float(intercept)
