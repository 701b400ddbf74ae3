"""Who runs a trial, and whether that process still exists."""

import os
import socket
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.process_start import process_start

__all__ = ["is_alive", "owner_id"]


def owner_id() -> dict[str, Any]:
    """Return what tells this process from all others, on any machine."""
    return {"host": _host(), "pid": os.getpid(), "born": process_start(os.getpid())}


def is_alive(owner: dict[str, Any], active: bool, last_sign: float, grace: float) -> bool:
    """Return True if the process that runs a trial exists.

    Parameters
    ----------
    owner
        From :func:`owner_id`.
    active
        Whether it is at work, if it is this process.
    last_sign
        Its last sign of life, seconds since 1970: another machine's process is judged by these.
    grace
        For how many seconds one is enough.
    """
    if owner["host"] != _host():
        return time.time() - last_sign < grace
    if owner["pid"] == os.getpid():
        return active
    try:
        return process_start(owner["pid"]) == owner["born"]
    except PermissionError:  # another user's, who has taken the number over
        return False


@lru_cache(maxsize=1)
def _host() -> str:
    """The machine since it was started, and the container of it: where a process id means something."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)
