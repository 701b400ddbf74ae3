"""What a user may say about a source of bars; everything left out is detected or the format's own."""

from collections.abc import Mapping
from typing import Literal, Self
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["BAR_COLUMNS", "OPTIONAL_COLUMNS", "Label", "ReadOptions"]

Label = Literal["open", "close"]

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
OPTIONAL_COLUMNS = ("contract", "num_trades", "bid_volume", "ask_volume")
NAMEABLE_COLUMNS = (*BAR_COLUMNS, *OPTIONAL_COLUMNS, "date", "time", "symbol")


class ReadOptions(BaseModel):
    """How to read a source of bars.

    Attributes
    ----------
    format
        Name of the format (``generic_csv``, ``parquet``, ...); detected where it is left out.
    columns
        Our name of a column to its name in the file, for those that are not found by themselves:
        ``{"close": "Settle"}``. Our names are those of a bar, ``date`` and ``time`` (a timestamp in two
        columns), and ``symbol``.
    time_zone
        IANA name of the zone that times without one were written in.
    label
        Whether a bar's time is that of its open or its close; the format's habit where it is left out.
    bar
        Length of a bar (``5min``, ``1h``), needed only where labels are closes and the file's most common
        step does not tell it.
    delimiter, decimal
        Of text files: what stands between fields (detected where left out), and the decimal mark.
    header
        Names of the columns of a generic CSV file that has no line of names.
    time_format
        ``strptime`` form of the times, where they are neither ISO 8601 nor epoch numbers:
        ``%m/%d/%Y %H:%M``. Of ``date``, a space and ``time`` where these are two columns.
    symbol
        Which symbol's rows to take from a file of several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str | None = None
    columns: Mapping[str, str] = Field(default_factory=dict)
    time_zone: str | None = None
    label: Label | None = None
    bar: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    header: tuple[str, ...] | None = None
    time_format: str | None = None
    symbol: str | None = None

    @field_validator("columns")
    @classmethod
    def _columns_are_ours(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name not in NAMEABLE_COLUMNS:
                raise ValueError(f"{name!r} is not a column of bars; choose from {', '.join(NAMEABLE_COLUMNS)}")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(f"time zone {value!r} is not an IANA name such as America/Chicago") from error
        return value

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
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.header is not None and self.format not in (None, "generic_csv"):
            raise ValueError(f"header is for generic_csv only, not {self.format}")
        if self.decimal == "," and self.delimiter == ",":
            raise ValueError("decimal and delimiter can't both be a comma")
        return self

    @property
    def bar_length(self) -> pd.Timedelta | None:
        """``bar`` as a length of time."""
        return None if self.bar is None else pd.Timedelta(self.bar)
