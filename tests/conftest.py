"""Fixtures shared by all tests."""

import logging
import os
from pathlib import Path

import hypothesis
import pytest

from pipeline.market.instruments import Instrument, load_instruments

# The same examples each time; a first call may compile for seconds, so no deadline.
hypothesis.settings.register_profile("project", derandomize=True, deadline=None)
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take minutes, so that no process is left with one of them at the end.

    A module's tests go to one process, for they share what it has made; so do all modules of an ``xdist_group``.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


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
