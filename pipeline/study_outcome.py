"""What is kept of a study: the best model, the table of trials, and a document that says what they are worth."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.home import write_whole
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Model
from pipeline.learning.record import content_hash
from pipeline.locks import locked
from pipeline.settings import Settings
from pipeline.studies import Study
from pipeline.tuning.campaign import Campaign
from pipeline.tuning.joint_target import JointTarget
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.strategy_target import by_section
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trials import StudyResult

__all__ = ["best_model", "settings_of", "study_document", "trials_table", "write_best"]

DOCUMENT = "study.json"
MODEL = "model"


def best_model(study: Study, params: Mapping[str, Any], compute: Compute) -> Model | None:
    """The best parameters' model, fitted on all rows that the study saw; None where there is no model in it."""
    if isinstance(study.judge, ModelTarget) and study.rows is not None:
        return study.judge.model(params).fit(study.rows, FitOptions(compute))
    if isinstance(study.judge, JointTarget):
        return study.judge.fitted(params)
    return None


def write_best(
    study: Study, model: Model | None, document: Mapping[str, Any], pictures: Mapping[str, bytes]
) -> Path | None:
    """Write document, pictures and model into the study's folder; the model's own folder, where there is one."""
    study.folder.mkdir(parents=True, exist_ok=True)
    with locked(study.folder):  # two processes that share a study end it at about the same time
        if model is not None:
            fresh, kept = study.folder / f".{MODEL}", study.folder / MODEL
            shutil.rmtree(fresh, ignore_errors=True)
            model.save(fresh)
            # The same model stays where it is: the other process may be sending it to MLflow.
            if kept.exists() and content_hash(kept) == content_hash(fresh):
                shutil.rmtree(fresh)
            else:
                shutil.rmtree(kept, ignore_errors=True)
                fresh.rename(kept)
        for name, png in pictures.items():
            write_whole(study.folder / name, png)
        write_whole(study.folder / DOCUMENT, json.dumps(document, indent=2))
    return None if model is None else study.folder / MODEL


def trials_table(result: StudyResult) -> pd.DataFrame:
    """Every settled trial of a study.

    Returns
    -------
    DataFrame
        One row per trial: trial, state, a column an objective (NaN of a failed one), seconds, error, and a column a
        parameter, in the search space's order: numbers as they are, anything else as JSON.
    """
    rows = []
    for trial in result.trials:
        values = trial.values or (math.nan,) * len(result.objectives)  # noqa: PD011 (no frame)
        rows.append(
            {
                "trial": trial.position,
                "state": trial.state,
                **dict(zip(result.objectives, values, strict=False)),
                "seconds": trial.seconds,
                "error": trial.error or "",
                **trial.params,
            }
        )
    frame = pd.DataFrame(rows)
    for name in dict.fromkeys(name for trial in result.trials for name in trial.params):
        chosen = [trial.params.get(name) for trial in result.trials]
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in chosen):
            frame[name] = [json.dumps(value) for value in chosen]
    return frame


def study_document(study: Study, campaign: Campaign, settings: Settings) -> dict[str, Any]:
    """A study and what its looks leave of the best, as JSON writes it."""
    result, subject = campaign.result, study.subject
    counts = {state: sum(trial.state == state for trial in result.trials) for state in ("complete", "pruned", "failed")}

    def shown(trial: Any) -> dict[str, Any]:
        values = zip(result.objectives, trial.values or (), strict=False)  # noqa: PD011 (no frame)
        named = {name: float(f"{value:.6g}") for name, value in values}
        return {"trial": trial.position, "values": named, "params": trial.params}

    return {
        "symbol": subject.symbol,
        "target": subject.target,
        "study": result.name,
        "first_session": f"{subject.first:%F}",
        "last_session": f"{subject.last:%F}",
        "stopped": result.stopped,
        "seconds": result.seconds,
        "trials": counts,
        "best": shown(result.best),
        "settings": settings_of(study.target, result.best.params, settings),
        "front": [shown(one) for one in result.front] if len(result.objectives) > 1 else [],
        "remarks": _remarks(study, campaign),
        "looks": campaign.looks.count,
        "said": campaign.looks.sentence(),
        "deflated_sharpe_ratio": _known(campaign.deflated_sharpe),
        "probability_of_overfitting": _known(campaign.overfitting),
    }


def _remarks(study: Study, campaign: Campaign) -> list[str]:
    """Point out why the best trial is not a discovery, where that is so."""
    result, sentences = campaign.result, []
    first = result.objectives[0]
    if campaign.idle and first != "log_loss":
        sentences.append("The best trial trades nothing: of all that was tried, staying out was best.")
    if first == "log_loss" and isinstance(study.judge, ModelTarget):
        base = study.judge.base_rate_loss()
        best = (result.best.values or (math.inf,))[0]  # noqa: PD011 (no frame)
        beaten = "it is beaten by" if best < base else "no trial beats it; the best has"
        sentences.append(
            f"The share of winners alone, without a model, has a log loss of {base:.6g}; {beaten} {best:.6g}."
        )
    return sentences


def settings_of(target: StudyTarget, params: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Parameters as ``settings.yaml`` takes them, with the settings' own hyperparameters that were not searched."""
    plain = json.loads(json.dumps(dict(params), default=str))
    kept = settings.models.parameters.get(target.family or "", {})
    if target.kind == "model":
        return {"models": {"parameters": {target.family: {**kept, **plain}}}}
    sections = by_section(plain, target.family)
    if kept and "parameters" in sections.get("models", {}):
        found = sections["models"]["parameters"]
        sections["models"]["parameters"] = {family: {**kept, **own} for family, own in found.items()}
    return sections


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
