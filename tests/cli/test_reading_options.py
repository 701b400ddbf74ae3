"""Reading options are the same for every command that takes a file, and in sources.yaml."""

import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.command import app, main
from cli.options import file_source
from pipeline.datasets import FileSource, load_sources, remember_source
from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.market.readers.options import ReadOptions

SETTINGS = set(ReadOptions.model_fields)
ROWS = "".join(
    f"0{day}/03/2022|{hour:02}:{minute:02}|4.473,75|4.477,00|4.470,50|4.474,00|x|1.0{minute:02}|{minute}\n"
    for day in (2, 3)
    for hour in range(9, 15)
    for minute in range(0, 60, 5)
)


def options_of(command: str) -> dict[str, str]:
    group: Any = typer.main.get_command(app)
    _, found, _ = group.resolve_command(group.make_context("vpoc", [command]), [command])
    return {
        each.opts[0].removeprefix("--").replace("-", "_"): each.help
        for each in found.params
        if each.param_type_name == "option"
    }


@pytest.mark.parametrize("command", ["run", "profile", "backtest", "audit"])
def test_command_that_takes_a_file_has_an_option_for_every_setting(command: str) -> None:
    options = options_of(command)

    assert set(options) >= SETTINGS
    assert {name: options[name] for name in SETTINGS} == {name: options_of("profile")[name] for name in SETTINGS}


def test_options_are_the_settings_and_are_remembered_for_the_symbol(tmp_path: Path) -> None:
    given = {
        "format": "generic_csv",
        "columns": ["close=Settle, in $,volume=Vol", "date=Day"],
        "names": 'Day,time,open,high,low,"Settle, in $",Vol,Up',
        "time_zone": "America/Chicago",
        "time_format": "%d/%m/%Y %H:%M",
        "label": "close",
        "bar": "5min",
        "file_symbol": "ES",
        "delimiter": "tab",
        "decimal": ",",
        "skip_rows": 2,
        "skip_footer": 1,
    }
    source = file_source(str(tmp_path / "es.txt"), given)

    assert source.model_dump(exclude={"path", "trades", "volume_columns"}) == {
        **given,
        "columns": {"close": "Settle, in $", "volume": "Vol", "date": "Day"},
        "names": ("Day", "time", "open", "high", "low", "Settle, in $", "Vol", "Up"),
        "delimiter": "\t",
    }
    summed = file_source(str(tmp_path / "es.txt"), {"volume_columns": "Up+Down"})
    home = Home(tmp_path)
    for symbol, each in (("ES", source), ("NQ", summed)):
        remember_source(home, symbol, each)
        assert load_sources(home)[symbol] == each
    assert set(given) | {"volume_columns"} == SETTINGS


def test_settings_that_sources_yaml_called_otherwise_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("ES: {path: es.csv, header: [date, open], symbol: ESH2}\n")

    source = load_sources(Home(tmp_path))["ES"]

    assert source == FileSource(path=str(tmp_path / "es.csv"), names=("date", "open"), file_symbol="ESH2")


@pytest.mark.parametrize(
    ("reading", "sentence"),
    [
        ({"columns": ["Settle"]}, "--columns 'Settle': .*close=Settle"),
        ({"columns": ["clos=Settle"]}, "--columns 'clos=Settle': 'clos' is not a column of bars or trades"),
        ({"decimal": ";"}, "--decimal ';': "),
        ({"delimiter": "::"}, "--delimiter '::': delimiter '::' is not one character"),
        ({"skip_rows": -1}, "--skip-rows -1: "),
        ({"decimal": ",", "delimiter": ","}, "decimal and delimiter can't both be a comma"),
        ({"volume_columns": "Up+Down", "columns": ["volume=Vol"]}, "volume_columns and a column for volume"),
        ({"time_format": "%H:%M %p"}, "--time-format '%H:%M %p': .* write %I for %H"),
    ],
)
def test_impossible_reading_names_the_option(reading: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        file_source("bars.csv", reading)


def test_path_that_is_not_utf8_is_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match=r"caf\\xe9.csv' is not UTF-8"):
        file_source("caf\udce9.csv")


def vpoc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> int:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "argv", ["vpoc", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_profile_of_a_file_that_says_nothing_is_read_by_options_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "es.txt").write_text("made by hand\n" + ROWS + "end\n")
    options = (
        "--names", "Day,time,open,high,low,Settle,?,Vol,Up", "--columns", "date=Day,close=Settle", "--delimiter", "|",
        "--decimal", ",", "--skip-rows", "1", "--skip-footer", "1", "--time-zone", "America/Chicago",
        "--time-format", "%d/%m/%Y %H:%M", "--volume-columns", "Vol+Up",
    )  # fmt: skip

    assert vpoc(monkeypatch, tmp_path, "profile", str(tmp_path / "es.txt"), *options) == 0

    out = capsys.readouterr().out
    assert "volume from Vol + Up" in out
    assert out.count("1 line skipped") == 2
    # 12 bars an hour of 1,000 + minute, and the minutes once more; 6 hours: 6 × (12 × 1000 + 2 × 330).
    assert "75,960" in out


@pytest.mark.parametrize("command", ["run", "audit"])
def test_options_on_reading_without_a_file_are_wrong_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert vpoc(monkeypatch, tmp_path, command, "--skip-rows", "2") == 2
    assert "--skip-rows" in capsys.readouterr().err
