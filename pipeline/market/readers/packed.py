"""Bytes of a file that may be packed: gzip, of one member or many, and Zstandard."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from pipeline.errors import DataError
from pipeline.market.readers.limits import EXPANSION_FROM, MAX_EXPANSION

__all__ = ["Unpacked", "unpacked"]

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Unpacked:
    """A file's bytes, unpacked, from the first to the last.

    Attributes
    ----------
    size
        Bytes of the file as it lies there.
    """

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self._path, self._raw = path, raw
        self.size = path.stat().st_size
        magic = raw.read(4)
        raw.seek(0)
        self._packing = "gzip" if magic[:2] == _GZIP else "zstd" if magic == _ZSTD else None
        self._file: IO[bytes]
        if self._packing == "gzip":
            self._file = cast(IO[bytes], gzip.GzipFile(fileobj=raw))
        elif self._packing == "zstd":
            self._file = cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))
        else:
            self._file = raw
        self._got = 0

    @property
    def share(self) -> float:
        """Share of the file's bytes that have been read."""
        return self._raw.tell() / max(self.size, 1)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, fewer only at the end.

        Raises
        ------
        DataError
            For packed data that ends early, is damaged, is followed by something else, or grows beyond measure.
        """
        try:
            data = self._file.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if self._packing == "zstd":  # Arrow's own error
                raise self._damaged(error) from error
            raise DataError(f"{self._path} can't be read: {error.strerror or error}") from error
        self._got += len(data)
        if self._packing and self._got > EXPANSION_FROM and self._got > MAX_EXPANSION * self.size:
            raise DataError(
                f"{self._path} expands to more than {MAX_EXPANSION} times its size, which no file of prices does; "
                "decompress it yourself if you trust it"
            )
        return data

    def _damaged(self, error: Exception) -> DataError:
        reason = str(error).split("\n")[0].strip().rstrip(".")
        if isinstance(error, EOFError):
            reason = "it ends early"
        elif "Not a gzipped file" in reason:
            reason = "something else follows the packed data"
        return DataError(f"{self._path} is incomplete or damaged {self._packing} data ({reason}); download it again")


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file for reading its unpacked bytes; raises :class:`DataError` where it can't be opened."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    with raw:
        try:
            file = Unpacked(path, raw)
        except OSError as error:  # a folder, say
            raise DataError(f"{path} can't be read: {error.strerror}") from error
        yield file
