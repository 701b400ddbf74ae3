"""Half-written files of processes that were killed: named by their owner, and removed once that is provably gone."""

import hashlib
import os
import re
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from pipeline.process_start import process_start

__all__ = ["drop_dead_files", "temporary_name"]

NOT_OURS = frozenset({"artifacts", "history", "code"})  # many files, of MLflow, Dagster and of copied packages
# SQLite's own files lie beside a database under its name.
_NAME = re.compile(r"\..+\.(?P<pid>\d+)-(?P<place>\w{8})-(?P<start>\w{8})\.\w{8}(-wal|-shm|-journal)?")


def temporary_name(name: str) -> str:
    """A hidden name beside ``name``, unlike any other, that says which process writes the file."""
    number = os.getpid()
    return f".{name}.{number}-{_place()}-{_digest(str(process_start(number)))}.{uuid.uuid4().hex[:8]}"


def drop_dead_files(root: Path) -> list[Path]:
    """Remove from a folder, and those in it, the half-written files whose process is gone.

    Files of another machine or container stay: here nobody can tell whether their process is alive.

    Returns
    -------
    list
        What was removed.
    """
    found = []
    for folder, within, names in os.walk(root):
        within[:] = [name for name in within if name not in NOT_OURS]
        for path in (Path(folder) / name for name in names if _is_dead(name)):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                found.append(path)
    return sorted(found)


def _is_dead(name: str) -> bool:
    owner = _NAME.fullmatch(name)
    if owner is None or owner["place"] != _place():
        return False
    try:
        start = process_start(int(owner["pid"]))
    except PermissionError:
        return False
    return start is None or _digest(start) != owner["start"]


def _place() -> str:
    """Where a process's number means something: the machine, and the container on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return _digest(" ".join(parts))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
