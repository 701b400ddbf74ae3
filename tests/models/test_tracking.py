"""A training's MLflow run as Dagster goes through it: tried again, failed, killed, and with MLflow away."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import numpy as np
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from pipeline.home import Home
from pipeline.learning.models import TrainingRows, load_model, make_model
from pipeline.learning.record import pending_records
from resources.mlflow_store import Store, StoreUnreachableError, open_store
from resources.mlflow_tracking import MLflowTracking, TrackedRun, TrackedTraining
from resources.model_registry import registered_models
from resources.model_upload import upload
from tests.models.conftest import MLflowServer, free_port, result_of

pytestmark = pytest.mark.slow

FAMILIES = dg.StaticPartitionsDefinition(["constant", "logistic"])
Body = Callable[[TrackedTraining, dg.AssetExecutionContext], None]


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.fixture
def keeps(rows: TrainingRows) -> Body:
    """A training that comes to its end."""

    def body(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        training.keep(result_of(make_model(training.identity.family).fit(rows), rows))

    return body


def job_of(body: Body, retries: int = 0) -> dg.JobDefinition:
    @dg.asset(name="models", partitions_def=FAMILIES, retry_policy=dg.RetryPolicy(max_retries=retries))
    def models(context: dg.AssetExecutionContext, mlflow_tracking: MLflowTracking) -> dg.MaterializeResult[Any]:
        with mlflow_tracking.training(context, "ES", context.partition_key) as training:
            body(training, context)
        return dg.MaterializeResult(metadata=training.metadata)

    definitions = dg.Definitions(
        assets=[models],
        jobs=[dg.define_asset_job("train", selection=[models], executor_def=dg.in_process_executor)],
        resources={"mlflow_tracking": MLflowTracking()},
    )
    return definitions.resolve_job_def("train")


def executed(
    job: dg.JobDefinition, instance: dg.DagsterInstance, family: str = "constant"
) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(instance=instance, partition_key=family, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    made = result.asset_materializations_for_node("models")[0].metadata
    return {name: one.value for name, one in made.items()}


def runs(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment("ES")]))


def test_training_is_one_run_with_where_it_came_from_and_what_the_machine_did(
    store: Store, instance: dg.DagsterInstance, keeps: Body
) -> None:
    result = executed(job_of(keeps), instance)

    (run,) = runs(store)
    assert result.success
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert tags["dagster.run_id"] == tags["vpoc.training"] == result.run_id
    assert (tags["dagster.asset"], tags["dagster.partition"]) == ("models", "constant")
    assert (tags["vpoc.symbol"], tags["vpoc.family"], tags["vpoc.kind"]) == ("ES", "constant", "training")
    system = {name for name in run.data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= system
    # MLflow's page compares runs by the metric that was logged first.
    assert next(iter(run.data.metrics)) == "auc"
    assert run.data.metrics["auc"] == 0.61
    shown = metadata(result)
    assert shown["mlflow_run"] == run.info.run_id
    assert shown["registered"] == "vpoc-ES-constant version 1"
    assert Path(shown["training_record"]).is_dir()


def test_backtest_judged_again_takes_the_place_of_the_earlier_figures_of_its_training(
    store: Store, instance: dg.DagsterInstance, keeps: Body
) -> None:
    executed(job_of(keeps), instance)
    (trained,) = runs(store)
    version = trained.data.tags["vpoc.data_version"]
    context = dg.build_asset_context(instance=instance)

    for value in (0.5, -0.25):
        figures, headline = {"sharpe_ratio": value}, {"sharpe_ratio": str(value)}
        MLflowTracking().add_to_training(context, "ES", "constant", version, figures, headline)
    MLflowTracking().add_to_training(context, "ES", "constant", "another", {"sharpe_ratio": 9.0}, {})

    (run,) = runs(store)
    assert (run.info.status, run.data.metrics["sharpe_ratio"]) == ("FINISHED", -0.25)
    assert run.data.tags["headline.sharpe_ratio"] == "-0.25"


def test_step_that_is_tried_again_reopens_its_run(store: Store, instance: dg.DagsterInstance, keeps: Body) -> None:
    tried: list[Any] = []

    def fails_once(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        tried.append((training.run_id, runs(store)[0].info.status))
        if len(tried) == 1:
            raise ValueError("no luck")
        keeps(training, context)

    assert executed(job_of(fails_once, retries=1), instance).success

    (run,) = runs(store)
    assert tried == [(run.info.run_id, "RUNNING")] * 2
    assert run.info.status == "FINISHED"
    assert "vpoc.failure" not in run.data.tags
    assert run.data.tags["dagster.retry"] == "1"


def test_failed_training_is_a_failed_run_that_says_why(store: Store, instance: dg.DagsterInstance) -> None:
    def fails(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        raise ZeroDivisionError("of what")

    assert not executed(job_of(fails), instance).success

    (run,) = runs(store)
    assert run.info.status == "FAILED"
    assert run.data.tags["vpoc.failure"] == "ZeroDivisionError: of what"


def test_run_that_is_tried_again_from_a_failed_one_reopens_its_run_and_a_new_one_does_not(
    store: Store, instance: dg.DagsterInstance, keeps: Body
) -> None:
    fails = True

    def body(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        if fails:
            raise ValueError("no luck")
        keeps(training, context)

    job = job_of(body)
    first = executed(job, instance)
    (failed,) = runs(store)
    fails = False

    def again() -> dg.DagsterRun:
        run = instance.create_run_for_job(
            job,
            tags={"dagster/partition": "constant"},
            root_run_id=first.run_id,
            parent_run_id=first.run_id,
        )
        execute_run(InMemoryJob(job), run, instance)
        return run

    second = again()
    (reopened,) = runs(store)
    assert reopened.info.run_id == failed.info.run_id
    assert reopened.info.status == "FINISHED"
    assert reopened.data.tags["dagster.run_id"] == second.run_id
    assert reopened.data.tags["dagster.root_run_id"] == first.run_id
    again()  # of one that has ended well: another training
    assert len(runs(store)) == 2


def test_families_of_one_dagster_run_and_the_run_of_its_backtests_are_runs_apart(
    store: Store, instance: dg.DagsterInstance, keeps: Body
) -> None:
    def both(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        keeps(training, context)
        with MLflowTracking().training(context, "ES", "logistic") as other:
            keeps(other, context)
        for _ in range(2):
            with MLflowTracking().run(context, "ES") as run:
                run.log_parameters({"seed": 0})

    assert executed(job_of(both), instance).success

    assert sorted(
        (run.data.tags["vpoc.kind"], run.data.tags.get("vpoc.family", ""), run.info.status) for run in runs(store)
    ) == [("research", "", "FINISHED"), ("training", "constant", "FINISHED"), ("training", "logistic", "FINISHED")]


def test_killed_trainings_run_is_marked_failed_by_the_next(
    store: Store, instance: dg.DagsterInstance, keeps: Body
) -> None:
    job = job_of(keeps)
    gone, alive = (
        instance.create_run_for_job(job, tags={"dagster/partition": "constant"}, status=status)
        for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED)
    )
    experiment = store.experiment("ES")
    left = [
        store.client.create_run(experiment, tags={"dagster.run_id": name}).info.run_id
        for name in (gone.run_id, alive.run_id, "of another Dagster")
    ]

    executed(job, instance)

    assert [store.client.get_run(name).info.status for name in left] == ["FAILED", "RUNNING", "RUNNING"]


def test_training_with_mlflow_unreachable_continues_and_is_uploaded_afterwards(
    store: Store, home: Home, instance: dg.DagsterInstance, keeps: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with monkeypatch.context() as changed:
        changed.setenv("MLFLOW_TRACKING_URI", away)
        result = executed(job_of(keeps), instance)

    assert result.success
    shown = metadata(result)
    assert shown["mlflow_run"] == "none yet"
    assert "vpoc models upload" in shown["registered"]
    assert f"MLflow at {away} does not answer" in shown["registered"]
    (waiting,) = pending_records(home)
    assert str(waiting) == shown["training_record"]
    done = upload(store, waiting)
    assert pending_records(home) == []
    (run,) = runs(store)
    assert (run.info.run_id, run.info.status) == (done.run, "FINISHED")
    assert run.data.tags["dagster.run_id"] == result.run_id
    assert [(one.name, one.version) for one in registered_models(store)] == [("vpoc-ES-constant", 1)]


def test_server_that_dies_while_a_model_is_trained_loses_nothing_and_gets_the_same_run(
    home: Home,
    instance: dg.DagsterInstance,
    keeps: Body,
    server: MLflowServer,
    rows: TrainingRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    begun: list[str | None] = []

    def body(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        begun.append(training.run_id)
        server.stop()
        keeps(training, context)

    server.start()
    result = executed(job_of(body), instance)

    assert result.success
    assert metadata(result)["mlflow_run"] == "none yet"
    server.start()
    store = open_store(home)
    assert store.client.get_run(str(begun[0])).info.status == "RUNNING"
    (waiting,) = pending_records(home)
    done = upload(store, waiting)
    assert upload(store, waiting) == done
    assert done.run == begun[0]
    run = store.client.get_run(done.run)
    assert run.info.status == "FINISHED"
    # Over HTTP, artifacts by way of the server.
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    local = Path(mlflow.artifacts.download_artifacts(f"models:/{done.name}@challenger"))
    np.testing.assert_array_equal(
        load_model(local / "data" / "model").predict_proba(rows.features),
        load_model(waiting / "model").predict_proba(rows.features),
    )
    assert not (home.mlflow / "mlflow.db").exists()


def test_failure_with_mlflow_unreachable_is_the_trainings_own(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")

    def fails(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        assert training.run_id is None
        raise ZeroDivisionError("of what")

    result = executed(job_of(fails), instance)

    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert failure.error.cause.cls_name == "ZeroDivisionError"


def test_run_with_mlflow_unreachable_records_nothing_and_continues(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    held: list[TrackedRun] = []

    def body(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
        with MLflowTracking().run(context, "ES") as run:
            run.log_parameters({"seed": 0})
            run.log_metrics({"sharpe": 1.0})
            run.log_file(tmp_path / "absent")
            held.append(run)

    assert executed(job_of(body), instance).success
    assert held[0].run_id is None


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"])
def test_server_that_listens_and_does_not_serve_is_unreachable(
    home: Home, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                if answer:
                    connection.recv(1000)
                    connection.sendall(answer)
                else:
                    connection.recv(1000)
                    connection.recv(1000)  # until the other side gives up

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(StoreUnreachableError, match=r"does not answer .(timed out|HTTP 503)") as caught:
            open_store(home)
    assert "secret" not in str(caught.value)


def test_database_of_another_program_is_unreachable_with_its_reason(home: Home) -> None:
    (home.mlflow / "mlflow.db").write_text("not a database")

    with pytest.raises(StoreUnreachableError, match=r"can't be opened .*mlflow.db is damaged"):
        open_store(home)
