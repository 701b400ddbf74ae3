"""Locks that the operating system frees when their holder dies, however it dies."""

import fcntl
import os
from pathlib import Path
from typing import IO

__all__ = ["take_lock"]


def take_lock(path: Path, said: str = "") -> IO[str] | None:
    """Take a lock and keep it until the file that is handed back is closed; None where another process has it.

    Parameters
    ----------
    path
        The lock's file, made where it is absent. It stays: without its lock it means nothing.
    said
        What others that come for the lock can read in it.
    """
    # Not truncated before it is ours. Programs that are started meanwhile don't inherit it.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(said)
    file.flush()
    return file
