"""Every trial that was ever looked at, kept by market and period, whatever study it was of.

Tuning finds the best of many; how much that flatters depends on how many there were. A study knows its own trials
only, and is deleted or made anew with another search space. The ledger lies in the same database and outlives them: the
deflated Sharpe ratio takes its count and variance from it, the probability of backtest overfitting its matrix.
"""

import contextlib
import datetime as dt
import hashlib
import json
import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from pipeline.errors import ConfigurationError, DataError
from pipeline.home import Home
from pipeline.tuning.looks import Looks
from pipeline.tuning.records import note_looks, proven_looks

if TYPE_CHECKING:
    from pipeline.tuning.study import TrialRecord

__all__ = ["Ledger", "Look", "TrialState"]

TrialState = Literal["complete", "pruned", "failed"]

_Result = TypeVar("_Result")

_METADATA = sa.MetaData()
_TRIALS = sa.Table(
    "vpoc_trials",
    _METADATA,
    # The parameters are part of the key: a study that was deleted and made anew under its name begins at 0 again,
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
_SESSIONS = sa.Table(
    "vpoc_trial_sessions",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("days", sa.LargeBinary, nullable=False),
)
_NOTHING = sa.make_url("sqlite://")  # read where nothing was written yet: reading makes no file and no table
_LOCK = 7_366_841_905  # any number that nothing else in the database locks by
_SQLITE_WAIT = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
_ROWS = 500
_PERIOD = "period"
# Data that has grown, or moved on, by no more since it was last looked at is the same data.
_GROWTH = dt.timedelta(days=31)
_SHIFT = dt.timedelta(days=7)


@dataclass(frozen=True)
class Look:
    """One trial that has ended, on which market and period, and what it returned.

    Attributes
    ----------
    study, number
        Name of the study, and the trial's number in it: its position, where a trial may be tried again.
    symbol
        Market it was evaluated on, such as ``ES``.
    target
        What was tuned, such as ``model:lightgbm`` or ``strategy``.
    first, last
        First and last session it was evaluated on.
    params
        Parameter by name.
    state
        ``complete``; ``pruned``: given up after a part, which was looked at all the same; ``failed``: no value was
        seen, so it is kept and not counted.
    values
        Value by objective; empty where there is none.
    finished
        When it ended, with a zone.
    seconds
        How long it took.
    returns
        Return by session, of **all** sessions of the period, idle ones 0, in any one unit (both statistics are of
        Sharpe ratios); None where the objective makes none. Kept with the precision of float32.
    """

    study: str
    number: int
    symbol: str
    target: str
    first: pd.Timestamp
    last: pd.Timestamp
    params: Mapping[str, Any]
    state: TrialState
    values: tuple[float, ...]
    finished: dt.datetime
    seconds: float = 0.0
    returns: pd.Series | None = None

    @classmethod
    def of(
        cls,
        trial: "TrialRecord",
        study: str,
        symbol: str,
        target: str,
        first: pd.Timestamp,
        last: pd.Timestamp,
        *,
        returns: pd.Series | None = None,
        finished: dt.datetime | None = None,
    ) -> "Look":
        """From a trial as :func:`pipeline.tuning.study.run_study` gives it; finished just now unless told."""
        return cls(
            study=study,
            number=trial.position,
            symbol=symbol,
            target=target,
            first=first,
            last=last,
            params=trial.params,
            state=trial.state,
            values=() if trial.values is None else trial.values,  # noqa: PD011 (no frame)
            finished=finished or dt.datetime.now(tz=dt.UTC),
            seconds=trial.seconds,
            returns=returns,
        )

    def __post_init__(self) -> None:
        place = f"trial {self.number} of study {self.study}"
        if self.state not in get_args(TrialState):
            raise DataError(
                f"{place} has the state {self.state!r}; it must be one of {', '.join(get_args(TrialState))}"
            )
        if self.number < 0:
            raise DataError(f"{place} has a negative number; trials count from 0")
        if pd.Timestamp(self.first) > pd.Timestamp(self.last):
            raise DataError(f"{place} begins on {self.first:%F}, after its end on {self.last:%F}; give them in order")
        if self.finished.tzinfo is None:
            raise DataError(f"{place} ended at {self.finished} without a time zone; give one, e.g. UTC")
        if self.returns is not None:
            self._require_returns(place, self.returns)

    def _require_returns(self, place: str, returns: pd.Series) -> None:
        index = returns.index
        if not isinstance(index, pd.DatetimeIndex) or index.tz is not None or not (index == index.normalize()).all():
            raise DataError(f"the returns of {place} are not indexed by session; give trade dates at midnight, no zone")
        if not (index.is_monotonic_increasing and index.is_unique):
            raise DataError(f"the sessions of the returns of {place} are not increasing; give each session once")
        if len(index) and not (pd.Timestamp(self.first) <= index[0] and index[-1] <= pd.Timestamp(self.last)):
            raise DataError(
                f"the returns of {place} run from {index[0]:%F} to {index[-1]:%F}, outside its period from "
                f"{self.first:%F} to {self.last:%F}; give the returns of that period"
            )
        if len(wrong := index[~np.isfinite(returns.to_numpy(np.float64))]):
            raise DataError(f"the return of {place} on {wrong[0]:%F} is missing or infinite; an idle session is a 0")


@dataclass(frozen=True)
class Ledger:
    """The trials in one database; several processes may write and read at once.

    Attributes
    ----------
    url
        SQLAlchemy URL of an SQLite or PostgreSQL database; the tables are made where they are not there.
    patience
        For how many seconds a database that does not answer is waited for.
    home
        Whose other records the count is held against, and noted in; None for none.
    """

    url: str
    patience: float = 90.0
    home: Home | None = None

    def record(self, trials: Iterable[Look], *, renew: bool = False) -> None:
        """Add trials that have ended, all or none.

        A trial that is there already (study, number and parameters) stays as it is, so that it does no harm to add all
        trials of a study again, as after a crash; its returns are added where they were not known.

        Parameters
        ----------
        trials
            To add.
        renew
            The trials are of settings changed by hand, on the data there is today. One of the same parameters whose
            period begins within a week of where it first did, and ends where it last did or up to a month later, is the
            same look on data that has grown: it
            gets the values and returns that it has now, ended when it first did, and its period becomes the one from
            its earliest to its latest session, so that what was seen once stays seen. Another period is a further
            look.

        Raises
        ------
        ConfigurationError
            If the database does not answer or can't be used, or is neither SQLite nor PostgreSQL.
        """
        rows: dict[tuple[str, int, str], dict[str, Any]] = {}
        calendars: dict[str, dict[str, Any]] = {}
        for trial in trials:
            row = _row(trial, period=renew)
            if trial.returns is not None:
                days = _packed(_days(pd.DatetimeIndex(trial.returns.index)))
                row["sessions"] = hashlib.sha256(days).hexdigest()
                row["returns"] = _packed(trial.returns.to_numpy("<f4"))
                calendars[row["sessions"]] = {"id": row["sessions"], "days": days}
            key = (trial.study, trial.number, row["settings"])
            if renew or key not in rows or rows[key]["returns"] is None:
                rows[key] = row
        if not rows:
            return
        # In one order everywhere, so that two writers never wait for each other.
        ordered = [rows[key] for key in sorted(rows)]

        def write(connection: sa.Connection) -> None:
            if renew:
                for row in ordered:
                    row.update(_same_look(connection, row) or {})
            insert = _insert(connection.dialect.name)
            if calendars:
                connection.execute(
                    insert(_SESSIONS).on_conflict_do_nothing(), [calendars[key] for key in sorted(calendars)]
                )
            adding = insert(_TRIALS)
            changes = _renewed(adding.excluded) if renew else _completed(adding.excluded)
            adding = adding.on_conflict_do_update(index_elements=["study", "number", "settings"], set_=changes)
            for first in range(0, len(ordered), _ROWS):
                connection.execute(adding, ordered[first : first + _ROWS])

        self._transact(write, writing=True)

    def looks(self, symbol: str, first: pd.Timestamp, last: pd.Timestamp, *, target: str | None = None) -> Looks:
        """Every trial evaluated on a market in a period that overlaps the one given.

        Parameters
        ----------
        symbol
            Market, such as ``ES``.
        first, last
            First and last session of the period; of trials that reach beyond it, the returns within it are taken.
        target
            Only trials of this target; by default of all, as each of them was a look at the same prices.

        Raises
        ------
        ConfigurationError
            If the database does not answer or can't be used, or is neither SQLite nor PostgreSQL.
        """
        first, last = pd.Timestamp(first), pd.Timestamp(last)
        if first > last:
            raise DataError(f"the period begins on {first:%F}, after its end on {last:%F}; give them in order")
        columns = [_TRIALS.c[name] for name in ("study", "number", "target", "state", "finished", "seconds")]
        query = (
            sa.select(*columns, _TRIALS.c.sessions, _TRIALS.c.returns)
            .where(_TRIALS.c.symbol == symbol, _TRIALS.c.first <= last.date(), _TRIALS.c.last >= first.date())
            .order_by(_TRIALS.c.study, _TRIALS.c.number, _TRIALS.c.finished)
        )
        if target is not None:
            query = query.where(_TRIALS.c.target == target)

        def read(connection: sa.Connection) -> tuple[list[sa.Row[Any]], dict[str, NDArray[np.int32]]]:
            found = list(connection.execute(query))
            # By the trials found just now: one written meanwhile may name sessions that were not read.
            used = sorted({row.sessions for row in found if row.sessions})
            days = {
                row.id: _unpacked(row.days, np.dtype("<i4"))
                for part in _parts(used)
                for row in connection.execute(sa.select(_SESSIONS).where(_SESSIONS.c.id.in_(part)))
            }
            return found, days

        found, days = self._transact(read)
        trials = pd.DataFrame(
            {column.name: [row[place] for row in found] for place, column in enumerate(columns)}
        ).astype({"number": "int64", "seconds": "float64"})
        trials["finished"] = pd.to_datetime(trials["finished"], utc=True).dt.as_unit("ns")
        proven = 0 if self.home is None or target is not None else proven_looks(self.home, symbol, first, last)
        looks = Looks.of(symbol, first, last, trials, list(_blocks(found, days, first, last)), proven=proven)
        if self.home is not None and target is None:
            with contextlib.suppress(OSError):  # a note that can't be kept is no reason to lose the verdict
                note_looks(self.home, symbol, first, last, looks.count)
        return looks

    def trials(self, study: str) -> pd.DataFrame:
        """Every trial of one study, in the order of their numbers.

        Returns
        -------
        DataFrame
            Columns number, state, values (tuple, a value an objective), params (dict), seconds, finished (UTC): what
            the pictures of a study are drawn from.
        """
        names = ["number", "state", "values", "params", "seconds", "finished"]
        query = (
            sa.select(*(_TRIALS.c[name] for name in names))
            .where(_TRIALS.c.study == study)
            .order_by(_TRIALS.c.number, _TRIALS.c.finished)
        )
        found = self._transact(lambda connection: list(connection.execute(query)))
        frame = pd.DataFrame([tuple(row) for row in found], columns=names)
        frame["values"] = [tuple(json.loads(text)) for text in frame["values"]]
        frame["params"] = [json.loads(text) for text in frame["params"]]
        frame["finished"] = pd.to_datetime(frame["finished"], utc=True).dt.as_unit("ns")
        return frame.astype({"number": "int64", "seconds": "float64"})

    def returns(self, study: str, number: int) -> pd.Series | None:
        """Returns by session of one trial, float32; None where none are known. Of several at its number the latest."""
        query = (
            sa.select(_TRIALS.c.returns, _SESSIONS.c.days)
            .join(_SESSIONS, _TRIALS.c.sessions == _SESSIONS.c.id)
            .where(_TRIALS.c.study == study, _TRIALS.c.number == number)
            .order_by(_TRIALS.c.finished.desc())
            .limit(1)
        )
        found = self._transact(lambda connection: connection.execute(query).first())
        if found is None:
            return None
        days = _unpacked(found.days, np.dtype("<i4")).astype("datetime64[D]")
        sessions = pd.DatetimeIndex(days, name="session").as_unit("ns")
        return pd.Series(_unpacked(found.returns, np.dtype("<f4")), sessions, name="returns")

    def _transact(self, work: Callable[[sa.Connection], _Result], *, writing: bool = False) -> _Result:
        """Do work in one transaction, again and again while the database does not answer."""
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
                    if writing or sa.inspect(connection).has_table(_TRIALS.name):
                        _prepare(connection)
                        return work(connection)
                with sa.create_engine(_NOTHING).begin() as connection:
                    _prepare(connection)
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
                    f"{' '.join(str(error.orig).split())}; name another database, or mend this one"
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
            f"the folder {folder} of the ledger of trials can't be made: {error.strerror}; name another database"
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


def _completed(found: Any) -> dict[str, Any]:
    """A trial as it is, with returns where it had none."""
    return {name: sa.func.coalesce(_TRIALS.c[name], found[name]) for name in ("sessions", "returns")}


def _renewed(found: Any) -> dict[str, Any]:
    """A trial with what it shows now, of all sessions that it was ever seen on."""
    now = {name: found[name] for name in ("state", "values")}
    now |= {name: sa.func.coalesce(found[name], _TRIALS.c[name]) for name in ("sessions", "returns")}
    old = _TRIALS.c
    now["first"] = sa.case((found.first < old.first, found.first), else_=old.first)
    now["last"] = sa.case((found.last > old.last, found.last), else_=old.last)
    return now


def _insert(dialect: str) -> Callable[[sa.Table], Any]:
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def _prepare(connection: sa.Connection) -> None:
    """Make the tables where they are missing; of several processes that find so, one after the other."""
    if sa.inspect(connection).has_table(_TRIALS.name):
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if connection.scalar(sa.select(sa.func.current_schema())) is None:
            named = connection.scalar(sa.text("show search_path")).split(",")[0].strip().strip('"')
            connection.execute(sa.schema.CreateSchema(named, if_not_exists=True))
    for table in (_SESSIONS, _TRIALS):  # the one that is looked for comes last
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    for index in sorted(_TRIALS.indexes, key=lambda index: str(index.name)):
        connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def _row(trial: Look, *, period: bool) -> dict[str, Any]:
    """A trial as it is stored; where the period is part of what was chosen, as one of its parameters."""
    chosen = {_PERIOD: [f"{trial.first:%F}", f"{trial.last:%F}"]} if period else {}
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


def _same_look(connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Key of the look of the same parameters at about the same period; None where there is none."""
    old = _TRIALS.c
    query = (
        sa.select(old.settings, old.params, old.first, old.last, _SESSIONS.c.days)
        .outerjoin(_SESSIONS, old.sessions == _SESSIONS.c.id)
        .where(old.study == row["study"], old.number == row["number"])
        .order_by(old.finished, old.settings)
    )
    for known in connection.execute(query):
        if _without_period(known.params) != _without_period(row["params"]):
            continue
        chosen = json.loads(known.params).get(_PERIOD)
        # By where it first began, so that many small steps don't add up to other years unseen.
        begin = dt.date.fromisoformat(chosen[0]) if chosen else known.first
        end = known.last
        if known.days is not None and len(days := _unpacked(known.days, np.dtype("<i4"))):
            # The latest it was seen on, where the period is of all it was ever seen on.
            end = days[-1].astype("datetime64[D]").item()
        if abs(row["first"] - begin) <= _SHIFT and dt.timedelta(0) <= row["last"] - end <= _GROWTH:
            return {"settings": known.settings, "params": known.params}
    return None


def _without_period(params: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(params).items() if name != _PERIOD}


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise DataError(f"a parameter is {value!r}; it must be a number, a text, true, false or none, or a list of them")


def _days(sessions: pd.DatetimeIndex) -> NDArray[np.int32]:
    return sessions.to_numpy("datetime64[D]").astype(np.int64).astype("<i4")


def _packed(values: NDArray[Any]) -> bytes:
    # Most sessions are idle: a third of the bytes, for less time than writing them takes.
    return zlib.compress(values.tobytes(), 1)


def _unpacked(packed: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(packed), dtype)


def _parts(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), _ROWS):
        yield names[first : first + _ROWS]


def _blocks(
    found: list[sa.Row[Any]], days: Mapping[str, NDArray[np.int32]], first: pd.Timestamp, last: pd.Timestamp
) -> Iterator[pd.DataFrame]:
    """Returns within a period by session, a column a place in ``found``, those of the same sessions together."""
    having = sorted((row.sessions, place) for place, row in enumerate(found) if row.sessions)
    for name, members in groupby(having, key=lambda pair: pair[0]):
        sessions = pd.DatetimeIndex(days[name].astype("datetime64[D]"), name="session").as_unit("ns")
        inside = np.asarray((sessions >= first) & (sessions <= last))
        if not inside.any():
            continue
        places = [place for _, place in members]
        returns = np.stack([_unpacked(found[place].returns, np.dtype("<f4"))[inside] for place in places], axis=1)
        yield pd.DataFrame(returns, index=sessions[inside], columns=places)
