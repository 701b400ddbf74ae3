"""Cleanup of what killed processes leave half-written: named by its owner, removed once that is provably gone."""

import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.process_start import process_start

__all__ = ["drop_dead_files", "temporary_folder", "temporary_name"]

NOT_OURS = frozenset({"artifacts", "history", "code"})  # many files, of MLflow, Dagster and of copied packages
# SQLite's own files lie beside a database under its name.
_NAME = re.compile(r"\..+\.(?P<pid>\d+)-(?P<place>\w{8})-(?P<start>\w{8})\.\w{8}(-wal|-shm|-journal)?")


def temporary_name(name: str) -> str:
    """A hidden name beside ``name``, unlike any other, that says which process writes the file or folder."""
    number = os.getpid()
    return f".{name}.{number}-{_place()}-{_digest(str(process_start(number)))}.{uuid.uuid4().hex[:8]}"


@contextmanager
def temporary_folder(root: Path, name: str) -> Iterator[Path]:
    """A folder in ``root`` for as long as it is needed; where this process is killed, the next one removes it."""
    drop_dead_files(root)
    folder = root / temporary_name(name)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def drop_dead_files(root: Path) -> list[Path]:
    """Remove from a folder, and those in it, the half-written files and folders whose process is gone.

    Those of another machine or container stay: here nobody can tell whether their process is alive.

    Returns
    -------
    list
        What was removed.
    """
    found = []
    for folder, within, names in os.walk(root):
        dead = [name for name in within if _is_dead(name)]
        within[:] = [name for name in within if name not in NOT_OURS and name not in dead]
        for path in (Path(folder) / name for name in dead):
            shutil.rmtree(path, ignore_errors=True)
            found.append(path)
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
    """Return the scope in which a process id is unique: the machine, and the container on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return _digest(" ".join(parts))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
