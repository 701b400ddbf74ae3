"""Mistakes in the environment and the configuration: one sentence each, that says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.datasets import FileSource, find_dataset, load_sources, remember_source
from pipeline.environment import first_month, prepare_environment
from pipeline.errors import ConfigurationError, DataError, UnknownSymbolError
from pipeline.home import PROJECT, Home, vpoc_home
from pipeline.market.readers import read_bars
from pipeline.settings import load_settings


def test_simulated_key_of_an_instrument_that_is_not_simulated_says_which_is(home: Home) -> None:
    with pytest.raises(UnknownSymbolError, match=r"NQ-SIM .*ES-SIM"):
        find_dataset("NQ-SIM", home)


def test_relative_path_in_sources_starts_from_the_home_wherever_the_program_is_started(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.sources.write_text("ES: {path: bars/es.csv}\n")
    monkeypatch.chdir("/")

    source = load_sources(home)["ES"]

    assert source.path == str(tmp_path / "bars" / "es.csv")
    assert find_dataset("ES", home).identity == str(tmp_path / "bars" / "es.csv")


def test_remembering_a_source_keeps_the_others(home: Home) -> None:
    home.sources.write_text("NQ: {path: /data/nq.csv, columns: {close: Settle}, label: close}\n")

    remember_source(home, "ES", FileSource(path="/data/es.csv"))

    assert load_sources(home) == {
        "ES": FileSource(path="/data/es.csv"),
        "NQ": FileSource(path="/data/nq.csv", columns={"close": "Settle"}, label="close"),
    }


def test_sources_that_two_programs_add_at_once_are_all_remembered(home: Home) -> None:
    code = (
        "import sys; from pipeline.datasets import FileSource, remember_source; from pipeline.home import vpoc_home\n"
        "for number in range(40): remember_source(vpoc_home(), sys.argv[1], FileSource(path=f'/data/{number}.csv'))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, symbol], cwd=PROJECT) for symbol in ("ES", "NQ")]

    assert [process.wait() for process in both] == [0, 0]
    assert load_sources(home) == {symbol: FileSource(path="/data/39.csv") for symbol in ("ES", "NQ")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ES: {path: ''}", r"sources.yaml, line 1: ES.path is empty; name the file with the bars"),
        ("ES: bars.csv", r"sources.yaml, line 1: ES must map setting names to values"),
        ("[]", r"sources.yaml must map names to values, e.g. 'ES: {path: bars.csv}'"),
        ("ES: {path: a.csv, time_zone: Mars}", r"ES.time_zone: time zone 'Mars' is not an IANA name"),
    ],
)
def test_sources_that_are_impossible_name_file_and_setting(home: Home, text: str, sentence: str) -> None:
    home.sources.write_text(text)

    with pytest.raises(ConfigurationError, match=sentence):
        load_sources(home)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "foo: 1",
            r"line 1: setting foo is unknown; choose from history, strategy, account, .*, tuning, books, desk$",
        ),
        (
            "simulator: {bars: 5min}",
            r"setting simulator.bars is unknown; .*start, sessions, seed, edge, bar",
        ),
        ("strategy: {hours: all}", r"settings.yaml, line 1: history setting hours is 'all'"),
        ("off_tick: maybe", r"off_tick is 'maybe'"),
    ],
)
def test_settings_that_are_impossible_name_file_and_setting(home: Home, text: str, sentence: str) -> None:
    home.settings.write_text(text)

    with pytest.raises(ConfigurationError, match=sentence):
        load_settings(home)


def test_path_of_a_user_that_does_not_exist_is_a_file_that_does_not_exist() -> None:
    with pytest.raises(DataError, match=r"~no-such-user/bars\.csv does not exist"):
        read_bars("~no-such-user/bars.csv")


@pytest.mark.parametrize("value", ["garbage", "2005-13", "2005", "9999-01"])
def test_first_month_invalid_names_the_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPOC_FIRST_MONTH", value)

    with pytest.raises(ConfigurationError, match=f"VPOC_FIRST_MONTH is '{value}'.*give a month such as 2005-01"):
        first_month()


def test_first_month_is_read_as_a_month(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPOC_FIRST_MONTH", "1998-1")

    assert first_month() == "1998-01"


@pytest.mark.parametrize("value", ["relative", "/no/such/folder"])
def test_dagster_home_that_is_not_a_folder_names_the_variable(
    home: Home, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", value)

    with pytest.raises(ConfigurationError, match=f"DAGSTER_HOME is '{value}'"):
        prepare_environment(home)


def test_home_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VPOC_HOME", str(tmp_path / "file"))

    with pytest.raises(ConfigurationError, match="set VPOC_HOME to another folder"):
        prepare_environment(vpoc_home())
