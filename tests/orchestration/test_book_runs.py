"""Books of one symbol: each is made whole whatever becomes of the others, and of the user's own faulty files."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest

from pipeline.home import Home
from pipeline.strategy.skeleton import skeleton
from pipeline.tuning.database import tuning_url
from pipeline.tuning.ledger import Ledger
from tests.orchestration.conftest import MARKET, backtests, made_home
from tests.orchestration.test_chain import stored

pytestmark = pytest.mark.slow

SETTINGS = """\
models: {families: [], splits: 2, threshold: 0.3, parameters: {lightgbm: {rounds: 10, patience: 5}}}
books:
  breakout: {symbol: ES-SIM, strategy: initial_balance_breakout, model: lightgbm}  # kept
  broken: {symbol: ES-SIM, strategy: faulty}
  peek: {symbol: ES-SIM, strategy: peeking}
desk: {books: [breakout, ES-SIM], max_positions: 1}
"""
FEATURES = """\
import pandas as pd

from pipeline.features import FeatureInputs, feature


@feature(family="own", warmup=2, description="Log return, in percent.", signed=True)
def own_move(inputs: FeatureInputs) -> pd.Series:
    return 100 * inputs.history["log_return"]


@feature(family="own", warmup=1, description="The next session's log return.", signed=True)
def own_tomorrow(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["log_return"].shift(-1)


@feature(family="own", warmup=1, description="Nothing: it fails.")
def own_failure(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["no_such_column"]
"""
PEEKING = skeleton("peeking").replace(
    "class Peeking(SessionStrategy):", "class Peeking(SessionStrategy):\n    _all = None\n"
) + (
    "\n    def setups(self, seen):\n"
    "        history = seen.history\n"
    "        columns = history.assign(vah=history['vah'].shift(-1).fillna(history['vah']))\n"
    "        return super().setups(type(seen).of(columns, seen.instrument, seen.settings))\n"
)
# A process of its own: which books there are is known when the definitions are loaded.
PROGRAM = "import sys; sys.argv = ['vpoc', *sys.argv[1:]]; from cli import main; main()"


@dataclass(frozen=True)
class Ran:
    """A home in which every book was run, and what that command wrote."""

    home: Home
    rc: int
    out: str
    err: str


def vpoc(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with pytest.MonkeyPatch.context() as patch:
        home = made_home(tmp_path_factory.mktemp("books"), patch)
        home.settings.write_text(MARKET + SETTINGS)
        home.strategies.mkdir()
        (home.strategies / "faulty.py").write_text("\nimport nothing_of_this_name\n")
        (home.strategies / "peeking.py").write_text(PEEKING)
        home.features.mkdir()
        (home.features / "own.py").write_text(FEATURES)
        made = vpoc("run", "--json")
        yield Ran(home, made.returncode, made.stdout, made.stderr)


def test_books_beside_a_broken_and_a_leaking_one_are_made_whole(ran: Ran) -> None:
    assert ran.rc == 1, ran.err
    assert [each["book"] for each in json.loads(ran.out)] == ["ES-SIM", "breakout"]
    assert sorted(path.stem for path in ran.home.reports.glob("*.html")) == ["ES-SIM", "breakout"]
    assert set(stored(ran.home, "rule_signals", "breakout")["type"]) == {"stop"}
    assert len(backtests(ran.home, "rule_backtest/breakout").results["Rule signals"].trades) > 100
    assert len(backtests(ran.home, "rule_backtest/ES-SIM").results["Rule signals"].trades) > 10


def test_model_of_a_book_is_trained_kept_and_registered_under_its_name(ran: Ran) -> None:
    scores = stored(ran.home, "models/breakout", "lightgbm")
    assert len(scores) == len(stored(ran.home, "candidates", "breakout"))
    assert not (ran.home.assets / "models" / "ES-SIM").exists()
    listed = json.loads(vpoc("models", "list", "--json").stdout)
    assert [one["name"] for one in listed["registered"]] == ["vpoc-breakout-lightgbm"]


def test_fault_of_each_bad_book_is_told_with_its_place(ran: Ran) -> None:
    faulty = ran.home.strategies / "faulty.py"
    lines = ran.home.settings.read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(lines) if text.startswith("  broken:"))
    assert f"{ran.home.settings}, line {line}: " in ran.err
    assert f"{faulty}:2: ModuleNotFoundError" in ran.err
    last = ran.err.splitlines()[-1]
    assert "book broken: " in last
    assert "book peek: the check rule_signals.signal_replay stopped the run" in last
    assert "book breakout" not in last
    assert not (ran.home.assets / "rule_signals" / "peek.parquet").exists()


def test_own_features_that_leak_or_fail_are_left_out_and_told_with_their_place(ran: Ran) -> None:
    own = ran.home.features / "own.py"
    assert f"own_tomorrow ({own}:11) is left out: " in ran.err
    assert f"own_failure ({own}:16) is left out: " in ran.err
    assert "KeyError" in ran.err
    for asset, name in (("features", "ES-SIM"), ("training_set", "ES-SIM"), ("training_set", "breakout")):
        assert {column for column in stored(ran.home, asset, name) if column.startswith("own_")} == {"own_move"}


def test_desk_trades_its_books_together_and_counts_as_one_trial(ran: Ran) -> None:
    done = vpoc("desk", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["books"]) == ["breakout", "ES-SIM"]
    parts = [book["contribution"] for book in told["books"].values()]
    assert sum(part["pnl"] for part in parts) == pytest.approx(told["summary"]["pnl"]["value"], abs=0.01)
    assert all(part["trades"] > 0 for part in parts)
    assert {path.name for path in ran.home.reports.glob("desk*")} == {"desk.html", "desk-trades.csv"}
    looks = Ledger(tuning_url(ran.home)).looks("ES-SIM", pd.Timestamp("2021-01-01"), pd.Timestamp("2022-12-31"))
    assert (looks.trials["study"] == "ES-SIM/backtest/desk").sum() == 1


def test_desk_with_a_book_that_can_not_be_traded_says_why(ran: Ran) -> None:
    before = ran.home.settings.read_text()
    try:
        ran.home.settings.write_text(before.replace("[breakout, ES-SIM]", "[breakout, broken]"))
        refused = vpoc("desk")
    finally:
        ran.home.settings.write_text(before)
    assert refused.returncode == 2
    assert "faulty.py:2: ModuleNotFoundError" in refused.stderr.replace("\n", "")


def test_orders_of_a_book_are_shown_until_its_settings_change(ran: Ran) -> None:
    shown = json.loads(vpoc("orders", "--book", "breakout", "--json").stdout)
    assert (shown["book"], shown["symbol"]) == ("breakout", "ES-SIM")
    assert {row["by"] for row in shown["orders"]} == {"Rule signals", "ML lightgbm"}
    before = ran.home.settings.read_text()
    try:
        assert vpoc("config", "set", "books.breakout.strategy.minutes", "30").returncode == 0
        changed = ran.home.settings.read_text()
        assert "strategy: {name: initial_balance_breakout, minutes: 30}" in changed
        assert "# kept" in changed
        refused = vpoc("orders", "--book", "breakout")
        assert refused.returncode == 1
        assert "minutes: 60 -> 30" in refused.stderr.replace("\n", " ")
        assert "vpoc run --book breakout" in refused.stderr.replace("\n", " ")
        assert vpoc("orders", "--symbol", "ES-SIM").returncode == 0
    finally:
        ran.home.settings.write_text(before)
