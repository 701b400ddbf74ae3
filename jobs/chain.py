"""The whole chain for one symbol: ingest of all its months, research, models, studies, judgement; with progress."""

import logging
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import SQLAlchemyError

from assets.partitions import MONTHS, RANGE_END_TAG, RANGE_START_TAG, grid_key, model_key, study_key
from jobs.processes import close_dead_runs, process_tag
from pipeline.errors import DataError
from pipeline.home import Home, vpoc_home
from pipeline.learning.models import TrainingRows
from pipeline.learning.walk_forward import too_few_rows
from pipeline.market.months import trade_months
from pipeline.outside import sentence_of_words
from pipeline.settings import ModelSelection, load_settings
from pipeline.tuning.targets import STRATEGY
from resources import BarSource

__all__ = [
    "ChainError",
    "StepEvent",
    "months_to_make",
    "quiet_instance",
    "run_chain",
    "run_study",
    "train_families",
    "train_family",
    "tune_target",
]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
POLL_SECONDS = 0.1
LONGEST = 400
# Dagster's own words for a step that waits for its place in a pool.
BLOCKED = "Step blocked by limit for pool "
# What a training logs of its progress: which fit, and how far it is.
FIT_MESSAGE = re.compile(r"(fold \d+|final)\b[^:]*: \d+ of at most \d+")
# And of a study, one inside a fold too.
STUDY_MESSAGE = re.compile(r"(tuning, )?trials: [\d,]+ of at most .*")
# Checks whose words are told though they passed: what became of the rows, and what a model learned from.
TELLING_CHECKS = ("accounting", "out_of_fold")


class ChainError(Exception):
    """A step failed; the text is what the step said."""


@dataclass(frozen=True)
class StepEvent:
    """Something a run did.

    Attributes
    ----------
    step
        The step's name.
    kind
        ``started``, ``going`` (how far a training is), ``finished``, ``check`` (an asset check that did not pass),
        ``warned`` (what went otherwise than it should), or ``told`` (what became of the rows, or of the models).
    text
        What a check or a warning says, or how far it is.
    """

    step: str
    kind: Literal["started", "going", "finished", "check", "warned", "told"]
    text: str = ""


def run_chain(
    definitions: dg.Definitions, symbol: str, home: Home, observe: Callable[[StepEvent], None]
) -> Mapping[str, str]:
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
        Called from another thread as steps start and finish.

    Returns
    -------
    Mapping
        Job name → Dagster run id.

    Raises
    ------
    ChainError
        If a step failed: says what it said.
    PipelineError
        If the bars can't be read.
    """
    months = months_to_make(symbol, home)
    with quiet_instance() as instance:
        close_dead_runs(instance)
        first, last = grid_key(months[0], symbol), grid_key(months[-1], symbol)
        ingest_tags = {RANGE_START_TAG: str(first), RANGE_END_TAG: str(last)}
        runs = {"ingest": _execute(definitions, "ingest", instance, observe, tags=ingest_tags)}
        runs["research"] = _execute(definitions, "research", instance, observe, partition_key=symbol)
        settings = load_settings(home)
        selection = settings.models
        learns = selection.families or set(settings.tuning.targets) - {STRATEGY}
        why_not = _untrainable(definitions, symbol, instance, selection) if learns else None
        if why_not is not None:
            observe(StepEvent("models", "told", f"no models: {why_not}"))
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
    observe: Callable[[StepEvent], None],
) -> Mapping[str, str]:
    """Train model families on what the chain made of a symbol before, then judge it anew.

    Returns
    -------
    Mapping
        As of :func:`run_chain`.

    Raises
    ------
    ChainError
        If a step failed, or the symbol's training set has not been made: says what it said.
    """
    with quiet_instance() as instance:
        close_dead_runs(instance)
        runs = {f"train {one}": train_family(definitions, symbol, one, instance, observe) for one in families}
        runs["judge"] = _execute(definitions, "judge", instance, observe, partition_key=symbol)
    return runs


def train_family(
    definitions: dg.Definitions,
    symbol: str,
    family: str,
    instance: DagsterInstance,
    observe: Callable[[StepEvent], None],
) -> str:
    """Train one model family of a symbol, as a Dagster run; its steps are told as ``<step> <family>``.

    Returns
    -------
    str
        The Dagster run's id.

    Raises
    ------
    ChainError
        If a step failed: says what it said.
    """
    return _execute(
        definitions,
        "train",
        instance,
        lambda event: observe(replace(event, step=f"{event.step} {family}")),
        partition_key=str(model_key(family, symbol)),
    )


def tune_target(
    definitions: dg.Definitions,
    symbol: str,
    target: str,
    instance: DagsterInstance,
    observe: Callable[[StepEvent], None],
    overrides: Mapping[str, object] | None = None,
) -> str:
    """Run a study of a symbol, or go on with it, as a Dagster run; its steps are told as ``<step> <target>``.

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
        If a step failed: says what it said.
    """
    return _execute(
        definitions,
        "tune",
        instance,
        lambda event: observe(replace(event, step=f"{event.step} {target}")),
        partition_key=str(study_key(target, symbol)),
        config={"ops": {"studies": {"config": dict(overrides or {})}}},
    )


def run_study(
    definitions: dg.Definitions,
    symbol: str,
    target: str,
    overrides: Mapping[str, object],
    observe: Callable[[StepEvent], None],
) -> str:
    """Run a study on what the chain made of a symbol before; see :func:`tune_target`."""
    with quiet_instance() as instance:
        close_dead_runs(instance)
        return tune_target(definitions, symbol, target, instance, observe, overrides)


def _untrainable(
    definitions: dg.Definitions, symbol: str, instance: DagsterInstance, selection: ModelSelection
) -> str | None:
    """Why there is too little to train on, which is no failure of the chain: the report is made without models."""
    loader = definitions.get_asset_value_loader(instance)
    rows = TrainingRows.from_training_set(loader.load_asset_value("training_set", partition_key=symbol))
    return too_few_rows(rows, selection.splitter())


def months_to_make(symbol: str, home: Home) -> list[str]:
    """Months of the source's bars, and those made before from another source, which are made anew.

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
            "are kept: set VPOC_FIRST_MONTH for an earlier start, and check the times if they lie ahead"
        )
    return sorted(present | made & set(known))


def quiet_instance() -> DagsterInstance:
    """The home's instance, but for its capture of each step's output.

    That takes four processes a step: seconds over a chain, and on Ctrl-C each of them shows a traceback.
    """
    folder = os.environ["DAGSTER_HOME"]
    return DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides={"compute_logs": NO_CAPTURE}))


def _execute(
    definitions: dg.Definitions,
    name: str,
    instance: DagsterInstance,
    observe: Callable[[StepEvent], None],
    *,
    partition_key: str | None = None,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, object] | None = None,
) -> str:
    job = definitions.resolve_job_def(name)
    run_id = str(uuid.uuid4())
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(instance, run_id, observe, done), daemon=True)
    watcher.start()
    try:
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
    finally:
        done.set()
        watcher.join()
    if not result.success:
        if _interrupted(result):
            raise KeyboardInterrupt
        raise ChainError(_why(result))
    return run_id


def _watch(instance: DagsterInstance, run_id: str, observe: Callable[[StepEvent], None], done: threading.Event) -> None:
    cursor: str | None = None
    last_look = False
    while not last_look:
        last_look = done.wait(POLL_SECONDS)
        while True:
            try:
                page = instance.get_records_for_run(run_id, cursor=cursor, limit=1000)
            except (SQLAlchemyError, OSError):  # whoever does the run meets it too, and tells
                return
            cursor = page.cursor
            for record in page.records:
                if (event := _step_event(record.event_log_entry)) is not None:
                    observe(event)
            if not page.has_more:
                break


def _step_event(entry: dg.EventLogEntry) -> StepEvent | None:
    event = entry.dagster_event
    if event is None:
        return _logged(entry)
    if event.step_key is None:
        return None
    if event.event_type == DagsterEventType.ENGINE_EVENT and (event.message or "").startswith(BLOCKED):
        pool = str(event.message).removeprefix(BLOCKED)
        return StepEvent(event.step_key, "warned", f"waiting for what runs in the pool {pool}")
    if event.event_type == DagsterEventType.STEP_START:
        return StepEvent(event.step_key, "started")
    if event.event_type == DagsterEventType.STEP_SUCCESS:
        return StepEvent(event.step_key, "finished")
    if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            name = f"{check.asset_key.to_user_string()}.{check.check_name}"
            return StepEvent(event.step_key, "check", f"{name}: {check.description or 'did not pass'}")
        if check.check_name in TELLING_CHECKS:
            return StepEvent(event.step_key, "told", check.description or "")
    return None


def _logged(entry: dg.EventLogEntry) -> StepEvent | None:
    """How far a training is, or a warning of a step."""
    if entry.step_key is None:
        return None
    if entry.level == logging.WARNING:  # errors, and what they keep from being done, are told when the run has failed
        return StepEvent(entry.step_key, "warned", entry.user_message)
    said = STUDY_MESSAGE.match(entry.user_message) or FIT_MESSAGE.match(entry.user_message)
    return StepEvent(entry.step_key, "going", said[0]) if said else None


def _interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether a step was stopped by Ctrl-C, which Dagster makes a failure of it."""
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error is not None and error.cls_name == DagsterExecutionInterruptedError.__name__ for error in errors)


def _why(result: dg.ExecuteInProcessResult) -> str:
    """What the first failed step said, without its traceback (Dagster's page has that)."""
    for event in result.all_events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                name = f"{check.asset_key.to_user_string()}.{check.check_name}"
                return f"the check {name} stopped the run: {check.description or 'it did not pass'}"
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                return str(failure.user_failure_data.description)
            error = failure.error.cause if failure.error and failure.error.cause else failure.error
            said = " ".join(error.message.split()) if error else "no reason given"
            if (fault := sentence_of_words(said, vpoc_home())) is not None:
                return fault
            if len(said) > LONGEST:
                said = f"{said[:LONGEST]}… ('vpoc ui' shows all of it)"
            return f"step {event.step_key} failed: {said}"
    return "the run failed; Dagster's page shows its events ('vpoc ui')"
