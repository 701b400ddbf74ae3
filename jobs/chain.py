"""The whole chain for one symbol: ingest of all its months, research, models, studies, judgement; with progress."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterExecutionInterruptedError, DagsterInstance

from assets.partitions import MONTHS, RANGE_END_TAG, RANGE_START_TAG, grid_key, model_key, study_key
from jobs.dagster_internals import quiet_instance, shown_on_the_page
from jobs.processes import close_dead_runs, process_tag
from jobs.progress import Observer, StepEvent, expected_seconds, observed
from pipeline.environment import make_tracking_store
from pipeline.errors import ChainError, DataError
from pipeline.fresh_processes import FreshProcess, warm_up
from pipeline.home import Home, vpoc_home
from pipeline.learning.models import TrainingRows
from pipeline.learning.walk_forward import too_few_rows
from pipeline.market.months import trade_months
from pipeline.outside import sentence_of_words
from pipeline.settings import ModelSelection, load_settings
from pipeline.tuning.targets import STRATEGY
from resources import BarSource

__all__ = ["months_to_make", "run_chain", "run_study", "train_families", "train_family"]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LONGEST = 400


@dataclass(frozen=True)
class _Chain:
    """Jobs of one symbol, each a Dagster run that is observed.

    Attributes
    ----------
    definitions
        The project's.
    symbol
        A dataset key, ``ES`` or ``ES-SIM``.
    instance
        Where the runs are kept.
    observe
        Called with the plan first, then from another thread as steps start and finish.
    """

    definitions: dg.Definitions
    symbol: str
    instance: DagsterInstance
    observe: Observer

    def plan(self, *jobs: tuple[str, str]) -> None:
        """Tell the steps of jobs, each with the family or target that it is for."""
        steps: dict[str, float] = {}
        for job, of in jobs:
            steps |= expected_seconds(self.definitions, job, self._partition(job, of), self.instance, of)
        self.observe(StepEvent("", "planned", plan=steps))

    def run(
        self,
        job: str,
        of: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, object] | None = None,
    ) -> str:
        """Run a job and return the Dagster run's id; its steps are reported as ``<step> <family or target>``."""
        run_id = str(uuid.uuid4())
        shown_on_the_page(self.instance, job)
        try:
            with observed(self.instance, run_id, self.observe, of):
                result = self.definitions.resolve_job_def(job).execute_in_process(
                    instance=self.instance,
                    run_id=run_id,
                    run_config={**QUIET, **(config or {})},
                    partition_key=self._partition(job, of),
                    tags={**process_tag(run_id), **(tags or {})},
                    raise_on_error=False,
                )
        except DagsterExecutionInterruptedError as stop:
            raise KeyboardInterrupt from stop
        if not result.success:
            if _interrupted(result):
                raise KeyboardInterrupt
            raise ChainError(_why(result))
        return run_id

    def tune(self, target: str, overrides: Mapping[str, object] | None = None) -> str:
        """Run a study, or resume it; ``overrides`` are fields of :class:`assets.tuning.StudyOverrides`."""
        return self.run("tune", target, config={"ops": {"studies": {"config": dict(overrides or {})}}})

    def _partition(self, job: str, of: str) -> str | None:
        if job == "ingest":
            return None  # its tags name a range of months
        keys = {"train": model_key, "tune": study_key}
        return str(keys[job](of, self.symbol)) if job in keys else self.symbol


@contextmanager
def _chain(definitions: dg.Definitions, symbol: str, observe: Observer) -> Iterator[_Chain]:
    """Open the home's instance, runs of killed processes closed."""
    with quiet_instance() as instance:
        close_dead_runs(instance)
        yield _Chain(definitions, symbol, instance, observe)


def run_chain(definitions: dg.Definitions, symbol: str, home: Home, observe: Observer) -> Mapping[str, str]:
    """Materialize every asset of a symbol.

    Parameters
    ----------
    definitions, symbol, observe
        The project's; a dataset key, ``ES`` or ``ES-SIM``; told the plan first, then, from another thread, the steps.
    home
        Where the results lie.

    Returns
    -------
    Mapping
        Job name → Dagster run id.

    Raises
    ------
    ChainError
        If a step failed: with the step's own message.
    PipelineError
        If the bars can't be read.
    """
    settings = load_settings(home)
    selection, targets = settings.models, settings.tuning.targets
    learns = selection.families or set(targets) - {STRATEGY}
    if learns:
        warm_up()
    months = months_to_make(symbol, home)
    with ExitStack() as stack:
        chain = stack.enter_context(_chain(definitions, symbol, observe))
        if learns:
            # Tables that take seconds to make are there when the first training asks for them.
            stack.enter_context(closing(FreshProcess(make_tracking_store, home)))

        def plan(families: Sequence[str], targets: Sequence[str]) -> None:
            learning = [*(("train", family) for family in families), *(("tune", target) for target in targets)]
            chain.plan(("ingest", ""), ("research", ""), *learning, ("judge", ""))

        plan(selection.families, targets)
        first, last = grid_key(months[0], symbol), grid_key(months[-1], symbol)
        runs = {"ingest": chain.run("ingest", tags={RANGE_START_TAG: str(first), RANGE_END_TAG: str(last)})}
        runs["research"] = chain.run("research")
        why_not = _untrainable(definitions, symbol, chain.instance, selection) if learns else None
        if why_not is not None:
            observe(StepEvent("models", "told", f"no models: {why_not}"))
            targets = tuple(target for target in targets if target == STRATEGY)
            plan((), targets)
        for family in selection.families if why_not is None else ():
            runs[f"train {family}"] = chain.run("train", family)
        # After the models: a study may trade by their scores.
        failed: ChainError | None = None
        for target in targets:
            try:
                runs[f"tune {target}"] = chain.tune(target)
            except ChainError as error:  # the backtests are judged all the same
                failed = failed or ChainError(f"the study {target} failed: {error}")
        runs["judge"] = chain.run("judge")
        if failed is not None:
            raise failed
    return runs


def train_families(
    definitions: dg.Definitions, symbol: str, families: Sequence[str], observe: Observer
) -> Mapping[str, str]:
    """Train model families on what the chain made of a symbol before, then judge it again; see :func:`run_chain`.

    Raises
    ------
    ChainError
        If a step failed, or the symbol's training set has not been made: with the step's own message.
    """
    with _chain(definitions, symbol, observe) as chain:
        chain.plan(*(("train", family) for family in families), ("judge", ""))
        runs = {f"train {family}": chain.run("train", family) for family in families}
        runs["judge"] = chain.run("judge")
    return runs


def train_family(
    definitions: dg.Definitions, symbol: str, family: str, instance: DagsterInstance, observe: Observer
) -> str:
    """Train one model family of a symbol on an open instance and return the Dagster run's id; see :func:`run_chain`."""
    return _Chain(definitions, symbol, instance, observe).run("train", family)


def run_study(
    definitions: dg.Definitions, symbol: str, target: str, overrides: Mapping[str, object], observe: Observer
) -> str:
    """Run a study on what the chain made of a symbol before, or resume it, and return the Dagster run's id.

    Parameters
    ----------
    overrides
        What is otherwise than in the settings: fields of :class:`assets.tuning.StudyOverrides`.
    """
    with _chain(definitions, symbol, observe) as chain:
        chain.plan(("tune", target))
        return chain.tune(target, overrides)


def _untrainable(
    definitions: dg.Definitions, symbol: str, instance: DagsterInstance, selection: ModelSelection
) -> str | None:
    """Say why there is too little to train on; the chain does not fail, its report is made without models."""
    loader = definitions.get_asset_value_loader(instance)
    rows = TrainingRows.from_training_set(loader.load_asset_value("training_set", partition_key=symbol))
    return too_few_rows(rows, selection.splitter())


def months_to_make(symbol: str, home: Home) -> list[str]:
    """Months of the source's bars, and those made before from another source, which are made again.

    Without the second kind, months that the present source does not have would keep another one's bars.
    """
    source = BarSource()
    dataset = source.dataset(symbol)
    raw = source.read(symbol).frame
    if raw["timestamp"].notna().sum() == 0:
        raise DataError(f"{dataset.identity} holds no bars: give a file with at least one row that has a time")
    present = {str(month) for month in trade_months(raw["timestamp"], dataset.instrument)}
    made = {path.stem for path in (home.assets / "bars" / symbol).glob("*.parquet")}
    known = MONTHS.get_partition_keys()
    first, last = min(present), max(present)
    if first < known[0] or last > known[-1]:
        raise DataError(
            f"{dataset.identity} has bars from {first} to {last}, but months from {known[0]} to {known[-1]} "
            "are kept: set VPOC_FIRST_MONTH for an earlier start, and check the times if they are in the future"
        )
    return sorted(present | made & set(known))


def _interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Return True if a step was stopped by Ctrl-C, which Dagster reports as a failure."""
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error is not None and error.cls_name == DagsterExecutionInterruptedError.__name__ for error in errors)


def _why(result: dg.ExecuteInProcessResult) -> str:
    """The words of the checks that stopped it, or of the first failed step; its traceback is in Dagster's page."""
    stopped = []
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                name = f"{check.asset_key.to_user_string()}.{check.check_name}"
                stopped.append(f"the check {name} stopped the run: {check.description or 'it did not pass'}")
    if stopped:
        return "; ".join(stopped)
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                return str(failure.user_failure_data.description)
            error = failure.error.cause if failure.error and failure.error.cause else failure.error
            message = " ".join(error.message.split()) if error else "no reason given"
            if (fault := sentence_of_words(message, vpoc_home())) is not None:
                return fault
            if len(message) > LONGEST:
                message = f"{message[:LONGEST]}… ('vpoc ui' shows all of it)"
            return f"step {event.step_key} failed: {message}"
    return "the run failed; Dagster's page shows its events ('vpoc ui')"
