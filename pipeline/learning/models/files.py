"""A model's own files: written whole, and known again by their digest when they are read."""

import hashlib
from pathlib import Path

__all__ = ["read_sealed", "write_sealed"]


def write_sealed(path: Path, text: str) -> str:
    """Write a text as UTF-8, and hand back its SHA-256, which goes into the manifest."""
    raw = text.encode("utf-8")
    path.write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def read_sealed(path: Path, digest: str) -> str:
    """The text that :func:`write_sealed` wrote.

    Some readers take a truncated file for a smaller model, or end the process; so nothing is parsed that isn't what was
    written.

    Raises
    ------
    ValueError
        If the file is not what was written.
    """
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ValueError(f"{path.name} is not the file that was saved: its SHA-256 differs from the manifest's")
    return raw.decode("utf-8")
