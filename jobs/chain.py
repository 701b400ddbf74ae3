"""The whole chain of a symbol: ingest of all its months, its history, then each of its books; with progress."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain as chained

import dagster as dg
from dagster import DagsterExecutionInterruptedError, DagsterInstance

from assets.partitions import MONTHS, RANGE_END_TAG, RANGE_START_TAG, grid_key, of_book
from jobs.dagster_internals import quiet_instance, shown_on_the_page
from jobs.processes import close_dead_runs, process_tag
from jobs.progress import Observer, StepEvent, expected_seconds, observed
from pipeline.books import books_of
from pipeline.environment import make_tracking_store
from pipeline.errors import BooksError, ChainError, DataError, PipelineError
from pipeline.fresh_processes import FreshProcess, warm_up
from pipeline.home import Home, vpoc_home
from pipeline.learning.models import TrainingRows
from pipeline.learning.walk_forward import too_few_rows
from pipeline.market.months import trade_months
from pipeline.outside import sentence_of_words
from pipeline.settings import ModelSelection, Settings, load_settings
from pipeline.tuning.targets import STRATEGY
from resources import BarSource

__all__ = ["months_to_make", "run_chain", "run_desk", "run_study", "train_families", "train_family"]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LONGEST = 400


@dataclass(frozen=True)
class _Chain:
    """Jobs, each a Dagster run that is observed.

    Attributes
    ----------
    definitions
        The project's.
    instance
        Where the runs are kept.
    observe
        Called with the plan first, then from another thread as steps start and finish.
    """

    definitions: dg.Definitions
    instance: DagsterInstance
    observe: Observer

    def plan(self, *jobs: "_Job") -> None:
        """Tell the steps of jobs."""
        steps: dict[str, float] = {}
        for job in jobs:
            steps |= expected_seconds(self.definitions, job.name, job.partition, self.instance, job.of)
        self.observe(StepEvent("", "planned", plan=steps))

    def run(
        self, job: "_Job", *, tags: Mapping[str, str] | None = None, config: Mapping[str, object] | None = None
    ) -> str:
        """Run a job and return the Dagster run's id; its steps are reported as ``<step> <what it is for>``."""
        run_id = str(uuid.uuid4())
        shown_on_the_page(self.instance, job.name)
        try:
            with observed(self.instance, run_id, self.observe, job.of):
                result = self.definitions.resolve_job_def(job.name).execute_in_process(
                    instance=self.instance,
                    run_id=run_id,
                    run_config={**QUIET, **(config or {})},
                    partition_key=job.partition,
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

    def tune(self, job: "_Job", overrides: Mapping[str, object] | None = None) -> str:
        """Run a study, or resume it; ``overrides`` are fields of :class:`assets.tuning.StudyOverrides`."""
        return self.run(job, config={"ops": {"studies": {"config": dict(overrides or {})}}})


@dataclass(frozen=True)
class _Job:
    """A job for one partition.

    Attributes
    ----------
    name
        Of the job.
    partition
        Its key; None where tags name a range of months.
    of
        Family, study or book that stands in the steps' names.
    """

    name: str
    partition: str | None
    of: str = ""

    @property
    def key(self) -> str:
        """Return the job's name among the runs of a chain: ``train lightgbm``."""
        return f"{self.name} {self.of}".rstrip()


@dataclass(frozen=True)
class _BookJobs:
    """The jobs of one book.

    Attributes
    ----------
    book
        Its name.
    said
        How the steps' names call it: not at all where it is its symbol's own.
    """

    book: str
    said: str = ""

    @property
    def research(self) -> _Job:
        return _Job("research", self.book, self.said)

    @property
    def judge(self) -> _Job:
        return _Job("judge", self.book, self.said)

    def train(self, family: str) -> _Job:
        return _Job("train", of_book(family, self.book), f"{family} {self.said}".rstrip())

    def tune(self, target: str) -> _Job:
        return _Job("tune", of_book(target, self.book), f"{target} {self.said}".rstrip())

    def all(self, families: Sequence[str], targets: Sequence[str]) -> list[_Job]:
        return [self.research, *map(self.train, families), *map(self.tune, targets), self.judge]


@contextmanager
def _chain(definitions: dg.Definitions, observe: Observer) -> Iterator[_Chain]:
    """Open the home's instance, runs of killed processes closed."""
    with quiet_instance() as instance:
        close_dead_runs(instance)
        yield _Chain(definitions, instance, observe)


def run_chain(
    definitions: dg.Definitions, symbol: str, home: Home, observe: Observer, books: Sequence[str] | None = None
) -> Mapping[str, str]:
    """Materialize every asset of a symbol and of its books.

    Parameters
    ----------
    definitions, symbol, observe
        The project's; a dataset key, ``ES`` or ``ES-SIM``; told the plan first, then, from another thread, the steps.
    home
        Where the results lie.
    books
        Which books of the symbol; all by default.

    Returns
    -------
    Mapping
        Job name → Dagster run id; for a book that is not the symbol's own its name follows.

    Raises
    ------
    ChainError
        If a step failed: with the step's own message; as a BooksError, when all other books are done, if it was a
        book's.
    PipelineError
        If the bars can't be read.
    """
    settings = load_settings(home)
    names = books_of(symbol, settings) if books is None else books
    jobs = {name: _BookJobs(name, "" if name == symbol else name) for name in names}
    failed: dict[str, PipelineError] = {}
    wanted: dict[str, Settings] = {}
    for name in names:
        try:
            wanted[name] = settings.for_book(name)
        except PipelineError as error:
            failed[name] = error
    learns = any(one.models.families or set(one.tuning.targets) - {STRATEGY} for one in wanted.values())
    if learns:
        warm_up()
    months = months_to_make(symbol, home)
    with ExitStack() as stack:
        chain = stack.enter_context(_chain(definitions, observe))
        if learns:
            # Tables that take seconds to make are there when the first training asks for them.
            stack.enter_context(closing(FreshProcess(make_tracking_store, home)))
        shared = [_Job("ingest", None), _Job("prepare", symbol)]
        plan = {name: jobs[name].all(one.models.families, one.tuning.targets) for name, one in wanted.items()}
        chain.plan(*shared, *chained.from_iterable(plan.values()))
        first, last = grid_key(months[0], symbol), grid_key(months[-1], symbol)
        runs = {"ingest": chain.run(shared[0], tags={RANGE_START_TAG: str(first), RANGE_END_TAG: str(last)})}
        runs["prepare"] = chain.run(shared[1])
        for name, one in wanted.items():
            try:
                _run_book(chain, jobs[name], one, shared, plan, runs)
            except ChainError as error:
                failed[name] = error
                if len(names) > 1:
                    observe(StepEvent("", "warned", f"book {name}: {error}"))
    if failed:
        raise BooksError({name: str(error) for name, error in failed.items()}, symbol)
    return runs


def _run_book(
    chain: _Chain,
    jobs: _BookJobs,
    settings: Settings,
    shared: Sequence[_Job],
    plan: dict[str, list[_Job]],
    runs: dict[str, str],
) -> None:
    """Run a book's jobs, and put their runs among ``runs``."""
    families, targets = settings.models.families, settings.tuning.targets
    runs[jobs.research.key] = chain.run(jobs.research)
    if families or set(targets) - {STRATEGY}:
        why_not = _untrainable(chain, jobs.book, settings.models)
        if why_not is not None:
            chain.observe(StepEvent("models", "told", f"no models: {why_not}"))
            families, targets = (), tuple(target for target in targets if target == STRATEGY)
            plan[jobs.book] = jobs.all(families, targets)
            chain.plan(*shared, *chained.from_iterable(plan.values()))
    for family in families:
        runs[jobs.train(family).key] = chain.run(jobs.train(family))
    # After the models: a study may trade by their scores.
    failed: ChainError | None = None
    for target in targets:
        try:
            runs[jobs.tune(target).key] = chain.tune(jobs.tune(target))
        except ChainError as error:  # the backtests are judged all the same
            failed = failed or ChainError(f"the study {target} failed: {error}")
    runs[jobs.judge.key] = chain.run(jobs.judge)
    if failed is not None:
        raise failed


def train_families(
    definitions: dg.Definitions, book: str, families: Sequence[str], observe: Observer
) -> Mapping[str, str]:
    """Train model families on what the chain made of a book before, then judge it again; see :func:`run_chain`.

    Raises
    ------
    ChainError
        If a step failed, or the book's training set has not been made: with the step's own message.
    """
    jobs = _BookJobs(book)
    with _chain(definitions, observe) as chain:
        chain.plan(*map(jobs.train, families), jobs.judge)
        runs = {jobs.train(family).key: chain.run(jobs.train(family)) for family in families}
        runs["judge"] = chain.run(jobs.judge)
    return runs


def train_family(
    definitions: dg.Definitions, book: str, family: str, instance: DagsterInstance, observe: Observer
) -> str:
    """Train one model family of a book on an open instance and return the Dagster run's id; see :func:`run_chain`."""
    return _Chain(definitions, instance, observe).run(_BookJobs(book).train(family))


def run_study(
    definitions: dg.Definitions, book: str, target: str, overrides: Mapping[str, object], observe: Observer
) -> str:
    """Run a study on what the chain made of a book before, or resume it, and return the Dagster run's id.

    Parameters
    ----------
    overrides
        What is otherwise than in the settings: fields of :class:`assets.tuning.StudyOverrides`.
    """
    job = _BookJobs(book).tune(target)
    with _chain(definitions, observe) as chain:
        chain.plan(job)
        return chain.tune(job, overrides)


def run_desk(definitions: dg.Definitions, observe: Observer) -> str:
    """Trade the desk's books together on what the chain made of each, and return the Dagster run's id."""
    job = _Job("desk", None)
    with _chain(definitions, observe) as chain:
        chain.plan(job)
        return chain.run(job)


def _untrainable(chain: _Chain, book: str, selection: ModelSelection) -> str | None:
    """Say why there is too little to train on; the chain does not fail, its report is made without models."""
    loader = chain.definitions.get_asset_value_loader(chain.instance)
    rows = TrainingRows.from_training_set(loader.load_asset_value("training_set", partition_key=book))
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
