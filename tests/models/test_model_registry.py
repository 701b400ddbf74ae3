"""Uploading records to MLflow: what stands there, that nothing comes twice, and that what broke off goes on."""

import dataclasses
import datetime as dt
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from pipeline.home import Home
from pipeline.learning.models import TrainingRows, load_model
from pipeline.learning.models.pyfunc import requirements
from pipeline.learning.record import StoredRecord, pending_records, read_record
from resources.mlflow_store import Store
from resources.model_registry import registered_models
from resources.model_upload import upload
from tests.models.conftest import Keep


def versions(store: Store, name: str = "vpoc-ES-logistic") -> list[Any]:
    return sorted(store.client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))


def aliases(store: Store, name: str) -> dict[str, int]:
    return {alias: int(version) for alias, version in store.client.get_registered_model(name).aliases.items()}


def runs(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment("ES")]))


def test_upload_records_the_training_whole(store: Store, keep: Keep) -> None:
    record = keep()

    done = upload(store, record.folder)

    run = store.client.get_run(done.run)
    assert (run.info.status, run.info.start_time) == ("FINISHED", round(record.identity.started.timestamp() * 1000))
    assert run.data.params["splits"] == "2"
    assert "model.strength" in run.data.params
    assert run.data.metrics["auc"] == 0.61
    history = store.client.get_metric_history(done.run, "fold.auc")
    assert [(one.step, one.value) for one in history] == [(1, 0.58), (2, 0.64)]
    assert [one.step for one in store.client.get_metric_history(done.run, "final.loss")] == [1, 2, 3]
    tags = run.data.tags
    assert tags["vpoc.kind"] == "training"
    assert tags["vpoc.data_version"] == record.data_version
    assert tags["vpoc.code_hash"] == record.code["content"]
    assert tags["dagster.run_id"] == "first"
    assert tags["vpoc.source"] == "bars.csv"
    assert tags["environment.python"] == record.environment["python"]
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("ES training set", record.data_version)
    artifacts = {one.path for one in store.client.list_artifacts(done.run)}
    assert artifacts == {"environment.json", "plots", "record.json", "tables"}
    assert run.outputs.model_outputs[0].model_id == store.client.get_model_version(done.name, "1").source.split("/")[1]


def test_upload_registers_a_version_with_tags_description_and_alias(store: Store, keep: Keep) -> None:
    record = keep(symbol="ES-SIM")

    done = upload(store, record.folder)

    model = store.client.get_registered_model(done.name)
    assert model.tags == {"vpoc.symbol": "ES-SIM", "vpoc.family": "logistic", "vpoc.simulated": "false"}
    assert "logistic on ES-SIM" in model.description
    assert aliases(store, done.name) == {"challenger": 1}
    version = store.client.get_model_version_by_alias("vpoc-ES-SIM-logistic", "challenger")
    assert (str(version.version), version.run_id) == (done.version, done.run)
    assert version.tags["headline.AUC"] == "0.61 (0.52 to 0.70)"
    assert "- AUC: 0.61 (0.52 to 0.70)" in version.description
    assert "This one learned from all of them and was judged on none." in version.description


def test_logged_model_has_signature_example_requirements_and_the_package_alone(
    store: Store, keep: Keep, rows: TrainingRows
) -> None:
    record = keep()
    done = upload(store, record.folder)

    local = Path(mlflow.artifacts.download_artifacts(f"models:/{done.name}/1", tracking_uri=store.uri))
    meta = mlflow.models.Model.load(str(local))
    assert meta.signature.inputs.input_names() == list(rows.features.columns)
    assert str(meta.signature.outputs) == "[Tensor('float64', (-1,))]"
    example = meta.load_input_example(str(local))
    np.testing.assert_array_equal(example.to_numpy(), rows.features.tail(5).to_numpy())
    named = (local / "requirements.txt").read_text().split()
    assert named == requirements(load_model(record.model))
    assert all("==" in one for one in named)
    assert [one.name for one in (local / "code").iterdir()] == ["pipeline"]
    assert {one.suffix for one in (local / "code").rglob("*") if one.is_file()} == {".py", ".yaml"}


def test_upload_twice_makes_no_second_run_or_version(store: Store, keep: Keep) -> None:
    record = keep()
    first = upload(store, record.folder)
    assert upload(store, record.folder) == first
    (record.folder / "uploaded.json").unlink()  # killed before it could be noted

    again = upload(store, record.folder)

    assert (again.run, again.version) == (first.run, "1")
    assert len(runs(store)) == 1
    assert len(versions(store)) == 1
    assert len(store.client.search_logged_models([store.experiment("ES")])) == 1
    assert len(store.client.get_metric_history(first.run, "final.loss")) == 3


def test_two_uploads_of_one_record_at_once_make_one_version(store: Store, keep: Keep) -> None:
    record = keep()
    threads = [threading.Thread(target=upload, args=(store, record.folder)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(runs(store)), len(versions(store))) == (1, 1)


class Breaks:
    """A client whose store is gone from a call on."""

    def __init__(self, client: Any, call: str) -> None:
        self._client, self._call = client, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise ConnectionError("gone")
        return getattr(self._client, name)


@pytest.mark.parametrize(
    "call",
    [
        "create_run", "log_batch", "log_inputs", "log_artifacts", "create_logged_model", "log_model_artifacts",
        "finalize_logged_model", "log_outputs", "create_registered_model", "create_model_version",
        "set_registered_model_alias", "set_terminated",
    ],
)  # fmt: skip
def test_upload_that_broke_off_continues_where_it_was(store: Store, home: Home, keep: Keep, call: str) -> None:
    record = keep("broken", family="constant")
    broken = dataclasses.replace(store, client=Breaks(store.client, call))
    with pytest.raises(ConnectionError):
        upload(broken, record.folder)
    assert pending_records(home) == [record.folder]

    done = upload(store, record.folder)

    assert done.version == "1"
    assert [one.info.status for one in runs(store)] == ["FINISHED"]
    logged = store.client.search_logged_models([store.experiment("ES")])
    assert [str(one.status) for one in logged] == ["READY"]
    assert [one.model_id for one in runs(store)[0].outputs.model_outputs] == [logged[0].model_id]
    assert aliases(store, done.name) == {"challenger": 1}
    assert len(store.client.get_metric_history(done.run, "fold.auc")) == 2


def test_training_tried_again_with_another_result_is_a_version_more_of_the_same_run(store: Store, keep: Keep) -> None:
    first = upload(store, keep("same").folder)
    second = upload(store, keep("same", seed=2).folder)

    assert (second.run, second.version) == (first.run, "2")
    assert aliases(store, first.name) == {"challenger": 2}
    tags = store.client.get_run(first.run).data.tags
    assert tags["vpoc.changed_since_first_try"] == "seed"


def test_record_that_waited_does_not_take_the_alias_from_a_later_training(store: Store, keep: Keep) -> None:
    waited, later = keep("waited"), keep("later", seed=1)
    upload(store, later.folder)

    done = upload(store, waited.folder)

    assert done.version == "2"
    assert aliases(store, done.name) == {"challenger": 1}
    assert [(one.version, one.aliases) for one in registered_models(store)] == [(2, ()), (1, ("challenger",))]


@pytest.mark.parametrize("days", [400, -400])
def test_training_by_a_clock_that_was_wrong_does_not_hold_the_alias(
    store: Store, keep: Keep, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    first = _dated(keep("first"), days)
    upload(store, first.folder)
    second = keep("second", seed=1)
    wrong = _dated(keep("third", seed=2), -days)

    done = upload(store, second.folder)
    assert aliases(store, done.name) == {"challenger": 2}
    upload(store, wrong.folder)
    assert aliases(store, done.name) == {"challenger": 3}
    assert [path.name for path in second.folder.parent.glob("[!.]*")] == ["third"]
    assert "by a clock that was ahead" in caplog.text


def test_version_of_another_home_by_a_clock_that_was_ahead_gives_the_alias_up(
    store: Store, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = _dated(keep("elsewhere"), 400)
    done = upload(store, elsewhere.folder)
    shutil.rmtree(elsewhere.folder)

    upload(store, keep("here", seed=1).folder)

    assert aliases(store, done.name) == {"challenger": 2}
    assert "version 1 was trained on" in caplog.text


def _dated(record: StoredRecord, days: int) -> StoredRecord:
    """The record as a clock that is days ahead would have dated it."""
    path = record.folder / "record.json"
    document = json.loads(path.read_text())
    trained = dt.datetime.fromisoformat(document["trained"]) + dt.timedelta(days)
    path.write_text(json.dumps({**document, "trained": trained.isoformat(timespec="milliseconds")}))
    return read_record(record.folder)


def test_newest_uploaded_record_stays_in_the_home_and_older_ones_go(store: Store, keep: Keep) -> None:
    first, second = keep("first"), keep("second", seed=1)
    for record in (first, second):
        upload(store, record.folder)

    assert not first.folder.exists()
    assert read_record(second.folder).upload is not None


def test_registered_models_lists_the_latest_and_those_with_an_alias(store: Store, keep: Keep) -> None:
    store.client.create_registered_model("someone-elses")
    store.client.create_registered_model("vpoc-by-hand")
    for seed in range(3):
        upload(store, keep(f"training {seed}", seed=seed).folder)
    store.client.set_registered_model_alias("vpoc-ES-logistic", "champion", "1")

    found = registered_models(store, latest=1)

    assert [(one.name, one.version, one.aliases) for one in found] == [
        ("vpoc-ES-logistic", 3, ("challenger",)),
        ("vpoc-ES-logistic", 1, ("champion",)),
    ]
    assert found[0].headline == {"AUC": "0.61 (0.52 to 0.70)"}
    assert found[0].trained is not None
    assert found[0].trained.tzinfo == dt.UTC


def test_record_types_are_values(keep: Keep) -> None:
    record = keep()

    assert isinstance(record, StoredRecord)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.rows = 3  # type: ignore[misc]
