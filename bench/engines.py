"""The engines beside the one of a single thread: timed where they are there, named as skipped where not."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.timing import best_seconds, row
from pipeline.profiles import SessionLevels, profile_sessions

__all__ = ["other_engines", "same_levels"]

_PROCESSOR_CALLS = 2  # torch on a processor takes a second for 5 million bars


def other_engines(
    workload: str,
    low: NDArray[np.integer[Any]],
    high: NDArray[np.integer[Any]],
    steps: NDArray[np.integer[Any]],
    starts: NDArray[np.int64],
    repeat: int,
    *,
    floor: float,
    right: bool,
) -> list[dict[str, Any]]:
    """Rows of several threads, torch on the processor, and torch on a GPU with the arrays resident there.

    ``right`` says whether the levels of one thread, with which these are compared, are those of the definition.
    """
    levels = profile_sessions(low, high, steps, starts)

    def measured(engine: str, call: Callable[[], SessionLevels], calls: int, note: str) -> dict[str, Any]:
        agrees = right and same_levels(levels, call())
        seconds = best_seconds(call, calls, clock=time.perf_counter)
        return row(engine, workload, len(steps), seconds, floor=floor, agrees=agrees, note=note)

    from pipeline.hardware import processors
    from pipeline.profiles.engines.threads import threaded_profiles

    rows = [
        measured(
            "threads, int64 arrays",
            lambda: threaded_profiles(low, high, steps, starts),
            repeat,
            f"{processors()} threads",
        )
    ]
    if importlib.util.find_spec("torch") is None:
        missing = "skipped: torch is not installed; pip install torch"
        return rows + [
            row(engine, workload, len(steps), None, note=missing) for engine in ("torch, cpu", "torch, cuda")
        ]
    import torch

    from pipeline.profiles.engines.torch_engine import torch_profiles

    rows.append(
        measured(
            "torch, cpu",
            lambda: torch_profiles(low, high, steps, starts),
            min(repeat, _PROCESSOR_CALLS),
            f"{torch.get_num_threads()} threads",
        )
    )
    if not torch.cuda.is_available():
        note = f"skipped: torch {torch.__version__} sees no CUDA or ROCm device"
        return [*rows, row("torch, cuda", workload, len(steps), None, note=note)]
    bottoms, volumes = (torch.from_numpy(array).to("cuda") for array in (low, steps))
    tops = bottoms if high is low else torch.from_numpy(high).to("cuda")
    rows.append(
        measured(
            "torch, cuda",
            lambda: torch_profiles(bottoms, tops, volumes, starts, devices=["cuda"]),
            repeat,
            f"arrays resident on {torch.cuda.get_device_name()}",
        )
    )
    return rows


def same_levels(left: SessionLevels, right: SessionLevels) -> bool:
    """Return True if every level of every session is equal."""
    return all(np.array_equal(value, getattr(right, name)) for name, value in vars(left).items())
