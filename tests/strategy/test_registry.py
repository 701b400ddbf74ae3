"""Strategies of the box and of the user's folder."""

import pickle
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.strategy import TradingRules
from pipeline.strategy.registry import find_strategy, make_strategy, strategies, strategy_faults, strategy_place

_STRATEGY = """\
import numpy as np

from pipeline.search_space import Real, SearchSpace
from pipeline.strategy import Seen, Setups, Strategy, StrategyParameters


class Parameters(StrategyParameters):
    reach: float = 2.0


class Mine(Strategy):
    name = "mine"
    title = "Mine"
    description = "Buys."
    source = "Nobody (2026)"
    Parameters = Parameters
    space = SearchSpace({"reach": Real(1.0, 3.0), "trend_window": Real(10, 20)})

    def setups(self, seen: Seen) -> Setups:
        none = np.empty(0, np.int64)
        return Setups(none, none, none, none, none)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    made = tmp_path / "strategies"
    made.mkdir()
    return made


def test_find_strategy_of_the_box_has_the_contracts_parameters() -> None:
    fade = find_strategy("value_area_fade")

    assert fade.parameters.model_dump() == {
        "r_squared_threshold": 0.6,
        "direction_long": 0.53,
        "direction_short": 0.47,
        "confidence_threshold": 60.0,
        "confidence_weights": {"r_squared": 0.4, "direction": 0.3, "calm": 0.15, "runs": 0.15},
        "stop_atr_factor": 1.0,
        "min_stop_ticks": 4,
    }
    assert strategy_place("value_area_fade") == ""


def test_strategy_in_the_users_folder_is_found_and_follows_its_file(folder: Path) -> None:
    path = folder / "own.py"
    path.write_text(_STRATEGY)

    assert make_strategy("mine", {"reach": 1.5}).parameters.reach == 1.5
    assert strategy_place("mine") == str(path)
    assert strategy_faults() == ()

    path.write_text(_STRATEGY.replace("reach: float = 2.0", "reach: float = 2.5"))

    assert find_strategy("mine").parameters.reach == 2.5


def test_unknown_strategy_names_those_there_are_and_the_one_meant() -> None:
    with pytest.raises(ConfigurationError, match="value_area_fade; did you mean value_area_fade"):
        find_strategy("value_area_fad")


def test_unknown_parameter_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"strategy setting stop_atr_facto is unknown.*did you mean"):
        make_strategy("value_area_fade", {"stop_atr_facto": 1})


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("import numpy as np", "import numpy as np\nimport nothing_of_this_name"), 2, "ModuleNotFoundError"),
        (("    name =", "     name ="), 13, "IndentationError"),
        (('"Mine"', "1 / 0"), 13, "ZeroDivisionError"),
        (('"Mine"', '""'), 11, "no title"),
        (('"Nobody (2026)"', "None"), 11, "no source"),
        (('name = "mine"', 'name = "My Own"'), 11, "small letters"),
        (('"reach": Real', '"reech": Real'), None, "did you mean reach"),
        (("reach: float = 2.0", "trend_window: int = 2"), None, "trend_window"),
        (("reach: float = 2.0", "reach: float"), None, "reach"),
        (('name = "mine"', 'name = "value_area_fade"'), 11, "built-in"),
        (("class Mine(Strategy)", "class Mine(object)"), None, "no subclass of Strategy"),
        (("    space =", '    gates = {"entry": "entered"}\n    space ='), None, "gate 'entry'"),
    ],
)
def test_file_that_cannot_be_used_is_one_fault_with_its_line_and_stops_nothing_else(
    folder: Path, change: tuple[str, str], line: int | None, message: str
) -> None:
    (folder / "broken.py").write_text(_STRATEGY.replace(*change))
    (folder / "good.py").write_text(_STRATEGY.replace('"mine"', '"other"'))

    (fault,) = strategy_faults()

    assert fault.path == folder / "broken.py"
    assert line is None or fault.line == line
    assert message in fault.message
    assert {"other", "value_area_fade"} <= set(strategies())


def test_two_files_of_one_name_are_both_refused(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(_STRATEGY)

    one, two = strategy_faults()

    assert "two.py" in one.message
    assert "one.py" in two.message
    assert "mine" not in strategies()


def test_strategy_in_a_broken_file_says_what_is_wrong_with_the_file(folder: Path) -> None:
    (folder / "mine.py").write_text("import nothing_of_this_name\n")

    with pytest.raises(ConfigurationError, match=r"mine\.py:1: ModuleNotFoundError"):
        find_strategy("mine")


def test_rules_whose_file_has_changed_meanwhile_go_to_no_other_process(folder: Path) -> None:
    (folder / "own.py").write_text(_STRATEGY)
    rules = TradingRules.of("mine", reach=2.5)

    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301
    (folder / "own.py").write_text(_STRATEGY + "\n# other\n")

    with pytest.raises(DataError, match=r"own\.py has changed"):
        pickle.dumps(rules)
