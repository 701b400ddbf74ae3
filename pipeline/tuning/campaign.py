"""A study from beginning to end, judged by how many trials there were on its market."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.tuning.looks import Looks
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.study import run_study
from pipeline.tuning.subject import Subject, Target
from pipeline.tuning.trial_store import TrialStore
from pipeline.tuning.trials import Progress, StudyResult

__all__ = ["Campaign", "progress_sentence", "run_campaign"]


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
        values = ", ".join(f"{value:.5g}" for value in progress.best.values or ())
        parts.append(f"best {values} (trial {progress.best.position})")
    parts.append(f"{progress.pruned} pruned, {progress.failed} failed")
    if progress.seconds > 0:
        rate = progress.here / progress.seconds
        parts.append(f"{rate:.2g}/s" if rate < 10 else f"{rate:.0f}/s")
        if rate > 0 and done < progress.trials:
            parts.append(f"{(progress.trials - done) / rate:,.0f} s left")
    return ", ".join(parts)


def run_campaign(
    subject: Subject,
    target: Target,
    settings: StudySettings,
    store: TrialStore,
    *,
    enqueue: Sequence[Mapping[str, Any]] = (),
    observe: Callable[[Progress], None] | None = None,
    workers: int = 1,
) -> Campaign:
    """A study, and what all looks at its market leave of its best; arguments as of :func:`run_study`."""
    result = run_study(subject, target, settings, store, enqueue=enqueue, observe=observe, workers=workers)
    ledger = store.ledger
    looks = ledger.looks(subject.symbol, subject.first, subject.last)
    best = ledger.returns(result.name, result.best.position)
    deflated = looks.deflated_sharpe(best.to_numpy()) if best is not None and best.std() > 0 else float("nan")
    return Campaign(result, looks, deflated, looks.overfitting(), best is not None and not best.any())
