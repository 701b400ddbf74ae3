"""Models by family and book: trained walk-forward, tracked, registered; their signals and the backtest of them."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd

from assets import groups
from assets.backtests import backtest_checks, backtest_output, books_balance, replayed_fills
from assets.declared import OWNERS, taken
from assets.partitions import MODELS, MODELS_OF_BOOK, MODELS_OF_SYMBOL, part_and_book, user_errors
from assets.progress import Reporter
from assets.tables import table
from assets.training_checks import OUT_OF_FOLD, TRAINING_CHECKS, RefusedError, training_checks
from assets.training_overrides import TrainingOverrides, with_changes
from pipeline.audit import WholeRun, check_choice_replay, proving_training
from pipeline.backtest import Backtests, simulate
from pipeline.books import Book
from pipeline.datasets import Dataset
from pipeline.errors import PipelineError
from pipeline.home import vpoc_home
from pipeline.learning.importance import importance_table
from pipeline.learning.models import Model, Progress
from pipeline.learning.record import TrainingResult, drop_leftovers, training_alone
from pipeline.modelling import (
    LearningInputs,
    Trained,
    checkpointed,
    hyperparameters_by_fold,
    judged_training,
    training_result,
    walk_family,
)
from pipeline.performance import format_estimate, model_verdict
from pipeline.pictures.png_files import picture_markdown
from pipeline.reports.model_pictures import model_pictures
from pipeline.research import RULES, RULES_IN_THEIR_TIME, bars_from, model_orders, model_strategy, orders_of
from pipeline.settings import Settings, load_settings
from pipeline.strategy import model_signals as make_model_signals
from pipeline.studies import nested_model
from pipeline.tuning.campaign import progress_sentence
from pipeline.tuning.database import tuning_url
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trial_store import open_trials
from pipeline.tuning.trials import Progress as StudyProgress
from resources import ComputeDevice, MLflowTracking, ResearchSettings, training_pool

__all__ = ["model_backtest", "model_signals", "models", "training_pool_of"]

BARS = taken(MODELS_OF_SYMBOL, "bar_history")
LOG_SECONDS = 5.0
IMPORTANT = 20


def training_pool_of() -> str | None:
    """The pool of assets that train, by the settings."""
    try:
        return training_pool(load_settings(vpoc_home()).compute)
    except PipelineError:
        return None  # told when a run reads the settings


@dg.multi_asset(
    name="models",
    ins={
        **taken(MODELS_OF_BOOK, "training_set", "candidates", "rule_signals", "labels", "sequences"),
        **taken(MODELS_OF_SYMBOL, "bar_history", "features"),
    },
    outs={
        "models": dg.AssetOut(
            description="Each candidate's score by a model that learned only from what was known before it, fold by "
            "fold. The final model, trained on everything known before the next session, is registered in MLflow.",
            group_name=groups.MODELS,
            owners=OWNERS,
            kinds={"parquet", "mlflow"},
            code_version="2",
            is_required=False,
        ),
        "model_importance": dg.AssetOut(
            description="Importance of each feature in each fold's model: gain, permutation and SHAP.",
            group_name=groups.MODELS,
            owners=OWNERS,
            kinds={"parquet"},
            code_version="1",
            is_required=False,
        ),
    },
    partitions_def=MODELS,
    pool=training_pool_of(),
    check_specs=TRAINING_CHECKS,
)
def models(
    context: dg.AssetExecutionContext,
    config: TrainingOverrides,
    bar_history: pd.DataFrame,
    volatility_index: pd.DataFrame,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    rule_signals: pd.DataFrame,
    features: pd.DataFrame,
    labels: pd.DataFrame,
    sequences: pd.DataFrame,
    settings: ResearchSettings,
    compute_device: ComputeDevice,
    mlflow_tracking: MLflowTracking,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Train a family on purged folds, score every candidate out of fold, prove it, keep and register it.

    What the proof refuses is neither stored nor registered.
    """
    family, name = part_and_book(context.partition_key)
    with user_errors():
        changes = config.changes(family)
        book = settings.book(name)
        book = replace(book, settings=with_changes(book.settings, changes))
        dataset = book.dataset
        if changes:
            context.log.info(f"otherwise than in settings.yaml, for this run: {changes}")
        book.require_same(
            bar_history=bar_history,
            rule_signals=rule_signals,
            candidates=candidates,
            features=features,
            labels=labels,
            sequences=sequences,
            training_set=training_set,
        )
        book = book.without_refused(training_set)
        chosen = book.settings
        compute = compute_device.choose(chosen.compute)
        inputs = LearningInputs.of(training_set, candidates, features, labels, sequences, source=dataset.identity)
        others = f"another training of {family} on {name} is running: waiting for it to end"
        try:
            with (
                training_alone(vpoc_home(), name, family, lambda: context.log.warning(others)) as folder,
                mlflow_tracking.training(context, name, family) as tracked,
            ):
                checkpoints = folder / f".{inputs.version}"
                drop_leftovers(folder, keep=checkpoints)
                report = Reporter(context, LOG_SECONDS)
                began = time.perf_counter()
                walk = walk_family(
                    inputs,
                    chosen.models,
                    family,
                    seed=chosen.seed,
                    compute=compute,
                    options_for=checkpointed(checkpoints, compute, _fit_reporter(report)),
                    make=_tuned(context, family, book, report),
                )
                seconds = time.perf_counter() - began
                report("proof", "checking for look-ahead: the chain on bars cut off, and on shuffled labels")
                whole = WholeRun(
                    bar_history,
                    dataset.instrument,
                    chosen,
                    rule_signals,
                    inputs,
                    {family: walk.predictions},
                    volatility_index if len(volatility_index) else None,
                )
                with proving_training(whole, family, compute=compute) as proof:
                    trained = judged_training(
                        inputs, chosen.models, family, walk, seed=chosen.seed, currency=dataset.instrument.currency
                    )
                    proved = proof()
                shutil.rmtree(checkpoints, ignore_errors=True)
                checks = training_checks(trained, proved, inputs, _how_tuned(family, chosen))
                if any(not check.passed for check in checks):
                    raise RefusedError(checks)
                pictures = model_pictures(
                    trained.judgement,
                    f"{book.title} {family}",
                    currency=dataset.instrument.currency,
                    importance=trained.importance,
                    logs=trained.walk.logs,
                )
                where = {"device": ", ".join(compute.devices), "precision": compute.precision}
                tracked.keep(_result(trained, inputs, dataset, chosen, where, seconds, pictures))
        except RefusedError as error:
            yield from error.checks
            return
    predictions = candidates[["session", "decided_on", "side"]].join(trained.walk.predictions)
    predictions.attrs = {
        "source": dataset.identity,
        "made_from": inputs.version,
        "folds": chosen.models.folds,
        "tuned": _how_tuned(family, chosen),
        "probabilistic": trained.judgement.probabilistic,
        # Kept with the scores: what trades by them is another trial than one by the settings.
        **({"changes": dict(changes)} if changes else {}),
    }
    facts = {**tracked.metadata, **where, "seconds": _rounded(seconds)}
    yield from _outputs(trained, predictions, chosen, facts, pictures)
    yield from checks


def _outputs(
    trained: Trained,
    predictions: pd.DataFrame,
    chosen: Settings,
    facts: Mapping[str, Any],
    pictures: Mapping[str, bytes],
) -> Iterator[dg.Output[pd.DataFrame]]:
    family = trained.family
    summary = trained.judgement.summary
    yield dg.Output(
        predictions,
        "models",
        metadata={
            "dagster/row_count": len(predictions),
            "scored_out_of_fold": int((predictions["origin"] == OUT_OF_FOLD).sum()),
            "verdict": model_verdict(summary, family),
            **facts,
            "metrics": table(_metrics(summary)),
            "by_fold": table(trained.walk.folds.reset_index()),
            **_tuned_metadata(trained, chosen),
            **{f"{name.removesuffix('.png')}_picture": _picture(name, png) for name, png in pictures.items()},
        },
    )
    trained.importance.attrs = {name: predictions.attrs[name] for name in ("made_from", "folds")}
    yield dg.Output(
        trained.importance,
        "model_importance",
        metadata={"most_important": table(_most_important(trained.importance))},
    )


@dg.asset(
    partitions_def=MODELS,
    ins=taken(MODELS_OF_BOOK, "rule_signals"),
    group_name=groups.MODELS,
    owners=OWNERS,
    kinds={"parquet", "pandas"},
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "signal_replay",
            asset="model_signals",
            blocking=True,
            description="made anew of the candidates decided by a session, the signals up to then are the same",
        )
    ],
)
def model_signals(
    context: dg.AssetExecutionContext,
    rule_signals: pd.DataFrame,
    models: pd.DataFrame,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Candidates whose out-of-fold score passes the threshold, those for the next session included."""
    with user_errors():
        chosen = settings.book(part_and_book(context.partition_key)[1]).settings

        def choose(signals: pd.DataFrame) -> pd.DataFrame:
            return make_model_signals(signals, models.loc[signals.index], require_rules=chosen.models.require_rules)

        frame = make_model_signals(rule_signals, models, require_rules=chosen.models.require_rules)
        findings = check_choice_replay(rule_signals, choose, chosen.seed)
    frame.attrs = dict(models.attrs)
    yield dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "model_signals": int(frame["model_signal"].sum()),
            "next_orders": table(frame[(frame["origin"] == "final") & frame["model_signal"]]),
        },
    )
    yield dg.AssetCheckResult(
        check_name="signal_replay",
        passed=not findings,
        description="; ".join(finding.sentence for finding in findings),
    )


@dg.asset(
    partitions_def=MODELS,
    ins={**taken(MODELS_OF_SYMBOL, "bar_history"), **taken(MODELS_OF_BOOK, "rule_signals")},
    group_name=groups.MODELS,
    owners=OWNERS,
    kinds={"zip", "numba"},
    code_version="2",
    io_manager_key="backtests",
    check_specs=backtest_checks("model_backtest"),
)
def model_backtest(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    model_signals: pd.DataFrame,
    settings: ResearchSettings,
) -> Iterator[dg.Output[Backtests] | dg.AssetCheckResult]:
    """The model's signals traded under the same fills as the rules, and the rules over the same sessions.

    Both begin with the first session that was scored out of fold.
    """
    family, name = part_and_book(context.partition_key)
    strategy = model_strategy(family)
    with user_errors():
        book = settings.book(name)
        book.require_same(bar_history=bar_history, rule_signals=rule_signals)
        first = model_signals.loc[model_signals["origin"] == OUT_OF_FOLD, "session"].min()
        since = bars_from(bar_history, first, book.instrument)
        rules = orders_of(rule_signals[rule_signals["session"] >= first], book.settings.strategy)[RULES]
        hours, account = book.settings.history.hours, book.settings.account_for(book.instrument)
        results = {
            traded: simulate(since, orders, book.instrument, account, hours=hours)
            for traded, orders in ((strategy, model_orders(model_signals)), (RULES_IN_THEIR_TIME, rules))
        }
        replayed = replayed_fills("model_backtest", book, since, model_signals, results, {strategy: model_orders})
    attributes = {**book.made_under("model_backtest"), **model_signals.attrs, "first_session": str(first.date())}
    yield backtest_output(Backtests(results, attributes), book)
    yield from (books_balance("model_backtest", results), replayed)


def _fit_reporter(report: Reporter) -> Callable[[str, Progress], None]:
    def of_fit(fit: str, progress: Progress) -> None:
        stage = f" ({progress.stage})" if progress.stage else ""
        figures = ", ".join(f"{name} {value:.4g}" for name, value in progress.figures.items())
        report(fit, f"{fit.replace('_', ' ')}{stage}: {progress.step} of at most {progress.steps}: {figures}")

    return of_fit


def _tuned(context: dg.AssetExecutionContext, family: str, book: Book, report: Reporter) -> Callable[[], Model] | None:
    """Makes the models of a family that is to be tuned inside each fold; None for any other."""
    chosen = book.settings
    if family not in chosen.tuning.nested:
        return None
    home = vpoc_home()
    store = open_trials(tuning_url(home), home)
    context.log.info(f"{family}: {_how_tuned(family, chosen)}")

    def of_study(progress: StudyProgress) -> None:  # inside a fold; which one that is the study does not know
        report(progress.name, f"tuning, {progress_sentence(progress)}")

    return lambda: nested_model(family, book.dataset, chosen, store, observe=of_study)


def _how_tuned(family: str, chosen: Settings) -> str:
    """How a family's hyperparameters were found; empty where they are the settings' own."""
    if family not in chosen.tuning.nested:
        return ""
    objective = chosen.tuning.objectives_of(StudyTarget.of(family))[0]
    return f"tuned inside each fold: {chosen.tuning.nested_trials} trials by {objective}"


def _tuned_metadata(trained: Trained, chosen: Settings) -> dict[str, Any]:
    how = _how_tuned(trained.family, chosen)
    return {"tuned": how, "hyperparameters": table(hyperparameters_by_fold(trained.walk).reset_index())} if how else {}


def _result(
    trained: Trained,
    inputs: LearningInputs,
    dataset: Dataset,
    chosen: Settings,
    where: Mapping[str, str],
    seconds: float,
    pictures: Mapping[str, bytes],
) -> TrainingResult:
    selection = chosen.models
    parameters = {
        "splits": selection.splits,
        "embargo": selection.embargo,
        "train_size": selection.train_size,
        "threshold": selection.threshold,
        "require_rules": selection.require_rules,
        "weights": selection.weights,
        "tuned": _how_tuned(trained.family, chosen) or "no",
        "instrument": dataset.instrument.symbol,
        **where,
        **{f"strategy.{name}": value for name, value in chosen.rules.flat.items()},
        **{f"account.{name}": value for name, value in chosen.account_for(dataset.instrument).model_dump().items()},
    }
    return training_result(
        trained,
        inputs,
        source=dataset.identity,
        simulated=dataset.simulated,
        parameters=parameters,
        figures={"seconds": seconds},
        headline=_headline(trained),
        plots=pictures,
    )


def _picture(name: str, png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(picture_markdown(png, name))


def _headline(trained: Trained) -> dict[str, str]:
    """The few figures to choose a model by."""
    summary = trained.judgement.summary
    return {
        metric: format_estimate(summary.loc[metric])
        for metric in ("auc_within_folds", "log_loss", "trades_taken", "precision", "net")
    }


def _metrics(summary: pd.DataFrame) -> pd.DataFrame:
    """A row a metric: value and interval as a reader wants them."""
    shown = {"metric": list(summary.index), "value": [format_estimate(row) for _, row in summary.iterrows()]}
    return pd.DataFrame(shown)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _most_important(importance: pd.DataFrame) -> pd.DataFrame:
    ranked = importance_table(importance).reset_index()
    return ranked[ranked["rank"] <= IMPORTANT]
