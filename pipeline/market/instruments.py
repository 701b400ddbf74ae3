"""Instruments: tick, point value, calendar, hours and costs of each, read from YAML."""

import datetime as dt
import os
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Self

import exchange_calendars
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator, model_validator

from pipeline.errors import ConfigurationError, UnknownSymbolError, did_you_mean
from pipeline.frozen_settings import FrozenSettings, SettingError
from pipeline.market.zones import ZoneName
from pipeline.yaml_files import place_in_yaml, read_yaml_mapping

__all__ = ["Instrument", "RegularHours", "find_instrument", "load_instruments"]

INSTRUMENTS_VARIABLE = "VPOC_INSTRUMENTS"


class RegularHours(FrozenSettings):
    """Open and close of the regular session, in the instrument's time zone."""

    open: dt.time
    close: dt.time

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.open >= self.close:
            raise ValueError(f"regular hours open at {self.open}, not before they close at {self.close}")
        return self


class Instrument(FrozenSettings):
    """One tradable thing; each field is explained at the top of ``instruments.yaml``."""

    symbol: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._]*$")
    description: str = ""
    tick_size: float = Field(gt=0, allow_inf_nan=False)
    currency: str = Field(default="$", min_length=1)
    point_value: float = Field(gt=0, allow_inf_nan=False)
    volume_step: float = Field(gt=0, allow_inf_nan=False)
    ticks_per_row: int = Field(default=1, ge=1, le=1 << 24)
    calendar: str
    time_zone: ZoneName = "UTC"
    regular_hours: RegularHours | None = None
    session_close: dt.time | None = None
    trading_hours: str | None = None
    margin_day: float = Field(default=0.10, gt=0, le=1)
    margin_overnight: float = Field(default=0.15, gt=0, le=1)
    commission_per_side: float = Field(ge=0, allow_inf_nan=False)
    commission_rate: float = Field(default=0.0, ge=0, lt=1)
    allow_negative_prices: bool = False
    price_range: tuple[float, float] | None = None

    @field_validator("calendar")
    @classmethod
    def _calendar_exists(cls, value: str) -> str:
        if value not in exchange_calendars.get_calendar_names(include_aliases=True):
            raise ValueError(f"calendar {value!r} is not one of exchange_calendars (CMES, XNYS, 24/7, ...)")
        return value

    @field_validator("price_range")
    @classmethod
    def _range_rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"price_range goes from {value[0]:g} to {value[1]:g}; give the lower price first")
        return value

    @property
    def tick_value(self) -> float:
        """Value of one tick for one contract, in the quote currency ($12.50 for ES)."""
        return self.tick_size * self.point_value

    @property
    def price_decimals(self) -> int:
        """Decimals that its prices are written with."""
        return len(f"{self.tick_size:.12f}".rstrip("0").split(".")[1])

    @property
    def always_open(self) -> bool:
        """Return True if it trades around the clock, seven days a week."""
        return self.calendar == "24/7"

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, for annualising: 365 around the clock, 252 otherwise (contract §7)."""
        return 365 if self.always_open else 252

    @property
    def tick_scale(self) -> tuple[float, float]:
        """Factor and divisor that turn a price into ticks, one of which is 1: the factor where it is whole."""
        scale = _ticks_per_point(self.tick_size)
        return (1.0, self.tick_size) if scale is None else (float(scale), 1.0)

    def to_ticks(self, prices: ArrayLike) -> NDArray[np.int64]:
        """Prices as whole ticks, the nearest where a price lies between two."""
        factor, unit = self.tick_scale
        values = np.asarray(prices, dtype=np.float64)
        return np.rint(values * factor if unit == 1 else values / unit).astype(np.int64)

    def to_prices(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Whole ticks as prices: the float nearest to the exact decimal."""
        factor, unit = self.tick_scale
        values = np.asarray(ticks, dtype=np.float64)
        return values / factor if unit == 1 else values * unit

    def on_tick(self, price: float) -> float:
        """Round a price to the nearest tick."""
        return float(self.to_prices(self.to_ticks(price)))

    def off_tick(self, prices: ArrayLike) -> NDArray[np.bool_]:
        """Mark the prices farther than a millionth of a tick from the grid."""
        values = np.asarray(prices, dtype=np.float64)
        distance = np.abs(values - self.to_prices(self.to_ticks(values)))
        # The second term is the float's own resolution, which exceeds a millionth of a tick at high prices.
        return distance > 1e-6 * self.tick_size + 4 * np.spacing(np.abs(values))

    def to_steps(self, volumes: ArrayLike) -> NDArray[np.int64]:
        """Volume as whole volume steps, the nearest where it lies between two."""
        return np.rint(np.asarray(volumes, dtype=np.float64) / self.volume_step).astype(np.int64)

    def to_volumes(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Volume steps as volume: the float nearest to the exact decimal."""
        values = np.asarray(steps, dtype=np.float64)
        inverse = round(1 / self.volume_step)  # as with ticks, dividing by a whole number gives the decimal
        return values / inverse if abs(inverse * self.volume_step - 1) < 1e-12 else values * self.volume_step

    def off_step(self, volumes: ArrayLike) -> NDArray[np.bool_]:
        """Mark the volumes farther than a millionth of a step from a whole number of steps."""
        steps = np.asarray(volumes, dtype=np.float64) / self.volume_step
        distance = np.abs(steps - np.rint(steps))
        if not distance.any():  # the usual case, and the quickest
            return np.zeros(distance.shape, dtype=bool)
        return distance > 1e-6 + 4 * np.spacing(np.abs(steps))


@lru_cache(maxsize=256)
def _ticks_per_point(tick_size: float) -> int | None:
    # A whole number of ticks in 1.00 lets prices come back as the decimals people write. Kept by size and not
    # in the instrument, whose copies with another tick would take it along.
    inverse = 1 / Decimal(repr(float(tick_size)))
    return int(inverse) if inverse == inverse.to_integral_value() else None


def load_instruments(path: str | os.PathLike[str] | None = None) -> Mapping[str, Instrument]:
    """Instruments by symbol.

    Parameters
    ----------
    path
        A YAML file to read instead of the project's own. Without it, the project's eight come first,
        then those of the file that the environment variable ``VPOC_INSTRUMENTS`` names, which may
        replace them.

    Raises
    ------
    ConfigurationError
        For a file that is missing, not YAML, or holds an impossible entry: names file, symbol and field.
    """
    if path is not None:
        return _read(Path(path))
    packaged = resources.files("pipeline.market") / "instruments.yaml"
    with resources.as_file(packaged) as own:
        instruments = dict(_read(own))
    if extra := os.environ.get(INSTRUMENTS_VARIABLE):
        instruments.update(_read(Path(extra)))
    return instruments


def find_instrument(symbol: str, instruments: Mapping[str, Instrument] | None = None) -> Instrument:
    """The instrument of that symbol, or an error that lists those there are."""
    known = load_instruments() if instruments is None else instruments
    if symbol not in known:
        raise UnknownSymbolError(
            f"symbol {symbol!r} is unknown (known: {', '.join(sorted(known))}); add it to a YAML file "
            f"named in {INSTRUMENTS_VARIABLE}, in the form of pipeline/market/instruments.yaml"
            f"{did_you_mean(symbol, known)}"
        )
    return known[symbol]


def _read(path: Path) -> dict[str, Instrument]:
    example = "ES: {tick_size: 0.25, ...}"
    try:
        entries = read_yaml_mapping(path, example=example)
    except ConfigurationError as error:
        raise ConfigurationError(f"instrument file {error}") from error
    if not entries:
        raise ConfigurationError(f"instrument file {path} is empty; map symbols to their settings, e.g. {example!r}")
    return {symbol: _instrument(path, symbol, entry) for symbol, entry in entries.items()}


def _instrument(path: Path, symbol: str, entry: object) -> Instrument:
    if not isinstance(entry, dict):
        place = place_in_yaml(path, symbol)
        raise ConfigurationError(f"instrument file {place}: {symbol} must map setting names to values")
    try:
        return Instrument(**{**entry, "symbol": symbol})
    except SettingError as error:
        place = place_in_yaml(path, symbol, *error.location)
        raise ConfigurationError(f"instrument file {place}: {error.under(symbol)}") from error
