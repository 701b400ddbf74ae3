"""Checkpoints: written whole, checked when read, and good only for the very training that wrote them."""

import hashlib
import io
import json
import logging
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.learning.models import dropout, networks, sequence_network
from pipeline.learning.training.job import Job, Rows

__all__ = ["fingerprint", "pack", "read", "sources", "unpack", "write"]

_log = logging.getLogger(__name__)

# How often is no matter of what is learned.
_NO_MATTER = {"checkpoint_every"}


def fingerprint(job: Job, **where: Any) -> str:
    """A hash of all that decides the weights: rows, network, settings, seed, code, torch, and ``where`` it runs."""
    identity = {
        "network": job.network.to_json(),
        "settings": job.settings.model_dump(mode="json", exclude=_NO_MATTER),
        "seed": job.seed,
        "epochs": job.epochs,
        "code": _code(),
        "torch": torch.__version__,
        "where": where,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode())
    for rows in (job.train, job.validation):
        digest.update(b"rows" if rows is not None else b"none")
        for array in () if rows is None else _arrays(rows):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def pack(state: Mapping[str, Any]) -> bytes:
    """A state's bytes, a hash of them in front: tensors and plain values, readable without pickle's dangers."""
    held = io.BytesIO()
    torch.save(dict(state), held)
    content = held.getvalue()
    return hashlib.sha256(content).digest() + content


def unpack(packed: bytes) -> dict[str, Any]:
    """Return what :func:`pack` was given.

    Raises
    ------
    ValueError
        For bytes that are not as they were written.
    """
    seal, content = packed[:32], packed[32:]
    if hashlib.sha256(content).digest() != seal:
        raise ValueError("its hash is another")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    return state


def write(path: Path, packed: bytes) -> None:
    """Put a packed state in its place in one go: whoever looks finds the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    # Not forced onto the disk, which is slow: what a power cut tears is known by its hash.
    part.write_bytes(packed)
    part.replace(path)


def read(path: Path, expected: str) -> dict[str, Any] | None:
    """The state of this training, or None: for no file, another training's, or a broken one, which is moved aside."""
    try:
        state = unpack(path.read_bytes())
        found = state["fingerprint"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        aside = path.with_name(f"{path.name}.broken")
        _log.warning(
            "the checkpoint %s is broken (%s: %s): moved to %s, training from scratch",
            path,
            type(error).__name__,
            error,
            aside.name,
        )
        path.replace(aside)
        return None
    if found != expected:
        _log.info("the checkpoint %s is of other rows, settings, code or device: training from scratch", path)
        return None
    return state


def _arrays(rows: Rows) -> list[np.ndarray]:
    return [*rows.inputs.arrays, rows.label, rows.weight]


@cache
def _code() -> str:
    """A hash of the sources that a training runs through."""
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """Files that decide what is learned from a job: the training core and the networks."""
    folders = [Path(__file__).parent, *map(Path, networks.__path__)]
    shared = [Path(str(module.__file__)) for module in (dropout, sequence_network)]
    return [source for folder in folders for source in sorted(folder.glob("*.py"))] + shared
