"""The files that a file, a folder or a glob stands for."""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.limits import MAX_FILES, MAX_FOLDER_ENTRIES

__all__ = ["expanded_path", "files_of"]

_PACKED = (".gz", ".zst")


def expanded_path(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` written out."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises for an unknown user)


def files_of(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files that a path stands for, in the order of their names; of a folder, those with a suffix of bars.

    Raises
    ------
    DataError
        Where there is none, or more than :data:`MAX_FILES`.
    """
    if "\0" in str(path):
        raise DataError(f"{path} can't be a file's name: it has a zero byte")
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            files = sorted(each for each in _entries(path) if _has_suffix(each, suffixes) and each.is_file())
            if not files:
                raise DataError(f"folder {path} holds no file with one of the suffixes {', '.join(suffixes)}")
            return _few(files, path)
        if any(mark in str(path) for mark in "*?["):
            files = sorted(each for each in _matches(path) if each.is_file())
            if not files:
                raise DataError(f"no file matches {path}; check the folder and the pattern")
            return _few(files, path)
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if exists:
        raise DataError(f"{path} is not an ordinary file; give a file, a folder or a glob such as data/*.csv")
    raise DataError(f"{path} does not exist; give a file, a folder or a glob such as data/*.csv")


def _few(files: list[Path], path: Path) -> list[Path]:
    if len(files) > MAX_FILES:
        raise DataError(f"{path} stands for {len(files):,} files, over {MAX_FILES:,}; give a smaller folder or pattern")
    return files


def _has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return not name.startswith(".") and name.endswith(tuple(suffixes))


def _entries(folder: Path) -> Iterator[Path]:
    for number, each in enumerate(folder.iterdir()):
        if number > MAX_FOLDER_ENTRIES:
            raise DataError(f"folder {folder} holds more than {MAX_FOLDER_ENTRIES:,} entries; give a smaller one")
        yield each


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield what a glob matches, as :func:`glob.glob` does, but scan a limited number of entries."""
    parts = pattern.parts
    fixed = next(place for place, part in enumerate(parts) if any(mark in part for mark in "*?["))
    base = Path(*parts[:fixed]) if fixed else Path()
    seen = 0

    def look(folder: Path, rest: tuple[str, ...], walked: frozenset[tuple[int, int]]) -> Iterator[Path]:
        nonlocal seen
        if not rest:
            yield folder
            return
        if not any(mark in rest[0] for mark in "*?["):
            if (folder / rest[0]).exists():
                yield from look(folder / rest[0], rest[1:], frozenset())
            return
        deep = rest[0] == "**"
        try:
            status = folder.stat()
            entries = list(os.scandir(folder))
        except OSError:  # no folder, or one that may not be read
            return
        if deep:
            if (status.st_dev, status.st_ino) in walked:  # a link that leads back up
                return
            walked |= {(status.st_dev, status.st_ino)}
            yield from look(folder, rest[1:], frozenset())
        seen += len(entries)
        if seen > MAX_FOLDER_ENTRIES:
            raise DataError(f"{pattern}: more than {MAX_FOLDER_ENTRIES:,} entries to scan; name a deeper folder")
        for entry in entries:
            if entry.name.startswith(".") and not rest[0].startswith("."):
                continue
            if not deep:
                if fnmatch.fnmatchcase(entry.name, rest[0]):
                    yield from look(folder / entry.name, rest[1:], frozenset())
            elif entry.is_dir():
                yield from look(folder / entry.name, rest, walked)

    yield from dict.fromkeys(look(base, parts[fixed:], frozenset()))
