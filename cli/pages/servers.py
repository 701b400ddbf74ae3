"""The pages' servers as a whole: one set a home, started and ended together, also after a kill."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import psutil

from cli.pages.server import STOP_SECONDS
from pipeline.errors import ConfigurationError
from pipeline.home import PROJECT, Home
from pipeline.locks import take_lock

__all__ = ["end_leftovers", "only_one", "start_server", "stop_servers"]

HOME_VARIABLE = "VPOC_SERVED_HOME"
"""In the environment of each server, and of all that it starts: whose it is."""


@contextmanager
def only_one(home: Home, addresses: str) -> Iterator[None]:
    """Hold the home's lock; what another holder left when it was killed is ended first.

    Parameters
    ----------
    addresses
        Where the pages will be, for whoever comes second.

    Raises
    ------
    ConfigurationError
        If the pages of this home are served already: says where.
    """
    path = home.root / "ui.lock"
    lock = take_lock(path, addresses)
    if lock is None:
        raise ConfigurationError(f"'vpoc ui' runs already for {home.root}: {path.read_text() or 'it has just started'}")
    with lock:
        yield


def end_leftovers(home: Home) -> int:
    """End the servers that a killed 'vpoc ui' of this home left, and what they have started; tell how many they were.

    To be called with the home's lock: then nobody alive has a claim on them. They are known by their own environment,
    not by a number on a file that could be another process's by now.
    """
    own = {os.getpid(), *(each.pid for each in psutil.Process().parents())}
    found = [each for each in psutil.process_iter() if each.pid not in own and _served_home(each) == str(home.root)]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=STOP_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=STOP_SECONDS)
    return len(found)


def start_server(home: Home, name: str, port: int, output: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start a server (:mod:`cli.pages.server`) in a session of its own.

    Ctrl-C reaches this program alone, which then stops the servers in order; where this program is killed, its end of
    their standard input closes.
    """
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", "cli.pages.server", name, str(port)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        # By its full path: the servers stand in another folder.
        env={**os.environ, "VPOC_HOME": str(home.root), HOME_VARIABLE: str(home.root)},
        cwd=PROJECT,
        start_new_session=True,
    )


def stop_servers(servers: "list[subprocess.Popen[bytes]]") -> None:
    """End servers, gently at first."""
    for server in servers:
        _signal(server, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for server in servers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=max(0.1, deadline - time.monotonic()))
        # Its children too: a code server or worker that outlived it.
        _signal(server, signal.SIGKILL)


def _served_home(process: psutil.Process) -> str | None:
    # Of another user's process, or one that has just ended, nothing is known.
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(HOME_VARIABLE)
    return None


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, number)
