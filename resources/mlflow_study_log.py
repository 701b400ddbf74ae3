"""What MLflow is told of a study: figures, tags and files of its parent run."""

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from resources.mlflow_limits import (
    METRICS_A_BATCH,
    PARAMETERS_A_BATCH,
    batches,
    cut_tag,
    milliseconds,
    safe_names,
    value_text,
)
from resources.mlflow_store import Store
from resources.mlflow_trials import TrialRuns, objective_values
from resources.model_registry import KIND_TAG, SYMBOL_TAG

if TYPE_CHECKING:
    from pipeline.search_space import SearchSpace
    from pipeline.tuning.campaign import Campaign
    from pipeline.tuning.settings import StudySettings
    from pipeline.tuning.trials import StudyResult, TrialRecord

__all__ = ["StudyFindings", "StudyToLog", "counts_of", "log_files", "set_tags", "tell_findings", "tell_state"]

STUDY = "study"
STUDY_TAG = "vpoc.study"
TARGET_TAG = "vpoc.target"
BEST_PREFIX = "best."
BEST_TRIAL_TAG, BEST_RUN_TAG, BEST_VALUES_TAG = "vpoc.best_trial", "vpoc.best_run", "vpoc.best_values"
NOTE_TAG = "mlflow.note.content"
UNKNOWN_TAG = "vpoc.unknown"
WITHOUT_RUN_TAG = "vpoc.trials_without_run"
TABLES_TAG = "mlflow.loggedArtifacts"
TRIALS_TABLE = "tables/trials.json"


@dataclass(frozen=True)
class StudyToLog:
    """Which study, as far as it is known when it begins.

    Attributes
    ----------
    symbol, target
        What is tuned on which market.
    name
        The study's full name in its storage (:func:`pipeline.tuning.settings.study_name`): one parent run each.
    version, source
        Hash of the data, and where the bars are from.
    simulated
        Whether they are the simulator's.
    settings, space
        How is searched, and where.
    parameters
        What else is set, such as workers, first and last session.
    tags
        What else tells where it belongs, such as Dagster's run.
    """

    symbol: str
    target: str
    name: str
    version: str
    source: str
    settings: "StudySettings"
    space: "SearchSpace"
    simulated: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        """The tags by which its run is found again."""
        return {KIND_TAG: STUDY, STUDY_TAG: self.name, SYMBOL_TAG: self.symbol, TARGET_TAG: self.target}


@dataclass(frozen=True)
class StudyFindings:
    """What a study found.

    Attributes
    ----------
    result
        Its trials.
    looks
        How often was looked at this market and period, other studies included; None where not counted.
    deflated_sharpe, overfitting
        As of :class:`pipeline.tuning.campaign.Campaign`; NaN where unknown.
    trials_per_second
        Of its last run; NaN where unknown.
    plots
        PNG bytes by file name.
    tables
        Frames by name, beside that of the trials.
    model
        Folder of a model of the best parameters, as :meth:`Model.save` writes it; None for none.
    """

    result: "StudyResult"
    looks: int | None = None
    deflated_sharpe: float = math.nan
    overfitting: float = math.nan
    trials_per_second: float = math.nan
    plots: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    model: Path | None = None

    @classmethod
    def of(cls, campaign: "Campaign", **more: Any) -> Self:
        """Those of a campaign."""
        return cls(
            result=campaign.result,
            looks=campaign.looks.count,
            deflated_sharpe=campaign.deflated_sharpe,
            overfitting=campaign.overfitting,
            **more,
        )


def set_tags(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, cut to what MLflow takes."""
    from mlflow.entities import RunTag

    for part in batches([RunTag(name, cut_tag(value)) for name, value in tags.items()], PARAMETERS_A_BATCH):
        store.client.log_batch(run_id, tags=part)


def tell_state(
    runs: TrialRuns,
    objectives: Sequence[str],
    counts: Mapping[str, int],
    course: "Sequence[tuple[int, TrialRecord]]",
) -> None:
    """How many trials there are, and the best of them: figures with the number of settled trials as their step."""
    from mlflow.entities import Metric

    settled = sum(counts.values())
    now = milliseconds(datetime.now(tz=UTC))
    metrics = [Metric(f"trials_{state}", float(count), now, settled) for state, count in counts.items()]
    names = safe_names(objectives)
    for step, trial in course:
        for objective, value in objective_values(trial, objectives).items():
            if math.isfinite(value):
                metrics.append(Metric(names[objective], value, milliseconds(trial.finished), step))
    for part in batches(metrics, METRICS_A_BATCH):
        runs.store.client.log_batch(runs.parent, metrics=part)
    if course:
        _, best = course[-1]
        named = safe_names(best.params)
        set_tags(
            runs.store,
            runs.parent,
            {
                BEST_TRIAL_TAG: str(best.position),
                BEST_RUN_TAG: runs.run_of(best) or "none yet",
                BEST_VALUES_TAG: json.dumps(objective_values(best, objectives)),
                **{f"{BEST_PREFIX}{named[name]}": value_text(value) for name, value in best.params.items()},
            },
        )


def tell_findings(store: Store, run_id: str, study: StudyToLog, findings: StudyFindings, without_run: int) -> None:
    """Tell of a study's figures, and in words what it found."""
    from mlflow.entities import Metric

    result = findings.result
    figures = {
        # In percent, as the judgement's run has them.
        "deflated_sharpe_ratio": 100 * findings.deflated_sharpe,
        "probability_of_backtest_overfitting": 100 * findings.overfitting,
        "looks": math.nan if findings.looks is None else float(findings.looks),
        "trials_per_second": findings.trials_per_second,
    }
    now = milliseconds(datetime.now(tz=UTC))
    known = {name: value for name, value in figures.items() if math.isfinite(value)}
    store.client.log_batch(
        run_id, metrics=[Metric(name, value, now, len(result.trials)) for name, value in known.items()]
    )
    tags = {
        # A figure of an earlier run stays what it was.
        UNKNOWN_TAG: ", ".join(name for name in figures if name not in known) or "none",
        WITHOUT_RUN_TAG: str(without_run),
        "vpoc.stopped": result.stopped,
        NOTE_TAG: _description(study, findings),
        TABLES_TAG: json.dumps([{"path": TRIALS_TABLE, "type": "table"}]),
    }
    set_tags(store, run_id, tags)


def _description(study: StudyToLog, findings: StudyFindings) -> str:
    result = findings.result
    counts = ", ".join(f"{count} {state}" for state, count in counts_of(result.trials).items())
    lines = [
        f"{study.target} on {study.symbol}{' (simulated)' if study.simulated else ''}, bars of {study.source}: "
        f"{len(result.trials)} trials ({counts})."
    ]
    if result.complete:
        values = objective_values(result.best, result.objectives)
        told = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        front = f" {len(result.front)} trials are on the Pareto front." if len(result.objectives) > 1 else ""
        lines += ["", f"Best: trial {result.best.position}, {told}.{front}"]
    if findings.looks is not None:
        lines += ["", f"{findings.looks:,} trials of all studies looked at this market and period."]
    lines += ["", "The best of many is always partly luck: what it is worth, sessions that no trial saw will tell."]
    if findings.model is not None:
        lines += [
            "",
            "The model in the artifacts has the best trial's parameters and learned from all rows. It was not judged "
            "walk-forward, and is not registered.",
        ]
    return "\n".join(lines)


def counts_of(trials: "Iterable[TrialRecord]") -> dict[str, int]:
    """Count trials by state."""
    counts = dict.fromkeys(("complete", "pruned", "failed"), 0)
    for trial in trials:
        counts[trial.state] += 1
    return counts


def log_files(runs: TrialRuns, study: StudyToLog, findings: StudyFindings, front: frozenset[int]) -> None:
    """Log the search space, pictures, tables and the best model's folder."""
    space = {name: [type(one).__name__, one.model_dump(mode="json")] for name, one in study.space.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("plots", "tables"):
            (folder / name).mkdir()
        (folder / "search_space.json").write_text(json.dumps(space, indent=1), encoding="utf-8")
        for name, png in findings.plots.items():
            (folder / "plots" / name).write_bytes(png)
        for name, frame in findings.tables.items():
            frame.to_csv(folder / "tables" / f"{name}.csv")
        table = _table(findings.result, runs, front)
        table.to_csv(folder / "tables" / "trials.csv", index=False)
        # As MLflow's page shows tables.
        table.to_json(folder / TRIALS_TABLE, orient="split", index=False)
        runs.store.client.log_artifacts(runs.parent, str(folder))
    if findings.model is not None:
        runs.store.client.log_artifacts(runs.parent, str(findings.model), "model")


def _table(result: "StudyResult", runs: TrialRuns, front: frozenset[int]) -> pd.DataFrame:
    """A row a trial, whether it has a run or not."""
    rows = []
    for trial in result.trials:
        values = objective_values(trial, result.objectives)
        rows.append(
            {
                "trial": trial.position,
                "state": trial.state,
                **{name: values.get(name) for name in result.objectives},
                **({"front": trial.position in front} if len(result.objectives) > 1 else {}),
                **{f"params.{name}": value_text(value) for name, value in trial.params.items()},
                "seconds": trial.seconds,
                "started": None if trial.started is None else trial.started.isoformat(timespec="milliseconds"),
                "error": trial.error,
                "run": runs.run_of(trial),
            }
        )
    return pd.DataFrame(rows)
