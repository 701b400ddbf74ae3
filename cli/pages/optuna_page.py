"""Optuna's page on the studies' database, on this machine only, until Ctrl-C."""

import io
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cli.pages.guard import GuardedWSGI
from pipeline.errors import ConfigurationError, DataError
from pipeline.interruption import handled
from pipeline.tuning.storage import open_storage, words_of

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

__all__ = ["serve_dashboard"]

LOOPBACK = "127.0.0.1"
PORT = 8080

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
        As :func:`~pipeline.tuning.storage.tuning_url` gives it.
    port
        Of the page; 0 for one that is free.
    host
        Where it can be reached: by default from this machine only, for the page asks nobody who he is, and can delete
        studies (the ledger keeps their looks).
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
    storage = _studies(url)
    from optuna_dashboard import wsgi

    try:
        server = make_server(host, port, GuardedWSGI(wsgi(storage), (host,)), _Server, _Handler)
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
    finally:
        storage.engine.dispose()


def _studies(url: str) -> "RDBStorage":
    from sqlalchemy import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).exists():
        storage = open_storage(url).rdb
        if storage.get_all_studies():
            return storage
        storage.engine.dispose()
    raise DataError(
        f"the studies' database {parsed.render_as_string(hide_password=True)} has no study yet: make one with "
        "'vpoc tune lightgbm' or 'vpoc tune strategy'"
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
