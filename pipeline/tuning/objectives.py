"""Objectives of a trial: log loss, net dollars, the low end of the Sharpe ratio, drawdown; one or several."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.performance import kernels

__all__ = [
    "OBJECTIVES",
    "Direction",
    "Evidence",
    "Judged",
    "Objective",
    "directions",
    "find_objective",
    "money_by_day",
    "values_of",
]

Direction = Literal["minimize", "maximize"]

_TWO_SIDED_95 = 1.959963984540054
_ALL_DAYS = 365


@dataclass(frozen=True)
class Evidence:
    """Evidence of a trial, from rows or sessions that its parameters' models did not learn from.

    Attributes
    ----------
    daily
        Money by session, idle ones included, indexed by day.
    periods_per_year
        Sessions of a year: 252, or 365 where trading never ends.
    log_loss
        Weighted mean log loss of the scores; None where there are no probabilities.
    trades
        How many were taken.
    """

    daily: pd.Series
    periods_per_year: float = 252
    log_loss: float | None = None
    trades: int = 0
    money: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "money", self.daily.to_numpy(np.float64))


@dataclass(frozen=True)
class Judged:
    """What a trial gave: the values of its objectives, and the evidence they come from; None where there is none."""

    values: tuple[float, ...]
    evidence: Evidence | None = None

    @classmethod
    def of(cls, objectives: Sequence[str], evidence: Evidence) -> "Judged":
        """Judge evidence by some objectives."""
        return cls(tuple(find_objective(name).measure(evidence) for name in objectives), evidence)

    @property
    def value(self) -> float | tuple[float, ...]:
        """The value of a single objective, or those of several."""
        return self.values[0] if len(self.values) == 1 else self.values


@dataclass(frozen=True)
class Objective:
    """A figure, which way it is better, and what it is counted in."""

    name: str
    direction: Direction
    unit: str
    measure: Callable[[Evidence], float]


def _log_loss(evidence: Evidence) -> float:
    if evidence.log_loss is None:
        raise ConfigurationError(
            "log_loss needs probabilities, and there are none here; choose net, sharpe_low or net and drawdown"
        )
    return evidence.log_loss


def _net(evidence: Evidence) -> float:
    return float(evidence.money.sum())


def _drawdown(evidence: Evidence) -> float:
    """Maximum drawdown of the money made so far, the start included; ≥ 0."""
    made = np.concatenate([[0.0], evidence.money.cumsum()])
    return float((np.maximum.accumulate(made) - made).max())


def _sharpe_low(evidence: Evidence) -> float:
    """Lower end of the 95 % interval of the annual Sharpe ratio.

    By the standard error that the probabilistic Sharpe ratio has too (Mertens 2002; Bailey & López de Prado 2012):
    √((1 − γ₃ SR + (γ₄ − 1)/4 SR²) / (n − 1)). The bootstrap of the report takes a hundred times as long and would make
    the search depend on its seed. Where nothing was traded the ratio counts as 0, of which one is less sure the fewer
    sessions there were; so an objective is a number in all cases, and idleness is better than a loss.
    """
    money = evidence.money
    periods = len(money)
    if periods < 2:
        return -_TWO_SIDED_95 * math.sqrt(evidence.periods_per_year)
    ratio = float(kernels.sharpe(money, 1.0))
    spread = 1.0
    if math.isnan(ratio):
        ratio = 0.0
    else:
        standard = (money - money.mean()) / money.std()
        skewness, kurtosis = float((standard**3).mean()), float((standard**4).mean())
        # Not below 0 for any distribution, but for rounding.
        spread = max(0.0, 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    low = ratio - _TWO_SIDED_95 * math.sqrt(spread / (periods - 1))
    return low * math.sqrt(evidence.periods_per_year)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        each.name: each
        for each in (
            Objective("log_loss", "minimize", "nats", _log_loss),
            Objective("net", "maximize", "$", _net),
            Objective("sharpe_low", "maximize", "", _sharpe_low),
            Objective("drawdown", "minimize", "$", _drawdown),
        )
    }
)
"""Every objective by name."""


def find_objective(name: str) -> Objective:
    """The objective of a name.

    Raises
    ------
    ConfigurationError
        For none: lists those there are.
    """
    if name not in OBJECTIVES:
        raise ConfigurationError(f"there is no objective {name!r}; choose from {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def directions(names: Sequence[str]) -> tuple[Direction, ...]:
    """Return the direction in which each objective is better.

    Raises
    ------
    ConfigurationError
        For none at all, an unknown one or one that comes twice.
    """
    if not names:
        raise ConfigurationError(f"there is no objective to tune for; name one of {', '.join(OBJECTIVES)}")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"the objectives {', '.join(names)} contain a duplicate; name each once")
    return tuple(find_objective(name).direction for name in names)


def values_of(names: Sequence[str], evidence: Evidence) -> float | tuple[float, ...]:
    """Return the values of a trial: a number for one objective, a tuple for several.

    Raises
    ------
    ConfigurationError
        For an unknown objective, or log loss where there are no probabilities.
    """
    return Judged.of(names, evidence).value


def money_by_day(
    decided: pd.DatetimeIndex, net: NDArray[np.float64], taken: NDArray[np.bool_], *, periods_per_year: float = 252
) -> pd.Series:
    """Money by day of decision, from the first candidate's to the last one's.

    Days between without a candidate are idle: weekdays, or all days where trading never ends. Holidays, of which a
    candidate's rows tell nothing, count as idle days.

    Parameters
    ----------
    decided
        When each candidate was decided, UTC, shape (n,), in any order.
    net
        What its trade made, shape (n,).
    taken
        Whether it was traded.
    periods_per_year
        365 for all days.

    Returns
    -------
    Series
        float64, indexed by day (no zone).
    """
    days = decided.tz_convert("UTC").tz_localize(None).normalize().as_unit("ns")
    if not len(days):
        return pd.Series(dtype=np.float64, index=days, name="money")
    between = pd.date_range(days.min(), days.max(), freq="D" if periods_per_year >= _ALL_DAYS else "B")
    index = between.as_unit("ns").union(days.unique())
    money = np.bincount(index.get_indexer(days), np.where(taken, net, 0.0), minlength=len(index))
    return pd.Series(money, index, name="money")
