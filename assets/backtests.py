"""Backtests of all candidates and of the rule signals, and what every backtest stores."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from assets.declared import WHOLE
from assets.groups import BACKTESTS
from assets.partitions import SYMBOLS, concatenated, user_errors
from assets.tables import table
from pipeline.audit import check_choice_replay, check_fill_replay, fill_cutoffs
from pipeline.backtest import BacktestResult, simulate
from pipeline.datasets import Dataset
from pipeline.made_under import require_same_settings
from pipeline.market import Hours
from pipeline.reports.pictures import equity_picture
from pipeline.research import RULES, orders_of
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["backtest_checks", "backtest_outputs", "backtest_outs", "fade_backtest", "replayed_fills", "rule_backtest"]

OWNERS = ["team:research"]


def backtest_outs(prefix: str, description: str, group: str) -> dict[str, dg.AssetOut]:
    """The three assets of a backtest: trades, orders and equity."""
    names = {
        f"{prefix}_backtest": "one row per trade",
        f"{prefix}_orders": "every order and how it ended",
        f"{prefix}_equity": "equity at each bar's close",
    }
    return {
        name: dg.AssetOut(
            description=f"{description}: {what}.",
            group_name=group,
            owners=OWNERS,
            kinds={"parquet", "numba"},
            code_version="1",
        )
        for name, what in names.items()
    }


def backtest_checks(prefix: str) -> list[dg.AssetCheckSpec]:
    """The checks that every backtest must pass."""
    descriptions = {
        "books_balance": "final equity = initial capital + the trades' P&L, and every order has one end",
        "fill_replay": "where the bars after an entry, an exit or a rare day are another market, all trades, orders "
        "and equity up to then are the same; so are the orders chosen among the signals decided by then",
    }
    asset = f"{prefix}_backtest"
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=True, description=each) for name, each in descriptions.items()
    ]


def replayed_fills(
    bars: pd.DataFrame,
    signals: pd.DataFrame,
    choose: Callable[[pd.DataFrame], pd.DataFrame],
    result: BacktestResult,
    hours: Hours,
    prefix: str,
    seed: int,
) -> dg.AssetCheckResult:
    """Trade the orders that are chosen of the signals again, where what comes after is another market."""
    cutoffs = fill_cutoffs(bars, result, seed)
    findings = check_choice_replay(signals, choose, seed)
    findings += check_fill_replay(bars, choose(signals), result, hours, cutoffs)
    return dg.AssetCheckResult(
        check_name="fill_replay",
        asset_key=f"{prefix}_backtest",
        passed=not findings,
        description="; ".join(finding.sentence for finding in findings[:3]),
        metadata={"cutoffs": len(cutoffs)},
    )


def backtest_outputs(
    result: BacktestResult, prefix: str, dataset: Dataset, strategy: str, attributes: dict[str, str] | None = None
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Hand a backtest over: its three frames, with ``attributes`` to keep with each, and its check."""
    frames = {"backtest": result.trades, "orders": result.orders, "equity": result.equity.reset_index()}
    ends = result.orders.groupby(["status", "reason"]).size().rename("orders").reset_index()
    metadata: dict[str, dict[str, Any]] = {
        "backtest": _trade_metadata(result, dataset, strategy),
        "orders": {"ends": table(ends)},
        "equity": {"final_equity": _final(result)},
    }
    for name, frame in frames.items():
        frame.attrs = dict(attributes or {})
        yield dg.Output(frame, f"{prefix}_{name}", metadata=metadata[name])
    yield _books_balance(result, prefix)


def _backtest(prefix: str, description: str, *, gated: bool) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{prefix}_backtest",
        ins={"bars": WHOLE},
        outs=backtest_outs(prefix, description, BACKTESTS),
        partitions_def=SYMBOLS,
        check_specs=backtest_checks(prefix),
    )
    def backtest(
        context: dg.AssetExecutionContext,
        bars: PartitionedFrames,
        rule_signals: pd.DataFrame,
        bar_source: BarSource,
        settings: ResearchSettings,
    ) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
        with user_errors():
            dataset = bar_source.dataset(context.partition_key)
            chosen = settings.load()
            require_same_settings({"rule_signals": rule_signals}, chosen, dataset)
            strategy = RULES if gated else chosen.strategy.baseline

            def choose(signals: pd.DataFrame) -> pd.DataFrame:
                return orders_of(signals, chosen.strategy)[strategy]

            whole, hours = concatenated(bars, dataset, "bars"), chosen.history.hours
            account = chosen.account_for(dataset.instrument)
            result = simulate(whole, choose(rule_signals), dataset.instrument, account, hours=hours)
            replayed = replayed_fills(whole, rule_signals, choose, result, hours, prefix, chosen.seed)
        yield from backtest_outputs(result, prefix, dataset, strategy)
        yield replayed

    return backtest


fade_backtest = _backtest("fade", "All candidates traded without gates, the baseline", gated=False)
rule_backtest = _backtest("rule", "The rule signals traded", gated=True)


def _trade_metadata(result: BacktestResult, dataset: Dataset, strategy: str) -> dict[str, Any]:
    return {
        "dagster/row_count": len(result.trades),
        "source": dataset.identity,
        "pnl": float(result.trades["pnl"].sum()),
        "ambiguous": int(result.trades["ambiguous"].sum()),
        "last_trades": table(result.trades.tail(10)),
        "equity": dg.MetadataValue.md(equity_picture({strategy: result.equity}, f"{dataset.title}: {strategy}")),
    }


def _final(result: BacktestResult) -> float:
    return float(result.equity.iloc[-1]) if len(result.equity) else result.account.initial_capital


def _books_balance(result: BacktestResult, prefix: str) -> dg.AssetCheckResult:
    expected = result.account.initial_capital + float(result.trades["pnl"].sum())
    closed = int((result.orders["status"] == "closed").sum())
    return dg.AssetCheckResult(
        check_name="books_balance",
        asset_key=f"{prefix}_backtest",
        passed=abs(_final(result) - expected) < 0.005
        and closed == len(result.trades)
        and bool(result.orders["status"].ne("").all()),
        metadata={"final_equity": _final(result), "capital_plus_pnl": expected, "closed": closed},
    )
