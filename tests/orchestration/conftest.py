"""A home of its own for each test of the orchestration."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline.environment import prepare_environment
from pipeline.home import PROJECT, Home, vpoc_home

SMALL_MARKET = "simulator: {start: 2021-01-04, sessions: 320, seed: 3, bar: 15min}\nmodels: {families: []}\n"


def made_home(folder: Path, patch: pytest.MonkeyPatch) -> Home:
    """An empty home with a small simulated market; SQLite for Dagster and MLflow."""
    patch.setenv("VPOC_HOME", str(folder))
    patch.setenv("DAGSTER_HOME", str(PROJECT))
    patch.setenv("VPOC_DAGSTER_STORAGE", str(folder / "dagster"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    patch.delenv("VPOC_POSTGRES_URL", raising=False)
    prepare_environment(vpoc_home())
    (folder / "settings.yaml").write_text(SMALL_MARKET)
    return vpoc_home()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own."""
    return made_home(tmp_path, monkeypatch)


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance."""
    with dg.DagsterInstance.get() as opened:
        yield opened
