"""Backtests of all value-area fades and of the rule signals, their statistics and the report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from assets.partitions import SYMBOLS, WHOLE_HISTORY, concatenated, user_errors
from assets.tables import table
from pipeline.backtest import BacktestResult, restored, simulate
from pipeline.datasets import Dataset
from pipeline.home import vpoc_home, write_whole
from pipeline.performance import HEADLINE_METRICS, format_interval, format_value, summary
from pipeline.reports.page import ReportInputs, build_report
from pipeline.reports.pictures import equity_picture
from pipeline.research import FADES, RULES, orders_of
from pipeline.settings import Settings
from resources import BarSource, MLflowTracking, PartitionedFrames, ResearchSettings

__all__ = ["backtest_summary", "fade_backtest", "report", "rule_backtest"]

GROUP = "backtests"
OWNERS = ["team:research"]
WHOLE = dg.AssetIn(partition_mapping=WHOLE_HISTORY, metadata={"allow_missing_partitions": True})


def _backtest(prefix: str, strategy: str, description: str) -> dg.AssetsDefinition:
    def out(what: str) -> dg.AssetOut:
        return dg.AssetOut(
            description=f"{description}: {what}.",
            group_name=GROUP,
            owners=OWNERS,
            kinds={"parquet", "numba"},
            code_version="1",
        )

    @dg.multi_asset(
        name=f"{prefix}_backtest",
        ins={"bars": WHOLE},
        outs={
            f"{prefix}_backtest": out("a row a trade"),
            f"{prefix}_orders": out("every order and how it ended"),
            f"{prefix}_equity": out("equity at each bar's close"),
        },
        partitions_def=SYMBOLS,
        check_specs=[
            dg.AssetCheckSpec(
                "books_balance",
                asset=f"{prefix}_backtest",
                blocking=True,
                description="final equity = initial capital + the trades' P&L, and every order has one end",
            )
        ],
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
            result = simulate(
                concatenated(bars, dataset, "bars"),
                orders_of(rule_signals)[strategy],
                dataset.instrument,
                chosen.account_for(dataset.instrument),
                hours=chosen.strategy.hours,
            )
        yield dg.Output(result.trades, f"{prefix}_backtest", metadata=_trade_metadata(result, dataset, strategy))
        ends = result.orders.groupby(["status", "reason"]).size().rename("orders").reset_index()
        yield dg.Output(result.orders, f"{prefix}_orders", metadata={"ends": table(ends)})
        yield dg.Output(result.equity.reset_index(), f"{prefix}_equity", metadata={"final_equity": _final(result)})
        yield _books_balance(result, prefix)

    return backtest


fade_backtest = _backtest("fade", FADES, "Every candidate traded, without gates: the baseline")
rule_backtest = _backtest("rule", RULES, "The rule signals traded")


@dg.asset(
    ins={"bars": WHOLE},
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "mlflow"},
    code_version="1",
)
def backtest_summary(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    fade_backtest: pd.DataFrame,
    fade_orders: pd.DataFrame,
    fade_equity: pd.DataFrame,
    rule_backtest: pd.DataFrame,
    rule_orders: pd.DataFrame,
    rule_equity: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.Output[pd.DataFrame]:
    """Every metric of both backtests with its 95 % interval; logged to MLflow."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        results = _results(
            dataset,
            chosen,
            {FADES: (fade_backtest, fade_orders, fade_equity), RULES: (rule_backtest, rule_orders, rule_equity)},
        )
        summaries = {
            name: summary(result, seed=chosen.seed, currency=dataset.instrument.currency)
            for name, result in results.items()
        }
        whole = pd.concat(summaries, names=["strategy", "metric"])
        with mlflow_tracking.run(context, dataset.key, _tags(dataset)) as run:
            run.log_parameters(_parameters(chosen, dataset))
            run.log_metrics(_metrics(summaries))
    return dg.Output(
        whole,
        metadata={
            "equity": dg.MetadataValue.md(
                equity_picture({name: result.equity for name, result in results.items()}, f"{dataset.key}: equity")
            ),
            "headline": table(_headline(summaries)),
            "mlflow_run": run.run_id,
        },
    )


@dg.asset(
    ins={
        "bars": WHOLE,
        "quarantine": WHOLE,
        "volume_profiles": WHOLE,
    },
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"plotly", "mlflow"},
    code_version="1",
)
def report(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    quarantine: PartitionedFrames,
    volume_profiles: PartitionedFrames,
    session_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    backtest_summary: pd.DataFrame,
    fade_backtest: pd.DataFrame,
    fade_orders: pd.DataFrame,
    fade_equity: pd.DataFrame,
    rule_backtest: pd.DataFrame,
    rule_orders: pd.DataFrame,
    rule_equity: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.MaterializeResult:
    """One page with everything: results and their intervals, trades on price, gates, order ends, data quality."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        whole_bars = concatenated(bars, dataset, "bars")
        page = build_report(
            ReportInputs(
                title=f"{dataset.key}: value-area fades",
                symbol=dataset.key,
                source=dataset.identity,
                simulated=dataset.simulated,
                instrument=dataset.instrument,
                account=chosen.account_for(dataset.instrument),
                settings=chosen.strategy,
                bars=whole_bars,
                profiles=concatenated(volume_profiles, dataset, "volume_profiles"),
                history=session_history,
                results=_results(
                    dataset,
                    chosen,
                    {
                        FADES: (fade_backtest, fade_orders, fade_equity),
                        RULES: (rule_backtest, rule_orders, rule_equity),
                    },
                ),
                summaries={
                    str(name): part.droplevel(0) for name, part in backtest_summary.groupby(level=0, sort=False)
                },
                signals=rule_signals,
                null_rates=gate_null_rates,
                cleaning=_cleaning(bars, quarantine),
                currency=dataset.instrument.currency,
            )
        )
        path = vpoc_home().reports / f"{dataset.key}.html"
        write_whole(path, page)
        with mlflow_tracking.run(context, dataset.key, _tags(dataset)) as run:
            run.log_file(path)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(path)),
            "bytes": len(page.encode()),
            "mlflow_run": run.run_id,
        }
    )


def _headline(summaries: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a metric, a column a strategy: value and interval as a reader wants them."""
    columns = {
        strategy: [_shown(summary.loc[metric]) for metric in HEADLINE_METRICS]
        for strategy, summary in summaries.items()
    }
    return pd.DataFrame({"metric": [name.replace("_", " ") for name in HEADLINE_METRICS], **columns})


def _shown(row: pd.Series) -> str:
    interval = format_interval(row["low"], row["high"], row["unit"], value=row["value"])
    return format_value(row["value"], row["unit"]) + (f" ({interval})" if interval else "")


def _cleaning(bars: PartitionedFrames, quarantine: PartitionedFrames) -> dict[str, int]:
    """Rows by what became of them, over all months."""
    counts: Counter[str] = Counter()
    for frame in bars.values():
        counts.update(frame.attrs["cleaning"])
    del counts["rows_quarantined"]  # shown by reason
    for frame in quarantine.values():
        counts.update(frame["reason"].value_counts().sort_index().to_dict())
    return dict(counts)


def _results(
    dataset: Dataset, settings: Settings, stored: Mapping[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]
) -> dict[str, BacktestResult]:
    """Backtests as they were before they were stored."""
    return {
        name: restored(
            trades,
            orders,
            equity.set_index("timestamp")["equity"],
            settings.account_for(dataset.instrument),
            dataset.instrument,
        )
        for name, (trades, orders, equity) in stored.items()
    }


def _trade_metadata(result: BacktestResult, dataset: Dataset, strategy: str) -> dict[str, Any]:
    return {
        "dagster/row_count": len(result.trades),
        "source": dataset.identity,
        "pnl": float(result.trades["pnl"].sum()),
        "ambiguous": int(result.trades["ambiguous"].sum()),
        "last_trades": table(result.trades.tail(10)),
        "equity": dg.MetadataValue.md(equity_picture({strategy: result.equity}, f"{dataset.key}: {strategy}")),
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


def _tags(dataset: Dataset) -> dict[str, str]:
    return {"vpoc.source": dataset.identity, "vpoc.simulated": str(dataset.simulated).lower()}


def _parameters(settings: Settings, dataset: Dataset) -> dict[str, object]:
    flat = {f"strategy.{name}": value for name, value in settings.strategy.model_dump().items()}
    flat |= {f"account.{name}": value for name, value in settings.account_for(dataset.instrument).model_dump().items()}
    return flat | {"instrument": dataset.instrument.symbol, "seed": settings.seed, "source": dataset.identity}


def _metrics(summaries: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    names = {FADES: "fades", RULES: "rules"}
    logged: dict[str, float] = {}
    for strategy, frame in summaries.items():
        for metric, row in frame.iterrows():
            name = "".join(letter if letter.isalnum() or letter in "_-. " else "_" for letter in str(metric))
            for suffix, value in (("", row["value"]), (".low", row["low"]), (".high", row["high"])):
                logged[f"{names[strategy]}.{name}{suffix}"] = float(value)
    return logged
