"""Storage of studies: one SQLite file in the home, or a PostgreSQL server that several machines share."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.addresses import checked_address, postgres_address
from pipeline.environment import POSTGRES_VARIABLE
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import Home
from pipeline.locks import locked
from pipeline.outside import DAMAGED_WORDS, STUDIES_REMEDY

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial
    from sqlalchemy import URL, Engine

__all__ = [
    "BEAT",
    "OPTUNA_SCHEMA",
    "OPTUNA_VARIABLE",
    "StorageGoneError",
    "StudyStorage",
    "open_storage",
    "tuning_url",
    "words_of",
]

OPTUNA_VARIABLE = "VPOC_OPTUNA_URL"
# Optuna keeps a table alembic_version, as Dagster and MLflow do: each has a schema of its own.
OPTUNA_SCHEMA = "optuna"
# The trial's attribute: when its process last gave a sign of life, seconds since 1970.
BEAT = "beat"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


class StorageGoneError(DataError):
    """The studies' database was unreachable for longer than it is waited for."""


@dataclass(frozen=True)
class StudyStorage:
    """An open database of studies; :func:`open_storage` makes one.

    Attributes
    ----------
    optuna
        Optuna's own storage.
    url
        SQLAlchemy's address of it, password included; None for a storage in memory.
    heartbeat, grace
        Seconds between signs of life of a running trial, and after how many without one it counts as dead.
    patience
        Seconds that the database may be unreachable before a study gives up.
    """

    optuna: "BaseStorage"
    url: str | None
    heartbeat: float = 20.0
    grace: float = 120.0
    patience: float = 120.0

    @classmethod
    def in_memory(cls) -> "StudyStorage":
        """A storage that goes with the process: for a study inside another one."""
        from optuna.storages import InMemoryStorage

        return cls(InMemoryStorage(), None)

    @property
    def engine(self) -> "Engine":
        """SQLAlchemy's engine of the database.

        Raises
        ------
        ConfigurationError
            For a storage in memory.
        """
        return self.rdb.engine

    @property
    def rdb(self) -> "RDBStorage":
        """Optuna's own storage of the database, for other programs of Optuna's.

        Raises
        ------
        ConfigurationError
            For a storage in memory.
        """
        from pipeline.tuning.tables import TrialTables

        if not isinstance(self.optuna, TrialTables):
            raise ConfigurationError("these studies are kept in memory, where no other program can read them")
        return self.optuna.rdb

    def turn(self, name: str) -> AbstractContextManager[None]:
        """Wait for one's turn on a study: claims of trials come one at a time, over all processes and machines.

        The lock goes with its process: a killed one never holds up the others. In SQLite it is a file beside the
        database, in PostgreSQL an advisory lock.
        """
        if self.url is None:
            return nullcontext()
        from sqlalchemy import make_url

        if make_url(self.url).get_backend_name() == "sqlite":
            return locked(_lock_file(make_url(self.url)))
        return _advisory_lock(self.engine, name)

    def trials(self, study: "Study") -> "list[FrozenTrial]":
        """All trials of a study, in order, as they are now."""
        from pipeline.tuning.tables import TrialTables

        if isinstance(self.optuna, TrialTables):
            self.optuna.refresh(study._study_id)
        return study.get_trials(deepcopy=False)

    def show(self, trial: "Trial") -> None:
        """Let other processes see what a running trial has so far."""
        from pipeline.tuning.tables import TrialTables

        if isinstance(self.optuna, TrialTables):
            self.optuna.flush(trial._trial_id)

    def patiently(self, call: Callable[[], T]) -> T:
        """Do something with the database, again and again while it is unreachable, with growing pauses of up to 5 s.

        Raises
        ------
        StorageGoneError
            When it was unreachable for longer than ``patience``.
        """
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import DBAPIError

        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return call()
            except (StorageInternalError, DBAPIError) as error:
                if time.monotonic() - began + pause > self.patience:
                    raise StorageGoneError(
                        f"the studies' database was unreachable for {self.patience:.0f} seconds: {words_of(error)}; "
                        "what had finished is kept: run again when it is back"
                    ) from error
                if pause == FIRST_PAUSE:
                    _log.warning("the studies' database does not answer, waiting for it: %s", words_of(error))
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def beat(self, trial_id: int) -> None:
        """Give a sign of life of a running trial; an unreachable database misses it."""
        from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
        from sqlalchemy.exc import DBAPIError

        try:
            # Past what is kept of the trial in this process, which has another thread.
            self.rdb.set_trial_user_attr(trial_id, BEAT, time.time())
        except UpdateFinishedTrialError:
            pass  # it ended a moment ago
        except (StorageInternalError, DBAPIError) as error:
            _log.debug("a sign of life was missed: %s", words_of(error))


def tuning_url(home: Home) -> str:
    """The address of the studies' database, for SQLAlchemy and Optuna.

    ``VPOC_OPTUNA_URL`` as it is; else the schema ``optuna`` of the server that ``VPOC_POSTGRES_URL`` names; else
    ``tuning/optuna.db`` in the home.

    Raises
    ------
    ConfigurationError
        If the address is none, or of another kind of database.
    """
    from sqlalchemy import URL

    if value := os.environ.get(OPTUNA_VARIABLE):
        return _parsed(value, OPTUNA_VARIABLE).render_as_string(hide_password=False)
    if value := os.environ.get(POSTGRES_VARIABLE):
        server = _parsed(postgres_address(value, POSTGRES_VARIABLE), POSTGRES_VARIABLE)
        return server.update_query_dict({"options": f"-csearch_path={OPTUNA_SCHEMA}"}).render_as_string(
            hide_password=False
        )
    return URL.create("sqlite", database=str(home.root / "tuning" / "optuna.db")).render_as_string(hide_password=False)


def open_storage(url: str, *, heartbeat: float = 20.0, grace: float = 120.0, patience: float = 120.0) -> StudyStorage:
    """Open a database of studies, and make what is missing of it: folder, schema, tables.

    Two processes may open a new one at the same time, and one that was killed meanwhile leaves nothing broken.

    Parameters
    ----------
    url
        As :func:`tuning_url` gives it.
    heartbeat, grace, patience
        See :class:`StudyStorage`, seconds.

    Raises
    ------
    ConfigurationError
        If the database can't be made or does not answer, is another kind of file, or was made by another version of
        Optuna. No password is shown.
    """
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DBAPIError

    from pipeline.tuning.tables import TrialTables

    parsed = _parsed(url, OPTUNA_VARIABLE)
    # Optuna tells at INFO of each study, alembic of each migration.
    logging.getLogger("optuna").setLevel(logging.WARNING)
    sqlite = parsed.get_backend_name() == "sqlite"
    shown = parsed.render_as_string(hide_password=True)
    try:
        if sqlite:
            _lock_file(parsed).parent.mkdir(parents=True, exist_ok=True)
            making: AbstractContextManager[None] = locked(_lock_file(parsed))
            options: dict[str, object] = {"connect_args": {"timeout": 5.0}}
        else:
            making = _made_schema(parsed)
            options = {"pool_pre_ping": True}
        with making:
            storage = RDBStorage(
                # Optuna fills a template in: a brace of a password is none.
                parsed.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
                engine_kwargs=options,
            )
        if sqlite:
            _write_ahead(storage)
        tables = TrialTables(storage)
    except OSError as error:
        raise ConfigurationError(
            f"the studies' database {shown} can't be created: {error.strerror or error}"
        ) from error
    except (DBAPIError, StorageInternalError) as error:
        words = words_of(error)
        if any(phrase in words for phrase in DAMAGED_WORDS):
            raise ConfigurationError(f"the studies' database {shown} is damaged ({words}): {STUDIES_REMEDY}") from error
        raise ConfigurationError(f"the studies' database {shown} can't be used: {words}") from error
    except RuntimeError as error:
        raise ConfigurationError(
            f"the studies' database {shown} was made by another version of Optuna; "
            "upgrade it with `optuna storage upgrade --storage`, or name another one in " + OPTUNA_VARIABLE
        ) from error
    return StudyStorage(tables, url, heartbeat, grace, patience)


def _parsed(url: str, variable: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    # SQLAlchemy 2 knows the server by its long name only.
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    checked_address(url, variable)
    try:
        parsed = make_url(url)
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


def words_of(error: BaseException) -> str:
    """The database's own words, in one line: SQLAlchemy's and Optuna's go on about themselves."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(cause).split()).rstrip(".")


def _lock_file(url: "URL") -> Path:
    return Path(f"{url.database}.lock")


@contextmanager
def _advisory_lock(engine: "Engine", name: str) -> Iterator[None]:
    from sqlalchemy import text

    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"vpoc tuning {name}"})
        yield


@contextmanager
def _made_schema(url: "URL") -> Iterator[None]:
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    try:
        with _advisory_lock(engine, ""):
            if f"-csearch_path={OPTUNA_SCHEMA}" in str(url.query.get("options", "")):
                with engine.begin() as connection:
                    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {OPTUNA_SCHEMA}"))
            yield
    finally:
        engine.dispose()


def _write_ahead(storage: "RDBStorage") -> None:
    """A trial is some ten small writes: with a write-ahead log none of them waits for the disk, or for a reader."""
    from sqlalchemy import event

    @event.listens_for(storage.engine, "connect")
    def _on_connect(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    storage.remove_session()
    storage.engine.dispose()
