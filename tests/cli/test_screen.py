"""Names from outside on the screen, in tables, pages and pictures: what a terminal or a page could obey is escaped."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.table import Table as RichTable
from rich.text import Text

from assets.tables import table
from cli.screen import Console
from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.markup import plain


@pytest.mark.parametrize("terminal", [False, True])
def test_console_of_text_with_control_characters_writes_none_but_its_own(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, highlight=False)
    rows = RichTable("name")
    rows.add_row("clo\x1b[2Jse")

    console.print("column \x1b[31mclo\x07se\x1b]0;title\x07 and [/bold] of [red]ES[/]")
    console.print(Text("bid\x9b2J", "bold"))
    console.print(rows)

    written = out.getvalue()
    assert r"column \x1b[31mclo\x07se\x1b]0;title\x07 and [/bold] of [red]ES[/]" in written
    assert r"bid\x9b2J" in written
    assert r"clo\x1b[2Jse" in written
    assert set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]", written)) <= {"\x1b"}
    assert set(re.findall("\x1b[^m]*m?", written)) <= {"\x1b[0m", "\x1b[1m"}


def test_mistake_that_names_escape_codes_reaches_the_terminal_escaped(tmp_path: Path) -> None:
    bars = tmp_path / "b\x1b[31m\u202e[/x].csv"

    ended = subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", "profile", str(bars), "--symbol", "ES"],
        capture_output=True,
        text=True,
        env={**os.environ, "VPOC_HOME": str(tmp_path / "home"), "FORCE_COLOR": "1"},
        check=False,
    )

    assert ended.returncode == 1
    assert r"b\x1b[31m\u202e[/x].csv" in ended.stderr
    assert "\x1b[31mb" not in ended.stderr
    assert "\u202e" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_picture_with_dollars_and_control_characters_in_its_texts_is_drawn() -> None:
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.set_title("$\\nosuch{ from $4 to $5 \x1b[31m")
    axes.set_yticks([0.0, 1.0], ["$\\frac$", "one"])

    assert png(figure).startswith(b"\x89PNG")


def test_cells_of_tables_and_pages_with_control_characters_are_escaped() -> None:
    made = table(pd.DataFrame({"clo\x1bse": ["a\u202eb"], "n": [1]}))

    assert [column.name for column in made.schema.columns] == [r"clo\x1bse", "n"]
    assert made.records[0].data == {r"clo\x1bse": r"a\u202eb", "n": 1}
    assert plain("<b>\x1b\ud800") == r"&lt;b&gt;\x1b\ud800"
