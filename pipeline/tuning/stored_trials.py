"""Studies and their trials, read from the ledger's tables."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.search_space import Choice, Dimension, Real, SearchSpace, Whole
from pipeline.tuning.database import TrialDatabase
from pipeline.tuning.ledger_tables import STUDIES, TRIALS
from pipeline.tuning.trials import TrialRecord

__all__ = ["StoredStudy", "record_of", "stored_studies", "stored_trials", "trials_query", "written_space"]

_COLUMNS = ("number", "state", "values", "params", "seconds", "started", "steps", "notes", "error")
_KINDS: Mapping[str, type[Dimension]] = {kind.__name__: kind for kind in (Real, Whole, Choice)}


@dataclass(frozen=True)
class StoredStudy:
    """A study: its name, with objectives and space, and what these are."""

    name: str
    objectives: tuple[str, ...]
    space: SearchSpace


def stored_studies(database: TrialDatabase) -> list[StoredStudy]:
    """Return every study of a database, the earliest first; those of earlier releases are not among them."""
    query = sa.select(STUDIES.c.study, STUDIES.c.objectives, STUDIES.c.space).order_by(STUDIES.c.begun)
    found = database.transact(lambda connection: connection.execute(query).all())
    return [StoredStudy(row.study, tuple(json.loads(row.objectives)), _space(row.space)) for row in found]


def stored_trials(database: TrialDatabase, study: StoredStudy, first: int = 0) -> list[TrialRecord]:
    """Return the settled trials of a study from a position on, in order."""
    found = database.transact(lambda connection: connection.execute(trials_query(study.name), {"first": first}).all())
    return [record_of(row, study.space) for row in found]


def trials_query(study: str) -> sa.Select[Any]:
    """The settled trials that a study made itself, from the position ``first`` on."""
    return (
        sa.select(*(TRIALS.c[column] for column in _COLUMNS))
        .where(TRIALS.c.study == study, TRIALS.c.number >= sa.bindparam("first"), TRIALS.c.started.is_not(None))
        .order_by(TRIALS.c.number)
    )


def record_of(row: sa.Row[Any], space: SearchSpace) -> TrialRecord:
    """A trial of :func:`trials_query`."""
    values = tuple(json.loads(row._mapping["values"]))
    return TrialRecord(
        position=row.number,
        state=row.state,
        params=space.chosen_from(json.loads(row.params)) or {},
        values=values or None,
        steps={int(step): float(value) for step, value in json.loads(row.steps)},
        seconds=row.seconds,
        error=row.error,
        started=row.started.replace(tzinfo=dt.UTC),
        notes=json.loads(row.notes),
    )


def written_space(space: SearchSpace) -> str:
    """A search space as JSON."""
    return json.dumps([[name, type(one).__name__, one.model_dump(mode="json")] for name, one in space.items()])


def _space(written: str) -> SearchSpace:
    return SearchSpace({name: _KINDS[kind](**fields) for name, kind, fields in json.loads(written)})
