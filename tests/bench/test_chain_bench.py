"""The chain's bench: kept figures are compared, a difference is said, and real bars give the kept figures."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench import chain
from bench.chain import bench_chain, keep_release, kept_releases
from pipeline.errors import DataError

RESULT: dict[str, Any] = {
    "steps": {"start": [2.0, 3.0], "features": [5.04, 9.5], "total": [7.04, 12.5]},
    "figures": {"ML mlp: trades": 117.0, "mlp: AUC within folds": 0.48},
}


def test_release_is_kept_and_the_next_run_is_set_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "KEPT", tmp_path / "kept.json")
    chain.KEPT.write_text("{}", encoding="utf-8")
    first = chain._beside_kept("real", RESULT)

    keep_release(first, "1.0", "a quiet machine")
    other = {**RESULT, "figures": {**RESULT["figures"], "ML mlp: trades": 118.0}}
    second = chain._beside_kept("real", other)

    assert first["differences"] == []
    assert first["steps"][1]["previous_seconds"] is None
    assert second["differences"] == ["ML mlp: trades is 118.0, and was 117.0"]
    assert second["previous"] == {"release": "1.0", "conditions": "a quiet machine"}
    assert [row["previous_seconds"] for row in second["steps"]] == [2.0, 5.04, 7.04]
    assert [row["previous_processor_seconds"] for row in second["steps"]] == [3.0, 9.5, 12.5]


def test_kept_releases_name_steps_and_figures() -> None:
    for kept in kept_releases().values():
        assert set(kept) == {"release", "conditions", "steps", "figures"}
        assert {"start", "features", "models lightgbm", "models mlp", "report", "total"} <= set(kept["steps"])
        assert json.loads(json.dumps(kept["figures"])) == kept["figures"]


def test_bench_chain_of_a_folder_without_the_bars_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"es_5m_2015_2021\.parquet does not exist"):
        bench_chain(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("VPOC_BENCH" not in os.environ, reason="minutes of both cores; VPOC_BENCH=1 runs it")
def test_bench_chain_on_real_bars_gives_the_kept_figures(real_data: Path) -> None:
    found = bench_chain(real_data)

    assert found["differences"] == []
    assert found["figures"] == kept_releases()["real ES, seven years"]["figures"]
    assert found["steps"][-1]["step"] == "total"
