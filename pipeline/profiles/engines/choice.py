"""Choice of the engine: the one asked for, or by size, or the next where one is missing or out of memory."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Unpack

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.hardware import missing_torch, processors
from pipeline.profiles.engines.threads import threaded_profiles
from pipeline.profiles.histogram import LevelOptions, SessionLevels, profile_sessions

__all__ = ["CROSSOVERS", "Crossover", "choose_device", "on_device", "profile_sessions_on", "why_missing"]

_log = logging.getLogger(__name__)


class Engine(Protocol):
    """Signature of :func:`pipeline.profiles.profile_sessions` on some device."""

    def __call__(
        self,
        low: NDArray[np.integer[Any]],
        high: NDArray[np.integer[Any]],
        steps: NDArray[np.integer[Any]],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64] | None = None,
        **options: Unpack[LevelOptions],
    ) -> SessionLevels:
        """Levels of every session."""


@dataclass(frozen=True)
class Crossover:
    """Number of bars from which ``device="auto"`` takes an engine, and the source of that number."""

    device: str
    bars: int
    source: str


CROSSOVERS = (
    Crossover(
        "threads", 1_100_000, "measured in November 2026 on 2 cores of a virtual AMD EPYC, with other work on it"
    ),
    Crossover("cuda", 1_000_000_000, "estimated: to load torch and start a device takes as long as these take a core"),
)
"""From the smallest to the largest. Torch on a processor was slower than one thread at every size, so it isn't here."""


def choose_device(bars: int, *, threads: int | None = None, cuda: Callable[[], bool] | None = None) -> str:
    """The engine that ``device="auto"`` takes.

    Parameters
    ----------
    bars
        How many bars there are.
    threads
        Processors to be had; by default those of this process.
    cuda
        Says whether there is a CUDA or ROCm device; asked only from the size on where one would be taken, because
        to ask loads torch.

    Examples
    --------
    >>> choose_device(1000)
    'cpu'
    """
    there = {
        "threads": lambda: (threads or processors()) > 1,
        "cuda": cuda or (lambda: why_missing("cuda") is None),
    }
    for crossover in reversed(CROSSOVERS):
        if bars >= crossover.bars and there[crossover.device]():
            return crossover.device
    return "cpu"


def on_device(device: str) -> Engine:
    """:func:`pipeline.profiles.profile_sessions` on a device.

    Parameters
    ----------
    device
        ``"cpu"`` (one thread), ``"threads"``, ``"torch"`` (torch on the processor), ``"cuda"`` or ``"cuda:1"``
        (an NVIDIA GPU, or an AMD one under ROCm), several as ``"cuda:0,cuda:1"``, or ``"auto"``.

    Raises
    ------
    ConfigurationError
        For any other name. A device that is missing is no error: the next engine takes its place, with a
        warning in the log and the same result.
    """
    if device == "cpu":
        return profile_sessions
    if device not in ("auto", "threads") and not (
        isinstance(device, str) and all(_is_torch(part) for part in device.split(","))
    ):
        raise ConfigurationError(
            f"device is {device!r}; profiles run on 'cpu', 'threads', 'torch', 'cuda', 'cuda:1', several as "
            "'cuda:0,cuda:1', or 'auto'"
        )
    return partial(profile_sessions_on, device=device)


def profile_sessions_on(
    low: NDArray[np.integer[Any]],
    high: NDArray[np.integer[Any]],
    steps: NDArray[np.integer[Any]],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64] | None = None,
    *,
    device: str = "auto",
    **options: Unpack[LevelOptions],
) -> SessionLevels:
    """Volume profile, VPOC and value area of every session, on a device, the same bits on each.

    Parameters
    ----------
    low, high, steps, starts, stops, **options
        As in :func:`pipeline.profiles.profile_sessions`.
    device
        As in :func:`on_device`.

    Raises
    ------
    ConfigurationError, DataError
        As :func:`on_device` and :func:`pipeline.profiles.profile_sessions`.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = np.array([100, 101, 50]), np.array([103, 102, 50])
    >>> levels = profile_sessions_on(low, high, np.array([8, 6, 1]), np.array([0, 2]), device="threads")
    >>> levels.vpoc, levels.val, levels.vah
    (array([101,  50]), array([101,  50]), array([103,  50]))
    """
    on_device(device)
    engine = choose_device(len(steps)) if device == "auto" else device
    while True:
        reason = why_missing(engine)
        if reason is None:
            try:
                return _engine(engine)(low, high, steps, starts, stops, **options)
            except MemoryError as error:
                if engine == "cpu":
                    raise
                reason = f"device {engine} is out of memory ({error})"
        following = _next(engine)
        _log.warning("%s; profiles run on %s instead, with the same result", reason, following)
        engine = following


def _engine(device: str) -> Engine:
    if device == "cpu":
        return profile_sessions
    if device == "threads":
        return threaded_profiles
    from pipeline.profiles.engines.torch_engine import torch_profiles

    return partial(torch_profiles, devices=[_torch_name(part) for part in device.split(",")])


def _next(device: str) -> str:
    if device == "threads":
        return "cpu"
    # Of several devices those that are there go on, unless they all are: then they had too little memory.
    parts = device.split(",")
    present = [part for part in parts if why_missing(part) is None]
    return ",".join(present) if 0 < len(present) < len(parts) else "threads"


def _is_torch(part: str) -> bool:
    kind, colon, number = part.partition(":")
    return part == "torch" or (kind == "cuda" and (not colon or (number.isascii() and number.isdigit())))


def _torch_name(part: str) -> str:
    return "cpu" if part == "torch" else part


def why_missing(device: str) -> str | None:
    """Say why a device can't be used; None where it can."""
    return None if device in ("cpu", "threads") else missing_torch(device)
