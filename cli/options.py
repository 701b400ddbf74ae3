"""Options that several commands share."""

import csv
import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from pipeline.books import Book, find_book, made_book
from pipeline.datasets import FileSource
from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import SettingError
from pipeline.home import Home, expanded

__all__ = [
    "BookOption",
    "JsonOption",
    "MadeSymbolOption",
    "Reading",
    "SymbolOption",
    "chosen_book",
    "file_source",
    "reads_a_file",
    "refuse_reading",
]

SymbolOption = Annotated[str, typer.Option("--symbol", "-s", help="Instrument of the bars.")]
MadeSymbolOption = Annotated[
    str | None,
    typer.Option(
        "--symbol", "-s", help="Symbol whose 'vpoc run' results to use. [default: ES, or the only one there is]"
    ),
]
BookOption = Annotated[
    str | None, typer.Option("--book", "-b", help="Book of settings.yaml, in place of the symbol's own.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for another program to read.")]

Reading = Mapping[str, Any]  # settings of a source that were given on the command line, by their names

_PANEL = "How to read the file, where that can't be detected"


# One for each setting of a source, under its name (time_zone is --time-zone): its type, its help and what it takes.
_READING: dict[str, tuple[Any, str, str | None]] = {
    "format": (str, "The file's format, if it isn't recognised automatically.", None),
    "columns": (list[str], "Columns not found automatically, e.g. 'close=Settle,volume=Vol'.", "OURS=NAME,..."),
    "names": (str, "Names of all columns, in order, for a file without a header.", "NAME,NAME,..."),
    "time_zone": (str, "Time zone of times without one, e.g. America/Chicago.", "ZONE"),
    "time_format": (str, "Format of the times, e.g. '%d/%m/%Y %H:%M'.", "FORM"),
    "label": (str, "Whether a bar's time is its 'open' or its 'close'.", "open|close"),
    "bar": (str, "Length of a bar, e.g. 5min, where the file doesn't show it.", "LENGTH"),
    "volume_columns": (str, "Columns whose sum is the volume, e.g. Up+Down.", "NAME+NAME"),
    "file_symbol": (str, "Symbol to take from a file of several, as the file names it.", "NAME"),
    "delimiter": (str, "Field delimiter: a character, or 'tab'.", "MARK"),
    "decimal": (str, "The decimal mark: '.' or ','.", "MARK"),
    "skip_rows": (int, "Lines to skip at the beginning, above the header.", "LINES"),
    "skip_footer": (int, "Lines to skip at the end.", "LINES"),
}


def reads_a_file(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how to read a file; it takes those that are given as ``reading``."""
    signature = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(
            "format_" if name == "format" else name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                kind | None,
                typer.Option(f"--{name.replace('_', '-')}", help=help_, metavar=metavar, rich_help_panel=_PANEL),
            ],
        )
        for name, (kind, help_, metavar) in _READING.items()
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        taken = {each.name: given.pop(each.name, None) for each in options}
        reading = {name.rstrip("_"): value for name, value in taken.items() if value not in (None, [])}
        command(**given, reading=reading)

    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in signature.parameters.values()
        if each.name != "reading"
    ]
    with_options.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return with_options


def chosen_book(home: Home, symbol: str | None, book: str | None) -> Book:
    """Return the book that a command means which goes on from what 'vpoc run' made."""
    if symbol is not None and book is not None:
        raise ConfigurationError(f"--book {book} names its symbol itself: leave out --symbol {symbol}")
    return find_book(book or symbol or made_book(home), home)


def file_source(path: str, reading: Reading | None = None) -> FileSource:
    """A source from the options given; the path is made absolute, since it is remembered."""
    if not path.strip():
        raise ConfigurationError("the file name is empty: give a file, a folder or a glob")
    if any("\ud800" <= each <= "\udfff" for each in path):
        raise ConfigurationError(f"the name '{path}' is not UTF-8 text: rename the file, or give its folder")
    # A value that a setting does not know is reported by the settings themselves.
    named = dict(reading or {})
    if isinstance(columns := named.get("columns"), str | list):
        named["columns"] = _columns([columns] if isinstance(columns, str) else columns)
    if isinstance(names := named.get("names"), str):
        named["names"] = tuple(each.strip() for each in next(csv.reader([names]), []))
    try:
        return FileSource(path=os.path.abspath(expanded(path)), **named)  # noqa: PTH100 (pathlib's keeps a ..)
    except SettingError as error:
        if not error.location:
            raise
        setting = str(error.location[0])
        given = f"--{setting.replace('_', '-')} {_as_given(reading, setting)}"
        raise ConfigurationError(f"{given}: {error.message}") from error


def refuse_reading(reading: Reading, instead: str) -> None:
    """Refuse options on reading a file where there is no file."""
    for setting in reading:
        option = f"--{setting.replace('_', '-')}"
        raise ConfigurationError(f"{option} says how to read a file: {instead}, or leave {option} out")


def _columns(given: Sequence[str]) -> dict[str, str]:
    columns = {}
    for pair in (pair for each in given for pair in re.split(r",(?=\s*[A-Za-z_]+=)", each)):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs):
            raise ConfigurationError(f"--columns {pair!r}: give our name and the file's, as in close=Settle")
        columns[ours] = theirs
    return columns


def _as_given(reading: Reading | None, setting: str) -> str:
    value = (reading or {}).get(setting)
    return repr(value[0] if isinstance(value, list) and len(value) == 1 else value)
