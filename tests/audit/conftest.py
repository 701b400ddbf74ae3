"""One audit of a market with planted leaks, shared by the tests."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import AuditReport, audit
from pipeline.market import Instrument, load_instruments, simulate_market
from tests.audit.planted import CLEAN, PLANTED


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, where the audit's processes find their bars."""
    monkeypatch.setenv("VPOC_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def market() -> tuple[pd.DataFrame, Instrument]:
    """Some twenty months of simulated ES in bars of 15 minutes, with rolls."""
    instrument = load_instruments()["ES"]
    return simulate_market(instrument, "2019-01-02", 420, 3, bar="15min"), instrument


@pytest.fixture(scope="session")
def vix() -> pd.DataFrame:
    days = pd.date_range("2018-06-01", "2021-12-31", freq="B")
    steps = np.random.default_rng(1).normal(0, 0.03, len(days))
    return pd.DataFrame({"timestamp": days, "close": 15 * np.exp(np.cumsum(steps))})


@pytest.fixture(scope="session")
def planted_report(market: tuple[pd.DataFrame, Instrument], vix: pd.DataFrame) -> AuditReport:
    features = {**CLEAN.registered(), **PLANTED.registered()}
    return audit(*market, features=features, vix=vix)
