"""Fixtures shared by all tests."""

import logging
import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from pipeline.market.instruments import Instrument, load_instruments

# The same examples each time; a first call may compile for seconds, so no deadline.
hypothesis.settings.register_profile("project", derandomize=True, deadline=None)
hypothesis.settings.load_profile("project")
# Where an engine is compared with a slow oracle, see at_least in examples.py, others on each seed:
# pytest --hypothesis-profile thorough --hypothesis-seed 1 tests/backtest
hypothesis.settings.register_profile("thorough", derandomize=False, database=None, deadline=None, max_examples=20_000)

ROOT = Path(__file__).resolve().parents[1]

# They share the home that the fixture ``made`` of tests/orchestration takes a minute for.
MADE_HOME = {
    f"tests/orchestration/test_{name}.py"
    for name in ("chain", "features", "launchpad", "looks", "made_under", "metadata", "models", "next_orders", "proof")
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take minutes, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


class _Modules(LoadFileScheduling):
    """Gives a module's tests to one process; so all modules that look at the one made home."""

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        return "made home" if module in MADE_HOME else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Schedule by modules, where ``--dist loadfile`` asks for it."""
    return _Modules(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def _heard() -> None:
    """Let the remarks of transforms be heard: a command that an earlier test ran in this process hushes them."""
    logging.getLogger("pipeline.learning.transforms").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def es() -> Instrument:
    return load_instruments()["ES"]


@pytest.fixture(scope="session")
def golden() -> Path:
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real market data: VPOC_REAL_DATA, or shared/data beside the project."""
    folder = Path(os.environ.get("VPOC_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "es_5m_2015_2021.parquet").exists():
        pytest.skip(f"no real market data at {folder}; set VPOC_REAL_DATA")
    return folder
