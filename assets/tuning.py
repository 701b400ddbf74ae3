"""Studies by target and book: searched, remembered, judged by how often was looked, tracked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd
from dagster import DagsterExecutionInterruptedError
from pydantic import Field

from assets import groups
from assets.declared import OWNERS, taken
from assets.models import training_pool_of
from assets.partitions import (
    STUDIES,
    STUDIES_OF_BOOK,
    STUDIES_OF_MODEL,
    STUDIES_OF_SYMBOL,
    part_and_book,
    user_errors,
)
from assets.progress import Reporter
from assets.shown_settings import shown_settings
from assets.tables import table
from pipeline.books import Book
from pipeline.home import vpoc_home
from pipeline.interruption import Interruption, interruptible
from pipeline.modelling import LearningInputs
from pipeline.pictures.png_files import picture_markdown
from pipeline.reports.study_pictures import study_pictures
from pipeline.studies import Study, StudyInputs, prepare_study, study_settings
from pipeline.study_outcome import best_model, study_document, trials_table, write_best
from pipeline.tuning.campaign import progress_sentence, run_campaign
from pipeline.tuning.database import tuning_url
from pipeline.tuning.settings import StudySettings, study_name
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trial_store import open_trials
from pipeline.tuning.trials import Progress, StudyResult
from pipeline.tuning.warm_start import previous_best
from pipeline.tuning.workers import without_remarks
from resources import ComputeDevice, MLflowTracking, PartitionedFrames, ResearchSettings
from resources.mlflow_store import mlflow_errors, open_store, sentence
from resources.mlflow_study_log import StudyFindings, StudyToLog
from resources.model_registry import champion_parameters

__all__ = ["StudyOverrides", "studies"]

LOG_SECONDS = 2.0
BEST_SHOWN = 20
_SHOWN = shown_settings()


class StudyOverrides(dg.Config):
    """How a study differs from ``tuning`` in ``settings.yaml``, for this run only."""

    trials: int = Field(default=_SHOWN.tuning.trials, description="How many trials the study is to have in the end.")
    seconds: float | None = Field(default=_SHOWN.tuning.seconds, description="Ends it earlier, after so many seconds.")
    objectives: list[str] | None = Field(
        default=None, description="What trials are judged by, such as [net, drawdown]; by default the target's own."
    )
    sampler: str = Field(default=_SHOWN.tuning.sampler, description="How values are suggested: tpe, cmaes or random.")
    pruner: str | None = Field(
        default=None,
        description="How poor trials are ended early: hyperband, median or none; by default as in settings.yaml for "
        "models, none for a strategy.",
    )
    patience: int | None = Field(
        default=_SHOWN.tuning.patience, description="Ends it after so many trials without a better one."
    )
    workers: int = Field(default=_SHOWN.tuning.workers, description="Processes that share the study.")
    seed: int = Field(default=_SHOWN.seed, description="Of the sampler.")

    def changes(self) -> dict[str, Any]:
        """Return what differs from the defaults, which are the settings as the page shows them."""
        fields = type(self).model_fields
        return {name: value for name, value in self.model_dump().items() if value != fields[name].default}


@dg.asset(
    ins={
        "models": dg.AssetIn(partition_mapping=STUDIES_OF_MODEL, metadata={"allow_missing_partitions": True}),
        **taken(STUDIES_OF_SYMBOL, "bar_history", "features"),
        **taken(STUDIES_OF_BOOK, "training_set", "candidates", "labels", "sequences"),
    },
    partitions_def=STUDIES,
    group_name=groups.STUDIES,
    owners=OWNERS,
    kinds={"parquet", "optuna", "mlflow"},
    code_version="1",
    pool=training_pool_of(),
)
def studies(
    context: dg.AssetExecutionContext,
    config: StudyOverrides,
    bar_history: pd.DataFrame,
    models: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    features: pd.DataFrame,
    labels: pd.DataFrame,
    sequences: pd.DataFrame,
    volatility_index: pd.DataFrame,
    settings: ResearchSettings,
    compute_device: ComputeDevice,
    mlflow_tracking: MLflowTracking,
) -> dg.Output[pd.DataFrame]:
    """A study's trials: runs its budget, or what is left of it; every trial counts for good."""
    of, name = part_and_book(context.partition_key)
    home = vpoc_home()
    with user_errors():
        target = StudyTarget.of(of)
        book = settings.book(name)
        dataset, chosen = book.dataset, book.settings
        book.require_same(bar_history=bar_history)
        if target.kind in ("model", "scored"):  # the others make their frames of the bars, trial by trial
            book.require_same(
                candidates=candidates,
                features=features,
                labels=labels,
                sequences=sequences,
                training_set=training_set,
            )
        compute = compute_device.choose(chosen.compute)
        overrides = config.changes()
        workers = overrides.pop("workers", chosen.tuning.workers)
        how = study_settings(target, chosen, **overrides)
        inputs = StudyInputs(
            dataset,
            bar_history,
            LearningInputs.of(training_set, candidates, features, labels, sequences, source=dataset.identity),
            _scores(models, target),
            volatility_index if len(volatility_index) else None,
            book="" if name == dataset.key else name,
        )
        study = prepare_study(target, inputs, chosen, how.objectives, home, compute=compute)
        store = open_trials(tuning_url(home), home)
        begun_with = [
            study.present,
            study.around(_champion(context, target, name)),
            previous_best(store.ledger, study.subject, study.judge.space, how.objectives),
        ]
        tell = _reporter(context)
        with mlflow_tracking.study(context, _to_log(study, how, book, workers)) as tracked:
            with _interruptible() as interruption, without_remarks():

                def observe(progress: Progress) -> None:
                    tell(progress)
                    tracked.observe(progress)
                    interruption.look()

                campaign = run_campaign(
                    study.subject,
                    study.judge,
                    how,
                    store,
                    enqueue=[params for params in begun_with if params is not None],
                    observe=observe,
                    workers=workers,
                )
            result = campaign.result
            document = study_document(study, campaign, chosen)
            pictures = _pictures(study, result, book)
            model = best_model(study, result.best.params, compute)
            folder = write_best(study, model, document, pictures)
            tracked.keep(StudyFindings.of(campaign, plots=pictures, model=folder))
    frame = trials_table(result)
    frame.attrs = {"source": dataset.identity, "document": document, "folder": str(study.folder)}
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "study": result.name,
            "stopped": result.stopped,
            **{f"trials_{state}": count for state, count in document["trials"].items()},
            **document["best"]["values"],
            "best": dg.MetadataValue.json(document["best"]),
            "settings": dg.MetadataValue.json(document["settings"]),
            "remarks": " ".join(document["remarks"]) or "none",
            "looks": campaign.looks.count,
            "looked": document["said"],
            **_statistics(document),
            "best_trials": table(_best_trials(frame, result)),
            **{f"{name.removesuffix('.png')}_picture": _picture(name, png) for name, png in pictures.items()},
            "folder": dg.MetadataValue.path(str(study.folder)),
            **tracked.metadata,
        },
    )


@contextmanager
def _interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C, and the stop button of Dagster's page, end a study instead of the step: what it found is kept.

    Before a trial is complete there is nothing to keep, and the step is interrupted as any other.
    """
    try:
        with interruptible() as interruption:
            yield interruption
    except KeyboardInterrupt as stop:
        raise DagsterExecutionInterruptedError from stop


def _scores(models: PartitionedFrames, target: StudyTarget) -> pd.DataFrame | None:
    """The family's scores, which only a study that trades by them needs."""
    if target.kind != "scored":
        return None
    return next((frame for key, frame in models.items() if part_and_book(key)[0] == target.family), None)


def _champion(context: dg.AssetExecutionContext, target: StudyTarget, book: str) -> dict[str, Any] | None:
    """Hyperparameters of the registered champion; None without one, or where MLflow is unreachable."""
    if target.family is None or target.kind == "scored":
        return None
    try:
        return champion_parameters(open_store(vpoc_home()), book, target.family)
    except mlflow_errors() as error:
        context.log.info(f"{sentence(error)}: the study begins without the champion's parameters")
        return None


def _to_log(study: Study, how: StudySettings, book: Book, workers: int) -> StudyToLog:
    subject, space = study.subject, study.judge.space
    return StudyToLog(
        book.name,
        subject.target,
        study_name(subject.study, space, how),
        subject.version,
        book.dataset.identity,
        how,
        space,
        simulated=book.dataset.simulated,
        parameters={"workers": workers, "first": f"{subject.first:%F}", "last": f"{subject.last:%F}"},
    )


def _reporter(context: dg.AssetExecutionContext) -> Callable[[Progress], None]:
    """Report a study's progress, and its first failed trial as a warning."""
    report, failed = Reporter(context, LOG_SECONDS), False

    def of_study(progress: Progress) -> None:
        nonlocal failed
        if progress.last.error is not None and not failed:
            failed = True
            context.log.warning(f"trial {progress.last.position} failed: {progress.last.error}")
        ended = progress.complete + progress.pruned + progress.failed >= progress.trials
        # The longer it takes, the seldomer: some hundred lines in any study.
        seldom = 0.0 if ended else max(LOG_SECONDS, progress.seconds / 100)
        report(progress.name, progress_sentence(progress), seconds=seldom)

    return of_study


def _pictures(study: Study, result: StudyResult, book: Book) -> dict[str, bytes]:
    rows = [
        {
            "number": trial.position,
            "state": trial.state,
            "values": trial.values or (),  # noqa: PD011 (no frame)
            "params": trial.params,
            "seconds": trial.seconds,
        }
        for trial in result.trials
    ]
    objectives = dict(zip(result.objectives, result.directions, strict=True))
    return study_pictures(pd.DataFrame(rows), objectives, f"{book.title} {study.subject.target}")


def _picture(name: str, png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(picture_markdown(png, name))


def _statistics(document: dict[str, Any]) -> dict[str, float]:
    named = {name: document[name] for name in ("deflated_sharpe_ratio", "probability_of_overfitting")}
    return {name: value for name, value in named.items() if value is not None}


def _best_trials(frame: pd.DataFrame, result: StudyResult) -> pd.DataFrame:
    complete = frame[frame["state"] == "complete"].drop(columns=["state", "error"])
    first = result.objectives[0]
    return complete.sort_values(first, ascending=result.directions[0] == "minimize", kind="stable").head(BEST_SHOWN)
