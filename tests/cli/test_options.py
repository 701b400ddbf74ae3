"""A source of bars from a command's options."""

from pathlib import Path

import pytest

from cli.options import file_source
from pipeline.errors import ConfigurationError


def test_path_is_remembered_whole_whatever_the_folder_it_was_given_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")

    assert file_source("../bars.csv") == file_source(str(tmp_path / "bars.csv"))


def test_link_stays_the_link_so_that_it_may_point_elsewhere_tomorrow(tmp_path: Path) -> None:
    (tmp_path / "latest.csv").symlink_to(tmp_path / "today.csv")

    assert file_source(str(tmp_path / "latest.csv")).path == str(tmp_path / "latest.csv")


def test_home_folder_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/trader")

    assert file_source("~/bars.csv").path == "/home/trader/bars.csv"


def test_empty_path_is_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="file name is empty"):
        file_source(" ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time_zone": "Mars"}, "--time-zone 'Mars'"),
        ({"label": "middle"}, "--label 'middle'"),
        ({"bar": "5x"}, "--bar '5x'"),
    ],
)
def test_impossible_option_is_named(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        file_source("bars.csv", options)
