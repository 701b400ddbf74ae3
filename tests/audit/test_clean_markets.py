"""The project's own features raise no alarm, on the simulator's market and on real ones."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.audit import AuditReport, audit
from pipeline.features import registered
from pipeline.market import load_instruments, simulate_market
from pipeline.market.cleaning import clean_bars

pytestmark = pytest.mark.slow


def _errors(report: AuditReport) -> list[tuple[str, str, str]]:
    return [(each.feature, each.row, each.likely_cause) for each in report.findings if each.severity == "error"]


def test_project_features_on_simulated_es_raise_no_alarm(es, vix: pd.DataFrame) -> None:
    bars = simulate_market(es, "2019-01-02", 370, 11, bar="15min")

    report = audit(bars, es, vix=vix, cutoffs=3)

    assert _errors(report) == []
    assert len(report.judged) > 150
    # All but those of 5 minutes, which these bars can't make.
    assert {each.feature.endswith("_5m") for each in report.findings} <= {True}


def test_project_features_on_real_es_raise_no_alarm(es, real_data: Path) -> None:
    raw = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    raw = raw[(raw["timestamp"] >= "2019-06-30") & (raw["timestamp"] < "2020-12-31")].reset_index(drop=True)

    report = audit(
        clean_bars(raw, es).bars, es, vix=pd.read_parquet(real_data / "vix_daily.parquet"), cutoffs=3, seed=1
    )

    assert _errors(report) == []
    assert set(report.skipped) <= {"vix_term"}
    assert set(report.judged) == set(registered()) - {"vix_term"}


@pytest.mark.parametrize(
    ("symbol", "file"), [("BTCUSDT", "btc_usdt_1m_2021_04.parquet"), ("SPY", "spy_1m_lean.parquet")]
)
def test_project_features_on_other_real_markets_raise_no_alarm(real_data: Path, symbol: str, file: str) -> None:
    instrument = load_instruments()[symbol]
    bars = clean_bars(pd.read_parquet(real_data / file), instrument).bars

    report = audit(bars, instrument, vix=pd.read_parquet(real_data / "vix_daily.parquet"), cutoffs=3)

    assert _errors(report) == []
    assert report.skipped["rolls"] == "the data holds no roll from one contract to another"
    assert len(report.judged) > 150
