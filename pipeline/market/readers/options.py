"""Options of a source; everything left out is detected or the format's own.

Each setting has one name everywhere: ``time_zone`` in ``sources.yaml`` and in Python is ``--time-zone`` on the command
line.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from pydantic import AliasChoices, Field, field_validator, model_validator

from pipeline.errors import DataError
from pipeline.frozen_settings import FrozenSettings
from pipeline.market.zones import ZoneName

__all__ = [
    "BAR_COLUMNS",
    "NAMED_BY_PLACE",
    "OPTIONAL_COLUMNS",
    "Label",
    "ReadOptions",
    "TextOptions",
    "refuse_settings",
    "to_set",
]

Label = Literal["open", "close"]

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
OPTIONAL_COLUMNS = ("contract", "num_trades", "bid_volume", "ask_volume")
TRADE_COLUMNS = ("price", "side", "is_buyer_maker", "seq")
NAMEABLE_COLUMNS = (*BAR_COLUMNS, *OPTIONAL_COLUMNS, "date", "time", "symbol", *TRADE_COLUMNS)

NAMED_BY_PLACE = ("generic_csv", "excel", "json")  # formats whose columns the setting names can name

_DELIMITER_WORDS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}


class TextOptions(FrozenSettings):
    """Options for reading a file of bars or of trades.

    Attributes
    ----------
    columns
        Our name of a column to its name in the file, for those that are not found by themselves:
        ``{"close": "Settle"}``. Our names are those of a bar or a trade, ``date`` and ``time`` (a timestamp in two
        columns), and ``symbol``.
    names
        The names of all columns, in order, of a file that has no line of names, or of JSON's arrays.
    time_zone
        IANA name of the zone that times without one were written in.
    time_format
        ``strptime`` form of the times, where it can't be detected: ``%d/%m/%Y %H:%M``. Of ``date``, a space and
        ``time`` where these are two columns.
    skip_rows, skip_footer
        Lines (rows of Excel) to leave out at the beginning, above the names, and filled ones at the end.
    delimiter, decimal
        Of text: what stands between fields, and the decimal mark. Detected where left out.
    file_symbol
        Which symbol's rows to take from a file of several.
    """

    columns: Mapping[str, str] = Field(default_factory=dict)
    # The second alias is what a sources.yaml of before calls the setting.
    names: tuple[str, ...] | None = Field(default=None, validation_alias=AliasChoices("names", "header"))
    time_zone: ZoneName | None = None
    time_format: str | None = None
    skip_rows: int = Field(default=0, ge=0)
    skip_footer: int = Field(default=0, ge=0)
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    file_symbol: str | None = Field(default=None, validation_alias=AliasChoices("file_symbol", "symbol"))

    @field_validator("columns")
    @classmethod
    def _columns_are_ours(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name not in NAMEABLE_COLUMNS:
                raise ValueError(
                    f"{name!r} is not a column of bars or trades; choose from {', '.join(NAMEABLE_COLUMNS)}"
                )
        return value

    @field_validator("time_format")
    @classmethod
    def _hours_fit(cls, value: str | None) -> str | None:
        if value is not None:
            # Python takes %H beside %p and leaves AM and PM unheard: 6 PM would be read as 06:00.
            half_day, directives = "%p" in value, set(re.findall(r"%[a-zA-Z]", value))
            if half_day and "%H" in directives:
                raise ValueError(f"time_format {value!r} has %H, the hour of 24, and %p, AM or PM: write %I for %H")
            if "%I" in directives and not half_day:
                raise ValueError(f"time_format {value!r} has %I, the hour of 12, and no %p, AM or PM: write %H for %I")
        return value

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one_character(cls, value: str | None) -> str | None:
        if value is not None:
            value = _DELIMITER_WORDS.get(value.lower(), value)
            if len(value) != 1 or not value.isascii() or value in '\r\n"\0':
                raise ValueError(f"delimiter {value!r} is not one character such as ; or the word tab")
        return value

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == "," and self.delimiter == ",":
            raise ValueError("decimal and delimiter can't both be a comma")
        return self


class ReadOptions(TextOptions):
    """Options for reading a source of bars.

    Attributes
    ----------
    format
        Name of the format (``generic_csv``, ``parquet``, ...); detected where it is left out.
    label
        Whether a bar's time is that of its open or its close; the format's habit where it is left out.
    bar
        Length of a bar (``5min``, ``1h``), needed only where labels are closes and the file's most common
        step does not tell it.
    volume_columns
        Columns whose sum is the volume: ``("Up", "Down")``, or ``"Up+Down"``.
    """

    format: str | None = None
    label: Label | None = None
    bar: str | None = None
    volume_columns: tuple[str, ...] = ()

    @field_validator("bar")
    @classmethod
    def _bar_is_a_length(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                length = pd.Timedelta(value)
            except ValueError as error:
                raise ValueError(f"bar {value!r} is not a length such as 5min or 1h") from error
            if not length > pd.Timedelta(0):
                raise ValueError(f"bar {value!r} must be longer than zero")
            if length < pd.Timedelta(1, "s"):  # pandas takes a number alone for nanoseconds
                raise ValueError(f"bar {value!r} is not a length of a bar; give number and unit, such as 5min")
        return value

    @field_validator("volume_columns", mode="before")
    @classmethod
    def _volume_may_be_a_sum(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split("+")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.names is not None and self.format not in (None, *NAMED_BY_PLACE):
            raise ValueError(f"names are for {', '.join(NAMED_BY_PLACE)}, not {self.format}")
        if self.volume_columns and "volume" in self.columns:
            raise ValueError("volume_columns and a column for volume in columns can't both be set")
        return self

    @property
    def bar_length(self) -> pd.Timedelta | None:
        """``bar`` as a length of time."""
        return None if self.bar is None else pd.Timedelta(self.bar)


def to_set(setting: str, example: str) -> str:
    """Say how a setting is set, for the end of an error: by its name, and as the command line takes it."""
    return f"set {setting} (--{setting.replace('_', '-')} {example})"


def refuse_settings(path: Path, options: TextOptions, format_name: str, *settings: str) -> None:
    """Say of the first of ``settings`` that is given that files of a format have nothing it could be about."""
    for setting in settings:
        if getattr(options, setting) not in (None, (), 0, {}):
            raise DataError(f"{path}: {setting} means nothing in a {format_name} file; leave it out")
