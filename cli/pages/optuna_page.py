"""Optuna's page on the studies' database, on this machine only, until Ctrl-C."""

import io
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import warnings
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import sqlalchemy as sa
from optuna.storages import InMemoryStorage

from cli.pages.guard import WSGI, GuardedWSGI
from pipeline.errors import ConfigurationError, DataError
from pipeline.interruption import handled
from pipeline.tuning.database import TrialDatabase, shown, words_of
from pipeline.tuning.objectives import directions
from pipeline.tuning.search import distributions, frozen_trial
from pipeline.tuning.stored_trials import stored_studies, stored_trials
from pipeline.tuning.trial_store import open_trials

__all__ = ["serve_dashboard"]

LOOPBACK = "127.0.0.1"
PORT = 8080
PATIENCE = 5.0
REFRESH_SECONDS = 2.0

_log = logging.getLogger(__name__)


def serve_dashboard(
    url: str,
    *,
    port: int = PORT,
    host: str = LOOPBACK,
    open_browser: bool = True,
    say: Callable[[str], None] | None = None,
) -> None:
    """Show the studies of a database on Optuna's page, those that run too; comes back after Ctrl-C.

    Parameters
    ----------
    url
        As :func:`~pipeline.tuning.database.tuning_url` gives it.
    port
        Of the page; 0 for one that is free.
    host
        Where it can be reached: by default from this machine only, for the page asks nobody who he is.
    open_browser
        Whether to open the page, where there is a screen.
    say
        Told the page's address, and how to stop it.

    Raises
    ------
    ConfigurationError
        If the port is taken, or the database can't be used.
    DataError
        If it has no study yet; looking makes no database.
    """
    studies = _studies(url)
    from optuna_dashboard import wsgi

    try:
        page = GuardedWSGI(studies.in_front_of(wsgi(studies.storage)), (host,))
        server = make_server(host, port, page, _Server, _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"port {port} of {host} for the studies' page can't be had ({error.strerror}): name another one with --port"
        ) from error
    address = f"http://{host}:{server.server_port}/dashboard"
    try:
        # In the background, where Ctrl-C is ignored, it stops as well, and in the same way where it is terminated.
        with server, handled(signal.default_int_handler), _errors_in_one_line():
            if say is not None:
                say(f"Studies    {address}")
                say("Ctrl-C stops it.")
            if open_browser and _screen():
                # A browser that takes its time must not hold up the page that it asks for.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        if say is not None:
            say("stopped")


class _Shown:
    """The ledger's studies as Optuna's page reads them: copies in memory, brought up to date as it asks.

    What is changed or deleted on the page is changed in the copies.
    """

    def __init__(self, database: TrialDatabase) -> None:
        self._database, self.storage = database, InMemoryStorage()
        self._known: dict[str, tuple[optuna.Study, set[int]]] = {}
        self._lock, self._looked = threading.Lock(), -math.inf
        self.refresh()

    def in_front_of(self, page: WSGI) -> WSGI:
        """The page, which sees what is new."""

        def asked(environment: dict[str, Any], start: Callable[..., Any]) -> Any:
            self.refresh()
            return page(environment, start)

        return asked

    def refresh(self) -> None:
        """Take in studies and trials that are new, at most once in two seconds."""
        with self._lock:
            if time.monotonic() - self._looked < REFRESH_SECONDS:
                return
            for study in stored_studies(self._database):
                if study.name not in self._known:
                    self._known[study.name] = self._made(study.name, study.objectives), set()
                made, known = self._known[study.name]
                described = distributions(study.space)
                first = next(place for place in range(len(known) + 1) if place not in known)
                fresh = [each for each in stored_trials(self._database, study, first) if each.position not in known]
                made.add_trials(frozen_trial(trial, study.space, described) for trial in fresh)
                known.update(trial.position for trial in fresh)
            self._looked = time.monotonic()

    def _made(self, name: str, objectives: Sequence[str]) -> optuna.Study:
        logging.getLogger("optuna").setLevel(logging.WARNING)
        made = optuna.create_study(study_name=name, storage=self.storage, directions=list(directions(objectives)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental since 3.2
            made.set_metric_names(list(objectives))
        return made


def _studies(url: str) -> _Shown:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).exists():
        open_trials(url)
        found = _Shown(TrialDatabase(url, PATIENCE))
        if found.storage.get_all_studies():
            return found
    raise DataError(
        f"the studies' database {shown(url)} has no study yet: make one with 'vpoc tune lightgbm' or "
        "'vpoc tune strategy'"
    )


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request, for the page asks for several things at once; none of them holds up the end."""

    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Bind, but without asking a name server for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up in mid-answer is no news."""
        _log.debug("a request from %s was broken off", client_address, exc_info=True)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing for each request."""

    def get_stderr(self) -> "_Errors":
        """Return the stream that takes the page's tracebacks."""
        return _Errors()


class _Errors(io.TextIOBase):
    """Takes the tracebacks of requests that failed, and says in one line why they did."""

    def write(self, text: str) -> int:
        _tell_of(text)
        return len(text)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Log the library's tracebacks, such as of an unreachable database, in one line."""

    class _Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _tell_of(record.getMessage())

    library, handler = logging.getLogger("optuna_dashboard"), _Told()
    library.addHandler(handler)
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.propagate = True


def _tell_of(text: str) -> None:
    """Return the database's own words on the current error; else the end of the text."""
    error = sys.exc_info()[1]
    if error is not None:
        _log.warning("the studies' page can't answer: %s", words_of(error))
    elif lines := text.strip().splitlines():
        _log.warning("the studies' page: %s", lines[-1])


def _screen() -> bool:
    """Return True if there is a screen: without one, the standard library opens a browser inside this terminal."""
    return sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
