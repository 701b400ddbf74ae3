"""Torch's process-wide settings, put right for a training or a prediction and put back afterwards."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

__all__ = ["available_threads", "derived_seed", "settled"]

# Generators, thread counts and determinism belong to the process: two trainings at once would disturb each other.
_ONE_AT_A_TIME = threading.RLock()

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed of its own for each purpose, 63 bits: a hash, so that purposes don't run into each other."""
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def settled(device: torch.device, threads: int, memory_share: float | None = None) -> Iterator[None]:
    """Deterministic algorithms, so many threads, generators of one's own; all as it was afterwards.

    One at a time in a process; a second waits. On CUDA, deterministic matrix products need a setting of cuBLAS from
    before its first use; where the environment has none it is set and stays.
    """
    cuda = device.type == "cuda"
    if cuda:
        os.environ.setdefault(_CUBLAS, ":4096:8")
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[device] if cuda else []):
        before = (
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        )
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # Filling fresh memory would only cost time: nothing here reads what it has not written.
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False
        torch.set_float32_matmul_precision("highest")
        if cuda and memory_share is not None:
            torch.cuda.set_per_process_memory_fraction(memory_share, device)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1], warn_only=before[2])
            deterministic.fill_uninitialized_memory = before[3]  # type: ignore[attr-defined]
            torch.backends.cudnn.benchmark = before[4]
            torch.set_float32_matmul_precision(before[5])
            if cuda and memory_share is not None:
                torch.cuda.set_per_process_memory_fraction(1.0, device)
