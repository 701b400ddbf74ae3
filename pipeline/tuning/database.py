"""The database of trials: one SQLite file in the home, or a PostgreSQL server that several machines share."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from pipeline.addresses import checked_address, postgres_address
from pipeline.environment import POSTGRES_VARIABLE
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import Home
from pipeline.outside import DAMAGED_WORDS, STUDIES_REMEDY
from pipeline.tuning.ledger_tables import TRIALS, make_tables

__all__ = [
    "OPTUNA_VARIABLE",
    "Session",
    "StorageGoneError",
    "TrialDatabase",
    "in_memory",
    "shown",
    "tuning_url",
    "unusable",
    "words_of",
]

OPTUNA_VARIABLE = "VPOC_OPTUNA_URL"
# Dagster and MLflow have a schema of their own each.
SCHEMA = "optuna"

_Result = TypeVar("_Result")
_NOTHING = sa.make_url("sqlite://")  # read where nothing was written yet: reading makes no file and no table
_SQLITE_WAIT = 60.0
_BUSY_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

_log = logging.getLogger(__name__)


class StorageGoneError(DataError):
    """The database of trials was unreachable for longer than it is waited for."""


def tuning_url(home: Home) -> str:
    """The address of the database of trials, for SQLAlchemy.

    ``VPOC_OPTUNA_URL`` as it is; else the schema ``optuna`` of the server that ``VPOC_POSTGRES_URL`` names; else
    ``tuning/optuna.db`` in the home.

    Raises
    ------
    ConfigurationError
        If the address is none, or of another kind of database.
    """
    if value := os.environ.get(OPTUNA_VARIABLE):
        return _parsed(value, OPTUNA_VARIABLE).render_as_string(hide_password=False)
    if value := os.environ.get(POSTGRES_VARIABLE):
        server = _parsed(postgres_address(value, POSTGRES_VARIABLE), POSTGRES_VARIABLE)
        return server.update_query_dict({"options": f"-csearch_path={SCHEMA}"}).render_as_string(hide_password=False)
    return sa.URL.create("sqlite", database=str(home.root / "tuning" / "optuna.db")).render_as_string(
        hide_password=False
    )


def in_memory() -> sa.Engine:
    """A database that goes with the process."""
    return sa.create_engine("sqlite://", poolclass=sa.StaticPool)


@dataclass(frozen=True)
class TrialDatabase:
    """Database of trials, one transaction at a time.

    Attributes
    ----------
    url
        SQLAlchemy URL; the tables are created where missing.
    patience
        For how many seconds a database that does not answer is waited for.
    """

    url: str
    patience: float

    def transact(self, work: Callable[[sa.Connection], _Result], *, writing: bool = False) -> _Result:
        """Do work in one transaction, again and again while the database does not answer.

        Parameters
        ----------
        work
            Takes the connection; may be called more than once.
        writing
            Whether it writes: what only reads makes no file and no table.

        Raises
        ------
        ConfigurationError
            If the database does not answer or can't be used, or is neither SQLite nor PostgreSQL.
        """
        address = _parsed(self.url, OPTUNA_VARIABLE)
        if address.get_backend_name() == "sqlite":
            file = Path(str(address.database))
            if writing:
                _make_folder(file.parent)
            elif not file.exists():
                address = _NOTHING
        engine = _engine(address, _waiting(address, self.patience))
        until, pause = time.monotonic() + self.patience, _FIRST_PAUSE
        while True:
            try:
                with engine.begin() as connection:
                    if writing or sa.inspect(connection).has_table(TRIALS.name):
                        make_tables(connection)
                        return work(connection)
                with sa.create_engine(_NOTHING).begin() as connection:
                    make_tables(connection)
                    return work(connection)
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() + pause > until:
                    raise ConfigurationError(
                        f"the database of trials {shown(self.url)} does not answer: {words_of(error)}; run again when "
                        "it is back"
                    ) from error
            except DBAPIError as error:  # no database file, no right to read it: waiting does not help
                raise unusable(self.url, error) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


class Session:
    """One thread's connection to the database of trials, opened again when it was lost; a context manager.

    Parameters
    ----------
    url
        SQLAlchemy URL; None for ``memory``.
    patience
        Seconds that the database may be unreachable.
    memory
        A database :func:`in_memory`.
    """

    def __init__(self, url: str | None, patience: float, memory: sa.Engine | None = None) -> None:
        self._patience = patience
        if url is None:
            self._engine = memory or in_memory()
        else:
            address = _parsed(url, OPTUNA_VARIABLE)
            self._engine = _engine(address, _waiting(address, _BUSY_SECONDS))
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._connection: sa.Connection | None = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def transact(self, work: Callable[[sa.Connection], _Result], *, alone: str = "") -> _Result:
        """Do work in one transaction, again and again while the database is unreachable.

        Parameters
        ----------
        work
            Takes the connection; may be called more than once.
        alone
            Name of what no other process is to be at meanwhile. SQLite has one writer in any case.

        Raises
        ------
        StorageGoneError
            When it was unreachable for longer than the session's patience.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return self.once(work, alone=alone)
            except (DBAPIError, OSError) as error:
                if time.monotonic() - began + pause > self._patience:
                    raise StorageGoneError(
                        f"the database of trials was unreachable for {self._patience:.0f} seconds: {words_of(error)}; "
                        "what had finished is kept: run again when it is back"
                    ) from error
                if pause == _FIRST_PAUSE:
                    _log.warning("the database of trials does not answer, waiting for it: %s", words_of(error))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def once(self, work: Callable[[sa.Connection], _Result], *, alone: str = "") -> _Result:
        """Do work in one transaction; an unreachable database is an error of SQLAlchemy's."""
        try:
            if self._connection is None:
                self._connection = self._opened()
            with self._connection.begin():
                if self._sqlite:
                    # As a writer from the start: one that becomes one later may find that it is too late.
                    self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                elif alone:
                    self._connection.execute(
                        sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"vpoc tuning {alone}"}
                    )
                return work(self._connection)
        except DBAPIError:
            self.close()
            raise

    def _opened(self) -> sa.Connection:
        database = self._engine.url.database
        if self._sqlite and database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        connection = self._engine.connect()
        try:
            if self._sqlite:
                # With a write-ahead log none of the small writes waits for the disk, or for a reader.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
                connection.commit()
            with connection.begin():
                if self._sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def shown(url: str) -> str:
    """The database's address without its password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def unusable(url: str, error: Exception) -> ConfigurationError:
    """Say in one sentence why a database can't be used."""
    words = words_of(error)
    if any(phrase in words for phrase in DAMAGED_WORDS):
        return ConfigurationError(f"the studies' database {shown(url)} is damaged ({words}): {STUDIES_REMEDY}")
    return ConfigurationError(
        f"the studies' database {shown(url)} can't be used: {words}; name another one in {OPTUNA_VARIABLE}, or mend "
        "this one"
    )


def words_of(error: BaseException) -> str:
    """The database's own words, in one line: SQLAlchemy's go on about themselves."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(cause).split()).rstrip(".")


@lru_cache(maxsize=8)
def _engine(address: sa.URL, options: tuple[tuple[str, Any], ...]) -> sa.Engine:
    # One for all trials: what is left of an engine is cleaned up in callbacks, where Ctrl-C comes to nothing.
    # No pool: a connection must not be shared with a forked worker.
    return sa.create_engine(address, poolclass=sa.NullPool, connect_args=dict(options))


def _waiting(address: sa.URL, patience: float) -> tuple[tuple[str, Any], ...]:
    """Options of the driver, so that a file that another writer holds, or a silent server, is not waited for longer."""
    if address.get_backend_name() == "sqlite":
        return (("timeout", min(_SQLITE_WAIT, max(1.0, patience))),)
    if "connect_timeout" in address.query:
        return ()
    return (("connect_timeout", max(2, math.ceil(patience))),)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} of the database of trials can't be created: {error.strerror}; name another database"
        ) from error


def _parsed(url: str, variable: str) -> sa.URL:
    # SQLAlchemy 2 knows the server by its long name only.
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    checked_address(url, variable)
    try:
        parsed = sa.make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            f"{variable} is not an address of a database; give postgresql://user:password@host:5432/database"
        ) from error
    if kind not in ("sqlite", "postgresql") or (kind == "sqlite" and parsed.database in (None, "", ":memory:")):
        raise ConfigurationError(
            f"{variable} names a database of the kind {parsed.drivername}; give an SQLite file, "
            "sqlite:////folder/optuna.db, or postgresql://user:password@host:5432/database"
        )
    try:
        driver = parsed.get_dialect()
        driver.import_dbapi()
        usable = not driver.is_async
    except (ArgumentError, ImportError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{variable} asks for the driver {parsed.drivername}, which is missing or can't be used here; give "
            f"{kind}:// without a driver"
        )
    return parsed
