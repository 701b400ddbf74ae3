"""Judgement: the models compared, rules and models backtested side by side, their statistics and the report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import dagster as dg
import pandas as pd

from assets.declared import EVERY_FAMILY, OWNERS, of_book, taken
from assets.groups import JUDGEMENT
from assets.looks import count_looks, look_metadata, look_metrics, remember_looks
from assets.partitions import BOOKS, BOOKS_OF_SYMBOL, part_and_book, user_errors
from assets.tables import table
from pipeline.backtest import BacktestResult, Backtests
from pipeline.books import Book
from pipeline.coming import coming_at
from pipeline.home import vpoc_home, write_whole
from pipeline.look_count import LookCount
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
from pipeline.research import RULES, RULES_IN_THEIR_TIME, model_strategy
from pipeline.settings import Settings
from pipeline.strategy import strategies
from resources import MLflowTracking, PartitionedBacktests, PartitionedFrames, ResearchSettings

__all__ = ["backtest_summary", "model_comparison", "of_families", "report"]

Made = TypeVar("Made", pd.DataFrame, Backtests)

# Of a model's backtest, on its training's run in MLflow.
TRAINING_HEADLINE = ("sharpe_ratio", "pnl", "trades")


@dg.asset(**of_book(JUDGEMENT, "pandas", "1", "features", models=EVERY_FAMILY))
def model_comparison(
    context: dg.AssetExecutionContext,
    models: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    features: pd.DataFrame,
    labels: pd.DataFrame,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Every trained family against the baselines on the same trades and folds, with the difference's interval."""
    with user_errors():
        book = settings.book(context.partition_key)
        inputs = LearningInputs.of(training_set, candidates, features, labels, source=book.dataset.identity)
        judged = _judged(models, inputs, book)
        frame = compare_models(
            {family: one.scored for family, one in judged.items()},
            probabilistic={family: one.probabilistic for family, one in judged.items()},
            seed=book.settings.seed,
            currency=book.instrument.currency,
        )
    picture = differences_picture(frame, f"{book.title}: models less the baselines")
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "families": ", ".join(judged) or "none trained on the present candidates and folds",
            "differences": table(frame.reset_index()),
            "picture": dg.MetadataValue.md(picture_markdown(picture, "differences") if picture else "nothing compared"),
        },
    )


@dg.asset(**of_book(JUDGEMENT, "mlflow", "3", "bar_history", model_backtest=EVERY_FAMILY))
def backtest_summary(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    rule_backtest: Backtests,
    model_backtest: PartitionedBacktests,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.Output[pd.DataFrame]:
    """Every metric of each backtest with its 95 % interval, rules and models side by side; logged to MLflow.

    Each backtest counts as a trial on this market, once for the same settings.
    """
    with user_errors():
        book = settings.book(context.partition_key)
        dataset, chosen = book.dataset, book.settings
        book.require_same(bar_history=bar_history, rule_backtest=rule_backtest)
        version = learning_version(training_set, candidates, dataset.identity)
        traded = {part_and_book(key)[0]: backtests for key, backtests in model_backtest.items()}
        results = _results(rule_backtest, traded, version, book)
        summaries = {
            name: summary(result, seed=chosen.seed, currency=dataset.instrument.currency)
            for name, result in results.items()
        }
        whole = pd.concat(summaries, names=["strategy", "metric"])
        failed = remember_looks(context, book, results, traded)
        looked = LookCount(why_unknown=failed) if failed else count_looks(context, dataset, results, summaries)
        whole.attrs = {"looks": looked.document(), "findings": bar_history.attrs["findings"]}
        with mlflow_tracking.run(context, book.name, _tags(book)) as run:
            run.log_parameters(_parameters(book))
            run.log_metrics(_metrics(summaries) | look_metrics(looked, _metric_prefix))
            run.log_headline(_headlines(summaries))
        for family in traded:
            if (judged := summaries.get(model_strategy(family))) is not None:
                headline = {name: format_estimate(judged.loc[name]) for name in TRAINING_HEADLINE}
                figures = {
                    name if end == "value" else f"{name}.{end}": float(judged.loc[name, end])
                    for name in TRAINING_HEADLINE
                    for end in ("value", "low", "high")
                }
                mlflow_tracking.add_to_training(context, book.name, family, version, figures, headline)
    return dg.Output(
        whole,
        metadata={
            "equity": dg.MetadataValue.md(
                equity_picture({name: result.equity for name, result in results.items()}, f"{book.title}: equity")
            ),
            "headline": table(_headline(summaries)),
            **look_metadata(looked),
            "mlflow_run": run.run_id or "none: MLflow is unreachable",
        },
    )


@dg.asset(
    partitions_def=BOOKS,
    ins={
        **taken(BOOKS_OF_SYMBOL, "bar_history", "profile_history", "session_history"),
        **dict.fromkeys(("models", "model_importance", "model_backtest"), EVERY_FAMILY),
    },
    group_name=JUDGEMENT,
    owners=OWNERS,
    kinds={"plotly", "mlflow"},
    code_version="3",
)
def report(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    profile_history: pd.DataFrame,
    session_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    next_orders: pd.DataFrame,
    backtest_summary: pd.DataFrame,
    rule_backtest: Backtests,
    models: PartitionedFrames,
    model_importance: PartitionedFrames,
    model_comparison: pd.DataFrame,
    model_backtest: PartitionedBacktests,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ResearchSettings,
    mlflow_tracking: MLflowTracking,
) -> dg.MaterializeResult:
    """The report: results with intervals, models, trades on price, gates, order ends and data quality on one page."""
    with user_errors():
        book = settings.book(context.partition_key)
        dataset, chosen = book.dataset, book.settings
        book.require_same(
            bar_history=bar_history,
            profile_history=profile_history,
            session_history=session_history,
            rule_signals=rule_signals,
            rule_backtest=rule_backtest,
        )
        version = learning_version(training_set, candidates, dataset.identity)
        traded = {part_and_book(key)[0]: backtests for key, backtests in model_backtest.items()}
        results = _results(rule_backtest, traded, version, book)
        summaries = {str(name): part.droplevel(0) for name, part in backtest_summary.groupby(level=0, sort=False)}
        looked = count_looks(context, dataset, results, summaries)
        inputs = ReportInputs(
            title=f"{book.name}: {chosen.strategy.title.lower()}",
            symbol=book.name,
            source=dataset.identity,
            simulated=dataset.simulated,
            instrument=dataset.instrument,
            account=chosen.account_for(dataset.instrument),
            settings=chosen.history,
            strategy=chosen.strategy,
            bars=bar_history,
            profiles=profile_history,
            history=session_history,
            results=results,
            summaries=summaries,
            signals=rule_signals,
            null_rates=gate_null_rates,
            models=_findings(models, model_importance, training_set, version, book),
            model_differences=model_comparison,
            cleaning=bar_history.attrs["cleaning"],
            findings=tuple(Finding.from_dict(each) for each in bar_history.attrs["findings"]),
            currency=dataset.instrument.currency,
            looks=looked.looks,
            why_no_looks=looked.why_unknown,
            coming=coming_at(next_orders, dataset.instrument) if len(next_orders) else None,
        )
        page = build_report(inputs)
        path = vpoc_home().reports / f"{book.name}.html"
        listed = path.with_name(trades_file(inputs))
        write_whole(listed, trades_csv(inputs))
        write_whole(path, page)
        with mlflow_tracking.run(context, book.name, _tags(book)) as run:
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


def _results(rules: Backtests, models: Mapping[str, Backtests], version: str, book: Book) -> dict[str, BacktestResult]:
    """Backtests as they were before they were stored: the rules', and those of the models that settings name.

    Models are scored, and traded, from their first fold on only; so the rules are shown over that time as well.
    """
    found = dict(rules.results)
    shown = _present(models, version, book.settings)
    shown = {family: shown[family] for family in book.settings.models.families if family in shown}
    for backtests in shown.values():
        book.require_same(model_backtest=backtests)
    if shown:
        earliest = min(shown.values(), key=lambda backtests: str(backtests.attrs["first_session"]))
        found[RULES_IN_THEIR_TIME] = earliest.results[RULES_IN_THEIR_TIME]
    for family, backtests in shown.items():
        found[model_strategy(family)] = backtests.results[model_strategy(family)]
    return found


def of_families(frames: PartitionedFrames, version: str, settings: Settings) -> dict[str, pd.DataFrame]:
    """Frames by family; those made from other candidates, outcomes or folds than the present ones are left out."""
    return _present({part_and_book(key)[0]: frame for key, frame in frames.items()}, version, settings)


def _present(found: Mapping[str, Made], version: str, settings: Settings) -> dict[str, Made]:
    wanted = {"made_from": version, "folds": settings.models.folds}
    return {family: made for family, made in found.items() if wanted.items() <= made.attrs.items()}


def _findings(
    models: PartitionedFrames,
    importance: PartitionedFrames,
    training_set: pd.DataFrame,
    version: str,
    book: Book,
) -> dict[str, ModelFindings]:
    """What the report shows of each family trained on the present candidates."""
    settings = book.settings
    leant_on = of_families(importance, version, settings)
    return {
        family: replace(
            ModelFindings.of(
                frame,
                training_set,
                probabilistic=bool(frame.attrs["probabilistic"]),
                seed=settings.seed,
                currency=book.instrument.currency,
            ),
            strategy=model_strategy(family),
            importance=leant_on.get(family, pd.DataFrame()),
            tuned=_tuned(frame),
        )
        for family, frame in of_families(models, version, settings).items()
    }


def _judged(models: PartitionedFrames, inputs: LearningInputs, book: Book) -> dict[str, ModelJudgement]:
    """Each family's out-of-fold scores judged, the baselines first; none where no model was trained."""
    settings = book.settings
    predictions = of_families(models, inputs.version, settings)
    if not predictions:
        return {}
    currency = book.instrument.currency
    judged = baseline_judgements(inputs, settings.models, seed=settings.seed, currency=currency)
    for family, frame in predictions.items():
        judged[family] = judge_model(
            scored_rows(frame, inputs.training_set),
            probabilistic=bool(frame.attrs["probabilistic"]),
            seed=settings.seed,
            currency=currency,
        )
    return judged


def _tuned(frame: pd.DataFrame | Backtests) -> str:
    """How a family was tuned inside each fold, in words."""
    return str(frame.attrs.get("tuned", ""))


def _tags(book: Book) -> dict[str, str]:
    return {"vpoc.source": book.dataset.identity, "vpoc.simulated": str(book.dataset.simulated).lower()}


def _parameters(book: Book) -> dict[str, object]:
    settings, dataset = book.settings, book.dataset
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
