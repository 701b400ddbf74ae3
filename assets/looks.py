"""How often a market was looked at: backtests put into the ledger of trials, and what its count leaves of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandas as pd

from assets.tables import table
from pipeline.backtest import BacktestResult
from pipeline.choices import backtest_look, model_choices, rule_choices
from pipeline.datasets import Dataset
from pipeline.errors import ConfigurationError
from pipeline.home import vpoc_home
from pipeline.performance import format_value
from pipeline.reports.looks_section import deflation
from pipeline.research import RULES, model_strategy
from pipeline.settings import Settings
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.looks import Looks
from pipeline.tuning.storage import tuning_url

__all__ = ["LookCount", "count_looks", "remember_looks"]

PATIENCE = 5.0  # seconds: a report is worth more than its number of looks


@dataclass(frozen=True)
class LookCount:
    """What the ledger says of backtests.

    Attributes
    ----------
    looks
        Every trial on their sessions; None where unknown.
    why_unknown
        Why; empty where they are known.
    deflated
        From :func:`pipeline.reports.looks_section.deflation`.
    expected_best
        Annualised Sharpe ratio that the best of the trials is expected to show if none has an edge; NaN if unknown.
    overfitting
        Probability of backtest overfitting, percent; NaN if unknown.
    """

    looks: Looks | None = None
    why_unknown: str = ""
    deflated: pd.DataFrame = field(default_factory=pd.DataFrame)
    expected_best: float = math.nan
    overfitting: float = math.nan

    def metrics(self, prefix: Callable[[str], str]) -> dict[str, float]:
        """For MLflow; ``prefix`` says how the names of a backtest's figures begin."""
        if self.looks is None:
            return {}
        return {
            "trials": self.looks.count,
            "expected_maximum_sharpe_ratio": self.expected_best,
            "probability_of_backtest_overfitting": self.overfitting,
            **{
                f"{prefix(str(name))}.deflated_sharpe_ratio": float(value)
                for name, value in self.deflated["deflated_sharpe_ratio"].items()
            },
        }

    def document(self) -> dict[str, Any]:
        """As JSON writes it: the sentence, the count, and what it leaves of each backtest; chances in percent."""
        if self.looks is None:
            return {"said": f"How many trials there were is unknown: {self.why_unknown}"}
        return {
            "said": self.looks.sentence(),
            "trials": self.looks.count,
            "deflated_sharpe_ratio": {
                str(name): None if math.isnan(value) else float(value)
                for name, value in self.deflated["deflated_sharpe_ratio"].items()
            },
            "probability_of_backtest_overfitting": None if math.isnan(self.overfitting) else self.overfitting,
        }

    def metadata(self) -> dict[str, Any]:
        """For Dagster."""
        if self.looks is None:
            return {"trials": f"unknown: {self.why_unknown}"}
        return {
            "trials": self.looks.count,
            "looks": self.looks.sentence(),
            "deflated_sharpe_ratio": table(self.deflated.reset_index()),
            "expected_maximum_sharpe_ratio": format_value(self.expected_best, ""),
            "probability_of_backtest_overfitting": format_value(self.overfitting, "%"),
        }


def remember_looks(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    settings: Settings,
    results: Mapping[str, BacktestResult],
    tuned: Mapping[str, str],
) -> str:
    """Put the backtests of the rules and of the model families into the ledger; why not, where that failed.

    Parameters
    ----------
    context
        For the warning.
    dataset, settings
        What was traded, and how.
    results
        Backtests by name.
    tuned
        Family → how it was tuned inside each fold, empty where it was not. Those not among the results are left out.
    """
    symbol, instrument = dataset.key, dataset.instrument
    looks = [backtest_look(symbol, "rules", rule_choices(settings, instrument), results[RULES])]
    for family, how in tuned.items():
        if (name := model_strategy(family)) in results:
            choices = model_choices(settings, instrument, family, tuned=how)
            looks.append(backtest_look(symbol, family, choices, results[name]))
    try:
        _ledger().record([look for look in looks if look is not None], renew=True)
    except ConfigurationError as error:
        context.log.warning(f"{error}; this run's looks are not counted")
        return str(error)
    return ""


def count_looks(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    results: Mapping[str, BacktestResult],
    summaries: Mapping[str, pd.DataFrame],
) -> LookCount:
    """Every trial on the sessions that were backtested, and what they leave; a ledger that does not answer is no error.

    Parameters
    ----------
    context
        For the warning.
    dataset
        What was traded.
    results, summaries
        Backtests and their figures by name.
    """
    sessions = next(iter(results.values())).daily_returns.index
    if sessions.empty:
        return LookCount(why_unknown="there is no session to have looked at")
    try:
        looks = _ledger().looks(dataset.key, sessions[0], sessions[-1])
    except ConfigurationError as error:
        context.log.warning(f"{error}; how many looks there were is unknown")
        return LookCount(why_unknown=str(error))
    return LookCount(
        looks,
        deflated=deflation(looks, results, summaries),
        expected_best=looks.expected_best * math.sqrt(dataset.instrument.periods_per_year),
        overfitting=100 * looks.overfitting(),
    )


def _ledger() -> Ledger:
    return Ledger(tuning_url(vpoc_home()), patience=PATIENCE)
