"""A study in MLflow: one parent run, a child a trial, never twice; MLflow unreachable; the champion's parameters."""

import csv
import datetime as dt
import io
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import pandas as pd
import pytest
from mlflow.entities import ViewType

from pipeline.home import Home
from pipeline.learning.models import TrainingRows, load_model, make_model
from pipeline.learning.record import TrainingIdentity, write_record
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.tuning.campaign import Campaign
from pipeline.tuning.looks import Looks
from pipeline.tuning.settings import StudySettings, study_name
from pipeline.tuning.trials import Report, StudyResult, TrialRecord
from resources.mlflow_limits import safe_name, safe_names, value_text
from resources.mlflow_store import Store, open_store
from resources.mlflow_studies import LoggedStudy, TrackedStudy, log_study
from resources.mlflow_study_log import StudyFindings, StudyToLog
from resources.mlflow_tracking import MLflowTracking
from resources.mlflow_trials import TrialRuns
from resources.model_registry import champion_parameters
from resources.model_upload import upload
from tests.models.conftest import Keep, MLflowServer, free_port, result_of
from tests.tuning.studies import run as run_trials

pytestmark = pytest.mark.slow

START = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
SPACE = SearchSpace(
    {"rate": Real(0.001, 1, log=True), "depth": Whole(2, 8, step=2), "layers": Choice([None, (64,), (128, 64)])}
)
LAYERS = (None, (64,), (128, 64))
LOSS = ("log_loss",)
BOTH = ("net", "drawdown")
FRONT = "vpoc.front"


def trial(position: int, state: Any = "complete", values: Sequence[float] | None = None) -> TrialRecord:
    """A trial of a second; its loss falls with its position."""
    if values is None and state != "failed":
        values = (round(0.7 - position / 100, 2),)
    return TrialRecord(
        position=position,
        state=state,
        params={"rate": 0.001 * (position + 1), "depth": 2 + 2 * (position % 4), "layers": LAYERS[position % 3]},
        values=None if values is None else tuple(values),
        steps={} if state == "failed" else {fold: 0.7 + fold for fold in range(2 if state == "pruned" else 3)},
        seconds=1.0,
        error="ValueError: no trade\nin fold 2" if state == "failed" else None,
        started=START + dt.timedelta(seconds=2 * position),
    )


def twelve() -> list[TrialRecord]:
    """Nine complete, two pruned, one failed."""
    return [trial(n, {3: "pruned", 7: "pruned", 5: "failed"}.get(n, "complete")) for n in range(12)]


def study_of(objectives: tuple[str, ...] = LOSS, space: SearchSpace = SPACE, **settings: Any) -> StudyToLog:
    chosen = StudySettings(objectives=objectives, **{"trials": 12, **settings})
    name = study_name("ES/mlp/5ca1ab1e", space, chosen)
    return StudyToLog("ES", "mlp", name, "5ca1ab1e", "bars.csv", chosen, space, parameters={"workers": 1})


def findings_of(study: StudyToLog, trials: Sequence[TrialRecord], **more: Any) -> StudyFindings:
    settings = study.settings
    result = StudyResult(study.name, settings.objectives, settings.directions, tuple(trials), "trials", 20.0)
    return StudyFindings(result, **more)


def runs_of(store: Store, kind: str) -> list[Any]:
    found = store.client.search_runs(
        [store.experiment("ES", studies=True)], filter_string=f"tags.`vpoc.kind` = '{kind}'"
    )
    return sorted(found, key=lambda run: int(run.data.tags.get("vpoc.trial", -1)))


def artifact(run: Any, path: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{run.info.artifact_uri}/{path}"))


# --- whole ---


def test_study_is_one_run_and_each_trial_a_child_that_says_how_it_ended(store: Store) -> None:
    study = study_of()

    logged = log_study(store, study, findings_of(study, twelve()))

    (parent,) = runs_of(store, "study")
    children = runs_of(store, "trial")
    assert logged == LoggedStudy(
        parent.info.run_id, store.experiment("ES", studies=True), children=12, added=12, without_run=0
    )
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    assert [child.info.run_name for child in children] == [f"trial {n}" for n in range(12)]
    ends = ["FINISHED"] * 12
    ends[3] = ends[7] = "KILLED"
    ends[5] = "FAILED"
    assert [child.info.status for child in children] == ends
    assert [child.data.tags["vpoc.state"] for child in children] == [one.state for one in twelve()]
    first, pruned, failed = children[2], children[3], children[5]
    began = round(START.timestamp() * 1000) + 4000
    assert (first.info.start_time, first.info.end_time) == (began, began + 1000)
    assert first.data.params == {"rate": "0.003", "depth": "6", "layers": "[128, 64]"}
    assert children[0].data.params["layers"] == "null"
    assert first.data.metrics == {"log_loss": 0.68, "reported": 2.7}
    history = store.client.get_metric_history(first.info.run_id, "reported")
    assert [(one.step, one.value) for one in history] == [(0, 0.7), (1, 1.7), (2, 2.7)]
    # What a pruned one reported of its first folds is no loss beside the others'.
    assert pruned.data.metrics == {"reported": 1.7}
    assert failed.data.metrics == {}
    assert failed.data.tags["vpoc.failure"] == "ValueError: no trade in fold 2"
    assert "vpoc.failure" not in first.data.tags


def test_parent_holds_settings_figures_the_best_and_where_it_came_from(store: Store) -> None:
    study = replace(study_of(patience=30, seed=4), simulated=True, tags={"dagster.run_id": "abc"})

    log_study(
        store,
        study,
        findings_of(study, twelve(), looks=340, deflated_sharpe=0.42, overfitting=math.nan, trials_per_second=1.5),
    )

    (parent,) = runs_of(store, "study")
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "tune mlp log_loss 5ca1ab1e")
    params = parent.data.params
    assert params["objectives"] == "minimize log_loss"
    assert {name: params[name] for name in ("sampler", "pruner", "trials", "patience", "seconds", "seed")} == {
        "sampler": "tpe", "pruner": "median", "trials": "12", "patience": "30", "seconds": "null", "seed": "4",
    }  # fmt: skip
    assert (params["data_version"], params["space"], params["workers"]) == ("5ca1ab1e", SPACE.fingerprint(), "1")
    assert params["space.rate"] == "0.001 to 1.0, logarithmic"
    assert params["space.depth"] == "2 to 8 in steps of 2"
    assert params["space.layers"] == "none | [64] | [128, 64]"
    assert parent.data.metrics == {
        "log_loss": 0.59, "trials_complete": 9.0, "trials_pruned": 2.0, "trials_failed": 1.0, "looks": 340.0,
        "deflated_sharpe_ratio": 42.0, "trials_per_second": 1.5,
    }  # fmt: skip
    course = store.client.get_metric_history(parent.info.run_id, "log_loss")
    assert sorted((one.step, one.value) for one in course) == [
        (1, 0.7), (2, 0.69), (3, 0.68), (5, 0.66), (7, 0.64), (9, 0.62), (10, 0.61), (11, 0.6), (12, 0.59),
    ]  # fmt: skip
    tags = parent.data.tags
    assert tags["vpoc.study"] == study.name
    assert (tags["vpoc.symbol"], tags["vpoc.target"], tags["vpoc.simulated"]) == ("ES", "mlp", "true")
    assert (tags["vpoc.source"], tags["vpoc.data_version"], tags["dagster.run_id"]) == ("bars.csv", "5ca1ab1e", "abc")
    assert {"vpoc.code_version", "vpoc.code_hash", "vpoc.code_commit"} <= tags.keys()
    assert {name: value for name, value in tags.items() if name.startswith("best.")} == {
        "best.rate": "0.012", "best.depth": "8", "best.layers": "[128, 64]",
    }  # fmt: skip
    assert (tags["vpoc.best_trial"], tags["vpoc.best_values"]) == ("11", '{"log_loss": 0.59}')
    assert tags["vpoc.best_run"] == runs_of(store, "trial")[11].info.run_id
    assert (tags["vpoc.unknown"], tags["vpoc.stopped"]) == ("probability_of_backtest_overfitting", "trials")
    note = tags["mlflow.note.content"]
    assert "mlp on ES (simulated), bars of bars.csv: 12 trials (9 complete, 2 pruned, 1 failed)" in note
    assert "Best: trial 11, log_loss 0.59." in note
    assert "340 trials of all studies" in note
    assert "partly luck" in note
    assert "walk-forward" not in note


def test_pictures_tables_and_the_best_model_are_artifacts_and_the_model_is_not_registered(
    store: Store, rows: TrainingRows, tmp_path: Path
) -> None:
    model = make_model("constant").fit(rows)
    model.save(tmp_path / "best")
    study = study_of()
    tables = {"importances": pd.DataFrame({"share": [0.8, 0.2]}, index=pd.Index(["rate", "depth"], name="parameter"))}

    log_study(
        store,
        study,
        findings_of(study, twelve(), plots={"history.png": b"\x89PNG"}, tables=tables, model=tmp_path / "best"),
    )

    (parent,) = runs_of(store, "study")
    assert artifact(parent, "plots/history.png").read_bytes() == b"\x89PNG"
    assert artifact(parent, "tables/importances.csv").read_text() == "parameter,share\nrate,0.8\ndepth,0.2\n"
    listed = list(csv.DictReader(io.StringIO(artifact(parent, "tables/trials.csv").read_text())))
    children = runs_of(store, "trial")
    assert len(listed) == 12
    assert listed[2] == {
        "trial": "2", "state": "complete", "log_loss": "0.68", "params.rate": "0.003", "params.depth": "6",
        "params.layers": "[128, 64]", "seconds": "1.0", "started": "2024-03-01T12:00:04.000+00:00", "error": "",
        "run": children[2].info.run_id,
    }  # fmt: skip
    assert (listed[3]["state"], listed[3]["log_loss"]) == ("pruned", "")
    shown = json.loads(artifact(parent, "tables/trials.json").read_text())
    assert (shown["columns"][:3], len(shown["data"])) == (["trial", "state", "log_loss"], 12)
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [{"path": "tables/trials.json", "type": "table"}]
    space = json.loads(artifact(parent, "search_space.json").read_text())
    assert space["depth"] == ["Whole", {"low": 2, "high": 8, "step": 2, "log": False}]
    kept = load_model(artifact(parent, "model"))
    assert (kept.predict_proba(rows.features) == model.predict_proba(rows.features)).all()
    assert list(store.client.search_registered_models()) == []
    assert "not judged walk-forward" in parent.data.tags["mlflow.note.content"]


def test_study_that_continues_keeps_its_run_and_adds_only_what_is_new(store: Store) -> None:
    first, second = study_of(), study_of(trials=17, seed=1)
    before = log_study(store, first, findings_of(first, twelve(), overfitting=0.3))
    held = {run.info.run_id for run in runs_of(store, "trial")}
    more = [*twelve(), *(trial(n, "complete", (0.9 if n < 16 else 0.5,)) for n in range(12, 17))]

    after = log_study(store, second, findings_of(second, more, deflated_sharpe=0.9))
    again = log_study(store, second, findings_of(second, more, deflated_sharpe=0.9))

    (parent,) = runs_of(store, "study")
    children = runs_of(store, "trial")
    assert [after.run, again.run] == [before.run] * 2 == [parent.info.run_id] * 2
    assert (after.children, after.added, again.added) == (17, 5, 0)
    assert [int(run.data.tags["vpoc.trial"]) for run in children] == list(range(17))
    assert held < {run.info.run_id for run in children}
    assert parent.data.params["trials"] == "12"
    assert parent.data.tags["vpoc.changed_since_first_run"] == "trials 12 to 17, seed 0 to 1"
    assert parent.data.tags["best.rate"] == "0.017"
    assert parent.data.metrics["log_loss"] == 0.5
    assert parent.data.metrics["trials_complete"] == 14.0
    assert parent.data.tags["vpoc.unknown"] == "probability_of_backtest_overfitting, looks, trials_per_second"
    assert len(pd.read_csv(artifact(parent, "tables/trials.csv"))) == 17


def test_other_data_or_another_space_is_a_run_of_its_own(store: Store) -> None:
    study, narrowed = study_of(), study_of(space=SPACE.narrowed({"depth": [2, 4]}))
    for one in (study, narrowed):
        log_study(store, one, findings_of(one, [trial(0)]))

    assert len(runs_of(store, "study")) == 2
    assert len(runs_of(store, "trial")) == 2


@pytest.mark.parametrize("target", ["strategy@lightgbm", "strategy+mlp"])
def test_study_of_a_combined_target_is_found_again(store: Store, target: str) -> None:
    space = SearchSpace.joined(model=SPACE, strategy=SearchSpace({"stop_atr_factor": Real(0.5, 3)}))
    study = study_of(space=space)
    study = replace(study, target=target, name=study.name.replace("mlp", target))
    params = {f"model.{name}": value for name, value in trial(0).params.items()} | {"strategy.stop_atr_factor": 1.5}

    first, again = (log_study(store, study, findings_of(study, [replace(trial(0), params=params)])) for _ in range(2))

    assert (first.run, first.added, again.added) == (again.run, 1, 0)
    (parent,) = runs_of(store, "study")
    assert parent.data.tags["best.strategy.stop_atr_factor"] == "1.5"
    assert parent.data.params["space.strategy.stop_atr_factor"] == "0.5 to 3.0"


def test_findings_of_a_campaign_are_its_own() -> None:
    study = study_of()
    result = findings_of(study, twelve()).result
    trials = pd.DataFrame({"state": ["complete", "pruned", "failed"]})
    looks = Looks("ES", pd.Timestamp(2024, 1, 2), pd.Timestamp(2024, 3, 1), trials, pd.DataFrame())

    found = StudyFindings.of(Campaign(result, looks, 0.4, 0.3), plots={"history.png": b""})

    assert found == StudyFindings(
        result, looks=2, deflated_sharpe=0.4, overfitting=0.3, trials_per_second=found.trials_per_second,
        plots={"history.png": b""},
    )  # fmt: skip


def test_best_so_far_is_right_where_an_earlier_position_settles_last(store: Store) -> None:
    study = study_of()
    log_study(store, study, findings_of(study, [trial(0), trial(2)]))  # another worker has 1 still

    log_study(store, study, findings_of(study, [trial(0), trial(1, "complete", (0.1,)), trial(2)]))

    (parent,) = runs_of(store, "study")
    assert parent.data.metrics["log_loss"] == 0.1
    assert parent.data.tags["vpoc.best_trial"] == "1"


# --- several objectives ---


def test_front_is_reported_on_its_trials_and_again_when_the_study_continues(store: Store) -> None:
    study = study_of(BOTH)
    values = [(100.0, 50.0), (80.0, 20.0), (60.0, 40.0)]
    log_study(store, study, findings_of(study, [trial(n, "complete", value) for n, value in enumerate(values)]))
    bearing = [run.data.tags.get(FRONT) for run in runs_of(store, "trial")]
    values.append((120.0, 30.0))

    log_study(store, study, findings_of(study, [trial(n, "complete", value) for n, value in enumerate(values)]))

    assert bearing == ["true", "true", None]
    children = runs_of(store, "trial")
    assert [run.data.tags.get(FRONT) for run in children] == [None, "true", None, "true"]
    (parent,) = runs_of(store, "study")
    assert parent.data.params["objectives"] == "maximize net, minimize drawdown"
    # The best by the first objective, all its values.
    assert (parent.data.metrics["net"], parent.data.metrics["drawdown"]) == (120.0, 30.0)
    assert parent.data.tags["best.rate"] == "0.004"
    assert list(pd.read_csv(artifact(parent, "tables/trials.csv"))["front"]) == [False, True, False, True]


# --- what MLflow can't take ---


def test_values_and_names_that_mlflow_refuses_are_rewritten(store: Store) -> None:
    study = study_of(BOTH)
    odd = replace(
        trial(0, "complete", (math.inf, 2.0)),
        params={"a#b": (1, (2, "x")), "a_b": None, "../c": True, "long": "y" * 9000, "λ": "word"},
        steps={0: -math.inf, 1: 1.0},
    )
    wrong = replace(trial(1, "failed"), params={}, error="z" * 9000)

    log_study(store, study, findings_of(study, [odd, wrong]))

    child, failed = runs_of(store, "trial")
    assert child.data.params == {
        "a_b": '[1, [2, "x"]]', "a_b_2": "null", "___c": "true", "long": "y" * 6000, "λ": "word",
    }  # fmt: skip
    assert child.data.metrics == {"drawdown": 2.0, "reported": 1.0}
    assert child.data.tags["value.net"] == "inf"
    assert (failed.info.status, failed.data.params, len(failed.data.tags["vpoc.failure"])) == ("FAILED", {}, 8000)
    (parent,) = runs_of(store, "study")
    assert "net" not in parent.data.metrics
    assert json.loads(parent.data.tags["vpoc.best_values"]) == {"net": math.inf, "drawdown": 2.0}
    assert len(parent.data.tags["best.long"]) == 8000


def test_names_are_such_as_mlflow_takes_and_all_different() -> None:
    assert [safe_name(text) for text in ("model.rate", "a b:c/d", "a[0]", "/a", "..", "", "a//b", "../x")] == [
        "model.rate", "a b:c/d", "a_0_", "_a", "__", "_", "a__b", "___x",
    ]  # fmt: skip
    assert safe_names(["a#", "a$", "a_", "x" * 300, "x" * 299]) == {
        "a#": "a_", "a$": "a__2", "a_": "a__3", "x" * 300: "x" * 250, "x" * 299: "x" * 248 + "_2",
    }  # fmt: skip
    assert [value_text(value) for value in ("tpe", None, True, 0.1, (64, (1,)))] == [
        "tpe", "null", "true", "0.1", "[64, [1]]",
    ]  # fmt: skip


def test_trial_of_more_steps_and_parameters_than_a_request_holds_is_logged_whole(store: Store) -> None:
    study = study_of()
    large = replace(
        trial(0), params={f"p{n}": n for n in range(130)}, steps={epoch: 1 / (1 + epoch) for epoch in range(2100)}
    )

    log_study(store, study, findings_of(study, [large]))

    (child,) = runs_of(store, "trial")
    assert len(child.data.params) == 130
    assert len(store.client.get_metric_history(child.info.run_id, "reported")) == 2100


def test_study_without_a_complete_trial_is_logged(store: Store) -> None:
    study = study_of()

    log_study(store, study, findings_of(study, [trial(0, "pruned"), trial(1, "failed")]))

    (parent,) = runs_of(store, "study")
    assert {name: value for name, value in parent.data.metrics.items() if name.startswith("trials")} == {
        "trials_complete": 0.0, "trials_pruned": 1.0, "trials_failed": 1.0,
    }  # fmt: skip
    assert not [name for name in parent.data.tags if name.startswith("best.")]


def test_of_a_very_large_study_the_first_the_best_and_the_front_have_runs_and_the_table_all(store: Store) -> None:
    study = study_of()
    trials = [trial(n, "complete", (0.1 if n == 8 else 0.5,)) for n in range(10)]

    logged = log_study(store, study, findings_of(study, trials), most_children=4)

    assert (logged.children, logged.without_run) == (5, 5)
    assert [run.data.tags["vpoc.trial"] for run in runs_of(store, "trial")] == ["0", "1", "2", "3", "8"]
    (parent,) = runs_of(store, "study")
    assert parent.data.tags["vpoc.trials_without_run"] == "5"
    assert len(pd.read_csv(artifact(parent, "tables/trials.csv"))) == 10


# --- what other processes left ---


def test_half_logged_child_of_another_process_is_finished_and_not_doubled(store: Store) -> None:
    study = study_of()
    log_study(store, study, findings_of(study, [trial(0)]))
    (whole,) = runs_of(store, "trial")
    shared = {key: whole.data.tags[key] for key in ("vpoc.kind", "mlflow.parentRunId", "vpoc.state")}
    runs = TrialRuns(store, store.experiment("ES", studies=True), whole.data.tags["mlflow.parentRunId"], LOSS)
    # Killed after its run was made, and after its figures.
    for position in (1, 2):
        runs.log([trial(position)])
        store.client.update_run(str(runs.run_of(trial(position))), status="RUNNING")
    bare = store.client.create_run(
        store.experiment("ES", studies=True),
        tags={**shared, "vpoc.trial": "3", "vpoc.parameters_hash": "of other parameters"},
    )

    logged = log_study(store, study, findings_of(study, [trial(n) for n in range(4)]))

    found = [run for run in runs_of(store, "trial") if run.info.run_id != bare.info.run_id]
    assert (logged.children, logged.added) == (4, 3)
    assert [(run.data.tags["vpoc.trial"], run.info.status) for run in found] == [(str(n), "FINISHED") for n in range(4)]
    assert [run.data.metrics["log_loss"] for run in found] == [0.7, 0.69, 0.68, 0.67]
    assert [len(store.client.get_metric_history(run.info.run_id, "reported")) for run in found] == [3] * 4


def test_study_begun_again_under_the_same_name_keeps_the_former_trials_and_adds_its_own(store: Store) -> None:
    study = study_of()
    log_study(store, study, findings_of(study, [trial(0), trial(1)]))
    other = replace(trial(0), params={**trial(0).params, "rate": 0.5})

    log_study(store, study, findings_of(study, [other]))

    assert [(run.data.tags["vpoc.trial"], run.data.params["rate"]) for run in runs_of(store, "trial")].count(
        ("0", "0.5")
    ) == 1
    assert len(runs_of(store, "trial")) == 3


def test_trials_and_parents_that_two_processes_made_at_once_are_one_afterwards(store: Store) -> None:
    study = study_of()
    experiment = store.experiment("ES", studies=True)
    early, late = (
        store.client.create_run(experiment, start_time=time, tags=study.identity).info.run_id for time in (1000, 2000)
    )
    one, other = (TrialRuns(store, experiment, early, LOSS) for _ in range(2))
    one.log([trial(0)])
    other.log([trial(0), trial(1)])

    logged = log_study(store, study, findings_of(study, [trial(0), trial(1), trial(2)]))

    assert logged.run == early != late
    assert [run.data.tags["vpoc.trial"] for run in runs_of(store, "trial")] == ["0", "1", "2"]
    removed = store.client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    assert [run.data.tags["vpoc.trial"] for run in removed] == ["0"]


def test_two_processes_that_end_a_study_at_the_same_time_write_each_trial_once(store: Store) -> None:
    study = study_of()
    findings = findings_of(study, twelve())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: log_study(store, study, findings), range(2))

    assert one.run == other.run
    assert sorted([one.added, other.added]) == [0, 12]
    assert [int(run.data.tags["vpoc.trial"]) for run in runs_of(store, "trial")] == list(range(12))


def test_child_that_another_machine_is_writing_is_left_to_it_and_a_forgotten_one_removed(store: Store) -> None:
    study = study_of()
    log_study(store, study, findings_of(study, [trial(0)]))
    (whole,) = runs_of(store, "trial")
    now = round(dt.datetime.now(tz=dt.UTC).timestamp() * 1000)
    experiment = store.experiment("ES", studies=True)
    writing, forgotten = (
        store.client.create_run(experiment, start_time=began, tags=whole.data.tags).info.run_id
        for began in (now, now - 2 * 24 * 3600 * 1000)
    )

    logged = log_study(store, study, findings_of(study, [trial(0)]))

    assert (logged.children, logged.added) == (1, 0)
    assert {run.info.run_id for run in runs_of(store, "trial")} == {whole.info.run_id, writing}
    assert store.client.get_run(forgotten).info.lifecycle_stage == "deleted"


def test_homes_own_database_keeps_a_write_ahead_log_and_a_users_is_left_as_it_is(
    store: Store, home: Home, empty_store: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "users.db"
    own.write_bytes(empty_store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own}")
    open_store(home)

    modes = []
    for database in (home.mlflow / "mlflow.db", own):
        with closing(sqlite3.connect(database)) as connection:
            modes.append(connection.execute("PRAGMA journal_mode").fetchone()[0])
    assert modes == ["wal", "delete"]


# --- while it runs ---


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as opened:
        yield opened


Body = Callable[[TrackedStudy, dg.AssetExecutionContext], None]


def job_of(body: Body, study: StudyToLog) -> dg.JobDefinition:
    @dg.asset(name="studies")
    def studies(context: dg.AssetExecutionContext, mlflow_tracking: MLflowTracking) -> dg.MaterializeResult[Any]:
        with mlflow_tracking.study(context, study) as tracked:
            tracked.tell_seconds = 0.0
            body(tracked, context)
        return dg.MaterializeResult(metadata=tracked.metadata)

    definitions = dg.Definitions(
        assets=[studies],
        jobs=[dg.define_asset_job("tune", selection=[studies], executor_def=dg.in_process_executor)],
        resources={"mlflow_tracking": MLflowTracking()},
    )
    return definitions.resolve_job_def("tune")


def executed(body: Body, instance: dg.DagsterInstance, study: StudyToLog) -> dg.ExecuteInProcessResult:
    return job_of(body, study).execute_in_process(instance=instance, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    made = result.asset_materializations_for_node("studies")[0].metadata
    return {name: one.value for name, one in made.items()}


def bowl(params: dict[str, Any], report: Report) -> float:
    for fold in range(2):
        report(fold, params["rate"] + fold)
    return float((params["rate"] - 0.1) ** 2 + params["depth"])


def searched(tracked: TrackedStudy, observe: Callable[[Any], None] | None = None) -> StudyResult:
    study = tracked.study
    return run_trials(SPACE, bowl, study.settings, observe=observe or tracked.observe)


def test_study_is_seen_while_it_runs_and_whole_at_its_end(store: Store, instance: dg.DagsterInstance) -> None:
    seen: list[tuple[str, int, int]] = []

    def body(tracked: TrackedStudy, context: dg.AssetExecutionContext) -> None:
        def observe(progress: Any) -> None:
            tracked.observe(progress)
            (parent,) = runs_of(store, "study")
            seen.append((parent.info.status, int(parent.data.metrics["trials_complete"]), len(runs_of(store, "trial"))))
            assert parent.data.tags["vpoc.best_trial"] == str(progress.best.position)

        tracked.keep(StudyFindings(searched(tracked, observe), looks=5))

    study = study_of(trials=5, sampler="random", pruner="none")
    result = executed(body, instance, study)

    (parent,) = runs_of(store, "study")
    assert result.success
    assert seen == [("RUNNING", n, n) for n in range(1, 6)]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["dagster.run_id"] == result.run_id
    assert parent.data.tags["dagster.asset"] == "studies"
    assert parent.data.tags["vpoc.study"] == study.name
    assert parent.data.metrics["trials_per_second"] > 0
    assert len(runs_of(store, "trial")) == 5
    assert metadata(result) == {"mlflow_run": parent.info.run_id, "mlflow_children": 5}


def test_study_that_fails_is_a_failed_run_that_says_why_and_continues_in_the_same(
    store: Store, instance: dg.DagsterInstance
) -> None:
    def fails(tracked: TrackedStudy, context: dg.AssetExecutionContext) -> None:
        raise ZeroDivisionError("of what")

    def works(tracked: TrackedStudy, context: dg.AssetExecutionContext) -> None:
        tracked.keep(StudyFindings(searched(tracked)))

    study = study_of(trials=2)
    assert not executed(fails, instance, study).success
    (failed,) = runs_of(store, "study")
    assert executed(works, instance, study).success

    assert (failed.info.status, failed.data.tags["vpoc.failure"]) == ("FAILED", "ZeroDivisionError: of what")
    (parent,) = runs_of(store, "study")
    assert (parent.info.run_id, parent.info.status) == (failed.info.run_id, "FINISHED")
    assert "vpoc.failure" not in parent.data.tags


def test_killed_studys_run_is_marked_failed_by_the_next_of_the_symbol(
    store: Store, instance: dg.DagsterInstance
) -> None:
    gone = instance.create_run_for_job(
        job_of(lambda tracked, context: None, study_of()), status=dg.DagsterRunStatus.FAILURE
    )
    killed = study_of(("net",))
    left = store.client.create_run(
        store.experiment("ES", studies=True), tags={**killed.identity, "dagster.run_id": gone.run_id}
    ).info.run_id

    executed(lambda tracked, context: None, instance, study_of())

    assert store.client.get_run(left).info.status == "FAILED"


def test_study_with_mlflow_unreachable_continues_and_its_next_run_logs_all_of_it(
    store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[StudyResult] = []

    def body(tracked: TrackedStudy, context: dg.AssetExecutionContext) -> None:
        kept.append(searched(tracked))
        tracked.keep(StudyFindings(kept[-1]))

    study = study_of(trials=3)
    away = f"http://127.0.0.1:{free_port()}"
    with monkeypatch.context() as changed:
        changed.setenv("MLFLOW_TRACKING_URI", away)
        result = executed(body, instance, study)

    assert result.success
    message = metadata(result)["mlflow_run"]
    assert message.startswith(f"not yet, the study's next run logs it: MLflow at {away} does not answer")
    assert len(kept[0].trials) == 3
    assert runs_of(store, "trial") == []
    assert log_study(store, study, StudyFindings(kept[0])).added == 3


def test_server_that_dies_in_a_study_loses_nothing_and_gets_the_same_run(
    home: Home, instance: dg.DagsterInstance, server: MLflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    begun: list[str | None] = []
    kept: list[StudyResult] = []

    def body(tracked: TrackedStudy, context: dg.AssetExecutionContext) -> None:
        begun.append(tracked.run_id)

        def observe(progress: Any) -> None:
            if progress.here == 3:
                server.stop()
            tracked.observe(progress)

        kept.append(searched(tracked, observe))
        tracked.keep(StudyFindings(kept[-1], plots={"history.png": b"\x89PNG"}))

    study = study_of(trials=12, sampler="random", pruner="none")
    server.start()
    result = executed(body, instance, study)

    assert result.success
    assert metadata(result)["mlflow_run"].startswith("not yet, the study's next run logs it")
    assert len(kept[0].trials) == 12
    server.start()
    store = open_store(home)
    before = len(runs_of(store, "trial"))
    logged = log_study(store, study, StudyFindings(kept[0], plots={"history.png": b"\x89PNG"}))
    (parent,) = runs_of(store, "study")
    assert logged.run == begun[0] == parent.info.run_id
    assert before == 2
    children = runs_of(store, "trial")
    assert [int(run.data.tags["vpoc.trial"]) for run in children] == list(range(12))
    assert {run.info.status for run in children} == {"FINISHED"}
    for run, record in zip(children, kept[0].trials, strict=True):
        assert run.data.metrics["log_loss"] == (record.values or ())[0]  # noqa: PD011 (no frame)
    assert artifact(parent, "plots/history.png").read_bytes() == b"\x89PNG"
    assert log_study(store, study, StudyFindings(kept[0])).added == 0


# --- the champion ---


@pytest.mark.parametrize(
    ("family", "given"),
    [
        ("lightgbm", {"num_leaves": 5, "learning_rate": 0.0123, "rounds": 12}),
        ("mlp", {"layers": [32], "epochs": 1, "dropout": 0.25}),
    ],
)
def test_champions_parameters_are_the_settings_it_was_trained_with(
    store: Store, home: Home, rows: TrainingRows, family: str, given: dict[str, Any]
) -> None:
    model = make_model(family, given).fit(rows)
    identity = TrainingIdentity("ES", family, "first", dt.datetime.now(tz=dt.UTC))
    done = upload(store, write_record(home, identity, result_of(model, rows)).folder)

    assert champion_parameters(store, "ES", family) is None
    assert champion_parameters(store, "ES", family, alias="challenger") == model.settings.model_dump()
    store.client.set_registered_model_alias(done.name, "champion", done.version)
    found = champion_parameters(store, "ES", family)
    assert found == model.settings.model_dump()
    assert champion_parameters(store, "NQ", family) is None
    # One that was registered before versions bore their settings: from the text of its run's parameters.
    store.client.delete_model_version_tag(done.name, done.version, "vpoc.settings")
    assert champion_parameters(store, "ES", family) == found


def test_champion_with_settings_of_another_release_is_none_and_a_warning(
    store: Store, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    done = upload(store, keep().folder)
    store.client.set_model_version_tag(done.name, done.version, "vpoc.settings", '{"strength": 1, "gone": 2}')

    assert champion_parameters(store, "ES", "logistic", alias="challenger") is None
    assert "vpoc-ES-logistic version 1 has settings that are none of this release" in caplog.text
