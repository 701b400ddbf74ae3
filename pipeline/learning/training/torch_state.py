"""Torch's process-wide settings, put right for a training or a prediction and put back afterwards."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import backends
from torch.utils import deterministic

from pipeline.errors import ConfigurationError
from pipeline.learning.compute import CUBLAS_SETTINGS, CUBLAS_VARIABLE

__all__ = ["derived_seed", "seed_generators", "settled"]

# Generators, thread counts and determinism belong to the process: two trainings at once would disturb each other.
_ONE_AT_A_TIME = threading.RLock()


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed of its own for each purpose, 63 bits: a hash, so that purposes don't run into each other."""
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the processor's generator and the device's: those that :func:`settled` puts back.

    ``torch.manual_seed`` seeds every GPU there is, also such as are not in use yet, and nothing puts those back.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def settled(device: torch.device, threads: int, memory_share: float | None = None) -> Iterator[None]:
    """Deterministic algorithms, float32 as such, so many threads, generators of one's own; all as it was afterwards.

    One at a time in a process; a second waits. On CUDA, deterministic matrix products need a setting of cuBLAS from
    before its first use; where the environment has none it is set and stays.

    Raises
    ------
    ConfigurationError
        Where the environment has a setting of cuBLAS that lets products differ from run to run.
    """
    cuda = device.type == "cuda"
    if cuda:
        _settle_cublas()
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[device] if cuda else []), ExitStack() as undo:
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        # As use_deterministic_algorithms, which imports torch's compiler first (two seconds).
        undo.callback(torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode())
        torch.set_deterministic_debug_mode("error")
        # Filling fresh memory would only cost time: nothing here reads what it has not written.
        _set(undo, deterministic, "fill_uninitialized_memory", False)
        _set(undo, backends.cudnn, "benchmark", False)
        _settle_products(undo, cuda)
        if cuda and memory_share is not None:
            before = torch.cuda.get_per_process_memory_fraction(device)
            undo.callback(torch.cuda.set_per_process_memory_fraction, before, device)
            torch.cuda.set_per_process_memory_fraction(float(memory_share), device)
        yield


def _settle_cublas() -> None:
    value = os.environ.setdefault(CUBLAS_VARIABLE, CUBLAS_SETTINGS[0])
    if value not in CUBLAS_SETTINGS:
        raise ConfigurationError(
            f"{CUBLAS_VARIABLE} is {value!r}, which lets matrix products on a GPU differ from run to run; set it to "
            f"{' or '.join(CUBLAS_SETTINGS)}, or not at all"
        )


def _settle_products(undo: ExitStack, cuda: bool) -> None:
    """Forbid products in TF32 or bfloat16 where float32 is asked for.

    Torch says so in two ways, and refuses to read the older one where the newer was used. cuDNN's LSTM computes in
    TF32 unless told not to, whatever the precision of matrix products.
    """
    mkldnn, cudnn = cast(Any, backends.mkldnn), cast(Any, backends.cudnn)
    kinds = [backends.cuda.matmul, mkldnn.matmul, mkldnn.rnn, *([cudnn.rnn, cudnn.conv] if cuda else [])]
    for kind in kinds:
        undo.callback(setattr, kind, "fp32_precision", kind.fp32_precision)
    try:
        undo.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        if cuda:
            undo.callback(setattr, cudnn, "allow_tf32", cudnn.allow_tf32)
    except RuntimeError:
        pass  # set in the newer way, which is put back as it was
    torch.set_float32_matmul_precision("highest")
    if cuda:
        cudnn.allow_tf32 = False
    for kind in kinds:
        kind.fp32_precision = "ieee"


def _set(undo: ExitStack, holder: Any, name: str, value: Any) -> None:
    undo.callback(setattr, holder, name, getattr(holder, name))
    setattr(holder, name, value)
