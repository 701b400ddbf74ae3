"""``vpoc audit`` as a user calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline.home import PROJECT
from pipeline.market import load_instruments, simulate_market

pytestmark = pytest.mark.slow

VPOC = "from cli import main; main()"
# The registry's name in the audit, with one more feature that looks ahead.
LEAKING = (
    "import dataclasses, pipeline.audit.run as run; known = run.registered();"
    "leak = dataclasses.replace(known['log_return_1'], compute_with=lambda inputs, sessions: "
    "inputs.history['volume'].shift(-1)); run.registered = lambda: {**known, 'log_return_1': leak}; "
)


@pytest.fixture(scope="module")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    simulate_market(load_instruments()["ES"], "2021-01-04", 30, 5, bar="30min").to_csv(path, index=False)
    return path


@pytest.fixture
def vpoc(tmp_path: Path):
    def call(*arguments: str, before: str = "") -> tuple[int, str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VPOC_")}
        environment |= {"VPOC_HOME": str(tmp_path / "home"), "COLUMNS": "120", "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            [sys.executable, "-c", before + VPOC, "audit", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=180,
        )
        return done.returncode, done.stdout, done.stderr

    return call


def test_clean_file_exits_zero_and_says_so(vpoc, bars_file: Path) -> None:
    code, out, _ = vpoc(str(bars_file), "--cutoffs", "2")

    assert code == 0
    assert "no look-ahead found" in out


def test_look_ahead_exits_one_and_json_names_it(vpoc, bars_file: Path) -> None:
    code, out, _ = vpoc(str(bars_file), "--cutoffs", "2", "--json", before=LEAKING)

    document = json.loads(out)
    assert code == 1
    assert document["passed"] is False
    assert {each["feature"] for each in document["findings"] if each["severity"] == "error"} == {"log_return_1"}
    assert "shift(-1)" in document["findings"][0]["likely_cause"]


@pytest.fixture(scope="module")
def longer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars enough to train on."""
    path = tmp_path_factory.mktemp("bars") / "longer.parquet"
    simulate_market(load_instruments()["ES"], "2021-01-04", 220, 3, bar="30min").to_parquet(path)
    return path


@pytest.mark.parametrize("fault", ["nothing", "in_sample_scores"])
def test_models_are_trained_and_their_chain_replayed_at_every_fold(
    vpoc, longer_file: Path, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "home").mkdir()
    chosen = "models: {families: [logistic], splits: 2, threshold: 0.4}\n"
    (tmp_path / "home" / "settings.yaml").write_text(chosen)
    before = f"from tests.audit.chain_plants import PLANTS; PLANTS['{fault}'](setattr); "

    code, out, err = vpoc(str(longer_file), "--cutoffs", "1", "--json", before=before)

    document = json.loads(out)
    named = {(each["check"], each["feature"]) for each in document["findings"] if each["severity"] == "error"}
    assert (document["families"], document["folds"]) == (["logistic"], 2), err
    if fault == "nothing":
        assert (code, named) == (0, set())
    else:
        assert code == 1
        assert ("chain", "logistic: score") in named


def test_vix_file_adds_its_features(vpoc, bars_file: Path, tmp_path: Path) -> None:
    days = pd.date_range("2020-12-01", "2021-03-31", freq="B").strftime("%m/%d/%Y")
    pd.DataFrame({"DATE": days, "CLOSE": 20.0}).to_csv(tmp_path / "vix.csv", index=False)

    code, out, _ = vpoc(str(bars_file), "--vix", str(tmp_path / "vix.csv"), "--cutoffs", "1", "--json")

    assert code == 0
    assert "vix_level" in json.loads(out)["judged"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("absent.csv",), 1, "absent.csv does not exist"),
        (("--symbol", "ZZ"), 2, "symbol 'ZZ' is unknown"),
        (("--symbol", "NQ"), 2, "NQ has no source of bars yet"),
        (("--time-zone", "UTC"), 2, "--time-zone says how to read a file"),
    ],
)
def test_mistake_is_one_sentence(vpoc, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    got, out, err = vpoc(*arguments)

    assert got == code
    assert out == ""
    assert err.startswith("Error: ")
    assert sentence in err


def test_vix_without_close_says_what_it_found(vpoc, bars_file: Path, tmp_path: Path) -> None:
    (tmp_path / "vix.csv").write_text("day,value\n2021-01-04,20\n")
    code, _, err = vpoc(str(bars_file), "--vix", "vix.csv")

    assert code == 1
    assert "needs a column date and a column close; it has day, value" in err
