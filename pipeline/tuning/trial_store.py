"""Studies in the ledger's database: their trials, who is at work on which, and what is to be tried first.

The ledger's row of a trial is the trial: a study resumes from the rows it left, and a look is counted in the
transaction that ends its trial. A position is claimed by one process at a time; a claim whose process died is tried
once more.
"""

import datetime as dt
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.search_space import SearchSpace
from pipeline.tuning.database import Session, in_memory, shown, unusable, words_of
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.ledger_rows import Row, put_statement, row_of, settled
from pipeline.tuning.ledger_tables import CLAIMS, SESSIONS, STUDIES, TRIALS, insert_into, packed_days, packed_returns
from pipeline.tuning.owners import is_alive, owner_id
from pipeline.tuning.stored_trials import record_of, trials_query, written_space
from pipeline.tuning.subject import Subject
from pipeline.tuning.trials import Stopped, TrialRecord

__all__ = ["Claim", "KeptStudy", "TrialStore", "open_trials"]

TRIES = 2
_log = logging.getLogger(__name__)
# What of this process is at work: a claim of another one of its runs was left by an interruption.
_ACTIVE: set[str] = set()


@dataclass(frozen=True)
class TrialStore:
    """Where studies are kept; :func:`open_trials` makes one.

    Attributes
    ----------
    url
        SQLAlchemy's address of the database, password included; None for one in memory.
    home
        As of :class:`~pipeline.tuning.ledger.Ledger`.
    heartbeat, grace
        Seconds between signs of life of a running trial, and after how many without one it counts as dead.
    patience
        Seconds that the database may be unreachable before a study gives up.
    """

    url: str | None
    home: Home | None = None
    heartbeat: float = 20.0
    grace: float = 120.0
    patience: float = 120.0
    memory: sa.Engine | None = field(default=None, repr=False)

    @classmethod
    def in_memory(cls) -> "TrialStore":
        """A store that goes with the process: for a study inside another one."""
        return cls(None, memory=in_memory())

    @property
    def ledger(self) -> Ledger:
        """The ledger in the same database.

        Raises
        ------
        ConfigurationError
            For a store in memory.
        """
        if self.url is None:
            raise ConfigurationError("these studies are kept in memory, where no ledger counts them")
        return Ledger(self.url, home=self.home)

    def session(self) -> Session:
        """A connection for one thread."""
        return Session(self.url, self.patience, self.memory)


def open_trials(url: str, home: Home | None = None) -> TrialStore:
    """Open a database of trials, and make what is missing of it: folder, schema, tables.

    Two processes may open a new one at the same time, and one that was killed meanwhile leaves nothing broken.

    Parameters
    ----------
    url
        As :func:`~pipeline.tuning.database.tuning_url` gives it.
    home
        As of :class:`TrialStore`.

    Raises
    ------
    ConfigurationError
        If the database can't be made or does not answer, or is another kind of file. No password is shown.
    """
    store = TrialStore(url, home)
    try:
        with store.session() as session:
            session.once(lambda connection: None)
    except OSError as error:
        raise ConfigurationError(
            f"the studies' database {shown(url)} can't be created: {error.strerror or error}"
        ) from error
    except DBAPIError as error:
        raise unusable(url, error) from error
    return store


@dataclass(frozen=True)
class Claim:
    """A position that this process is at work on, and the parameters to try there first; None for any."""

    position: int
    first: dict[str, Any] | None


class KeptStudy:
    """One study in the database, for one thread of one process; a context manager.

    Parameters
    ----------
    store
        Where.
    name
        Of the study, with objectives and space.
    subject
        Under what its trials are counted.
    space
        What it searches.
    """

    def __init__(self, store: TrialStore, name: str, subject: Subject, space: SearchSpace) -> None:
        self._store, self._name, self._subject, self._space = store, name, subject, space
        self._session = store.session()
        self._token = uuid.uuid4().hex
        self._owner = owner_id()
        self._queue: dict[str, Any] = {}
        # Positions known to be settled: all below the first, and these.
        self._below, self._beyond = 0, set[int]()
        self._calendar = _Calendar()
        self._reading = trials_query(name)
        self._claims = sa.select(CLAIMS).where(CLAIMS.c.study == name).order_by(CLAIMS.c.number)
        # SQLAlchemy compiles anew each time what says what happens to a row that is there already: it is for such only.
        self._looking = sa.select(TRIALS.c.started).where(
            *(TRIALS.c[column] == sa.bindparam(column) for column in ("study", "number", "settings"))
        )
        self._writing, self._rewriting = sa.insert(TRIALS), put_statement(self._session.dialect, settled)
        self._remembering = insert_into(self._session.dialect)(SESSIONS).on_conflict_do_nothing()
        own = CLAIMS.c.study == name, CLAIMS.c.number == sa.bindparam("position"), CLAIMS.c.token == self._token
        self._ending = sa.delete(CLAIMS).where(*own)

    def __enter__(self) -> "KeptStudy":
        _ACTIVE.add(self._token)
        return self

    def __exit__(self, *_: object) -> None:
        _ACTIVE.discard(self._token)
        self._session.close()

    def begin(self, objectives: Sequence[str], enqueue: Sequence[Mapping[str, Any]]) -> list[TrialRecord]:
        """Begin the study, or go on with it: its settled trials.

        Parameters
        ----------
        objectives
            For those who look at the study from elsewhere.
        enqueue
            Parameters to try first. They are kept by position, so that a resumed study has the same at the same place;
            those outside the space or tried already are left out.
        """
        for params in enqueue:
            if not self._space.contains(params):
                _log.warning("%s: %s lie outside the search space and are not tried first", self._name, dict(params))
        wanted = [self._space.written(params) for params in enqueue if self._space.contains(params)]
        adding = insert_into(self._session.dialect)(STUDIES).on_conflict_do_nothing()
        study = {
            "study": self._name,
            "begun": dt.datetime.now(tz=dt.UTC).replace(tzinfo=None),
            "objectives": json.dumps(list(objectives)),
            "space": written_space(self._space),
            "queue": "{}",
        }

        def work(connection: sa.Connection) -> list[TrialRecord]:
            connection.execute(adding, study)
            text = connection.scalar(sa.select(STUDIES.c.queue).where(STUDIES.c.study == self._name))
            queue = json.loads(text or "{}")
            trials = self._fresh(connection)
            claimed = connection.scalars(sa.select(CLAIMS.c.number).where(CLAIMS.c.study == self._name)).all()
            known = [*queue.values(), *(self._space.written(trial.params) for trial in trials)]
            position = max([-1, *map(int, queue), *(trial.position for trial in trials), *claimed]) + 1
            for params in wanted:
                if params not in known:
                    known.append(params)
                    queue[str(position)] = params
                    position += 1
            changed = json.dumps(queue)
            if changed != text:
                connection.execute(sa.update(STUDIES).where(STUDIES.c.study == self._name).values(queue=changed))
            self._queue = queue
            return trials

        return self._taken_in(self._session.transact(work, alone=self._name))

    def news(self) -> list[TrialRecord]:
        """Trials that were settled since they were last asked for, by whatever process."""
        return self._taken_in(self._session.transact(self._fresh))

    def claim(
        self, stop: Callable[[Sequence[TrialRecord], int], Stopped | None]
    ) -> tuple[list[TrialRecord], Claim | Stopped]:
        """Claim the next position: one that a dead process left before a new one.

        Parameters
        ----------
        stop
            Told the trials settled since the last call and how many others are at work on, says why no further trial
            is to begin; may be asked more than once.

        Returns
        -------
        tuple
            The trials settled since, and the claim, or why there is none.
        """

        def work(connection: sa.Connection) -> tuple[list[TrialRecord], Claim | Stopped]:
            claims = connection.execute(self._claims).all()
            # A claim of one's own is left of an answer that got lost.
            dead = [row for row in claims if row.token == self._token or not self._is_alive(row)]
            for row in dead:
                if row.token != self._token and row.owner is not None:
                    _log.warning("%s: trial %d was left behind by a process that died", self._name, row.number)
                if row.token != self._token and row.tries >= TRIES:
                    self._give_up(connection, row.number)
            left = [row for row in dead if row.token == self._token or row.tries < TRIES]
            fresh = self._fresh(connection)
            if (why := stop(fresh, len(claims) - len(dead))) is not None:
                return fresh, why
            if left:
                position, tries = left[0].number, left[0].tries + (left[0].token != self._token)
            else:
                position, tries = self._next(fresh, [row.number for row in claims]), 1
            taken = {"study": self._name, "number": position, "tries": tries, "token": self._token}
            taken |= {"owner": json.dumps(self._owner), "beat": time.time()}
            if left:
                own = CLAIMS.c.study == self._name, CLAIMS.c.number == position
                connection.execute(sa.update(CLAIMS).where(*own).values(**taken))
            else:
                connection.execute(sa.insert(CLAIMS), taken)
            return fresh, Claim(position, self._queue.get(str(position)))

        fresh, found = self._session.transact(work, alone=self._name)
        return self._taken_in(fresh), found

    def settle(self, trial: TrialRecord, money: pd.Series | None = None) -> bool:
        """End a claimed trial: its claim goes, its look is counted.

        Parameters
        ----------
        trial
            How it ended.
        money
            Dollars by session; None where none are known.

        Returns
        -------
        bool
            Whether it was still ours: one whose process was taken for dead is another's.
        """
        row, days = self._row(trial, money)

        def work(connection: sa.Connection) -> bool:
            if not connection.execute(self._ending, {"position": trial.position}).rowcount:
                # Unless the answer to this very transaction got lost.
                own = TRIALS.c.study == self._name, TRIALS.c.number == trial.position
                return connection.scalar(sa.select(TRIALS.c.started).where(*own)) == row["started"]
            if days is not None:
                connection.execute(self._remembering, {"id": row["sessions"], "days": days})
            self._write(connection, row)
            return True

        ours = self._session.transact(work, alone=self._name)
        if ours:
            self._calendar.written = row["sessions"] or self._calendar.written
            self._taken_in([trial])
        return ours

    def release(self, position: int) -> None:
        """Give a claim back, as an interruption does: the trial has cost no try. Errors are SQLAlchemy's."""
        values: dict[str, Any] = {"tries": CLAIMS.c.tries - 1, "token": None, "owner": None}
        own = CLAIMS.c.study == self._name, CLAIMS.c.number == position, CLAIMS.c.token == self._token
        self._session.once(lambda connection: connection.execute(sa.update(CLAIMS).where(*own).values(**values)))

    def beat(self) -> None:
        """Give a sign of life of the claimed trial, from another thread; an unreachable database misses it."""
        own = CLAIMS.c.study == self._name, CLAIMS.c.token == self._token
        try:
            with self._store.session() as session:
                session.once(
                    lambda connection: connection.execute(sa.update(CLAIMS).where(*own).values(beat=time.time()))
                )
        except (DBAPIError, OSError) as error:
            _log.debug("a sign of life was missed: %s", words_of(error))

    # --- inside ---

    def _is_alive(self, row: sa.Row[Any]) -> bool:
        if row.owner is None:
            return False
        return is_alive(json.loads(row.owner), row.token in _ACTIVE, row.beat, self._store.grace)

    def _next(self, fresh: Sequence[TrialRecord], claimed: Sequence[int]) -> int:
        known = [*self._beyond, *(trial.position for trial in fresh), *claimed]
        return max([self._below - 1, *known]) + 1

    def _fresh(self, connection: sa.Connection) -> list[TrialRecord]:
        found = connection.execute(self._reading, {"first": self._below})
        return [record_of(row, self._space) for row in found if row.number not in self._beyond]

    def _taken_in(self, trials: list[TrialRecord]) -> list[TrialRecord]:
        self._beyond.update(trial.position for trial in trials)
        while self._below in self._beyond:
            self._beyond.discard(self._below)
            self._below += 1
        return trials

    def _give_up(self, connection: sa.Connection, position: int) -> None:
        trial = TrialRecord(
            position, "failed", {}, None, {}, 0.0, f"its process died, {TRIES} times", dt.datetime.now(tz=dt.UTC)
        )
        self._write(connection, self._row(trial, None)[0])
        connection.execute(sa.delete(CLAIMS).where(CLAIMS.c.study == self._name, CLAIMS.c.number == position))

    def _write(self, connection: sa.Connection, row: Row) -> None:
        known = connection.execute(self._looking, {column: row[column] for column in ("study", "number", "settings")})
        connection.execute(self._rewriting if known.first() is not None else self._writing, row)

    def _row(self, trial: TrialRecord, money: pd.Series | None) -> tuple[Row, bytes | None]:
        """A trial as it is stored, and its sessions where they are not stored yet."""
        returns = None if money is None else self._calendar.returns(money, self._subject.capital)
        # Sessions that were checked once need no second look.
        checked = returns is None or (not self._calendar.is_new and bool(np.isfinite(returns.to_numpy()).all()))
        row = row_of(self._subject.look(trial, self._name, None if checked else returns), period=False)
        started = trial.started or dt.datetime.now(tz=dt.UTC)
        row |= {
            "started": started.replace(tzinfo=None),
            "steps": json.dumps(list(trial.steps.items())),
            "notes": json.dumps(dict(trial.notes)),
            "error": trial.error,
        }
        if returns is None:
            return row, None
        row |= {"sessions": self._calendar.name, "returns": packed_returns(returns)}
        return row, self._calendar.days if self._calendar.written != self._calendar.name else None


@dataclass
class _Calendar:
    """The sessions that trials' money is counted on, worked out once for those that share them."""

    index: pd.Index | None = None
    sessions: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([]))
    name: str = ""
    days: bytes = b""
    written: str = ""
    is_new: bool = True

    def returns(self, money: pd.Series, capital: float) -> pd.Series:
        """Returns on a capital by session."""
        index = money.index
        self.is_new = index is not self.index and (self.index is None or not index.equals(self.index))
        if self.is_new:
            self.sessions = pd.DatetimeIndex(index).tz_localize(None).normalize()
            self.days = packed_days(self.sessions)
            self.name = hashlib.sha256(self.days).hexdigest()
        self.index = index
        return pd.Series(money.to_numpy(np.float64) / capital, self.sessions)
