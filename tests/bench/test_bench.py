"""The benches agree with the definition they are checked against, and say what was skipped."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from bench.backtest import bench_backtest
from bench.profiles import bench_profiles
from pipeline.errors import ConfigurationError

pytestmark = pytest.mark.slow

KEYS = {"engine", "workload", "bars_per_second", "ratio_to_floor", "agrees", "note"}


def test_bench_profiles_every_engine_of_ours_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VPOC_REAL_DATA", raising=False)

    rows = json.loads(json.dumps(bench_profiles(sessions=3, trades=3_000, repeat=1)))

    assert all(set(row) == KEYS for row in rows)
    ours = [row for row in rows if row["engine"].startswith(("numba", "threads", "session_profiles", "NumPy"))]
    assert len(ours) == 14
    assert [row["agrees"] for row in ours] == [True] * 14
    assert all(row["bars_per_second"] > 0 for row in ours)
    assert {row["workload"].split(",")[0] for row in rows} == {"1-minute", "ES trades"}
    assert {"rows of 4 ticks", "TPO"} < {row["workload"].split(", ")[-1] for row in rows}
    floors = [row for row in rows if row["engine"].startswith("floor")]
    assert [row["agrees"] for row in floors] == [None] * len(floors)
    assert sum(row["ratio_to_floor"] == 1 for row in floors) == 6


def test_bench_profiles_torch_agrees_and_a_missing_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("VPOC_REAL_DATA", raising=False)

    rows = [
        row
        for row in bench_profiles(sessions=2, trades=500, repeat=1)
        if row["engine"] in ("torch, cpu", "torch, cuda")
    ]

    assert [row["agrees"] for row in rows if row["engine"] == "torch, cpu"] == [True, True]
    there = [row for row in rows if row["engine"] == "torch, cuda"]
    if torch.cuda.is_available():
        assert [row["agrees"] for row in there] == [True, True]
    else:
        assert [row["bars_per_second"] for row in there] == [None, None]
        assert all(row["note"].endswith("sees no CUDA or ROCm device") for row in there)


def test_bench_profiles_peer_not_installed_is_skipped_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("market_profile") is not None:
        pytest.skip("py-market-profile is installed here")
    monkeypatch.delenv("VPOC_REAL_DATA", raising=False)

    peer = bench_profiles(sessions=2, trades=10, repeat=1)[-1]

    assert (peer["engine"], peer["bars_per_second"], peer["agrees"]) == ("py-market-profile", None, None)
    assert peer["note"] == "skipped: not installed; pip install MarketProfile"


def test_bench_profiles_real_files_are_workloads_of_their_own(real_data: Path) -> None:
    rows = bench_profiles(sessions=2, trades=10, repeat=1, real_data=real_data)

    for workload in ("5-minute real ES, 1,8", "real ES trades, 2 sessions, 0.50 M"):
        real = [row for row in rows if row["workload"].startswith(workload)]
        agrees = {row["engine"]: row["agrees"] for row in real if row["bars_per_second"] is not None}
        assert {agrees[engine] for engine in agrees if not engine.startswith("floor")} == {True}
        assert {"numba, int64 arrays", "numba, int32 arrays", "threads, int64 arrays"} < set(agrees)


def test_bench_backtest_every_engine_agrees_with_the_plain_table() -> None:
    rows = json.loads(json.dumps(bench_backtest(sessions=60, repeat=1)))

    assert all(set(row) == KEYS for row in rows)
    assert [row["agrees"] for row in rows] == [None, True, True, True, True, True]


@pytest.mark.parametrize("settings", [{"sessions": 0}, {"repeat": 0}, {"trades": 0}])
def test_bench_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="or more"):
        bench_profiles(**settings)
    if "trades" not in settings:
        with pytest.raises(ConfigurationError, match="or more"):
            bench_backtest(**settings)
