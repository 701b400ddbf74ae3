"""MLflow's tracking store: opened only where it answers, and asked so that nothing waits for minutes."""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.addresses import shown_address
from pipeline.environment import make_tracking_store, tracking_uri
from pipeline.errors import DataError
from pipeline.home import Home
from pipeline.outside import sentence_of_fault
from resources.mlflow_limits import pages, sentence
from resources.mlflow_probe import why_unreachable
from resources.mlflow_views import BACKTESTS, STUDIES, TRAININGS, runs_page, save_views

__all__ = ["FAILURE_TAG", "Store", "StoreUnreachableError", "mlflow_errors", "open_store", "sentence"]

FAILURE_TAG = "vpoc.failure"
"""What ended a run."""

EXPERIMENT_PREFIX = "vpoc-"
STUDIES_SUFFIX = "-studies"
# By itself MLflow tries for four minutes before it says that a server is gone, prints addresses between our lines, and
# takes a uv project in the current folder for the model's.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
# That a server went away is told once, by whoever needed it: not by each request, nor by the monitor of the machine.
LEVELS = {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    "mlflow.system_metrics": logging.CRITICAL,
    "urllib3.connectionpool": logging.ERROR,
}


class StoreUnreachableError(DataError):
    """The tracking store does not answer."""


@dataclass(frozen=True)
class Store:
    """A tracking store that answered.

    Attributes
    ----------
    client
        MLflow's client.
    uri
        Where it is.
    home
        Whose artifacts lie with it, where it is a database and no server.
    """

    client: Any
    uri: str
    home: Home

    @property
    def is_server(self) -> bool:
        """Return True if an MLflow server stands before the database."""
        return self.uri.startswith(("http://", "https://"))

    def experiment(self, symbol: str, *, studies: bool = False) -> str:
        """Identifier of a symbol's experiment, made where there is none.

        Studies have one of their own: their trials, a run each, would hide the trainings.
        """
        from mlflow.exceptions import MlflowException

        name = f"{EXPERIMENT_PREFIX}{symbol}{STUDIES_SUFFIX if studies else ''}"
        found = self.client.get_experiment_by_name(name)
        if found is None:
            # A server knows where its artifacts lie.
            place = None if self.is_server else (self.home.mlflow / "artifacts" / name).as_uri()
            try:
                self.client.create_experiment(name, artifact_location=place)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                    raise
            found = self.client.get_experiment_by_name(name)
        save_views(self.client, found, (STUDIES,) if studies else (TRAININGS, BACKTESTS))
        return str(found.experiment_id)

    def newest_runs(self) -> str:
        """Return the part of an address, after the server's, that shows the runs of the newest symbol in MLflow's page.

        Those of its trainings; of its backtests where it has no training; the list of experiments before any run.
        """
        symbols = {
            str(one.experiment_id): one
            for one in pages(self.client.search_experiments, filter_string=f"name LIKE '{EXPERIMENT_PREFIX}%'")
            if not one.name.endswith(STUDIES_SUFFIX)
        }
        newest = {"order_by": ["attributes.start_time DESC"], "max_results": 1}
        found = self.client.search_runs(list(symbols), **newest) if symbols else []
        if not found:
            return runs_page()
        experiment_id = str(found[0].info.experiment_id)
        save_views(self.client, symbols[experiment_id], (TRAININGS, BACKTESTS))
        trainings = self.client.search_runs([experiment_id], f"tags.`vpoc.kind` = '{TRAININGS.kind}'", **newest)
        return runs_page(experiment_id, TRAININGS if trainings else BACKTESTS)

    def find_runs(self, experiment_id: str, tags: Mapping[str, str]) -> list[Any]:
        """Runs that bear all these tags, the latest first."""
        named = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        return list(
            self.client.search_runs(
                [experiment_id], filter_string=named, order_by=["attributes.start_time DESC"], max_results=50
            )
        )

    def reopen(self, run: Any, tags: Mapping[str, str]) -> str:
        """Make a run that was found ``RUNNING`` again, with these tags; hand back its identifier."""
        from mlflow.entities import RunTag

        run_id = str(run.info.run_id)
        self.client.update_run(run_id, status="RUNNING")
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        if FAILURE_TAG in run.data.tags:
            self.client.delete_tag(run_id, FAILURE_TAG)
        return run_id

    def end_failed(self, run_id: str, error: BaseException) -> None:
        """End a run ``FAILED`` and say why, if the store is there to hear of it."""
        # The error is on its way to Dagster; that MLflow can't hear of it now must not take its place.
        with suppress(*mlflow_errors()):
            text = f"{type(error).__name__}: {sentence(error)}"
            if not isinstance(error, Exception):
                text = "stopped from outside"  # Ctrl-C, or the stop button of Dagster's page
            self.client.set_tag(run_id, FAILURE_TAG, text)
            self.client.set_terminated(run_id, status="FAILED")

    def require_answer(self) -> None:
        """Ask whether it still answers: a request to one that hangs would wait for a minute.

        Raises
        ------
        StoreUnreachableError
            If it does not, within some seconds.
        """
        _require_answer(self.uri)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Make it MLflow's default store meanwhile: its database stores look some things up there."""
        before = os.environ.get("MLFLOW_TRACKING_URI")
        os.environ["MLFLOW_TRACKING_URI"] = self.uri
        try:
            yield
        finally:
            if before is None:
                del os.environ["MLFLOW_TRACKING_URI"]
            else:
                os.environ["MLFLOW_TRACKING_URI"] = before


def open_store(home: Home) -> Store:
    """Open the tracking store: ``MLFLOW_TRACKING_URI``, or SQLite in the home.

    Raises
    ------
    StoreUnreachableError
        If it does not answer within some seconds: says where it should be.
    """
    _require_answer(tracking_uri(home))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        uri = make_tracking_store(home)
        if uri == f"sqlite:///{home.mlflow / 'mlflow.db'}":
            _write_ahead(home.mlflow / "mlflow.db")
        from mlflow.tracking import MlflowClient

        for name, level in LEVELS.items():
            logging.getLogger(name).setLevel(level)  # after the import, which sets levels
        return Store(MlflowClient(tracking_uri=uri), uri, home)
    except mlflow_errors() as error:
        reason = sentence_of_fault(error, home) or sentence(error)
        raise StoreUnreachableError(
            f"MLflow at {shown_address(tracking_uri(home))} can't be opened ({reason})"
        ) from error


def mlflow_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where a store is unreachable, full, broken or of another version."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (StoreUnreachableError, MlflowException, SQLAlchemyError, OSError)


def _require_answer(uri: str) -> None:
    reason = why_unreachable(uri)
    if reason is not None:
        raise StoreUnreachableError(f"MLflow at {shown_address(uri)} does not answer ({reason})")


def _write_ahead(database: Path) -> None:
    """Let SQLite keep a write-ahead log: a write waits for the disk once, not three times, and no reader waits for it.

    The database remembers it. Every call of MLflow's is a transaction or two, and on most disks waits for nothing else.
    """
    # A file system that can't, a database in use or a broken one: MLflow has its own words for them, or none.
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=1)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
