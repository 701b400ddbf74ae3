"""Findings of the commands where the data shows that a file was read wrongly."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from cli.command import app
from pipeline.errors import DataError
from pipeline.market import find_instrument, simulate_market


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("VPOC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


@pytest.fixture(scope="module")
def new_york(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sessions of ES over a roll, times in New York without saying so."""
    path = tmp_path_factory.mktemp("bars") / "es.csv"
    bars = simulate_market(find_instrument("ES"), "2021-03-05", 8, 5, bar="15min")
    local = bars["timestamp"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    bars.assign(timestamp=local).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "daily.csv"
    times = pd.date_range("2023-05-01 14:30", periods=30, freq="1D", tz="UTC")
    pd.DataFrame({"timestamp": times, "open": 4100, "high": 4110, "low": 4090, "close": 4100, "volume": 9}).to_csv(
        path, index=False
    )
    return path


@pytest.mark.parametrize("command", ["profile", "backtest"])
def test_command_on_times_of_another_zone_names_the_option_it_takes(call, new_york: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    wrong = call(command, str(new_york), "--time-zone", "America/Chicago")
    right = call(command, str(new_york), "--time-zone", "America/New_York")

    assert wrong.exit_code == right.exit_code == 0
    assert "Warning: " in wrong.output
    assert "name --time-zone America/New_York" in wrong.output
    assert "Warning" not in right.output


def test_profile_json_keeps_findings_out_of_the_output(call, new_york: Path) -> None:  # type: ignore[no-untyped-def]
    result = call("profile", str(new_york), "--time-zone", "America/Chicago", "--json")

    assert result.stdout.startswith("[")
    assert "Warning" in result.stderr


@pytest.mark.parametrize("command", ["profile", "backtest", "audit"])
def test_command_on_daily_bars_says_what_they_lack(call, daily: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    result = call(command, str(daily))

    assert isinstance(result.exception, DataError)
    assert "daily bars" in str(result.exception)


def test_doctor_of_a_file_lists_reading_findings_and_rolls(call, new_york: Path, daily: Path) -> None:  # type: ignore[no-untyped-def]
    result = call("doctor", "--data", str(new_york), "--time-zone", "America/Chicago")

    assert result.exit_code == 0
    assert "name --time-zone America/New_York" in result.output
    assert "roll: 2021-03-11" in result.output
    assert "ESH21 to ESM21" in result.output
    assert call("doctor", "--data", str(daily)).exit_code == 1
