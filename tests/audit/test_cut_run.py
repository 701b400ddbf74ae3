"""A run on bars cut off lies in the home, and ends with the process that asked for it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.audit.cut_run import run_on_cut_bars
from pipeline.errors import DataError
from pipeline.home import PROJECT
from pipeline.leftovers import drop_dead_files
from pipeline.market import load_instruments, simulate_market
from pipeline.settings import ModelSelection, Settings

pytestmark = pytest.mark.slow

# More epochs than any machine trains before the process is killed.
ENDLESS = """
import pandas as pd
from pipeline.audit.cut_run import run_on_cut_bars
from pipeline.market import load_instruments, simulate_market
from pipeline.settings import ModelSelection, Settings
es = load_instruments()["ES"]
network = {"epochs": 100_000, "validation_share": 0, "layers": [512, 512]}
settings = Settings(models=ModelSelection(splits=1, threshold=0.5, parameters={"mlp": network}))
bars = simulate_market(es, "2021-01-04", 90, 3, bar="30min")
run_on_cut_bars(bars, es, settings, ["mlp"], pd.Timestamp("2022-01-03", tz="UTC"))
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_parent_killed_in_a_replay_ends_its_process_and_the_next_run_removes_its_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    elsewhere = short_folder
    home = tmp_path / "home"
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setenv("VPOC_HOME", str(home))
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS], cwd=PROJECT)
    try:
        folder = _wait_for(home, "training_set.parquet")
        (server,) = [one for one in psutil.Process(parent.pid).children() if "forkserver" in " ".join(one.cmdline())]
        (child,) = server.children()
        assert (folder / "bars.parquet").exists()
        assert child.is_running()
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()

    gone, alive = psutil.wait_procs([child], timeout=60)

    assert (len(gone), alive) == (1, [])
    assert folder.exists()
    assert drop_dead_files(home) == [folder]
    assert list(home.iterdir()) == list(elsewhere.rglob("*.parquet")) == []


def test_chain_that_fails_on_cut_bars_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    es = load_instruments()["ES"]
    bars = simulate_market(es, "2021-01-04", 3, 3, bar="30min")
    settings = Settings(models=ModelSelection(splits=1))

    with pytest.raises(DataError, match=r"failed on bars cut off at 2022-01-03 .*, although it ran on all bars: \w+"):
        run_on_cut_bars(bars, es, settings, ["logistic"], bars["timestamp"].iloc[-1].replace(year=2022, day=3))

    assert list(tmp_path.iterdir()) == []


def _wait_for(home: Path, name: str) -> Path:
    """The folder in which a file of this name turns up."""
    for _ in range(600):
        if found := list(home.glob(f".cut.*/{name}")):
            return found[0].parent
        time.sleep(0.1)
    raise AssertionError(f"no {name} in {home} after a minute")
