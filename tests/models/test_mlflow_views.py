"""MLflow's lists of runs: the address that shows them, and what stands in their columns."""

import json

from pipeline.learning.models import TrainingRows, make_model
from resources.mlflow_store import Store
from resources.mlflow_views import BACKTESTS, TRAININGS, runs_page, save_views
from resources.model_registry import KIND_TAG
from resources.model_upload import upload
from tests.models.conftest import Keep, result_of


def test_address_without_runs_is_that_of_the_list_of_experiments(store: Store) -> None:
    assert store.newest_runs() == "#/experiments?workflowType=machine_learning"


def test_address_is_of_the_symbol_that_ran_last_and_not_of_its_studies(store: Store) -> None:
    for symbol, studies, started in (("NQ", False, 1), ("ES", False, 2), ("ES", True, 3)):
        experiment = store.experiment(symbol, studies=studies)
        store.client.create_run(experiment, start_time=started, tags={KIND_TAG: "research"})

    assert store.newest_runs() == runs_page(store.experiment("ES"), BACKTESTS)


def test_address_is_of_the_trainings_where_there_are_some(store: Store, keep: Keep) -> None:
    upload(store, keep().folder)
    store.client.create_run(store.experiment("ES"), tags={KIND_TAG: "research"})

    assert store.newest_runs() == (
        f"#/experiments/{store.experiment('ES')}/runs?workflowType=machine_learning&viewStateShareKey=trainings"
    )


def test_views_are_saved_with_an_experiment_that_has_none_or_older_ones(store: Store) -> None:
    experiment = store.experiment("ES")
    tag = f"mlflow.sharedViewState.{TRAININGS.key}"
    store.client.set_experiment_tag(experiment, tag, "an older release's")

    store.experiment("ES")

    kept = json.loads(store.client.get_experiment(experiment).tags[tag])
    assert kept["name"] == "Trainings"
    state = json.loads(kept["state"])
    assert state["selectedColumns"][:2] == ["tags.`headline.auc_within_folds`", "tags.`headline.sharpe_ratio`"]
    assert state["searchFilter"] == "tags.`vpoc.kind` = 'training'"


def test_views_that_are_there_are_not_written_again(store: Store) -> None:
    experiment = store.client.get_experiment(store.experiment("ES"))

    save_views(None, experiment, (TRAININGS, BACKTESTS))  # no client to write with


def test_first_metrics_of_a_training_are_those_to_choose_by(store: Store, keep: Keep, rows: TrainingRows) -> None:
    record = keep()
    metrics = {"rows": 200.0, "net": -4.0, "auc": 0.6, "net.low": -9.0}
    changed = result_of(make_model("constant"), rows, metrics=metrics, headline={"auc": "0.6", "net": "-4"})
    document = json.loads((record.folder / "record.json").read_text())
    document |= {"metrics": dict(changed.metrics), "headline": dict(changed.headline)}
    (record.folder / "record.json").write_text(json.dumps(document))

    run = store.client.get_run(upload(store, record.folder).run)

    assert list(run.data.metrics)[:4] == ["auc", "net", "rows", "net.low"]
