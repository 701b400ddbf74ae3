"""docs/strategies.md names every strategy as it is, its examples run, and its figures are those of a backtest."""

import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import pipeline.strategies
from pipeline.audit.strategy_check import check_on_bars
from pipeline.backtest import Account
from pipeline.home import PROJECT, Home
from pipeline.market import Instrument, simulate_market
from pipeline.settings import load_settings
from pipeline.strategy import TradingRules, make_strategy, strategies
from pipeline.strategy.registry import strategy_place

PAGE = (PROJECT / "docs" / "strategies.md").read_text()
BOX = sorted(found.name for found in pkgutil.iter_modules(pipeline.strategies.__path__))
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def marked(name: str) -> str:
    """What the script wrote between the marks of a name."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    return PAGE.partition(begin)[2].partition(end)[0]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = PROJECT / "docs" / "images" / "make_strategies.py"
    spec = importlib.util.spec_from_file_location("make_strategies", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    for number, text in enumerate(EXAMPLES):
        path = tmp_path / "strategies" / f"example_{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Home(tmp_path)


def test_script_and_page_have_every_strategy_of_the_box(script: ModuleType) -> None:
    assert sorted(script.BOX) == BOX
    assert sorted(re.findall(r"^`(\w+)`$", PAGE, re.MULTILINE)) == BOX
    assert [name for name in BOX if make_strategy(name).title not in marked("overview")] == []


@pytest.mark.parametrize("name", BOX)
def test_page_says_what_the_strategy_declares(name: str, script: ModuleType) -> None:
    strategy = make_strategy(name)

    assert strategy.description in marked(f"{name}: about")
    assert strategy.source in marked(f"{name}: about")
    assert marked(f"{name}: parameters").endswith(script.parameter_table(strategy))
    told = re.findall(r"^\| ([^|]+) \| [\d.]+ ± [\d.]+ \| [\d.]+ ± [\d.]+ \|$", marked(f"{name}: gates"), re.MULTILINE)
    assert set(told) <= set(strategy.titles().values())
    wanted = [*strategy.gates.values(), "rule signal, long", "rule signal, short"]
    assert [gate for gate in wanted if not any(row.startswith(gate) for row in told)] == []
    assert f"images/strategy_{name}.png" in PAGE


def test_every_parameter_has_a_meaning(script: ModuleType) -> None:
    for name in BOX:
        own = type(make_strategy(name).parameters)
        assert sorted(script.meanings(own)) == sorted(own.model_fields)


def test_examples_are_strategies_that_trade_and_know_nothing_of_the_future(home: Home, es: Instrument) -> None:
    bars = simulate_market(es, "2021-01-04", 400, seed=3, bar="15min")
    mine = [name for name in strategies() if strategy_place(name)]

    checks = {name: check_on_bars(TradingRules(strategy=make_strategy(name)), bars, es, Account()) for name in mine}

    assert sorted(mine) == ["inside_session", "opening_drive"]
    for check in checks.values():
        assert check.passed, check.error or check.findings
        assert 10 < check.signals < check.candidates
        assert all(len(result.trades) > 5 for result in check.results.values())


def test_example_settings_choose_the_example(home: Home) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    loaded = []
    for block in blocks:
        home.settings.write_text(block)
        loaded.append(load_settings(home))

    assert "drive" in loaded[2].books
    loaded[2] = loaded[2].for_book("drive")
    assert [settings.strategy.name for settings in loaded] == ["opening_drive"] * 3
    assert loaded[2].strategy.parameters == loaded[1].strategy.parameters
    written = yaml.safe_load(blocks[1])
    assert loaded[1].history.trend_window == written["history"]["trend_window"]
    assert loaded[1].strategy.parameters.least_range == written["strategy"]["least_range"]
    assert loaded[0].strategy.parameters.least_range != written["strategy"]["least_range"]


@pytest.mark.slow
def test_figures_of_the_page_are_those_of_the_backtests(
    script: ModuleType, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))

    found = dict(script.backtests(str(real_data / "es_5m_2015_2021.parquet")))

    assert marked("overview") == script.overview(found)
    for name in BOX:
        assert marked(f"{name}: gates") == script.gate_table(make_strategy(name), found[name].rates)
        assert marked(f"{name}: results") == script.result_table(found[name])
        # As the page says in bold.
        for part in found[name].summaries.values():
            assert part.loc["sharpe_ratio", "low"] < 0
            assert part.loc["pnl", "value"] < 0
    exits = found["eighty_percent_rule"].research.results["All candidates"].trades["exit_reason"]
    reached, trades = int((exits == "target").sum()), len(exits)
    assert f"in {reached} of the {trades} trades: {100 * reached / trades:.0f} %" in PAGE
