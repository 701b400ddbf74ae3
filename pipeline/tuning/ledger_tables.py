"""Tables of trials, and how sessions and returns are packed in them.

One table holds every trial that ended, of studies and by hand: the ledger counts its rows, studies resume from them,
and whatever else shows trials is derived from them. Beside it lie the studies, and what their processes are at work on.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "CLAIMS",
    "COPIED",
    "OWN",
    "SESSIONS",
    "STUDIES",
    "TRIALS",
    "insert_into",
    "make_tables",
    "packed_days",
    "packed_returns",
    "unpacked_days",
    "unpacked_returns",
]

_METADATA = sa.MetaData()
TRIALS = sa.Table(
    "vpoc_trials",
    _METADATA,
    # The parameters are part of the key: a study that was deleted and made again under its name begins at 0 again,
    # and its trials are further looks.
    sa.Column("study", sa.String(400), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("settings", sa.String(64), primary_key=True),
    sa.Column("symbol", sa.String(40), nullable=False, index=True),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("first", sa.Date, nullable=False),
    sa.Column("last", sa.Date, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("finished", sa.DateTime, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("sessions", sa.String(64)),
    sa.Column("returns", sa.LargeBinary),
    # Of a study's own trials, from which it resumes. Those by hand, and those put back from a copy, have none.
    sa.Column("started", sa.DateTime),
    sa.Column("steps", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Column("error", sa.Text),
)
OWN = ("started", "steps", "notes", "error")
"""Columns of a study's own trials; a database of an earlier release has to be given them."""
COPIED = tuple(column for column in TRIALS.columns if column.name not in ("sessions", "returns", *OWN))
"""Columns that the home's copy of the ledger has."""
# The trials of a study share their sessions, so these are kept once.
SESSIONS = sa.Table(
    "vpoc_trial_sessions",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("days", sa.LargeBinary, nullable=False),
)
STUDIES = sa.Table(
    "vpoc_studies",
    _METADATA,
    sa.Column("study", sa.String(400), primary_key=True),
    sa.Column("begun", sa.DateTime, nullable=False),
    sa.Column("objectives", sa.Text, nullable=False),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
)
# Trials that have begun and not ended: who is at them, and how often their process died.
CLAIMS = sa.Table(
    "vpoc_trial_claims",
    _METADATA,
    sa.Column("study", sa.String(400), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("token", sa.String(32)),
    sa.Column("owner", sa.Text),
    sa.Column("beat", sa.Double, nullable=False),
)
_LOCK = 7_366_841_905  # any number that nothing else in the database locks by


def insert_into(dialect: str) -> Callable[[sa.Table], Any]:
    """The INSERT of a dialect: the one that can say what happens where a row is there already."""
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def make_tables(connection: sa.Connection) -> None:
    """Make what is missing of the tables; of several processes that find so, one after the other."""
    found = sa.inspect(connection)
    if found.has_table(CLAIMS.name) and found.has_table(TRIALS.name):
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if connection.scalar(sa.select(sa.func.current_schema())) is None:
            named = connection.scalar(sa.text("show search_path")).split(",")[0].strip().strip('"')
            connection.execute(sa.schema.CreateSchema(named, if_not_exists=True))
    for table in (SESSIONS, TRIALS, STUDIES, CLAIMS):  # the one that is looked for comes last
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    for index in sorted(TRIALS.indexes, key=lambda index: str(index.name)):
        connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    held = {column["name"] for column in sa.inspect(connection).get_columns(TRIALS.name)}
    for name in OWN:
        if name not in held:
            kind = TRIALS.c[name].type.compile(connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {TRIALS.name} ADD COLUMN {name} {kind}"))


def packed_days(sessions: pd.DatetimeIndex) -> bytes:
    """Days since 1970 of sessions."""
    return _packed(sessions.to_numpy("datetime64[D]").astype(np.int64).astype("<i4"))


def unpacked_days(packed: bytes) -> pd.DatetimeIndex:
    """Sessions from :func:`packed_days`."""
    days = _unpacked(packed, np.dtype("<i4")).astype("datetime64[D]")
    return pd.DatetimeIndex(days, name="session").as_unit("ns")


def packed_returns(returns: pd.Series) -> bytes:
    """Returns with the precision of float32."""
    return _packed(returns.to_numpy("<f4"))


def unpacked_returns(packed: bytes) -> NDArray[np.float32]:
    """Returns from :func:`packed_returns`."""
    return _unpacked(packed, np.dtype("<f4"))


def _packed(values: NDArray[Any]) -> bytes:
    # Most sessions are idle: a third of the bytes, for less time than writing them takes.
    return zlib.compress(values.tobytes(), 1)


def _unpacked(packed: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(packed), dtype)
