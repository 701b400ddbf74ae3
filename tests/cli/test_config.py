"""``vpoc config``, and changing the file of settings."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.command import app
from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.settings import flat_settings, load_settings
from pipeline.settings_file import change_settings

WRITTEN = """\
# mine
account:
  risk_per_trade: 0.005   # half a percent
  entry_cutoff: 14:00
models: {families: [lightgbm]}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    return Home(tmp_path)


def vpoc(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["config", *words])
    return result.exit_code, result.output if result.exception is None else str(result.exception)


def test_set_value_keeps_comments_order_and_the_old_file(home: Home) -> None:
    home.settings.write_text(WRITTEN)

    kept = change_settings(home, {"account.risk_per_trade": "0.75%", "models.parameters.lightgbm": {"num_leaves": 7}})

    lines = home.settings.read_text().splitlines()
    assert [line.split("#")[0].rstrip() for line in lines] == [
        "",
        "account:",
        "  risk_per_trade: 0.75%",
        "  entry_cutoff: 14:00",
        "models: {families: [lightgbm], parameters: {lightgbm: {num_leaves: 7}}}",
    ]
    assert lines[0] == "# mine"
    assert lines[2].endswith("# half a percent")
    assert kept is not None
    assert kept.read_text() == WRITTEN
    settings = load_settings(home)
    assert settings.account["risk_per_trade"] == 0.0075
    assert settings.models.parameters == {"lightgbm": {"num_leaves": 7}}


def test_same_value_again_writes_and_keeps_nothing(home: Home) -> None:
    change_settings(home, {"seed": 4})
    before = sorted(home.root.iterdir())
    assert change_settings(home, {"seed": 4}) is None
    assert sorted(home.root.iterdir()) == before == [home.settings]


def test_removed_setting_takes_its_empty_section_with_it(home: Home) -> None:
    home.settings.write_text("account:\n  risk_per_trade: 0.005\nseed: 4\n")
    change_settings(home, {"account.risk_per_trade": None})
    assert home.settings.read_text() == "seed: 4\n"
    change_settings(home, {"tuning.trials": None})
    assert home.settings.read_text() == "seed: 4\n"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("acount.risk_per_trade", "1", "did you mean account?"),
        ("account.risk_per_trad", "1", "did you mean risk_per_trade?"),
        ("models.families", "[lightgmb]", "did you mean lightgbm?"),
        ("account.slippage_ticks", "two", "slippage_ticks"),
        ("seed.inner", "1", "not a mapping"),
        ("account", "[1", "not YAML"),
    ],
)
def test_impossible_value_changes_nothing_and_says_why(home: Home, name: str, value: str, reason: str) -> None:
    home.settings.write_text("seed: 4\n")
    code, text = vpoc("set", name, value)
    assert code != 0
    assert reason in text
    assert list(home.root.iterdir()) == [home.settings]
    assert home.settings.read_text() == "seed: 4\n"


def test_broken_value_can_be_fixed(home: Home) -> None:
    home.settings.write_text("account: {slippage_ticks: two}\n")
    change_settings(home, {"account.slippage_ticks": 2})
    assert load_settings(home).account == {"slippage_ticks": 2}


def test_show_gives_all_in_force_or_the_part_asked_for(home: Home) -> None:
    home.settings.write_text(WRITTEN)
    code, text = vpoc("show", "account", "--json")
    assert code == 0
    shown = json.loads(text)
    assert shown["account.risk_per_trade"] == 0.005
    assert shown["account.entry_cutoff"] == "14:00:00"
    assert shown["account.slippage_ticks"] == 1
    assert all(name.startswith("account.") for name in shown)
    code, text = vpoc("show")
    marked = [line.split()[0] for line in text.splitlines() if line.endswith("(settings.yaml)")]
    assert marked == ["account.risk_per_trade", "account.entry_cutoff", "models.families"]
    assert vpoc("show", "acount")[0] != 0


def test_nested_settings_are_named_flat() -> None:
    nested = {"a": {"b": {"c": 1}, "d": []}, "e": {}}
    assert flat_settings(nested, empty=True) == {"a.b.c": 1, "a.d": [], "e": {}}
    assert flat_settings(nested, "x.") == {"x.a.b.c": 1, "x.a.d": []}


@pytest.mark.parametrize(
    ("written", "risk"),
    [("0.005", 0.005), ("0.5%", 0.005), ("'0.5 %'", 0.005), ("0.1", 0.1), ("10%", 0.1)],
)
def test_risk_is_a_share_or_a_percentage(home: Home, written: str, risk: float) -> None:
    home.settings.write_text(f"account: {{risk_per_trade: {written}}}\n")
    assert load_settings(home).account == {"risk_per_trade": pytest.approx(risk, rel=1e-15)}


@pytest.mark.parametrize("written", ["0.5", "20%", "1", "0.100001"])
def test_risk_above_a_tenth_needs_confirmation(home: Home, written: str) -> None:
    home.settings.write_text(f"account: {{risk_per_trade: {written}}}\n")
    with pytest.raises(ConfigurationError, match=r"line 1: .* at risk in every trade"):
        load_settings(home)
    home.settings.write_text(f"account: {{risk_per_trade: {written}, confirm_risk_per_trade: 0.4}}\n")
    with pytest.raises(ConfigurationError, match="confirm_risk_per_trade"):
        load_settings(home)
    home.settings.write_text(f"account: {{risk_per_trade: {written}, confirm_risk_per_trade: {written}}}\n")
    assert list(load_settings(home).account) == ["risk_per_trade"]


def test_settings_of_the_history_are_found_where_earlier_releases_had_them(home: Home) -> None:
    home.settings.write_text("strategy: {trend_window: 22}\n")

    assert "history.trend_window is now 26" in vpoc("set", "history.trend_window", "26")[1]
    assert home.settings.read_text() == "strategy: {trend_window: 26}\n"
    assert load_settings(home).history.trend_window == 26
    assert "history.calm_short is now 4" in vpoc("set", "strategy.calm_short", "4")[1]
    assert "history:\n  calm_short: 4\n" in home.settings.read_text()


def test_strategy_is_set_by_its_name_and_then_its_parameters(home: Home) -> None:
    assert vpoc("set", "strategy", "initial_balance_breakout")[0] == 0
    code, text = vpoc("set", "strategy.minutes", "30")

    assert (code, "strategy.minutes is now 30" in text) == (0, True)
    assert load_settings(home).strategy.decision_minutes() == (30,)
    assert "stop_atr_factor is unknown" in vpoc("set", "strategy.stop_atr_factor", "1")[1]
    assert vpoc("set", "strategy.name", "opening_gap_fill")[0] == 0
    assert home.settings.read_text() == "strategy:\n  name: opening_gap_fill\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategy: nope", "strategy.name: there is no strategy 'nope'"),
        ("strategy: {name: trend_continuaton}", "did you mean trend_continuation"),
        ("strategy: 5", "strategy is 5; give its name"),
        ("strategy: {trend_window: 1}", "history setting trend_window is 1"),
        ("strategy: {hours: eth}\nhistory: {hours: rth}", "strategy.hours stands under history too"),
        ("strategy: {name: opening_gap_fill, minutes: 0}", "strategy setting minutes is 0"),
        ("tuning: {spaces: {strategy: {minutes: [30]}}}", "no setting 'minutes' to narrow"),
    ],
)
def test_strategy_that_cannot_be_is_one_sentence_with_its_file(home: Home, text: str, message: str) -> None:
    home.settings.write_text(text + "\n")

    with pytest.raises(ConfigurationError) as caught:
        load_settings(home)

    assert message in str(caught.value)
    assert str(home.settings) in str(caught.value)
