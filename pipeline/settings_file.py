"""Changing ``settings.yaml``: comments and order stay, the old file is kept, and nothing impossible is written."""

import datetime as dt
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML  # round trips keep comments; PyYAML's lose them
from ruamel.yaml.comments import CommentedMap

from pipeline.errors import ConfigurationError
from pipeline.home import Home, write_whole
from pipeline.settings import read_settings, setting_name
from pipeline.yaml_files import read_yaml_mapping

__all__ = ["change_settings"]


def change_settings(home: Home, values: Mapping[str, Any]) -> Path | None:
    """Set values in a home's settings.

    Parameters
    ----------
    values
        Values by dotted name, such as ``account.risk_per_trade``; None takes the setting out, so that its default
        holds again.

    Returns
    -------
    Path or None
        The old file's copy; None where there was none, or where it says the same already.

    Raises
    ------
    ConfigurationError
        For a name or value that the settings would not take, and for a file that can't be read: nothing is written.
    """
    path = home.settings
    read_yaml_mapping(path, absent={})  # refuses what must not be parsed
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    before = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    document = yaml.load(before) or CommentedMap()
    for name, value in values.items():
        place = next((each for each in _spellings(name) if _stands(document, each)), setting_name(name))
        if place == "strategy.name" and isinstance(given := document.get("strategy"), CommentedMap):
            for own in [each for each in given if setting_name(f"strategy.{each}").startswith("strategy.")]:
                del given[own]  # parameters of the strategy before
        _change(document, place.split("."), value, place)
    text = io.StringIO()
    if document:
        yaml.dump(document, text)
    trial = path.with_name(f".{path.name}.trial")
    try:
        write_whole(trial, text.getvalue())
        settings = read_settings(trial)
        for book in settings.books:  # which are seen to when they are run
            if any(name.startswith(f"books.{book}.") for name in values):
                settings.for_book(book)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace(str(trial), str(path))) from error
    finally:
        trial.unlink(missing_ok=True)
    if text.getvalue() == before:
        return None
    kept = path.with_name(f"{path.name}.{dt.datetime.now(tz=dt.UTC):%Y-%m-%dT%H-%M-%S-%f}")
    if before:
        write_whole(kept, before)
    write_whole(path, text.getvalue())
    return kept if before else None


def _spellings(name: str) -> tuple[str, ...]:
    """A setting's place, and that of earlier releases."""
    section, _, own = (place := setting_name(name)).partition(".")
    return (place, f"strategy.{own}") if section == "history" else (place,)


def _stands(document: Any, name: str) -> bool:
    for part in name.split("."):
        if not isinstance(document, Mapping) or part not in document:
            return False
        document = document[part]
    return True


def _change(document: CommentedMap, names: list[str], value: Any, whole: str) -> None:
    inner = document.get(names[0])
    if len(names) == 1:
        if value is None:
            document.pop(names[0], None)
        else:
            document[names[0]] = value
        return
    if inner is None:
        if value is None:
            return
        inner = document[names[0]] = CommentedMap()
    if names[0] == "strategy" and isinstance(inner, str):  # its name alone
        inner = document["strategy"] = CommentedMap(name=inner)
    if not isinstance(inner, CommentedMap):
        raise ConfigurationError(f"{whole}: {names[0]} is {inner!r}, not a mapping; fix it there first")
    _change(inner, names[1:], value, whole)
    if not inner:
        document.pop(names[0])
