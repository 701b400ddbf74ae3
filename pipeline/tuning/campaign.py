"""A study from beginning to end: run or gone on with, each trial put into the ledger, judged by how many there were."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from pipeline.home import write_whole
from pipeline.search_space import SearchSpace
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.look import Look
from pipeline.tuning.looks import Looks
from pipeline.tuning.objectives import Evidence
from pipeline.tuning.storage import StudyStorage
from pipeline.tuning.study import Progress, StudyResult, StudySettings, TrialRecord, run_study

__all__ = ["Campaign", "KeptMoney", "Subject", "Target", "progress_sentence", "run_campaign", "run_recorded_study"]


class Target(Protocol):
    """Target of a study: :class:`~pipeline.tuning.model_target.ModelTarget` or a strategy's."""

    space: SearchSpace

    def __call__(self, params: Mapping[str, Any], report: Callable[[int, float], None]) -> float | tuple[float, ...]:
        """Value of parameters."""


@dataclass(frozen=True)
class Subject:
    """Subject of a study: the market, target, version and period that its trials are counted under.

    Attributes
    ----------
    symbol
        Market, such as ``ES``.
    target
        What is tuned, such as ``lightgbm`` or ``strategy``.
    version
        Hash of the data: trials on other data are another study's.
    first, last
        Sessions that its trials look at.
    capital
        Money that returns are counted on.
    """

    symbol: str
    target: str
    version: str
    first: pd.Timestamp
    last: pd.Timestamp
    capital: float

    @property
    def study(self) -> str:
        """Name of the study."""
        return f"{self.symbol}/{self.target}/{self.version}"


@dataclass(frozen=True)
class KeptMoney:
    """Money by session of each complete trial until the ledger has it: a file by its parameters; picklable."""

    folder: Path

    def __call__(self, params: Mapping[str, Any], evidence: Evidence) -> None:
        """Keep a trial's."""
        # Whole at once: another worker may have drawn the same parameters, while this trial's money is read.
        written = io.BytesIO()
        evidence.daily.rename("money").to_frame().to_parquet(written)
        write_whole(self._path(params), written.getvalue())

    def returns(self, trial: TrialRecord, capital: float) -> pd.Series | None:
        """A trial's returns on a capital; None where nothing was kept."""
        if trial.state != "complete":
            return None
        try:
            written = self._path(trial.params).read_bytes()
        except FileNotFoundError:  # another process that shares the study may have put it into the ledger
            return None
        money = pd.read_parquet(io.BytesIO(written))["money"]
        return (money / capital).set_axis(pd.DatetimeIndex(money.index).tz_localize(None).normalize())

    def drop(self, trials: Iterable[TrialRecord]) -> None:
        """Remove that of trials that the ledger has; what others are at work on stays."""
        for trial in trials:
            self._path(trial.params).unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()

    def _path(self, params: Mapping[str, Any]) -> Path:
        text = json.dumps(dict(params), sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.parquet"


@dataclass(frozen=True)
class Campaign:
    """A study and what its number of looks leaves of its best.

    Attributes
    ----------
    result
        The study.
    looks
        Every trial ever made on this market in this period, of all studies.
    deflated_sharpe
        Probability that the best trial's true Sharpe ratio is above zero, given all looks; NaN where unknown.
    overfitting
        Probability of backtest overfitting over the looks (CSCV); NaN where unknown.
    idle
        Whether the best trial is known to have traded nothing.
    """

    result: StudyResult
    looks: Looks
    deflated_sharpe: float
    overfitting: float
    idle: bool = False


def progress_sentence(progress: Progress) -> str:
    """Describe a study's progress in words: the best so far, pruned trials, the rate, the time left."""
    done = progress.complete + progress.pruned + progress.failed
    parts = [f"trials: {done:,} of at most {progress.trials:,}"]
    if progress.best is not None:
        values = ", ".join(f"{value:.5g}" for value in progress.best.values or ())  # noqa: PD011 (no frame)
        parts.append(f"best {values} (trial {progress.best.position})")
    parts.append(f"{progress.pruned} pruned, {progress.failed} failed")
    if progress.seconds > 0:
        rate = progress.here / progress.seconds
        parts.append(f"{rate:.2g}/s" if rate < 10 else f"{rate:.0f}/s")
        if rate > 0 and done < progress.trials:
            parts.append(f"{(progress.trials - done) / rate:,.0f} s left")
    return ", ".join(parts)


def run_recorded_study(
    subject: Subject,
    target: Target,
    kept: KeptMoney,
    settings: StudySettings,
    storage: StudyStorage,
    ledger: Ledger,
    *,
    enqueue: Sequence[Mapping[str, Any]] = (),
    observe: Callable[[Progress], None] | None = None,
    workers: int = 1,
) -> StudyResult:
    """Run a study, or go on with it, and remember each of its trials.

    Parameters
    ----------
    subject
        What it is about.
    target
        Judges parameters, and hands what they left to ``kept``.
    kept
        Where the money of each trial lies.
    settings, storage, enqueue, observe, workers
        As of :func:`~pipeline.tuning.study.run_study`.
    ledger
        Remembers every look.

    Raises
    ------
    ConfigurationError, DataError
        As :func:`~pipeline.tuning.study.run_study`.
    """

    def look(trial: TrialRecord, study: str) -> Look:
        returns = kept.returns(trial, subject.capital)
        return Look.of(trial, study, subject.symbol, subject.target, subject.first, subject.last, returns=returns)

    def record(progress: Progress) -> None:
        ledger.record([look(progress.last, progress.name)])
        if observe is not None:
            observe(progress)

    result = run_study(
        subject.study, target.space, target, settings, storage, enqueue=enqueue, observe=record, workers=workers
    )
    # Those too that ended in a run that was killed before it could tell of them.
    ledger.record([look(trial, result.name) for trial in result.trials])
    kept.drop(result.trials)
    return result


def run_campaign(
    subject: Subject,
    target: Target,
    kept: KeptMoney,
    settings: StudySettings,
    storage: StudyStorage,
    ledger: Ledger,
    *,
    enqueue: Sequence[Mapping[str, Any]] = (),
    observe: Callable[[Progress], None] | None = None,
    workers: int = 1,
) -> Campaign:
    """A remembered study, and what all looks at its market leave of its best; arguments as there."""
    result = run_recorded_study(
        subject, target, kept, settings, storage, ledger, enqueue=enqueue, observe=observe, workers=workers
    )
    looks = ledger.looks(subject.symbol, subject.first, subject.last)
    best = ledger.returns(result.name, result.best.position)
    deflated = looks.deflated_sharpe(best.to_numpy()) if best is not None and best.std() > 0 else float("nan")
    return Campaign(result, looks, deflated, looks.overfitting(), best is not None and not best.any())
