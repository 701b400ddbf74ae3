"""Judgement: the models compared, rules and models backtested side by side, their statistics and the report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import dagster as dg
import pandas as pd

from assets.groups import JUDGEMENT
from assets.looks import count_looks, look_metadata, look_metrics, remember_looks
from assets.partitions import OF_SYMBOL, SYMBOLS, WHOLE_HISTORY, concatenated, user_errors
from assets.tables import table
from assets.training_overrides import with_changes
from pipeline.backtest import Account, BacktestResult, restored, simulate
from pipeline.coming import coming_at
from pipeline.datasets import Dataset
from pipeline.home import vpoc_home, write_whole
from pipeline.look_count import LookCount
from pipeline.market import Instrument
from pipeline.market.evidence import Finding
from pipeline.modelling import LearningInputs, baseline_judgements, learning_version
from pipeline.performance import (
    HEADLINE_METRICS,
    ModelJudgement,
    compare_models,
    format_estimate,
    format_value,
    judge_model,
    scored_rows,
    summary,
)
from pipeline.pictures.png_files import picture_markdown
from pipeline.reports import ModelFindings, ReportInputs, build_report, trades_csv, trades_file
from pipeline.reports.model_pictures import differences_picture
from pipeline.reports.pictures import equity_picture
from pipeline.research import RULES, bars_from, model_strategy, orders_of
from pipeline.settings import Settings
from pipeline.strategy import strategies
from resources import BarSource, MLflowTracking, PartitionedFrames, ResearchSettings

__all__ = ["backtest_summary", "model_comparison", "of_families", "report"]

OWNERS = ["team:research"]
WHOLE = dg.AssetIn(partition_mapping=WHOLE_HISTORY, metadata={"allow_missing_partitions": True})
EVERY_FAMILY = dg.AssetIn(partition_mapping=OF_SYMBOL, metadata={"allow_missing_partitions": True})
MODEL_BOOKS = dict.fromkeys(("model_backtest", "model_orders", "model_equity"), EVERY_FAMILY)
RULES_IN_THEIR_TIME = "Rules, same time"
# Of a model's backtest, on its training's run in MLflow.
TRAINING_HEADLINE = ("sharpe_ratio", "pnl", "trades")


@dg.asset(
    ins={"models": EVERY_FAMILY},
    partitions_def=SYMBOLS,
    group_name=JUDGEMENT,
    owners=OWNERS,
    kinds={"parquet", "pandas"},
    code_version="1",
)
def model_comparison(
    context: dg.AssetExecutionContext,
    models: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    features: pd.DataFrame,
    labels: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Every trained family against the baselines on the same trades and folds, with the difference's interval."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        inputs = LearningInputs.of(training_set, candidates, features, labels, source=dataset.identity)
        judged = _judged(models, inputs, chosen, dataset)
        frame = compare_models(
            {family: one.scored for family, one in judged.items()},
            probabilistic={family: one.probabilistic for family, one in judged.items()},
            seed=chosen.seed,
            currency=dataset.instrument.currency,
        )
    picture = differences_picture(frame, f"{dataset.title}: models less the baselines")
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "families": ", ".join(judged) or "none trained on the present candidates and folds",
            "differences": table(frame.reset_index()),
            "picture": dg.MetadataValue.md(picture_markdown(picture, "differences") if picture else "nothing compared"),
        },
    )


@dg.asset(
    ins={"bars": WHOLE, **MODEL_BOOKS},
    partitions_def=SYMBOLS,
    group_name=JUDGEMENT,
    owners=OWNERS,
    kinds={"parquet", "mlflow"},
    code_version="3",
)
def backtest_summary(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    rule_signals: pd.DataFrame,
    fade_backtest: pd.DataFrame,
    fade_orders: pd.DataFrame,
    fade_equity: pd.DataFrame,
    rule_backtest: pd.DataFrame,
    rule_orders: pd.DataFrame,
    rule_equity: pd.DataFrame,
    model_backtest: PartitionedFrames,
    model_orders: PartitionedFrames,
    model_equity: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.Output[pd.DataFrame]:
    """Every metric of each backtest with its 95 % interval, rules and models side by side; logged to MLflow.

    Each backtest counts as a trial on this market, once for the same settings.
    """
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        version = learning_version(training_set, candidates, dataset.identity)
        results = _results(
            dataset,
            chosen,
            {
                chosen.strategy.baseline: (fade_backtest, fade_orders, fade_equity),
                RULES: (rule_backtest, rule_orders, rule_equity),
            },
            (model_backtest, model_orders, model_equity),
            version,
            bars=concatenated(bars, dataset, "bars"),
            signals=rule_signals,
        )
        summaries = {
            name: summary(result, seed=chosen.seed, currency=dataset.instrument.currency)
            for name, result in results.items()
        }
        whole = pd.concat(summaries, names=["strategy", "metric"])
        trained = {
            key.partition("|")[0]: (_tuned(frame), with_changes(chosen, frame.attrs.get("changes", {})))
            for key, frame in model_backtest.items()
        }
        failed = remember_looks(context, dataset, chosen, results, trained)
        looked = LookCount(why_unknown=failed) if failed else count_looks(context, dataset, results, summaries)
        whole.attrs = {"looks": looked.document(), "findings": [each.to_dict() for each in _misreadings(bars)]}
        with mlflow_tracking.run(context, dataset.key, _tags(dataset)) as run:
            run.log_parameters(_parameters(chosen, dataset))
            run.log_metrics(_metrics(summaries) | look_metrics(looked, _metric_prefix))
            run.log_headline(_headlines(summaries))
        for family in trained:
            if (judged := summaries.get(model_strategy(family))) is not None:
                headline = {name: format_estimate(judged.loc[name]) for name in TRAINING_HEADLINE}
                figures = {
                    name if end == "value" else f"{name}.{end}": float(judged.loc[name, end])
                    for name in TRAINING_HEADLINE
                    for end in ("value", "low", "high")
                }
                mlflow_tracking.add_to_training(context, dataset.key, family, version, figures, headline)
    return dg.Output(
        whole,
        metadata={
            "equity": dg.MetadataValue.md(
                equity_picture({name: result.equity for name, result in results.items()}, f"{dataset.title}: equity")
            ),
            "headline": table(_headline(summaries)),
            **look_metadata(looked),
            "mlflow_run": run.run_id or "none: MLflow is unreachable",
        },
    )


@dg.asset(
    ins={
        "bars": WHOLE,
        "quarantine": WHOLE,
        "volume_profiles": WHOLE,
        "models": EVERY_FAMILY,
        "model_importance": EVERY_FAMILY,
        **MODEL_BOOKS,
    },
    partitions_def=SYMBOLS,
    group_name=JUDGEMENT,
    owners=OWNERS,
    kinds={"plotly", "mlflow"},
    code_version="3",
)
def report(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    quarantine: PartitionedFrames,
    volume_profiles: PartitionedFrames,
    session_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    next_orders: pd.DataFrame,
    backtest_summary: pd.DataFrame,
    fade_backtest: pd.DataFrame,
    fade_orders: pd.DataFrame,
    fade_equity: pd.DataFrame,
    rule_backtest: pd.DataFrame,
    rule_orders: pd.DataFrame,
    rule_equity: pd.DataFrame,
    models: PartitionedFrames,
    model_importance: PartitionedFrames,
    model_comparison: pd.DataFrame,
    model_backtest: PartitionedFrames,
    model_orders: PartitionedFrames,
    model_equity: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.MaterializeResult:
    """The report: results with intervals, models, trades on price, gates, order ends and data quality on one page."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        version = learning_version(training_set, candidates, dataset.identity)
        whole_bars = concatenated(bars, dataset, "bars")
        results = _results(
            dataset,
            chosen,
            {
                chosen.strategy.baseline: (fade_backtest, fade_orders, fade_equity),
                RULES: (rule_backtest, rule_orders, rule_equity),
            },
            (model_backtest, model_orders, model_equity),
            version,
            bars=whole_bars,
            signals=rule_signals,
        )
        summaries = {str(name): part.droplevel(0) for name, part in backtest_summary.groupby(level=0, sort=False)}
        looked = count_looks(context, dataset, results, summaries)
        inputs = ReportInputs(
            title=f"{dataset.key}: {chosen.strategy.title.lower()}",
            symbol=dataset.key,
            source=dataset.identity,
            simulated=dataset.simulated,
            instrument=dataset.instrument,
            account=chosen.account_for(dataset.instrument),
            settings=chosen.history,
            strategy=chosen.strategy,
            bars=whole_bars,
            profiles=concatenated(volume_profiles, dataset, "volume_profiles"),
            history=session_history,
            results=results,
            summaries=summaries,
            signals=rule_signals,
            null_rates=gate_null_rates,
            models=_findings(models, model_importance, training_set, version, chosen, dataset),
            model_differences=model_comparison,
            cleaning=_cleaning(bars, quarantine),
            findings=_misreadings(bars),
            currency=dataset.instrument.currency,
            looks=looked.looks,
            why_no_looks=looked.why_unknown,
            coming=coming_at(next_orders, dataset.instrument) if len(next_orders) else None,
        )
        page = build_report(inputs)
        path = vpoc_home().reports / f"{dataset.key}.html"
        listed = path.with_name(trades_file(inputs))
        write_whole(listed, trades_csv(inputs))
        write_whole(path, page)
        with mlflow_tracking.run(context, dataset.key, _tags(dataset)) as run:
            run.log_metrics(look_metrics(looked, _metric_prefix))
            run.log_file(path)
            run.log_file(listed)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(path)),
            "trades": dg.MetadataValue.path(str(listed)),
            "bytes": len(page.encode()),
            **look_metadata(looked),
            "mlflow_run": run.run_id or "none: MLflow is unreachable",
        }
    )


def _headline(summaries: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a metric, a column a strategy: value and interval as a reader wants them."""
    columns = {
        strategy: [format_estimate(summary.loc[metric]) for metric in HEADLINE_METRICS]
        for strategy, summary in summaries.items()
    }
    return pd.DataFrame({"metric": [name.replace("_", " ") for name in HEADLINE_METRICS], **columns})


def _headlines(summaries: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Sharpe ratio, net profit and trades of rules, models and fades, for MLflow's list of backtests."""

    def sentence(name: str) -> str:
        rows = summaries[name].loc
        pnl, trades = (format_value(rows[metric]["value"], rows[metric]["unit"]) for metric in ("pnl", "trades"))
        return f"Sharpe {format_estimate(rows['sharpe_ratio'])}, {pnl}, {trades} trades"

    baseline, *others = summaries
    models = [f"{name}: {sentence(name)}" for name in others if name not in (RULES, RULES_IN_THEIR_TIME)]
    return {"rules": sentence(RULES), "models": "; ".join(models) or "none", "fades": sentence(baseline)}


def _cleaning(bars: PartitionedFrames, quarantine: PartitionedFrames) -> dict[str, int]:
    """Rows by what became of them, over all months."""
    counts: Counter[str] = Counter()
    for frame in bars.values():
        counts.update(frame.attrs["cleaning"])
    del counts["rows_quarantined"]  # shown by reason
    for frame in quarantine.values():
        counts.update(frame["reason"].value_counts().sort_index().to_dict())
    return dict(counts)


def _misreadings(bars: PartitionedFrames) -> tuple[Finding, ...]:
    """What the months' bars show about how they were read, each finding once."""
    found = [Finding.from_dict(each) for frame in bars.values() for each in frame.attrs.get("findings", ())]
    return tuple(dict.fromkeys(found))


def _results(
    dataset: Dataset,
    settings: Settings,
    rules: Mapping[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]],
    models: tuple[PartitionedFrames, PartitionedFrames, PartitionedFrames],
    version: str,
    *,
    bars: pd.DataFrame,
    signals: pd.DataFrame,
) -> dict[str, BacktestResult]:
    """Backtests as they were before they were stored: the rules', and those of the models that settings name.

    Models are scored, and traded, from their first fold on only; so the rules are shown over that time as well.
    """
    account, instrument = settings.account_for(dataset.instrument), dataset.instrument
    found = {name: _restored(books, account, instrument) for name, books in rules.items()}
    books = [of_families(frames, version, settings) for frames in models]
    shown = [family for family in settings.models.families if all(family in frames for frames in books)]
    if shown:
        first = min(pd.Timestamp(books[0][family].attrs["first_session"]) for family in shown)
        found[RULES_IN_THEIR_TIME] = simulate(
            bars_from(bars, first, instrument),
            orders_of(signals[signals["session"] >= first], settings.strategy)[RULES],
            instrument,
            account,
            hours=settings.history.hours,
        )
    for family in shown:
        trades, orders, equity = (frames[family] for frames in books)
        found[model_strategy(family)] = _restored((trades, orders, equity), account, instrument)
    return found


def _restored(
    books: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], account: Account, instrument: Instrument
) -> BacktestResult:
    trades, orders, equity = books
    return restored(trades, orders, equity.set_index("timestamp")["equity"], account, instrument)


def of_families(frames: PartitionedFrames, version: str, settings: Settings) -> dict[str, pd.DataFrame]:
    """Frames by family; those made from other candidates, outcomes or folds than the present ones are left out."""
    wanted = {"made_from": version, "folds": settings.models.folds}
    found = {key.partition("|")[0]: frame for key, frame in frames.items()}
    return {family: frame for family, frame in found.items() if wanted.items() <= frame.attrs.items()}


def _findings(
    models: PartitionedFrames,
    importance: PartitionedFrames,
    training_set: pd.DataFrame,
    version: str,
    settings: Settings,
    dataset: Dataset,
) -> dict[str, ModelFindings]:
    """What the report shows of each family trained on the present candidates."""
    leant_on = of_families(importance, version, settings)
    return {
        family: replace(
            ModelFindings.of(
                frame,
                training_set,
                probabilistic=bool(frame.attrs["probabilistic"]),
                seed=settings.seed,
                currency=dataset.instrument.currency,
            ),
            strategy=model_strategy(family),
            importance=leant_on.get(family, pd.DataFrame()),
            tuned=_tuned(frame),
        )
        for family, frame in of_families(models, version, settings).items()
    }


def _judged(
    models: PartitionedFrames, inputs: LearningInputs, settings: Settings, dataset: Dataset
) -> dict[str, ModelJudgement]:
    """Each family's out-of-fold scores judged, the baselines first; none where no model was trained."""
    predictions = of_families(models, inputs.version, settings)
    if not predictions:
        return {}
    currency = dataset.instrument.currency
    judged = baseline_judgements(inputs, settings.models, seed=settings.seed, currency=currency)
    for family, frame in predictions.items():
        judged[family] = judge_model(
            scored_rows(frame, inputs.training_set),
            probabilistic=bool(frame.attrs["probabilistic"]),
            seed=settings.seed,
            currency=currency,
        )
    return judged


def _tuned(frame: pd.DataFrame) -> str:
    """How a family was tuned inside each fold, in words."""
    return str(frame.attrs.get("tuned", ""))


def _tags(dataset: Dataset) -> dict[str, str]:
    return {"vpoc.source": dataset.identity, "vpoc.simulated": str(dataset.simulated).lower()}


def _parameters(settings: Settings, dataset: Dataset) -> dict[str, object]:
    flat = {f"strategy.{name}": value for name, value in settings.rules.flat.items()}
    flat |= {f"account.{name}": value for name, value in settings.account_for(dataset.instrument).model_dump().items()}
    return flat | {"instrument": dataset.instrument.symbol, "seed": settings.seed, "source": dataset.identity}


def _metrics(summaries: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    logged: dict[str, float] = {}
    for strategy, frame in summaries.items():
        for metric, row in frame.iterrows():
            name = "".join(letter if letter.isalnum() or letter in "_-. " else "_" for letter in str(metric))
            for suffix, value in (("", row["value"]), (".low", row["low"]), (".high", row["high"])):
                logged[f"{_metric_prefix(strategy)}.{name}{suffix}"] = float(value)
    return logged


def _metric_prefix(strategy: str) -> str:
    """How the names of a backtest's figures begin in MLflow."""
    names = {RULES: "rules", RULES_IN_THEIR_TIME: "rules_same_time"}
    if strategy in {each.baseline for each in strategies().values()}:
        return "fades"
    return names.get(strategy, strategy.replace(" ", ".").lower())
