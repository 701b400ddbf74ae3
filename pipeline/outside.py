"""Faults of the world outside: full disks, files that can't be used, damaged databases, in one sentence each."""

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pipeline.home import Home

__all__ = ["DAMAGED_WORDS", "STUDIES_REMEDY", "damaged_databases", "sentence_of_fault", "sentence_of_words"]

FULL = (errno.ENOSPC, errno.EDQUOT)
# SQLite's own words, which SQLAlchemy and Dagster hand on as text.
FULL_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded")
DAMAGED_WORDS = ("file is not a database", "database disk image is malformed", "malformed database schema")
LEAST_ROOM = 1 << 20  # bytes
STUDIES_REMEDY = (
    "put a copy of it back, or move it away; its studies, and its count of trials, then start again from nothing"
)
READ_ONLY_WORDS = ("attempt to write a readonly database", "Read-only file system")


def sentence_of_fault(error: BaseException, home: Home) -> str | None:
    """Say what is wrong outside, and what to do about it.

    Parameters
    ----------
    error
        The exception; its causes are examined too.
    home
        Where the program writes.

    Returns
    -------
    str
        One sentence; None where the cause is none of this kind, and the error one of the program's own.
    """
    for each in _causes(error):
        if isinstance(each, OSError) and each.errno is not None:
            return _of_system(each, home)
        if isinstance(each, sqlite3.Error):
            return sentence_of_words(str(each), home) or f"a database in {home.root} can't be used: {each}"
        if type(each).__module__.partition(".")[0] == "psycopg2":
            words = " ".join(str(each).split())  # the server's own, without the address
            return f"the PostgreSQL server answers: {words}; start it again, then run the same command"
        if isinstance(each, MemoryError):
            return "there is not enough memory: close other programs, or give less data at a time"
    return None


def sentence_of_words(words: str, home: Home) -> str | None:
    """Do as :func:`sentence_of_fault` from an error's text alone; None where the cause is not outside."""
    if any(phrase in words for phrase in FULL_WORDS):
        return _full(_without_room(home), home)
    # SQLite has many words for a disk without room.
    if "disk I/O error" in words and shutil.disk_usage(home.root).free < LEAST_ROOM:
        return _full(str(home.root), home)
    if any(phrase in words for phrase in DAMAGED_WORDS):
        return _damaged(home, words)
    if any(phrase in words for phrase in READ_ONLY_WORDS):
        return f"{home.root} can't be written: make it writable, or set VPOC_HOME to another folder"
    return None


def damaged_databases(home: Home) -> list[Path]:
    """SQLite files of a home that SQLite itself calls damaged."""
    found = (path for folder in (home.dagster, home.mlflow, home.root / "tuning") for path in folder.rglob("*.db"))
    return sorted(path for path in found if path.is_file() and _is_damaged(path))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _of_system(error: OSError, home: Home) -> str:
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return _full(place or _without_room(home), home)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{place or home.root} can't be used ({reason}): change its permissions, or set VPOC_HOME to another folder"
        )
    return f"{place}: {reason}" if place else reason


def _without_room(home: Home) -> str:
    """The folder that was written to, where an error does not name it: the home, or that of temporary files."""
    temporary = Path(tempfile.gettempdir())
    there = (folder for folder in (home.root, temporary) if folder.is_dir())
    full = (folder for folder in there if shutil.disk_usage(folder).free < LEAST_ROOM)
    return str(next(full, home.root))


def _full(place: str, home: Home) -> str:
    path = Path(place)
    is_temporary = path.is_relative_to(tempfile.gettempdir()) and not path.is_relative_to(home.root)
    variable = "TMPDIR" if is_temporary else "VPOC_HOME"
    return (
        f"there is no room left on the disk of {place}: make room there, or name a folder on another disk in "
        f"{variable}, and run the same command again; what was finished is kept"
    )


def _damaged(home: Home, words: str) -> str:
    found = damaged_databases(home)
    if not found:
        return f"a database is damaged ({words})"
    path = found[0]
    if path.is_relative_to(home.dagster):
        return (
            f"Dagster's database {path} is damaged: move it away and run the same command again; it holds the history "
            "of runs, and nothing else is lost"
        )
    if path.is_relative_to(home.mlflow):
        return (
            f"MLflow's database {path} is damaged: put a copy of it back, or move it away; its runs and registered "
            "models are lost then, and later trainings are registered again"
        )
    return f"the studies' database {path} is damaged: {STUDIES_REMEDY}"


def _is_damaged(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError:  # in use, or not to be read
        return False
    except sqlite3.DatabaseError:
        return True
