"""Dated exceptions to the hours of ``exchange_calendars``: early closes, extra sessions and closures, from YAML."""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Self

from exchange_calendars import get_calendar_names, resolve_alias
from pydantic import Field, model_validator

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import FrozenSettings, SettingError
from pipeline.market.instruments import load_instruments
from pipeline.yaml_files import place_in_yaml, read_yaml_mapping

__all__ = ["CALENDARS_VARIABLE", "HoursException", "hours_exceptions"]

CALENDARS_VARIABLE = "VPOC_CALENDARS"


class HoursException(FrozenSettings):
    """Hours of some trade dates; each field is explained at the top of ``trading_hours.yaml``."""

    dates: tuple[dt.date, ...] = Field(min_length=1)
    close: dt.time | None = None
    closed: bool = False
    reason: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _closes_or_is_closed(self) -> Self:
        if (self.close is None) != self.closed:
            raise ValueError("give either close, a time such as '12:15', or closed: true")
        return self


def hours_exceptions(calendar: str, trading_hours: str | None, symbol: str) -> tuple[HoursException, ...]:
    """The exceptions for one instrument, in the order they apply: the last for a date wins.

    Those of its calendar come first, then those its ``trading_hours`` names, then its symbol's; of each the project's
    own before those of the file that the environment variable ``VPOC_CALENDARS`` names.

    Raises
    ------
    ConfigurationError
        For a file that is missing, not YAML, or holds an impossible entry: names file, name and field. For an entry
        whose name is neither a calendar's nor an instrument's. For ``trading_hours`` that no file holds.
    """
    found = [_packaged()]
    if extra := os.environ.get(CALENDARS_VARIABLE):
        path = Path(extra)
        try:
            changed = path.stat().st_mtime_ns
        except OSError as error:
            raise ConfigurationError(
                f"{CALENDARS_VARIABLE} names {path}, which can't be read: {error.strerror}"
            ) from error
        found.append(_read(path, changed))
        _refuse_unused(path, found, {symbol, trading_hours or symbol})
    if trading_hours is not None and not any(trading_hours in entries for entries in found):
        known = sorted({name for entries in found for name in entries})
        raise ConfigurationError(
            f"{symbol}.trading_hours is {trading_hours!r}, which no file of trading hours holds: leave it out, or "
            f"name one of {', '.join(known)}"
        )
    listed = [(name, each) for entries in found for name, each in entries.items()]
    of_calendar = (each for name, each in listed if _is_calendar(name, calendar))
    of_hours = (each for name, each in listed if name == trading_hours)
    of_symbol = (each for name, each in listed if name == symbol)
    return tuple(chain.from_iterable((*of_calendar, *of_hours, *of_symbol)))


def _is_calendar(name: str, calendar: str) -> bool:
    """Return True if a name is a calendar's own or an alias of it (``CME`` of ``CMES``)."""
    return name in _calendar_names() and resolve_alias(name) == resolve_alias(calendar)


@lru_cache(maxsize=1)
def _calendar_names() -> frozenset[str]:
    return frozenset(get_calendar_names(include_aliases=True))


def _refuse_unused(path: Path, found: Sequence[Mapping[str, object]], own: set[str]) -> None:
    """Refuse an entry of the user's file, the last one found, that no instrument could have."""
    known = {*_calendar_names(), *found[0], *own}
    if found[-1].keys() <= known:
        return
    for instrument in load_instruments().values():
        known |= {instrument.symbol, instrument.trading_hours or instrument.symbol}
    for name in found[-1]:
        if name not in known:
            by_capitals = {each.upper(): each for each in sorted(known)}
            alike = get_close_matches(name.upper(), by_capitals, n=1)
            meant = f"did you mean {by_capitals[alike[0]]!r}?" if alike else "name one of these"
            raise ConfigurationError(
                f"calendar file {path}: {name!r} is not a calendar of exchange_calendars, an instrument's symbol or an "
                f"instrument's trading_hours; {meant}"
            )


@lru_cache(maxsize=1)
def _packaged() -> Mapping[str, tuple[HoursException, ...]]:
    with resources.as_file(resources.files("pipeline.market") / "trading_hours.yaml") as own:
        return _read(own, 0)


# Kept because every look at a schedule asks; a file that was changed is read again.
@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> Mapping[str, tuple[HoursException, ...]]:
    try:
        entries = read_yaml_mapping(path, example="CMES: [{dates: [2031-11-28], close: 12:15}]")
    except ConfigurationError as error:
        raise ConfigurationError(f"calendar file {error}") from error
    if not all(isinstance(each, list) for each in entries.values()):
        raise ConfigurationError(
            f"calendar file {path} must map names to lists of entries, "
            "e.g. 'CMES: [{dates: [2031-11-28], close: \"12:15\"}]'"
        )
    return {
        name: tuple(_exception(path, name, number, each) for number, each in enumerate(listed))
        for name, listed in entries.items()
    }


def _exception(path: Path, calendar: str, number: int, entry: object) -> HoursException:
    if not isinstance(entry, dict):
        place = place_in_yaml(path, calendar, number)
        raise ConfigurationError(f"calendar file {place}: an entry of {calendar} must map setting names to values")
    try:
        return HoursException(**entry)
    except SettingError as error:
        place = place_in_yaml(path, calendar, number, *error.location)
        raise ConfigurationError(f"calendar file {place}: {error.under(calendar)}") from error
