"""Backtests of a book: of all candidates, of the rule signals, and what every backtest is checked for."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import dagster as dg
import pandas as pd

from assets.declared import OWNERS, taken
from assets.groups import BACKTESTS
from assets.partitions import BOOKS, BOOKS_OF_SYMBOL, user_errors
from assets.tables import table
from pipeline.audit import check_choice_replay, check_fill_replay, fill_cutoffs
from pipeline.backtest import BacktestResult, Backtests, simulate
from pipeline.books import Book
from pipeline.reports.pictures import equity_picture
from pipeline.research import orders_of
from pipeline.strategy import Strategy
from resources import ResearchSettings

__all__ = ["backtest_checks", "backtest_output", "books_balance", "replayed_fills", "rule_backtest"]

_KINDS = {"zip", "numba"}

Choose = Callable[[pd.DataFrame], pd.DataFrame]


def backtest_checks(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks that every backtest must pass."""
    descriptions = {
        "books_balance": "final equity = initial capital + the trades' P&L, and every order has one end",
        "fill_replay": "where the bars after an entry, an exit or a rare day are another market, all trades, orders "
        "and equity up to then are the same; so are the orders chosen among the signals decided by then",
    }
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=True, description=each) for name, each in descriptions.items()
    ]


@dg.asset(
    partitions_def=BOOKS,
    ins=taken(BOOKS_OF_SYMBOL, "bar_history"),
    group_name=BACKTESTS,
    owners=OWNERS,
    kinds=_KINDS,
    code_version="2",
    io_manager_key="backtests",
    check_specs=backtest_checks("rule_backtest"),
)
def rule_backtest(
    context: dg.AssetExecutionContext, bar_history: pd.DataFrame, rule_signals: pd.DataFrame, settings: ResearchSettings
) -> Iterator[dg.Output[Backtests] | dg.AssetCheckResult]:
    """The rule signals traded, and beside them all candidates, the baseline: trades, orders' ends, equity by bar."""
    with user_errors():
        book = settings.book(context.partition_key)
        book.require_same(bar_history=bar_history, rule_signals=rule_signals)
        strategy, hours = book.settings.strategy, book.settings.history.hours
        account = book.settings.account_for(book.instrument)
        results: dict[str, BacktestResult] = {}
        chosen: dict[str, Choose] = {}
        for name, orders in orders_of(rule_signals, strategy).items():
            results[name] = simulate(bar_history, orders, book.instrument, account, hours=hours)
            chosen[name] = partial(_orders_of, strategy, name)
        replayed = replayed_fills("rule_backtest", book, bar_history, rule_signals, results, chosen)
    yield backtest_output(Backtests(results, book.made_under("rule_backtest")), book)
    yield from (books_balance("rule_backtest", results), replayed)


def _orders_of(strategy: Strategy, name: str, signals: pd.DataFrame) -> pd.DataFrame:
    return orders_of(signals, strategy)[name]


def replayed_fills(
    asset: str,
    book: Book,
    bars: pd.DataFrame,
    signals: pd.DataFrame,
    results: Mapping[str, BacktestResult],
    chosen: Mapping[str, Choose],
) -> dg.AssetCheckResult:
    """Trade the orders that are chosen of the signals again, where what comes after is another market."""
    hours, seed = book.settings.history.hours, book.settings.seed
    findings, count = [], 0
    for name, choose in chosen.items():
        cutoffs = fill_cutoffs(bars, results[name], seed)
        count += len(cutoffs)
        findings += check_choice_replay(signals, choose, seed)
        findings += check_fill_replay(bars, choose(signals), results[name], hours, cutoffs)
    return dg.AssetCheckResult(
        check_name="fill_replay",
        asset_key=asset,
        passed=not findings,
        description="; ".join(finding.sentence for finding in findings[:3]),
        metadata={"cutoffs": count},
    )


def backtest_output(backtests: Backtests, book: Book) -> dg.Output[Backtests]:
    """Hand backtests over: each one's trades and orders' ends, and all equity curves in one picture."""
    metadata: dict[str, Any] = {"source": book.dataset.identity}
    for name, result in backtests.results.items():
        ends = result.orders.groupby(["status", "reason"]).size().rename("orders").reset_index()
        metadata |= {
            f"{name}: trades": len(result.trades),
            f"{name}: P&L": float(result.trades["pnl"].sum()),
            f"{name}: ambiguous": int(result.trades["ambiguous"].sum()),
            f"{name}: orders' ends": table(ends),
            f"{name}: last trades": table(result.trades.tail(10)),
        }
    curves = {name: result.equity for name, result in backtests.results.items()}
    picture = equity_picture(curves, f"{book.title}: {', '.join(curves)}")
    return dg.Output(
        backtests,
        metadata={
            "dagster/row_count": sum(len(result.trades) for result in backtests.results.values()),
            **metadata,
            "equity": dg.MetadataValue.md(picture),
        },
    )


def books_balance(asset: str, results: Mapping[str, BacktestResult]) -> dg.AssetCheckResult:
    """Check that every dollar of the equity is a trade's, and that every order has one end."""
    wrong = []
    for name, result in results.items():
        expected = result.account.initial_capital + float(result.trades["pnl"].sum())
        final = float(result.equity.iloc[-1]) if len(result.equity) else result.account.initial_capital
        closed = int((result.orders["status"] == "closed").sum())
        if not (
            abs(final - expected) < 0.005 and closed == len(result.trades) and result.orders["status"].ne("").all()
        ):
            wrong.append(
                f"{name}: equity {final:.2f}, capital and P&L {expected:.2f}, {closed} orders closed, "
                f"{len(result.trades)} trades"
            )
    return dg.AssetCheckResult(
        check_name="books_balance", asset_key=asset, passed=not wrong, description="; ".join(wrong)
    )
