# ruff: noqa: D102 (the methods are documented by the Optuna class that they fill in)
"""Optuna's tables, read once and written once per trial.

Optuna's own storage asks the database at each parameter, and reads the running trials again whenever a sampler or
a pruner asks: 40 ms of computing per trial. A worker claims one trial at a time and nobody else writes to it, so its
notes are kept here until there is something to show: its parameters once they are drawn, the rest when it ends.
"""

import copy
import datetime as dt
import json
import math
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna.study._frozen import FrozenStudy
    from sqlalchemy import Connection, Table

__all__ = ["TrialTables"]

TABLES = (
    "trials",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
)
MANY = 10


class TrialTables(BaseStorage):
    """A storage of Optuna for one thread of one process, over :class:`optuna.storages.RDBStorage` and its tables.

    What other processes wrote is seen after :meth:`refresh`. The tables' layout is Optuna's: its storage refuses a
    database of another version when it is opened.
    """

    def __init__(self, rdb: RDBStorage) -> None:
        from sqlalchemy import MetaData

        self.rdb = rdb
        metadata = MetaData()
        metadata.reflect(rdb.engine, only=TABLES)
        self._tables: dict[str, Table] = {name: metadata.tables[name] for name in TABLES}
        self._trials: dict[int, dict[int, FrozenTrial]] = {}
        self._place: dict[int, tuple[int, int]] = {}
        self._own: dict[int, _Written] = {}
        self._ids: dict[str, int] = {}
        self._directions: dict[int, list[StudyDirection]] = {}

    # --- studies: rare, and left to Optuna ---

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        # What is opened again may be another one under the same name.
        self._ids.pop(study_name or "", None)
        return self.rdb.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self._trials.pop(study_id, None)
        self._directions.pop(study_id, None)
        self._ids = {name: number for name, number in self._ids.items() if number != study_id}
        self.rdb.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.rdb.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.rdb.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        # Hyperband asks for both at each report, also while the database is unreachable.
        if study_name not in self._ids:
            self._ids[study_name] = self.rdb.get_study_id_from_name(study_name)
        return self._ids[study_name]

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.rdb.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        if study_id not in self._directions:
            self._directions[study_id] = self.rdb.get_study_directions(study_id)
        return self._directions[study_id]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.rdb.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.rdb.get_study_system_attrs(study_id)

    def get_all_studies(self) -> "list[FrozenStudy]":
        return self.rdb.get_all_studies()

    def remove_session(self) -> None:
        self.rdb.remove_session()

    # --- reading ---

    def refresh(self, study_id: int) -> None:
        """Take in what other processes wrote since: new trials, and how those that ran have gone on."""
        from sqlalchemy import select

        known = self._trials.get(study_id)
        if known is None:
            self._trials[study_id] = known = {}
        settled = 0
        while settled in known and known[settled].state.is_finished():
            settled += 1
        table = self._tables["trials"]
        wanted = select(table.c.trial_id, table.c.number, table.c.state).where(
            table.c.study_id == study_id, table.c.number >= settled
        )
        with self.rdb.engine.connect() as connection:
            rows = connection.execute(wanted).all()
        stale = [
            row.trial_id
            for row in rows
            if not (row.trial_id in self._own and row.state == "RUNNING")
            and not (row.number in known and known[row.number].state.is_finished())
        ]
        if len(stale) > MANY:
            found = self.rdb.get_all_trials(study_id, deepcopy=False)
        else:
            found = [self.rdb.get_trial(trial_id) for trial_id in stale]
        for trial in found:
            if trial._trial_id in self._own:
                if not trial.state.is_finished():
                    continue
                del self._own[trial._trial_id]  # taken for dead by another process
            self._keep(study_id, trial)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if study_id not in self._trials:
            self.refresh(study_id)
        trials = self._trials[study_id]
        chosen = [trials[number] for number in sorted(trials) if states is None or trials[number].state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self._find(trial_id)
        if trial.state.is_finished():
            return trial
        # Optuna's trial notes its parameters in what it was given here, beside what it tells the storage.
        return _copied(trial)

    # --- writing ---

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        from sqlalchemy import func, select

        if template_trial is None or template_trial.state != TrialState.WAITING or template_trial.params:
            # Not the way of a study here.
            trial_id = self.rdb.create_new_trial(study_id, template_trial)
            self.refresh(study_id)
            return trial_id
        trial = copy.deepcopy(template_trial)
        table = self._tables["trials"]
        with self._begin() as connection:
            number = connection.execute(select(func.count()).where(table.c.study_id == study_id)).scalar_one()
            made = connection.execute(
                table.insert().values(
                    study_id=study_id, number=number, state=trial.state.name, datetime_start=trial.datetime_start
                )
            )
            trial.number, trial._trial_id = number, int((made.inserted_primary_key or (0,))[0])
            written = _Written()
            self._write(connection, trial, written)
        self._keep(study_id, trial)
        self._own[trial._trial_id] = written
        return trial._trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._changing(trial_id)
        for other in self._trials[self._place[trial_id][0]].values():
            if param_name in other.distributions:
                check_distribution_compatibility(other.distributions[param_name], distribution)
                break
        trial._params[param_name] = distribution.to_external_repr(param_value_internal)
        trial._distributions[param_name] = distribution

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._changing(trial_id).intermediate_values[step] = float(intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._changing(trial_id)._user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._changing(trial_id)._system_attrs[key] = value

    def flush(self, trial_id: int) -> None:
        """Write down what was noted of a running trial: other processes see it."""
        trial = self._running(trial_id)
        written = copy.deepcopy(self._own.get(trial_id, _Written()))
        with self._begin() as connection:
            self._write(connection, trial, written)
        self._own[trial_id] = written

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        trial = copy.copy(self._running(trial_id))
        before = trial.state.name
        if state == TrialState.RUNNING and before != "WAITING":
            return False
        now = dt.datetime.now()
        trial.state = state
        if values is not None:
            trial.values = [float(value) for value in values]
        if state == TrialState.RUNNING:
            trial.datetime_start = now
        if state.is_finished():
            trial.datetime_complete = now
        written = copy.deepcopy(self._own.get(trial_id) or _Written.of(trial))
        table = self._tables["trials"]
        columns = {
            "state": state.name,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        with self._begin() as connection:
            changed = connection.execute(
                table.update().where(table.c.trial_id == trial_id, table.c.state == before).values(**columns)
            )
            gone = not changed.rowcount
            if not gone:
                self._write(connection, trial, written)
                rows = [
                    {"trial_id": trial_id, "objective": place, **_stored("value", value)}
                    for place, value in enumerate(values or ())
                ]
                self._insert(connection, "trial_values", rows)
        study_id, _ = self._place[trial_id]
        if gone:
            self._own.pop(trial_id, None)
            self.refresh(study_id)
            if state.is_finished() and self._find(trial_id).state.is_finished():
                raise UpdateFinishedTrialError(f"trial {trial.number} was ended by another process")
            return False
        self._keep(study_id, trial)
        if state.is_finished():
            self._own.pop(trial_id, None)
        else:
            self._own[trial_id] = written
        return True

    # --- inside ---

    def _find(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._place:
            raise KeyError(f"No trial with trial_id {trial_id} exists.")
        study_id, number = self._place[trial_id]
        return self._trials[study_id][number]

    def _keep(self, study_id: int, trial: FrozenTrial) -> None:
        self._trials.setdefault(study_id, {})[trial.number] = trial
        self._place[trial._trial_id] = study_id, trial.number

    def _running(self, trial_id: int) -> FrozenTrial:
        trial = self._find(trial_id)
        if trial.state.is_finished():
            raise UpdateFinishedTrialError(f"trial {trial.number} has ended and can't be changed")
        return trial

    def _changing(self, trial_id: int) -> FrozenTrial:
        """A running trial to note something of. Who was handed it before keeps what he has: pruners compare the two."""
        trial = _copied(self._running(trial_id))
        self._keep(self._place[trial_id][0], trial)
        return trial

    @contextmanager
    def _begin(self) -> Iterator["Connection"]:
        from sqlalchemy.exc import IntegrityError

        try:
            with self.rdb.engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise StorageInternalError("two processes wrote the same trial") from error

    def _write(self, connection: "Connection", trial: FrozenTrial, written: "_Written") -> None:
        key = {"trial_id": trial._trial_id}
        new = [name for name in trial.params if name not in written.params]
        self._insert(
            connection,
            "trial_params",
            [
                {
                    **key,
                    "param_name": name,
                    "param_value": trial.distributions[name].to_internal_repr(trial.params[name]),
                    "distribution_json": distribution_to_json(trial.distributions[name]),
                }
                for name in new
            ],
        )
        written.params.update(new)
        steps = [step for step in trial.intermediate_values if step not in written.steps]
        self._insert(
            connection,
            "trial_intermediate_values",
            [{**key, "step": step, **_stored("intermediate_value", trial.intermediate_values[step])} for step in steps],
        )
        written.steps.update(steps)
        for name, attributes, known in (
            ("trial_user_attributes", trial.user_attrs, written.user),
            ("trial_system_attributes", trial._system_attrs, written.system),
        ):
            now = {label: json.dumps(value) for label, value in attributes.items()}
            changed = {label: value for label, value in now.items() if known.get(label) != value}
            table = self._tables[name]
            if again := changed.keys() & known.keys():
                connection.execute(table.delete().where(table.c.trial_id == trial._trial_id, table.c.key.in_(again)))
            self._insert(
                connection, name, [{**key, "key": label, "value_json": value} for label, value in changed.items()]
            )
            known.update(now)

    def _insert(self, connection: "Connection", name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            connection.execute(self._tables[name].insert(), rows)


@dataclass
class _Written:
    """State of a running trial in the database."""

    params: set[str] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)
    user: dict[str, str] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: FrozenTrial) -> "_Written":
        return cls(
            set(trial.params),
            set(trial.intermediate_values),
            {key: json.dumps(value) for key, value in trial.user_attrs.items()},
            {key: json.dumps(value) for key, value in trial._system_attrs.items()},
        )


def _copied(trial: FrozenTrial) -> FrozenTrial:
    other = copy.copy(trial)
    for name in ("_params", "_distributions", "_user_attrs", "_system_attrs", "intermediate_values"):
        setattr(other, name, dict(getattr(trial, name)))
    return other


def _stored(name: str, value: float) -> dict[str, Any]:
    """A number in two columns, for a database has no infinity."""
    if math.isfinite(value):
        return {name: value, f"{name}_type": "FINITE"}
    return {name: None, f"{name}_type": "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"}
