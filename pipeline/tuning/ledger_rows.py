"""Rows of the ledger: what is written of a trial, and what becomes of a row that is there already."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from pipeline.errors import DataError
from pipeline.tuning.ledger_tables import OWN, TRIALS, insert_into
from pipeline.tuning.look import Look

__all__ = [
    "PERIOD",
    "ROWS",
    "Key",
    "Row",
    "completed",
    "key_of",
    "put",
    "put_statement",
    "renewed",
    "row_of",
    "settled",
    "widened",
]

Key = tuple[str, int, str]
Row = dict[str, Any]
PERIOD = "period"
"""Name of the period among the parameters of a look by hand."""
ROWS = 500
"""Rows of one statement."""


def key_of(row: Mapping[str, Any]) -> Key:
    """Return what identifies a trial: study, number in it, parameters."""
    return row["study"], row["number"], row["settings"]


def put(connection: sa.Connection, rows: list[Row], changes: Callable[[Any], dict[str, Any]]) -> None:
    """Add rows, in the order of their keys; existing ones are updated on request."""
    adding = put_statement(connection.dialect.name, changes)
    for first in range(0, len(rows), ROWS):
        connection.execute(adding, rows[first : first + ROWS])


def put_statement(dialect: str, changes: Callable[[Any], dict[str, Any]]) -> sa.Executable:
    """The statement that adds a row; an existing one changes as the function says."""
    adding = insert_into(dialect)(TRIALS)
    made: sa.Executable = adding.on_conflict_do_update(
        index_elements=["study", "number", "settings"], set_=changes(adding.excluded)
    )
    return made


def completed(found: Any) -> dict[str, Any]:
    """A trial as it is, with returns where it had none."""
    return {name: sa.func.coalesce(TRIALS.c[name], found[name]) for name in ("sessions", "returns")}


def renewed(found: Any) -> dict[str, Any]:
    """A trial with what it shows now, of all sessions that it was ever seen on."""
    now = {name: found[name] for name in ("state", "values")}
    now |= {name: sa.func.coalesce(found[name], TRIALS.c[name]) for name in ("sessions", "returns")}
    return now | widened(found)


def widened(found: Any) -> dict[str, Any]:
    """A trial as it is, of all sessions that it was ever seen on."""
    old = TRIALS.c
    return {
        "first": sa.case((found.first < old.first, found.first), else_=old.first),
        "last": sa.case((found.last > old.last, found.last), else_=old.last),
    }


def settled(found: Any) -> dict[str, Any]:
    """A trial that a study made, where the look was put back from elsewhere, or had failed."""
    old = TRIALS.c
    failed = old.state == "failed"
    kept = {name: sa.func.coalesce(old[name], found[name]) for name in ("sessions", "returns", *OWN)}
    return kept | {name: sa.case((failed, found[name]), else_=old[name]) for name in ("state", "values")}


def row_of(trial: Look, *, period: bool) -> dict[str, Any]:
    """A trial as it is stored; where the period is part of what was chosen, as one of its parameters."""
    chosen = {PERIOD: [f"{trial.first:%F}", f"{trial.last:%F}"]} if period else {}
    params = json.dumps({**trial.params, **chosen}, sort_keys=True, default=_plain)
    return {
        "study": trial.study,
        "number": int(trial.number),
        "settings": hashlib.sha256(params.encode()).hexdigest(),
        "symbol": trial.symbol,
        "target": trial.target,
        "first": pd.Timestamp(trial.first).date(),
        "last": pd.Timestamp(trial.last).date(),
        "state": trial.state,
        "values": json.dumps([float(value) for value in trial.values]),  # noqa: PD011 (no frame)
        "params": params,
        "finished": trial.finished.astimezone(dt.UTC).replace(tzinfo=None),
        "seconds": float(trial.seconds),
        "sessions": None,
        "returns": None,
    }


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise DataError(f"a parameter is {value!r}; it must be a number, a text, true, false or none, or a list of them")
