"""The whole chain for one symbol: ingest of all its months, research, models, studies, judgement; with progress."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

import dagster as dg
from dagster import DagsterExecutionInterruptedError, DagsterInstance

from assets.partitions import MONTHS, RANGE_END_TAG, RANGE_START_TAG, grid_key, model_key, study_key
from jobs.processes import close_dead_runs, process_tag
from jobs.progress import Observer, StepEvent, expected_seconds, observed
from pipeline.dagster_internals import quiet_instance, shown_on_the_page
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

__all__ = [
    "months_to_make",
    "run_chain",
    "run_study",
    "train_families",
    "train_family",
    "tune_target",
]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LONGEST = 400


def run_chain(definitions: dg.Definitions, symbol: str, home: Home, observe: Observer) -> Mapping[str, str]:
    """Materialize every asset of a symbol.

    Parameters
    ----------
    definitions
        The project's.
    symbol
        A dataset key, ``ES`` or ``ES-SIM``.
    home
        Where the results lie.
    observe
        Called with the plan first, then from another thread as steps start and finish.

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
    warm_up()
    months = months_to_make(symbol, home)
    # Tables that take seconds to make are there when the first training asks for them.
    store = FreshProcess(make_tracking_store, home)
    with closing(store), quiet_instance() as instance:
        close_dead_runs(instance)
        settings = load_settings(home)
        selection = settings.models

        def plan(families: Sequence[str], targets: Sequence[str]) -> None:
            trainings = [("train", str(model_key(family, symbol)), family) for family in families]
            studies = [("tune", str(study_key(target, symbol)), target) for target in targets]
            jobs = [("ingest", None, ""), ("research", symbol, ""), *trainings, *studies, ("judge", symbol, "")]
            observe(_plan(definitions, instance, jobs))

        plan(selection.families, settings.tuning.targets)
        first, last = grid_key(months[0], symbol), grid_key(months[-1], symbol)
        ingest_tags = {RANGE_START_TAG: str(first), RANGE_END_TAG: str(last)}
        runs = {"ingest": _execute(definitions, "ingest", instance, observe, tags=ingest_tags)}
        runs["research"] = _execute(definitions, "research", instance, observe, partition_key=symbol)
        learns = selection.families or set(settings.tuning.targets) - {STRATEGY}
        why_not = _untrainable(definitions, symbol, instance, selection) if learns else None
        if why_not is not None:
            observe(StepEvent("models", "told", f"no models: {why_not}"))
            plan((), [target for target in settings.tuning.targets if target == STRATEGY])
        for family in selection.families if why_not is None else ():
            runs[f"train {family}"] = train_family(definitions, symbol, family, instance, observe)
        # After the models: a study may trade by their scores.
        failed: ChainError | None = None
        for target in settings.tuning.targets:
            if why_not is not None and target != STRATEGY:
                continue
            try:
                runs[f"tune {target}"] = tune_target(definitions, symbol, target, instance, observe)
            except ChainError as error:  # the backtests are judged all the same
                failed = failed or ChainError(f"the study {target} failed: {error}")
        runs["judge"] = _execute(definitions, "judge", instance, observe, partition_key=symbol)
        if failed is not None:
            raise failed
    return runs


def train_families(
    definitions: dg.Definitions,
    symbol: str,
    families: Iterable[str],
    home: Home,
    observe: Observer,
) -> Mapping[str, str]:
    """Train model families on what the chain made of a symbol before, then judge it again.

    Returns
    -------
    Mapping
        As of :func:`run_chain`.

    Raises
    ------
    ChainError
        If a step failed, or the symbol's training set has not been made: with the step's own message.
    """
    with quiet_instance() as instance:
        close_dead_runs(instance)
        families = list(families)
        trainings = [("train", str(model_key(family, symbol)), family) for family in families]
        observe(_plan(definitions, instance, [*trainings, ("judge", symbol, "")]))
        runs = {f"train {one}": train_family(definitions, symbol, one, instance, observe) for one in families}
        runs["judge"] = _execute(definitions, "judge", instance, observe, partition_key=symbol)
    return runs


def train_family(
    definitions: dg.Definitions,
    symbol: str,
    family: str,
    instance: DagsterInstance,
    observe: Observer,
) -> str:
    """Train one model family of a symbol, as a Dagster run; its steps are reported as ``<step> <family>``.

    Returns
    -------
    str
        The Dagster run's id.

    Raises
    ------
    ChainError
        If a step failed: with the step's own message.
    """
    return _execute(
        definitions,
        "train",
        instance,
        observe,
        of=family,
        partition_key=str(model_key(family, symbol)),
    )


def tune_target(
    definitions: dg.Definitions,
    symbol: str,
    target: str,
    instance: DagsterInstance,
    observe: Observer,
    overrides: Mapping[str, object] | None = None,
) -> str:
    """Run a study of a symbol, or resume it, as a Dagster run; its steps are reported as ``<step> <target>``.

    Parameters
    ----------
    overrides
        What is otherwise than in the settings: fields of :class:`assets.tuning.StudyOverrides`.

    Returns
    -------
    str
        The Dagster run's id.

    Raises
    ------
    ChainError
        If a step failed: with the step's own message.
    """
    return _execute(
        definitions,
        "tune",
        instance,
        observe,
        of=target,
        partition_key=str(study_key(target, symbol)),
        config={"ops": {"studies": {"config": dict(overrides or {})}}},
    )


def run_study(
    definitions: dg.Definitions,
    symbol: str,
    target: str,
    overrides: Mapping[str, object],
    observe: Observer,
) -> str:
    """Run a study on what the chain made of a symbol before; see :func:`tune_target`."""
    with quiet_instance() as instance:
        close_dead_runs(instance)
        observe(_plan(definitions, instance, [("tune", str(study_key(target, symbol)), target)]))
        return tune_target(definitions, symbol, target, instance, observe, overrides)


def _plan(
    definitions: dg.Definitions, instance: DagsterInstance, jobs: Iterable[tuple[str, str | None, str]]
) -> StepEvent:
    """Plan jobs, given by name, partition and the family or target that they are for."""
    steps: dict[str, float] = {}
    for job, partition_key, of in jobs:
        steps |= expected_seconds(definitions, job, partition_key, instance, of)
    return StepEvent("", "planned", plan=steps)


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


def _execute(
    definitions: dg.Definitions,
    name: str,
    instance: DagsterInstance,
    observe: Observer,
    *,
    of: str = "",
    partition_key: str | None = None,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, object] | None = None,
) -> str:
    job = definitions.resolve_job_def(name)
    run_id = str(uuid.uuid4())
    shown_on_the_page(instance, name)
    try:
        with observed(instance, run_id, observe, of):
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config={**QUIET, **(config or {})},
                partition_key=partition_key,
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
