"""A home of its own for each test of the orchestration."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline.environment import prepare_environment
from pipeline.home import PROJECT, Home, vpoc_home

SMALL_MARKET = "simulator: {start: 2021-01-04, sessions: 320, seed: 3, bar: 15min}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home with a small simulated market; SQLite for Dagster and MLflow."""
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT))
    monkeypatch.setenv("VPOC_DAGSTER_STORAGE", str(tmp_path / "dagster"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
    monkeypatch.delenv("VPOC_POSTGRES_URL", raising=False)
    prepare_environment(vpoc_home())
    (tmp_path / "settings.yaml").write_text(SMALL_MARKET)
    return vpoc_home()


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance."""
    with dg.DagsterInstance.get() as opened:
        yield opened
