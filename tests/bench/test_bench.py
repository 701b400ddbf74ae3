"""The benches agree with the definition they are checked against, and say what was skipped."""

import importlib.util
import json
from pathlib import Path

import pytest

from pipeline.bench.backtest import bench_backtest
from pipeline.bench.profiles import bench_profiles
from pipeline.errors import ConfigurationError

KEYS = {"engine", "workload", "bars_per_second", "ratio_to_floor", "agrees", "note"}


def test_bench_profiles_every_engine_of_ours_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VPOC_REAL_DATA", raising=False)

    rows = json.loads(json.dumps(bench_profiles(sessions=3, repeat=1)))

    assert all(set(row) == KEYS for row in rows)
    ours = [row for row in rows if row["engine"].startswith(("numba", "session_profiles", "NumPy"))]
    assert len(ours) == 5
    assert [row["agrees"] for row in ours] == [True] * 5
    assert all(row["bars_per_second"] > 0 for row in ours)
    assert all(row["workload"].startswith("1-minute, 3 sessions") for row in rows)


def test_bench_profiles_peer_not_installed_is_skipped_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("market_profile") is not None:
        pytest.skip("py-market-profile is installed here")
    monkeypatch.delenv("VPOC_REAL_DATA", raising=False)

    peer = bench_profiles(sessions=2, repeat=1)[-1]

    assert (peer["engine"], peer["bars_per_second"], peer["agrees"]) == ("py-market-profile", None, None)
    assert peer["note"] == "skipped: not installed; pip install MarketProfile"


def test_bench_profiles_real_file_is_a_workload_of_its_own(real_data: Path) -> None:
    rows = bench_profiles(sessions=2, repeat=1, real_data=real_data)

    real = [row for row in rows if row["workload"].startswith("5-minute real ES, 1,8")]
    assert [row["agrees"] for row in real] == [None, True, True, True, True]


def test_bench_backtest_every_engine_agrees_with_the_plain_table() -> None:
    rows = json.loads(json.dumps(bench_backtest(sessions=60, repeat=1)))

    assert all(set(row) == KEYS for row in rows)
    assert [row["agrees"] for row in rows] == [None, True, True, True]


@pytest.mark.parametrize("settings", [{"sessions": 0}, {"repeat": 0}])
def test_bench_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="or more"):
        bench_profiles(**settings)
    with pytest.raises(ConfigurationError, match="or more"):
        bench_backtest(**settings)
