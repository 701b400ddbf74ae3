"""A strategy of the user's own goes through the whole chain: one file in the home, nothing of the package touched."""

import json
import subprocess
import sys
from typing import Any

import pytest

from jobs.chain import run_chain
from pipeline.datasets import find_dataset
from pipeline.definitions import defs
from pipeline.errors import ChainError
from pipeline.home import Home
from pipeline.made_under import changed_settings, made_under
from pipeline.settings import load_settings
from pipeline.strategy.skeleton import skeleton
from tests.learning.models.test_own_family import OWN as FAMILY
from tests.orchestration.conftest import MARKET, MODELS, backtests
from tests.orchestration.test_chain import nothing, stored

pytestmark = pytest.mark.slow

KEY = "ES-SIM"
FEATURE = """\
import pandas as pd

from pipeline.features import FeatureInputs, feature


@feature(family="own", warmup=2, description="Log return, in percent; missing across a roll.", signed=True)
def own_move(inputs: FeatureInputs) -> pd.Series:
    return 100 * inputs.history["log_return"]
"""


def with_strategy(home: Home, text: str, name: str = "my_break") -> None:
    home.strategies.mkdir()
    (home.strategies / f"{name}.py").write_text(text)
    home.settings.write_text(f"{MARKET}{MODELS}strategy: {{name: {name}, least_width: 8}}\n")


def test_own_strategy_feature_and_family_go_through_run_audit_training_backtest_report_and_orders(home: Home) -> None:
    with_strategy(home, skeleton("my_break"))
    for folder, name, text in ((home.features, "own", FEATURE), (home.model_families, "nudge", FAMILY)):
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
    settings = home.settings.read_text().replace("families: [lightgbm, mlp]", "families: [lightgbm, nudge]")
    home.settings.write_text(settings)
    # A process of its own: which families there are is known when the definitions are loaded.
    program = "import sys; sys.argv = ['vpoc', *sys.argv[1:]]; from cli import main; main()"

    def vpoc(*words: str) -> Any:
        command = [sys.executable, "-c", program, *words, "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    told = vpoc("run")

    assert set(told["strategies"]) >= {"All candidates", "Rule signals", "ML lightgbm", "ML nudge"}
    signals, labels = stored(home, "rule_signals", KEY), stored(home, "labels", KEY)
    assert set(signals["type"]) == {"stop"}
    assert signals["wide"].sum() == signals["rule_signal"].sum() > 100
    assert labels["filled"].sum() > 100
    assert "own_move" in stored(home, "features", KEY)
    assert len(backtests(home, f"rule_backtest/{KEY}").results["Rule signals"].trades) > 20
    scores = stored(home, f"models/{KEY}", "nudge")
    assert len(scores) == len(signals)
    assert scores["score"].notna().sum() > 100
    report = (home.reports / f"{KEY}.html").read_text()
    assert "my break" in report
    assert "value area wide enough, long" in report
    (code,) = (home.models / KEY / "nudge").glob("*/code/pipeline/learning/models/families/own_nudge.py")
    assert code.read_text() == FAMILY
    assert {row["by"] for row in vpoc("orders")["orders"]} == {"Rule signals", "ML lightgbm", "ML nudge"}


def test_strategy_that_sees_the_next_session_stops_the_run_and_is_named(home: Home) -> None:
    peeking = skeleton("my_break").replace(
        "class MyBreak(SessionStrategy):", "class MyBreak(SessionStrategy):\n    _all = None\n"
    )
    peeking += (
        "\n    def setups(self, seen):\n"
        "        history = seen.history\n"
        "        columns = history.assign(vah=history['vah'].shift(-1).fillna(history['vah']))\n"
        "        return super().setups(type(seen).of(columns, seen.instrument, seen.settings))\n"
    )
    with_strategy(home, peeking)

    with pytest.raises(ChainError, match=r"signal_replay|no_look_ahead"):
        run_chain(defs, KEY, home, nothing)


def test_change_of_the_file_is_told_and_not_taken_for_look_ahead(home: Home) -> None:
    with_strategy(home, skeleton("my_break"))
    dataset = find_dataset(KEY, home)
    before = made_under("rule_signals", load_settings(home), dataset)

    (home.strategies / "my_break.py").write_text(skeleton("my_break").replace("2 * reach", "3 * reach"))

    changed = changed_settings("rule_signals", before, load_settings(home), dataset)
    assert [line.partition(":")[0] for line in changed] == ["strategy.code"]
