"""A strategy of the user's own goes through the whole chain: one file in the home, nothing of the package touched."""

import shutil

import pandas as pd
import pytest

from jobs.chain import run_chain
from pipeline.definitions import defs
from pipeline.errors import ChainError
from pipeline.home import Home
from pipeline.strategy.skeleton import skeleton
from tests.orchestration.conftest import MARKET, MODELS
from tests.orchestration.test_chain import nothing, stored

pytestmark = pytest.mark.slow

KEY = "ES-SIM"


def with_strategy(home: Home, text: str, name: str = "my_break") -> None:
    home.strategies.mkdir()
    (home.strategies / f"{name}.py").write_text(text)
    home.settings.write_text(f"{MARKET}{MODELS}strategy: {{name: {name}, least_width: 8}}\n")


def test_own_strategy_is_audited_modelled_backtested_and_reported(home: Home) -> None:
    with_strategy(home, skeleton("my_break"))

    runs = run_chain(defs, KEY, home, nothing)

    assert set(runs) == {"ingest", "research", "train lightgbm", "train mlp", "judge"}
    signals, labels = stored(home, "rule_signals", KEY), stored(home, "labels", KEY)
    assert set(signals["type"]) == {"stop"}
    assert signals["wide"].sum() == signals["rule_signal"].sum() > 100
    assert labels["filled"].sum() > 100
    trades = stored(home, "rule_backtest", KEY)
    assert len(trades) > 20
    assert len(stored(home, "models/ES-SIM", "lightgbm")) == len(signals)
    summary = stored(home, "backtest_summary", KEY)
    assert list(summary.index.get_level_values(0).unique())[:2] == ["All candidates", "Rule signals"]
    report = (home.reports / f"{KEY}.html").read_text()
    assert "My break" in report or "my break" in report
    assert "value area wide enough, long" in report


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
    home.settings.write_text(home.settings.read_text().replace("families: [lightgbm, mlp]", "families: []"))
    run_chain(defs, KEY, home, nothing)
    before = pd.read_parquet(home.assets / "rule_signals" / f"{KEY}.parquet").attrs["settings"]

    (home.strategies / "my_break.py").write_text(skeleton("my_break").replace("2 * reach", "3 * reach"))

    from pipeline.datasets import find_dataset
    from pipeline.made_under import changed_settings
    from pipeline.settings import load_settings

    changed = changed_settings("rule_signals", {"settings": before}, load_settings(home), find_dataset(KEY, home))
    assert [line.partition(":")[0] for line in changed] == ["strategy.code"]
    shutil.rmtree(home.root / "strategies")
