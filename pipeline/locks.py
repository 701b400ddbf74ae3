"""Locks that the operating system frees when their holder ends, however it ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["locked", "take_lock"]


def take_lock(path: Path, text: str = "") -> IO[str] | None:
    """Take a lock and keep it until the file that is handed back is closed; None where another process has it.

    Parameters
    ----------
    path
        The lock's file, made where it is absent. It stays: without its lock it means nothing.
    text
        Content of the file, for others that come for the lock.
    """
    # Not truncated before it is ours. Programs that are started meanwhile don't inherit it.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(text)
    file.flush()
    return file


@contextmanager
def locked(path: Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep other processes out meanwhile; waits for one that is in, after saying so by ``wait``.

    Parameters
    ----------
    path
        A folder, or a file that is made where it is absent.
    wait
        Called once where another process holds the lock.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait is not None:
                wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
