"""Options that several commands share."""

import os
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from pipeline.datasets import FileSource
from pipeline.errors import ConfigurationError
from pipeline.home import expanded

__all__ = [
    "BarOption",
    "FormatOption",
    "JsonOption",
    "LabelOption",
    "SymbolOption",
    "ZoneOption",
    "file_source",
]

SymbolOption = Annotated[str, typer.Option("--symbol", "-s", help="Which instrument the bars are of.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="The file's format, where it should not be recognised by itself.")
]
ZoneOption = Annotated[
    str | None, typer.Option("--time-zone", help="Zone of times that carry none, e.g. America/Chicago.")
]
LabelOption = Annotated[str | None, typer.Option("--label", help="Whether a bar's time is its 'open' or its 'close'.")]
BarOption = Annotated[
    str | None, typer.Option("--bar", help="Length of a bar, e.g. 5min, where the file leaves it open.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for another program to read.")]


def file_source(
    path: str,
    format_: str | None = None,
    time_zone: str | None = None,
    label: str | None = None,
    bar: str | None = None,
) -> FileSource:
    """A source from the options given; the path is made absolute, since it is remembered."""
    if not path.strip():
        raise ConfigurationError("the name of the file with the bars is empty: give a file, a folder or a glob")
    # A word that is not one of a setting's is the settings' own error to tell.
    given: dict[str, Any] = {"format": format_, "time_zone": time_zone, "label": label, "bar": bar}
    named = {name: value for name, value in given.items() if value is not None}
    try:
        return FileSource(path=os.path.abspath(expanded(path)), **named)  # noqa: PTH100 (pathlib's keeps a ..)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{option} {first['input']!r}: {said}") from error
