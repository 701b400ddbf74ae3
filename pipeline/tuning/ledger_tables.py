"""The ledger's tables, and how sessions and returns are packed in them."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "SESSIONS",
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
)
# The trials of a study share their sessions, so these are kept once.
SESSIONS = sa.Table(
    "vpoc_trial_sessions",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("days", sa.LargeBinary, nullable=False),
)
_LOCK = 7_366_841_905  # any number that nothing else in the database locks by


def insert_into(dialect: str) -> Callable[[sa.Table], Any]:
    """The INSERT of a dialect: the one that can say what happens where a row is there already."""
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def make_tables(connection: sa.Connection) -> None:
    """Make the tables where they are missing; of several processes that find so, one after the other."""
    if sa.inspect(connection).has_table(TRIALS.name):
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if connection.scalar(sa.select(sa.func.current_schema())) is None:
            named = connection.scalar(sa.text("show search_path")).split(",")[0].strip().strip('"')
            connection.execute(sa.schema.CreateSchema(named, if_not_exists=True))
    for table in (SESSIONS, TRIALS):  # the one that is looked for comes last
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    for index in sorted(TRIALS.indexes, key=lambda index: str(index.name)):
        connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


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
