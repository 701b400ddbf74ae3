"""Transactions on the ledger's database: SQLite or PostgreSQL, waited for while it does not answer."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from pipeline.errors import ConfigurationError
from pipeline.tuning.ledger_tables import TRIALS, make_tables

__all__ = ["LedgerDatabase"]

_Result = TypeVar("_Result")

_NOTHING = sa.make_url("sqlite://")  # read where nothing was written yet: reading makes no file and no table
_SQLITE_WAIT = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0


@dataclass(frozen=True)
class LedgerDatabase:
    """Database of the ledger.

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
        address = _address(self.url)
        if address.get_backend_name() == "sqlite" and address.database:
            file = Path(address.database)
            if writing:
                _make_folder(file.parent)
            elif not file.exists():
                address = _NOTHING
        # A file that another writer holds, or a server that takes no notice, is no more waited for than the rest.
        if address.get_backend_name() == "sqlite":
            options: dict[str, Any] = {"timeout": min(_SQLITE_WAIT, max(1.0, self.patience))}
        else:
            named = "connect_timeout" in address.query
            options = {} if named else {"connect_timeout": max(2, math.ceil(self.patience))}
        engine = _engine(address, tuple(options.items()))
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
                        f"the ledger of trials in {address.render_as_string(hide_password=True)} does not answer: "
                        f"{' '.join(str(error.orig).split())}; run again when the database is back"
                    ) from error
            except DBAPIError as error:  # no database file, no right to read it: waiting does not help
                raise ConfigurationError(
                    f"the ledger of trials in {address.render_as_string(hide_password=True)} can't be used: "
                    f"{' '.join(str(error.orig).split())}; name another database, or fix this one"
                ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


@lru_cache(maxsize=8)
def _engine(address: sa.URL, options: tuple[tuple[str, Any], ...]) -> sa.Engine:
    # One for all trials: what is left of an engine is cleaned up in callbacks, where Ctrl-C comes to nothing.
    # No pool: a connection must not be shared with a forked worker.
    return sa.create_engine(address, poolclass=sa.NullPool, connect_args=dict(options))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} of the ledger of trials can't be created: {error.strerror}; name another database"
        ) from error


def _address(url: str) -> sa.URL:
    try:
        address = sa.make_url(url)
        backend = address.get_backend_name()
    except sa.exc.ArgumentError as error:
        raise ConfigurationError("the ledger's address is no URL; give one such as sqlite:///trials.db") from error
    if backend == "postgres":  # what libpq takes too, and SQLAlchemy does not
        address, backend = address.set(drivername="postgresql"), "postgresql"
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"the ledger's database is {backend}; it must be SQLite or PostgreSQL")
    return address
