"""Ledger of every trial ever judged, by market and period, whatever study it belongs to.

Tuning finds the best of many; how much that flatters depends on how many there were. A study knows its own trials
only, and is deleted or made again with another search space. The ledger lies in the same database and outlives them:
the deflated Sharpe ratio takes its count and variance from it, the probability of backtest overfitting its matrix.
"""

import contextlib
import datetime as dt
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from pipeline.errors import DataError
from pipeline.home import Home
from pipeline.tuning.database import TrialDatabase
from pipeline.tuning.ledger_rows import PERIOD, ROWS, Key, Row, completed, key_of, put, renewed, row_of, widened
from pipeline.tuning.ledger_tables import (
    COPIED,
    SESSIONS,
    TRIALS,
    insert_into,
    packed_days,
    packed_returns,
    unpacked_days,
    unpacked_returns,
)
from pipeline.tuning.look import Look
from pipeline.tuning.look_copy import copied_looks, copy_looks
from pipeline.tuning.looks import Looks
from pipeline.tuning.lost_looks import lost_looks
from pipeline.tuning.records import proofs

__all__ = ["Ledger"]

_log = logging.getLogger(__name__)
# Data that has grown, or moved on, by no more since it was last used is the same data.
_GROWTH = dt.timedelta(days=31)
_SHIFT = dt.timedelta(days=7)


@dataclass(frozen=True)
class Ledger:
    """The trials in one database; several processes may write and read at once.

    Attributes
    ----------
    url
        SQLAlchemy URL of an SQLite or PostgreSQL database; the tables are created where missing.
    patience
        For how many seconds a database that does not answer is waited for.
    home
        Where each look is copied, and whose records give back what a ledger that was lost or replaced lacks; None for
        nowhere.
    """

    url: str
    patience: float = 90.0
    home: Home | None = None

    @property
    def _database(self) -> TrialDatabase:
        return TrialDatabase(self.url, self.patience)

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
            same look on data that has grown: it gets the values and returns that it has now, ended when it first did,
            and its period becomes the one from its earliest to its latest session, so that what was seen once stays
            seen. Another period is a further look.

        Raises
        ------
        ConfigurationError
            If the database does not answer or can't be used, or is neither SQLite nor PostgreSQL.
        """
        trials = list(trials)
        for symbol in sorted({trial.symbol for trial in trials}):
            self.prepare(symbol, always=renew)
        rows: dict[Key, Row] = {}
        calendars: dict[str, dict[str, Any]] = {}
        for trial in trials:
            row = row_of(trial, period=renew)
            if trial.returns is not None:
                days = packed_days(pd.DatetimeIndex(trial.returns.index))
                row["sessions"] = hashlib.sha256(days).hexdigest()
                row["returns"] = packed_returns(trial.returns)
                calendars[row["sessions"]] = {"id": row["sessions"], "days": days}
            key = key_of(row)
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
            if calendars:
                adding = insert_into(connection.dialect.name)(SESSIONS).on_conflict_do_nothing()
                connection.execute(adding, [calendars[key] for key in sorted(calendars)])
            put(connection, ordered, renewed if renew else completed)

        self._database.transact(write, writing=True)

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
        if self.home is not None:
            self._restore(self.home, symbol)
        columns = [TRIALS.c[name] for name in ("study", "number", "target", "state", "finished", "seconds")]
        query = (
            sa.select(*columns, TRIALS.c.sessions, TRIALS.c.returns)
            .where(TRIALS.c.symbol == symbol, TRIALS.c.first <= last.date(), TRIALS.c.last >= first.date())
            .order_by(TRIALS.c.study, TRIALS.c.number, TRIALS.c.finished)
        )
        if target is not None:
            query = query.where(TRIALS.c.target == target)

        def read(connection: sa.Connection) -> tuple[list[sa.Row[Any]], dict[str, pd.DatetimeIndex]]:
            found = list(connection.execute(query))
            # By the trials found just now: one written meanwhile may name sessions that were not read.
            used = sorted({row.sessions for row in found if row.sessions})
            days = {
                row.id: unpacked_days(row.days)
                for part in _parts(used)
                for row in connection.execute(sa.select(SESSIONS).where(SESSIONS.c.id.in_(part)))
            }
            return found, days

        found, days = self._database.transact(read)
        trials = pd.DataFrame(
            {column.name: [row[place] for row in found] for place, column in enumerate(columns)}
        ).astype({"number": "int64", "seconds": "float64"})
        trials["finished"] = pd.to_datetime(trials["finished"], utc=True).dt.as_unit("ns")
        return Looks.of(symbol, first, last, trials, list(_blocks(found, days, first, last)))

    def studies(self, symbol: str, target: str) -> list[str]:
        """Names of the studies of a target on a market, the one that was begun last first."""
        begun = sa.func.min(TRIALS.c.finished)
        query = (
            sa.select(TRIALS.c.study)
            .where(TRIALS.c.symbol == symbol, TRIALS.c.target == target)
            .group_by(TRIALS.c.study)
            .order_by(begun.desc(), TRIALS.c.study)
        )
        return self._database.transact(lambda connection: list(connection.scalars(query)))

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
            sa.select(*(TRIALS.c[name] for name in names))
            .where(TRIALS.c.study == study)
            .order_by(TRIALS.c.number, TRIALS.c.finished)
        )
        found = self._database.transact(lambda connection: list(connection.execute(query)))
        frame = pd.DataFrame([tuple(row) for row in found], columns=names)
        frame["values"] = [tuple(json.loads(text)) for text in frame["values"]]
        frame["params"] = [json.loads(text) for text in frame["params"]]
        frame["finished"] = pd.to_datetime(frame["finished"], utc=True).dt.as_unit("ns")
        return frame.astype({"number": "int64", "seconds": "float64"})

    def returns(self, study: str, number: int) -> pd.Series | None:
        """Returns by session of one trial, float32; None where none are known. Of several at its number the latest."""
        query = (
            sa.select(TRIALS.c.returns, SESSIONS.c.days)
            .join(SESSIONS, TRIALS.c.sessions == SESSIONS.c.id)
            .where(TRIALS.c.study == study, TRIALS.c.number == number)
            .order_by(TRIALS.c.finished.desc())
            .limit(1)
        )
        found = self._database.transact(lambda connection: connection.execute(query).first())
        if found is None:
            return None
        return pd.Series(unpacked_returns(found.returns), unpacked_days(found.days), name="returns")

    def prepare(self, symbol: str, *, always: bool = False) -> None:
        """Give a ledger that knows nothing of a market back what it lost, before it holds anything else.

        Parameters
        ----------
        symbol
            Market.
        always
            One that knows some too, before it is asked what it knows of the same settings.
        """
        if self.home is not None and (always or not self._knows(symbol)):
            self._restore(self.home, symbol)

    def _knows(self, symbol: str) -> bool:
        query = sa.select(TRIALS.c.study).where(TRIALS.c.symbol == symbol).limit(1)
        return self._database.transact(lambda connection: connection.execute(query).first()) is not None

    def _restore(self, home: Home, symbol: str) -> None:
        """Put back what other records show and the ledger has lost; copy what it holds."""
        # Read before the ledger: it has what they tell of by now, unless it was lost.
        copied, counts = copied_looks(home, symbol), proofs(home, symbol)
        query = sa.select(*COPIED).where(TRIALS.c.symbol == symbol)
        found = self._database.transact(lambda connection: [row._asdict() for row in connection.execute(query)])
        held = {key_of(row): row for row in found}
        lost = lost_looks(symbol, held, copied, counts)
        if lost:
            ordered = [lost[key] for key in sorted(lost)]
            self._database.transact(lambda connection: put(connection, ordered, widened), writing=True)
        if gone := len(lost.keys() - held.keys()):
            _log.warning(
                "%d trials on %s were missing in the ledger, which was lost or replaced; other records of the home "
                "show them, and they are counted again, without their returns",
                gone,
                symbol,
            )
        whole = {**held, **lost}
        with contextlib.suppress(OSError):  # a copy that can't be kept is no reason to lose the verdict
            copy_looks(home, symbol, [row for key, row in whole.items() if row != copied.get(key)])


def _same_look(connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Key of the look of the same parameters at about the same period; None where there is none."""
    old = TRIALS.c
    query = (
        sa.select(old.settings, old.params, old.first, old.last, SESSIONS.c.days)
        .outerjoin(SESSIONS, old.sessions == SESSIONS.c.id)
        .where(old.study == row["study"], old.number == row["number"])
        .order_by(old.finished, old.settings)
    )
    for known in connection.execute(query):
        if _without_period(known.params) != _without_period(row["params"]):
            continue
        chosen = json.loads(known.params).get(PERIOD)
        # By where it first began, so that many small steps don't add up to other years unseen.
        begin = dt.date.fromisoformat(chosen[0]) if chosen else known.first
        end = known.last
        if known.days is not None and len(days := unpacked_days(known.days)):
            # The latest it was seen on, where the period is of all it was ever seen on.
            end = days[-1].date()
        if abs(row["first"] - begin) <= _SHIFT and dt.timedelta(0) <= row["last"] - end <= _GROWTH:
            return {"settings": known.settings, "params": known.params}
    return None


def _without_period(params: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(params).items() if name != PERIOD}


def _parts(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), ROWS):
        yield names[first : first + ROWS]


def _blocks(
    found: list[sa.Row[Any]], days: Mapping[str, pd.DatetimeIndex], first: pd.Timestamp, last: pd.Timestamp
) -> Iterator[pd.DataFrame]:
    """Returns within a period by session, a column a place in ``found``, those of the same sessions together."""
    having = sorted((row.sessions, place) for place, row in enumerate(found) if row.sessions)
    for name, members in groupby(having, key=lambda pair: pair[0]):
        sessions = days[name]
        inside = np.asarray((sessions >= first) & (sessions <= last))
        if not inside.any():
            continue
        places = [place for _, place in members]
        returns = np.stack([unpacked_returns(found[place].returns)[inside] for place in places], axis=1)
        yield pd.DataFrame(returns, index=sessions[inside], columns=places)
