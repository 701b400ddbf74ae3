"""Homes of the orchestration's tests: one made whole for those that only look, and one of its own for each other."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from jobs.chain import run_chain
from jobs.dagster_internals import quiet_instance
from jobs.progress import StepEvent
from pipeline.backtest import Backtests, read_backtests
from pipeline.definitions import defs
from pipeline.environment import prepare_environment
from pipeline.home import PROJECT, Home, vpoc_home

# Without the indicators, half of all features and most of the time that they and their audit take; they are made and
# audited in tests of their own, and by those that run the program with its defaults.
FEATURES = "features: {leave_out: [technical]}\n"
MARKET = "simulator: {start: 2021-01-04, sessions: 320, seed: 3, bar: 15min}\n" + FEATURES
SMALL_MARKET = MARKET + "models: {families: []}\n"
# Enough of a market for two folds, and as little training as shows that everything is in its place.
MODELS = (
    "models: {families: [lightgbm, mlp], splits: 2, threshold: 0.3, parameters: {"
    "lightgbm: {rounds: 10, patience: 5}, mlp: {epochs: 3, layers: [32]}}}\n"
)


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


def backtests(home: Home, path: str) -> Backtests:
    """Read what a home has stored of backtests: ``rule_backtest/ES-SIM``, say."""
    with (home.assets / f"{path}.zip").open("rb") as file:
        return read_backtests(file)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own."""
    return made_home(tmp_path, monkeypatch)


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance; it captures no step's output, which takes processes that are waited for."""
    with quiet_instance() as opened:
        yield opened


@dataclass(frozen=True)
class Made:
    """A chain with models that has been run: what it told on the way, and its Dagster runs by job."""

    home: Home
    told: list[StepEvent]
    runs: Mapping[str, str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A home with everything in it, made once: for tests that only look."""
    told: list[StepEvent] = []
    with pytest.MonkeyPatch.context() as patch:
        home = made_home(tmp_path_factory.mktemp("made"), patch)
        home.settings.write_text(MARKET + MODELS)
        runs = run_chain(defs, "ES-SIM", home, told.append)
    return Made(home, told, runs)


@pytest.fixture
def copied(made: Made, home: Home) -> Home:
    """A home of its own that begins with everything that the chain has made, but Dagster's and MLflow's records."""
    shutil.copytree(made.home.assets, home.assets, dirs_exist_ok=True)
    shutil.copy(made.home.settings, home.settings)
    return home
