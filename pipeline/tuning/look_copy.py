"""A copy of the ledger's looks in the home: a ledger that is lost or replaced gets back what it held.

The ledger lies in a database that can be deleted, emptied or pointed elsewhere. The copy is a file that only grows,
``looks/<symbol>.jsonl``, one line per look; of several lines on one look the last counts. It has all but the returns.
"""

import datetime as dt
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.home import Home
from pipeline.tuning.ledger_rows import Key, Row, key_of
from pipeline.tuning.ledger_tables import COPIED

__all__ = ["copied_looks", "copy_looks"]

_WRITTEN = {sa.Date: dt.date, sa.DateTime: dt.datetime}


def copied_looks(home: Home, symbol: str) -> dict[Key, Row]:
    """Every look at a market that was copied, as a row of the ledger without returns; torn lines are left out."""
    try:
        lines = _path(home, symbol).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = (_row(line, symbol) for line in lines)
    return {key_of(row): row for row in found if row is not None}


def copy_looks(home: Home, symbol: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add looks to the copy; several processes may do so at once.

    Raises
    ------
    OSError
        If the file can't be written.
    """
    lines = [json.dumps({column.name: row[column.name] for column in COPIED}, default=str) for row in rows]
    if not lines:
        return
    path = _path(home, symbol)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # The first line break ends what a killed process may have left half written.
        os.write(file, ("\n" + "\n".join(lines) + "\n").encode())
    finally:
        os.close(file)


def _path(home: Home, symbol: str) -> Path:
    return home.root / "looks" / f"{symbol}.jsonl"


def _row(line: str, symbol: str) -> Row | None:
    try:
        found = json.loads(line)
        row = {column.name: _value(column, found[column.name]) for column in COPIED}
        whole = isinstance(json.loads(row["params"]), dict) and isinstance(json.loads(row["values"]), list)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return row if whole and row["symbol"] == symbol else None


def _value(column: sa.Column[Any], written: Any) -> Any:
    kind = _WRITTEN.get(type(column.type))
    if kind is not None:
        return kind.fromisoformat(written)
    if not isinstance(written, (int, float) if isinstance(column.type, sa.Double) else column.type.python_type):
        raise TypeError(column.name)
    return written
