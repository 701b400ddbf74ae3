"""MLflow: a tracked run for each Dagster run and symbol, and one for each training, found again by their tags.

``dagster-mlflow`` holds pandas below 3 and keeps its run in the process; here a run is looked up by tags
(Dagster run, symbol), so that another step, a retry or another process reopens the same one. Where MLflow is
unreachable nothing waits for it: the work goes on, and a training's record waits in the home.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

import dagster as dg

from pipeline.home import vpoc_home
from resources.mlflow_limits import milliseconds
from resources.mlflow_store import mlflow_errors, open_store, sentence
from resources.mlflow_studies import TrackedStudy
from resources.mlflow_study_log import StudyToLog
from resources.mlflow_system import SystemMetrics
from resources.model_registry import FAMILY_TAG, KIND_TAG, SYMBOL_TAG, TRAINING
from resources.tracked_run import DAGSTER_RUN_TAG, TrackedRun, close_dead, dagster_tags, opened
from resources.tracked_training import TrackedTraining

__all__ = ["MLflowTracking", "TrackedRun", "TrackedStudy", "TrackedTraining"]

RESEARCH = "research"


class MLflowTracking(dg.ConfigurableResource):
    """MLflow's tracking store: SQLite in the home, or the URL in ``MLFLOW_TRACKING_URI``."""

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, symbol: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        """Open the MLflow run of this Dagster run and symbol: made at first, reopened afterwards.

        It ends ``FINISHED``, or ``FAILED`` where the body raises. Where MLflow is unreachable, a warning says so and
        nothing is recorded.
        """
        own = {KIND_TAG: RESEARCH, DAGSTER_RUN_TAG: context.run.run_id, SYMBOL_TAG: symbol}
        try:
            store = open_store(vpoc_home())
            experiment_id = store.experiment(symbol)
            found = store.find_runs(experiment_id, own)
            name = f"{context.job_name} {context.run.run_id[:8]}"
            run_id = opened(store, experiment_id, found[0] if found else None, name, {**own, **(tags or {})})
        except mlflow_errors() as error:
            context.log.warning(f"{sentence(error)}: this run's figures are not recorded there")
            yield TrackedRun()
            return
        run = TrackedRun(store, run_id)
        with _failure_told(run):
            yield run
        store.client.set_terminated(run_id, status="FINISHED")

    def add_to_training(
        self,
        context: dg.AssetExecutionContext,
        symbol: str,
        family: str,
        version: str,
        metrics: Mapping[str, float],
        headline: Mapping[str, str],
    ) -> None:
        """Add to a training's run what was found out about its model afterwards: how its backtest went.

        It is the run of the family's newest finished training on data of that version
        (:func:`pipeline.modelling.learning_version`). Where MLflow is unreachable, or the training's record still waits
        for it, nothing is added.
        """
        own = {KIND_TAG: TRAINING, FAMILY_TAG: family, "vpoc.data_version": version}
        try:
            store = open_store(vpoc_home())
            experiment_id = store.experiment(symbol)
            finished = [run for run in store.find_runs(experiment_id, own) if run.info.status == "FINISHED"]
            if finished:
                run = TrackedRun(store, str(finished[0].info.run_id))
                # Of two values at one time MLflow would show the larger, not the later.
                run.log_metrics(metrics, milliseconds(dt.datetime.now(tz=dt.UTC)))
                run.log_headline(headline)
        except mlflow_errors() as error:
            context.log.info(f"{sentence(error)}: the training of {family} is shown without its backtest")

    @contextmanager
    def training(
        self,
        context: dg.AssetExecutionContext,
        symbol: str,
        family: str,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[TrackedTraining]:
        """Open the MLflow run of this training: of this Dagster run, asset and partition.

        A step that Dagster tries again, and a run that it tries again from one that failed, reopen the same run. While
        the body runs, MLflow's system metrics are sampled. The run ends ``FINISHED``, or ``FAILED`` where the body
        raises, with what failed in the tag ``vpoc.failure``. Where MLflow is unreachable the body runs all the same,
        and :meth:`TrackedTraining.keep` keeps what it made and warns.
        """
        training = TrackedTraining.of(context, symbol, family, tags)
        try:
            training.begin(context)
        except mlflow_errors() as error:
            training.store = None
            # No warning yet: it may be back when the training ends.
            context.log.info(f"{sentence(error)}: the training goes on, and is kept in {training.home.models}")
        with _failure_told(training), _system_metrics(training):
            yield training
        if training.record is None and training.store is not None:
            with suppress(*mlflow_errors()):
                training.store.client.set_terminated(training.run_id, status="FINISHED")

    @contextmanager
    def study(self, context: dg.AssetExecutionContext, study: StudyToLog) -> Iterator[TrackedStudy]:
        """Open the MLflow run of a study: made when the study is, reopened each time that it goes on.

        :meth:`TrackedStudy.observe` shows the trials while it runs, :meth:`TrackedStudy.keep` logs it whole. The run
        ends ``FINISHED``, or ``FAILED`` where the body raises, with what failed in the tag ``vpoc.failure``. Where
        MLflow is unreachable the study goes on untouched: it lies in its own database, and its next run logs all of it.
        """
        tags = dagster_tags(context)
        tracked = TrackedStudy(replace(study, tags={**study.tags, **tags}), vpoc_home(), context.log)
        try:
            store = open_store(tracked.home)
            close_dead(store, store.experiment(study.symbol, studies=True), context.instance)
            tracked.begin(store)
        except mlflow_errors() as error:
            tracked.store = None
            # No warning yet: it may be back when the study ends.
            context.log.info(f"{sentence(error)}: the study goes on, and is kept in its own database")
        with _failure_told(tracked):
            yield tracked
        if tracked.logged is None and tracked.store is not None:
            with suppress(*mlflow_errors()):
                tracked.store.client.set_terminated(tracked.run_id, status="FINISHED")


@contextmanager
def _system_metrics(training: TrackedTraining) -> Iterator[None]:
    """Sample them while the body runs, where the training has a run."""
    if training.store is None or training.run_id is None:
        yield
        return
    system = SystemMetrics(training.store, training.run_id)
    try:
        yield
    finally:
        system.end(training.store)


@contextmanager
def _failure_told(run: TrackedRun | TrackedStudy | TrackedTraining) -> Iterator[None]:
    """End a run ``FAILED`` where the body raises, with what failed in the tag ``vpoc.failure``."""
    try:
        yield
    except BaseException as error:
        if run.store is not None and run.run_id is not None:
            run.store.end_failed(run.run_id, error)
        raise
