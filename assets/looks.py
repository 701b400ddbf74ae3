"""The number of trials on a market, as Dagster and MLflow show it."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from assets.tables import table
from assets.training_overrides import with_changes
from pipeline.backtest import BacktestResult, Backtests
from pipeline.books import Book
from pipeline.choices import backtest_look, model_choices, rule_choices
from pipeline.datasets import Dataset
from pipeline.look_count import LookCount, count_backtests, record_backtests
from pipeline.performance import format_value
from pipeline.research import RULES, model_strategy

__all__ = ["count_looks", "look_metadata", "look_metrics", "remember_looks", "trained_choices"]


def look_metrics(looked: LookCount, prefix: Callable[[str], str]) -> dict[str, float]:
    """For MLflow; ``prefix`` says how the names of a backtest's figures begin."""
    if looked.looks is None:
        return {}
    return {
        "trials": looked.looks.count,
        "expected_maximum_sharpe_ratio": looked.expected_best,
        "probability_of_backtest_overfitting": looked.overfitting,
        **{
            f"{prefix(str(name))}.deflated_sharpe_ratio": float(value)
            for name, value in looked.deflated["deflated_sharpe_ratio"].items()
        },
    }


def look_metadata(looked: LookCount) -> dict[str, Any]:
    """For Dagster."""
    if looked.looks is None:
        return {"trials": f"unknown: {looked.why_unknown}"}
    return {
        "trials": looked.looks.count,
        "looks": looked.looks.sentence(),
        "deflated_sharpe_ratio": table(looked.deflated.reset_index()),
        "expected_maximum_sharpe_ratio": format_value(looked.expected_best, ""),
        "probability_of_backtest_overfitting": format_value(looked.overfitting, "%"),
    }


def remember_looks(
    context: dg.AssetExecutionContext,
    book: Book,
    results: Mapping[str, BacktestResult],
    trained: Mapping[str, Backtests],
) -> str:
    """Put the backtests of the rules and of the model families into the ledger; why not, where that failed.

    Parameters
    ----------
    context
        For the warning.
    book
        What was traded, and how.
    results
        Backtests by name.
    trained
        Family → its stored backtests. Those not among the results are left out.
    """
    symbol, instrument = book.dataset.key, book.instrument
    looks = [backtest_look(symbol, "rules", rule_choices(book.settings, instrument), results[RULES], book=book.name)]
    for family, backtests in trained.items():
        if (name := model_strategy(family)) in results:
            choices = trained_choices(book, family, backtests)
            looks.append(backtest_look(symbol, family, choices, results[name], book=book.name))
    if failed := record_backtests(looks):
        context.log.warning(f"{failed}; this run's looks are not counted")
    return failed


def trained_choices(book: Book, family: str, backtests: Backtests) -> dict[str, Any]:
    """Settings that the backtest of a family's signals depends on, as they were when it was trained."""
    settings = with_changes(book.settings, backtests.attrs.get("changes", {}))
    return model_choices(settings, book.instrument, family, tuned=str(backtests.attrs.get("tuned", "")))


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
    looked = count_backtests(dataset.key, dataset.instrument, results, summaries)
    if looked.why_unknown:
        context.log.warning(f"{looked.why_unknown}; how many looks there were is unknown")
    return looked
