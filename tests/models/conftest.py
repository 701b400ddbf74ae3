"""Trained models, homes and MLflow servers for the tests of records, registry and serving."""

import contextlib
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.environment import make_tracking_store, prepare_environment
from pipeline.home import PROJECT, Home
from pipeline.learning.models import Model, TrainingRows, make_model
from pipeline.learning.provenance import data_version
from pipeline.learning.record import StoredRecord, TrainingIdentity, TrainingResult, write_record
from resources.mlflow_store import Store, open_store

WAIT_SECONDS = 120

Keep = Callable[..., StoredRecord]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MLflow's database before its first run: fifty tables that are made once."""
    folder = tmp_path_factory.mktemp("store")
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    try:
        make_tracking_store(Home(folder))
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home; SQLite for Dagster and MLflow, which is not made yet."""
    root = tmp_path / "home"
    monkeypatch.setenv("VPOC_HOME", str(root))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT))
    monkeypatch.setenv("VPOC_DAGSTER_STORAGE", str(root / "dagster"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow' / 'mlflow.db'}")
    monkeypatch.delenv("VPOC_POSTGRES_URL", raising=False)
    made = Home(root)
    prepare_environment(made)
    return made


@pytest.fixture
def store(home: Home, empty_store: bytes) -> Store:
    """The home's own tracking store, empty."""
    (home.mlflow / "mlflow.db").write_bytes(empty_store)
    return open_store(home)


@pytest.fixture(scope="session")
def rows() -> TrainingRows:
    """Two hundred trades with twelve features; the first tells something, the last is often missing."""
    random = np.random.default_rng(5)
    features = pd.DataFrame(random.normal(size=(200, 12)), columns=[f"feature_{number}" for number in range(12)])
    features.loc[::3, "feature_11"] = np.nan
    label = (features["feature_0"] + random.normal(size=200) > 0).astype(float)
    start = pd.Series(pd.date_range("2023-01-02 21:00", periods=200, freq="D", tz="UTC"))
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta("20h"),
            "label": label,
            "r_multiple": np.where(label > 0, 2.0, -1.0),
            "net": np.where(label > 0, 250.0, -130.0),
            "weight": 1.0,
        }
    )
    return TrainingRows(features, outcome)


def result_of(model: Model, rows: TrainingRows, **changed: object) -> TrainingResult:
    """Return what a training of this model hands over."""
    given: dict[str, object] = {
        "model": model,
        "example": rows.features,
        "data_version": data_version(rows.features, "bars.csv"),
        "source": "bars.csv",
        "rows": len(rows),
        "parameters": {"splits": 2, "embargo": "0D"},
        "metrics": {"auc": 0.61, "auc.low": 0.52, "brier": float("nan")},
        "folds": pd.DataFrame(
            {"auc": [0.58, 0.64], "train_rows": [100, 150], "test_from": pd.to_datetime(["2023-05-01", "2023-06-01"])},
            index=pd.Index([1, 2], name="fold"),
        ),
        "logs": {"final": pd.DataFrame({"loss": [0.7, 0.65, 0.6]}, index=pd.RangeIndex(1, 4, name="step"))},
        "headline": {"AUC": "0.61 (0.52 to 0.70)"},
        "plots": {"calibration": b"\x89PNG..."},
        "tables": {"importance": pd.DataFrame({"gain": [2.0, 1.0]}, index=["feature_0", "feature_1"])},
    }
    return TrainingResult(**{**given, **changed})  # type: ignore[arg-type]


@pytest.fixture
def keep(home: Home, rows: TrainingRows) -> Keep:
    """Train a small model and keep its record in the home."""

    def kept(training: str = "first", family: str = "logistic", symbol: str = "ES", seed: int = 0) -> StoredRecord:
        taken = rows.take(np.arange(200 - seed))  # another seed, other rows: another model
        identity = TrainingIdentity(symbol, family, training, dt.datetime.now(tz=dt.UTC), {"dagster.run_id": training})
        return write_record(home, identity, result_of(make_model(family, seed=seed).fit(taken), taken))

    return kept


class MLflowServer:
    """MLflow's own server on this machine, which can be stopped and started again."""

    def __init__(self, folder: Path, empty_store: bytes) -> None:
        self._folder = folder
        (folder / "server.db").write_bytes(empty_store)
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self._folder / 'server.db'}",
            "--artifacts-destination", str(self._folder / "artifacts"),
        ]  # fmt: skip
        self._process = started(command, self._folder / "server.log", self._folder)
        wait_for(f"{self.uri}/health", self._process, self._folder / "server.log")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Home, empty_store: bytes) -> Iterator[MLflowServer]:
    """A server, not started yet, that the environment names as tracking store; it proxies its artifacts."""
    folder = tmp_path / "server"
    folder.mkdir()
    made = MLflowServer(folder, empty_store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    yield made
    made.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(command: list[str], log: Path, folder: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """A program in a folder and a process group of its own, with its output in a file.

    MLflow starts uvicorn by name: the folder of this interpreter comes first, as in an activated environment.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
            env={**os.environ, "PATH": path, **environment},
        )  # fmt: skip


def stop(process: "subprocess.Popen[bytes]") -> None:
    # One that failed to start is gone already, and its own message is what the test shows.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{address} did not answer: {log.read_text()[-3000:]}")
