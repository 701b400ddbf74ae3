"""``vpoc strategy``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.command import app

BOX = {
    *("eighty_percent_rule", "initial_balance_breakout", "naked_vpoc_magnet", "opening_gap_fill"),
    *("trend_continuation", "value_area_breakout", "value_area_fade"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["strategy", *arguments])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        return 2, str(ended.exception)
    return ended.exit_code, ended.stdout


def test_list_shows_the_box_and_a_file_that_cannot_be_used(home: Path) -> None:
    assert {row["name"] for row in json.loads(run("list", "--json")[1])["strategies"]} == BOX
    assert run("list")[0] == 0
    (home / "strategies").mkdir()
    (home / "strategies" / "bad.py").write_text("import nothing_of_this_name\n")

    code, text = run("list")

    assert code == 1
    assert "bad.py:1: ModuleNotFoundError" in "".join(text.split("\n"))


def test_show_tells_source_parameters_and_what_chance_passes() -> None:
    code, text = run("show", "value_area_fade")

    assert code == 0
    for part in ("Dalton", "stop_atr_factor", "0.1 to 2.0", "R² above threshold", "passes by chance"):
        assert part in text, part
    shown = json.loads(run("show", "value_area_fade", "--json")[1])
    assert shown["null_pass_rates"]["r_squared"] == pytest.approx(0.36, abs=0.02)


def test_show_of_an_unknown_strategy_names_the_one_meant() -> None:
    code, text = run("show", "valu_area_fade")

    assert code == 2
    assert "did you mean value_area_fade" in text


@pytest.mark.slow
def test_new_strategy_runs_passes_its_test_and_its_check(home: Path) -> None:
    code, text = run("new", "my_break")

    assert code == 0
    assert str(home / "strategies" / "my_break.py") in "".join(text.split("\n"))
    test = home / "strategies" / "tests" / "test_my_break.py"
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)], check=True)
    code, text = run("check", "my_break", "--json")
    found = json.loads(text)
    assert (code, found["passed"]) == (0, True)
    (market,) = found["markets"].values()
    assert market["candidates"] > market["rule_signals"] > 100
    assert found["null_market"]["trades"] > 100


def test_new_refuses_a_name_that_is_taken_or_cannot_be(home: Path) -> None:
    assert "already: in the box" in run("new", "value_area_fade")[1]
    assert "small letters" in run("new", "My Own")[1]
    assert run("new", "mine")[0] == 0
    kept = (home / "strategies" / "mine.py").read_text()

    assert run("new", "mine")[0] == 2

    assert (home / "strategies" / "mine.py").read_text() == kept


@pytest.mark.slow
def test_check_of_a_strategy_that_knows_tomorrow_exits_one_and_says_so(home: Path) -> None:
    (home / "strategies").mkdir()
    (home / "strategies" / "peek.py").write_text(
        "import numpy as np\n"
        "from pipeline.strategy import Setups, Strategy, StrategyParameters\n"
        "class Peek(Strategy):\n"
        "    name, title, description, source = 'peek', 'Peek', 'Knows tomorrow.', 'Nobody'\n"
        "    Parameters = StrategyParameters\n"
        "    def setups(self, seen):\n"
        "        close = seen.ticks('close')\n"
        "        move = np.append(np.diff(close), 0)\n"
        "        row = np.flatnonzero(move)\n"
        "        side = np.sign(move[row])\n"
        "        return Setups(row, side, close[row], close[row] - side * 40, close[row] + side * 40)\n"
    )

    code, text = run("check", "peek")

    assert code == 1
    for part in ("Look-ahead", "says nothing", "It sees the future"):
        assert part in text
    assert "edge" not in text.split("\n", 1)[1]
