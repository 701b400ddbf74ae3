"""YAML files of users: read as they are meant, or refused in one sentence with file and line."""

import datetime as dt
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import load_sources
from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.market import load_instruments
from pipeline.settings import load_settings, require_settings
from pipeline.yaml_files import place_in_yaml, read_yaml_mapping

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
STOCK = "  point_value: 1\n  volume_step: 1\n  calendar: XNYS\n  commission_per_side: 0\n"


def written(folder: Path, text: str | bytes, name: str = "file.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_mapping_of_every_kind_is_read_as_written(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        b"\xef\xbb\xbfON: {a: 1, b: 1.5, c: yes, d: null, e: [x, '2'], f: 2020-01-02}\n1: {open: 9:30}\n"
        b"base: &base {x: 1, y: 2}\nown: {<<: *base, y: 3}\nboth: {<<: [{z: 1}, *base, {z: 2}]}\n",
    )

    assert read_yaml_mapping(path) == {
        "ON": {"a": 1, "b": 1.5, "c": True, "d": None, "e": ["x", "2"], "f": dt.date(2020, 1, 2)},
        "1": {"open": "09:30"},
        "base": {"x": 1, "y": 2},
        "own": {"x": 1, "y": 3},
        "both": {"x": 1, "y": 2, "z": 1},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("account: {a: 1}\nseed: 1\naccount: {b: 1}\n", "line 3: account is set twice, the first time in line 1"),
        ("a:\n  x: 1\n  y: 2\n  'x': 3\n", "line 4: x is set twice, the first time in line 2"),
        ("a: {x: 1, x: 1}", "line 1: x is set twice"),
        ("a:\n- {x: 1}\n- x: 1\n  x: 2\n", "line 4: x is set twice, the first time in line 3"),
        ("a: [\n", "line 2: not YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not YAML"),
        ("a: 1\n---\nb: 2\n", "line 2: not YAML"),
        ("a: *nowhere\n", "line 1: not YAML"),
        ("a: !!python/object/apply:os.system [id]", "line 1: the tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !!int x", "line 1: the tag"),
        ("a: 1\nb: &b [*b]\n", "line 2: an alias that holds itself"),
        ("? [a]\n: 1", "line 1: a name must be a text"),
        ("- a", "must map names to values, e.g. 'account"),
        ("a: \x00", "is not YAML"),
        ("a: " + "[" * 500 + "]" * 500, "line 1: more than 20 levels deep"),
        ("a: " + "{b: " * 50_000, "line 1: more than 20 levels deep"),
        ("a:\n" + "- 1\n" * 201_000, "more than 100,000 values"),
        ("a: " + "x" * (1 << 20), "is larger than 1 MB"),
        (BOMB, "its aliases stand for more than 100,000 values"),
        (b"a: 1\nb: \xff\n", "line 2: not UTF-8"),
        ("a: 1\n".encode("utf-16"), "line 1: not UTF-8"),
    ],
)
def test_file_that_is_not_a_plain_mapping_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigurationError) as refused:
        read_yaml_mapping(path)

    assert str(path) in str(refused.value)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_that_is_absent_or_a_folder_is_refused_or_stands_for_what_it_should(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yaml does not exist"):
        read_yaml_mapping(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
        read_yaml_mapping(tmp_path, absent={})
    assert read_yaml_mapping(tmp_path / "none.yaml", absent={"a": 1}) == {"a": 1}
    assert read_yaml_mapping(written(tmp_path, "# nothing\n")) == {}


# PyYAML writes a line break of another alphabet into a text as it is, and reads it as a space.
TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, PLAIN, max_size=4), st.booleans())
def test_mapping_that_yaml_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: dict, flow: bool
) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow)

    assert read_yaml_mapping(written(tmp_path_factory.getbasetemp(), text)) == data


@given(st.text(alphabet="ab:{}[],&*!<>|-?#'\"\n\t 1.~%@", max_size=60))
def test_file_of_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = written(tmp_path_factory.getbasetemp(), text)

    message = ""
    try:
        read_yaml_mapping(path)
    except ConfigurationError as error:
        message = str(error)

    assert "\n" not in message


def test_place_of_a_value_is_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1\nb:\n  c:\n  - x\n  - y: 2\n")

    assert place_in_yaml(path, "b", "c", 1, "y") == f"{path}, line 5"
    assert place_in_yaml(path, "b", "absent") == f"{path}, line 2"
    assert place_in_yaml(path, "absent") == str(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("seed: 1\naccount:\n  initial_capital: 5\n  risk_per_trade: 2\n", "line 4: account setting risk_per_trade"),
        ("seed: 1\naccount: {self: 1}\n", "line 2: "),
        ("strategy:\n  hours: rth\n  trend_window: 1\n", "line 3: history setting trend_window"),
        ("strategy: {self: 1}", "line 1: "),
        ("\nmodels:\n  splits: 0\n", "line 3: models.splits is 0"),
        ("models:\n  families: [nosuch]\n", "line 2: "),
        ("models:\n  parameters:\n    lightgbm: {num_leaves: 0}\n", "line 2: "),
        ("compute:\n  threads: 0\n", "line 2: compute.threads is 0"),
        ("tuning:\n  trials: 0\n", "line 2: tuning.trials is 0"),
        ("simulator:\n  start: 2020-13-01\n", "line 2: simulator.start is '2020-13-01'"),
        ("seed: " + "9" * 5000, "line 1: seed is '9"),
        ("tuning: []\n", "line 1: tuning is []"),
        ("bogus: 1\n", "line 1: setting bogus is unknown"),
    ],
)
def test_settings_that_are_impossible_are_refused_with_their_line(tmp_path: Path, text: str, place: str) -> None:
    home = Home(tmp_path)
    home.settings.write_text(text)

    with pytest.raises(ConfigurationError) as refused:
        load_settings(home)

    assert f"settings.yaml, {place}" in str(refused.value)


def test_settings_that_name_a_file_that_is_not_there_are_refused_before_a_run(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings.write_text("seed: 1\nvolatility_index: vix.csv\n")
    with pytest.raises(ConfigurationError, match=r"settings.yaml, line 2: volatility_index names .*vix.csv"):
        require_settings(home)

    (tmp_path / "vix.csv").touch()
    assert require_settings(home).volatility_index == "vix.csv"


def test_sources_and_instruments_are_refused_with_their_line(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.sources.write_text("ES: {path: a.csv}\nES: {path: b.csv}\n")
    with pytest.raises(ConfigurationError, match=r"sources.yaml, line 2: ES is set twice"):
        load_sources(home)

    home.sources.write_text("ES:\n  path: a.csv\n  time_zone: Mars\n")
    with pytest.raises(ConfigurationError, match=r"sources.yaml, line 3: ES.time_zone"):
        load_sources(home)

    with pytest.raises(ConfigurationError, match=r"instrument file .*file.yaml, line 2: ON.tick_size is -1"):
        load_instruments(written(tmp_path, "ON:\n  tick_size: -1\n" + STOCK))


def test_instrument_named_like_a_truth_whose_hours_are_not_quoted_is_read_as_written(tmp_path: Path) -> None:
    hours = "  time_zone: America/New_York\n  regular_hours: {open: 9:30, close: 16:00}\n"

    stock = load_instruments(written(tmp_path, "ON:\n  tick_size: 0.01\n" + STOCK + hours))["ON"]

    assert (stock.regular_hours.open, stock.regular_hours.close) == (dt.time(9, 30), dt.time(16))


@pytest.mark.parametrize("variable", ["settings.yaml", "sources.yaml", "VPOC_INSTRUMENTS"])
def test_alias_bomb_in_any_yaml_file_costs_no_memory_and_exits_2(tmp_path: Path, variable: str) -> None:
    bomb = written(tmp_path, BOMB.replace("a:", "account:", 1), variable)
    environment = {**os.environ, "VPOC_HOME": str(tmp_path)}
    if variable == "VPOC_INSTRUMENTS":
        environment[variable] = str(bomb)

    ended = subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", "run", "--symbol", "ES"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30)),
    )

    assert ended.returncode == 2, ended.stderr
    assert "its aliases stand for more than 100,000 values" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
