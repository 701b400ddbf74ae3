"""Resource usage of a training: time, samples per second, memory and utilization, watched by a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.hardware import processors
from pipeline.learning.compute import Compute
from pipeline.learning.models.protocol import Progress

__all__ = ["Usage", "watched"]

_MIB = 2**20


@dataclass
class Usage:
    """Resource usage of a training, filled in while it runs.

    Attributes
    ----------
    compute
        Where it ran.
    seconds
        From its beginning to its end; 0 until then.
    samples
        Rows that were learned from, once for each time.
    training_seconds
        Seconds in which that was done.
    peak_memory
        Most memory that was taken, in bytes: on a GPU by torch's tensors; on several by whatever made the free memory
        of one of them less; on the processor that of this process and its children.
    utilization
        Mean share, 0 to 100, of time in which a GPU computed anything, or of the processors' time that was taken;
        None where it can't be had, ``note`` says why.
    note
        What could not be watched.
    """

    compute: Compute
    seconds: float = 0.0
    samples: int = 0
    training_seconds: float = 0.0
    peak_memory: int = 0
    utilization: float | None = None
    note: str = ""
    _mark: float = field(default=0.0, repr=False)

    def counted(self, rows: int, observe: Callable[[Progress], None] | None = None) -> Callable[[Progress], None]:
        """A callback for a fit that begins now, which counts ``rows`` samples each epoch or round.

        Parameters
        ----------
        rows
            How many rows an epoch learns from.
        observe
            Called in turn.
        """
        self._mark = time.perf_counter()

        def count(progress: Progress) -> None:
            now = time.perf_counter()
            self.samples += rows
            self.training_seconds += now - self._mark
            self._mark = now
            if observe is not None:
                observe(progress)

        return count

    @property
    def samples_per_second(self) -> float | None:
        """Samples over the seconds in which they were learned from; None where none was counted."""
        return self.samples / self.training_seconds if self.training_seconds > 0 else None

    def figures(self) -> dict[str, float]:
        """Return the measurements as numbers; names give the unit."""
        known = {
            "seconds": self.seconds,
            "samples_per_second": self.samples_per_second,
            "peak_memory_mib": self.peak_memory / _MIB,
            "mean_utilization_percent": self.utilization,
        }
        return {name: float(value) for name, value in known.items() if value is not None}

    def metadata(self) -> dict[str, float | str]:
        """Device, precision and the figures, for a run's metadata."""
        shown: dict[str, float | str] = {
            "device": ", ".join(self.compute.devices),
            "precision": self.compute.precision,
            **self.figures(),
        }
        return shown | ({"not_measured": self.note} if self.note else {})


@contextmanager
def watched(compute: Compute, *, interval: float = 0.5) -> Iterator[Usage]:
    """Watch what runs inside: memory and utilization every ``interval`` seconds, and at the end.

    Examples
    --------
    >>> from pipeline.learning.compute import CPU
    >>> with watched(CPU) as usage:
    ...     total = sum(range(1000))
    >>> usage.metadata()["device"]
    'cpu'
    """
    usage = Usage(compute)
    meter: _ProcessorMeter | _GpuMeter = _ProcessorMeter() if compute.device == "cpu" else _GpuMeter(compute.devices)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(interval):
            meter.look()

    thread = threading.Thread(target=watch, name="usage", daemon=True)
    begin = time.perf_counter()
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()
        meter.look()
        usage.seconds = time.perf_counter() - begin
        usage.peak_memory = meter.peak()
        usage.utilization = meter.utilization(usage.seconds)
        usage.note = meter.note


class _ProcessorMeter:
    """Memory and processor time of this process and its children."""

    note = ""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._gone = psutil.Error
        self._peak = 0
        self._used = 0.0
        self._before: dict[int, float] = {}
        self.look()
        self._used = 0.0

    def look(self) -> None:
        memory = 0
        for process in self._processes():
            try:
                with process.oneshot():
                    memory += process.memory_info().rss
                    times = process.cpu_times()
            except self._gone:
                continue  # it ended meanwhile
            taken = times.user + times.system
            self._used += taken - self._before.get(process.pid, 0.0)
            self._before[process.pid] = taken
        self._peak = max(self._peak, memory)

    def peak(self) -> int:
        return self._peak

    def utilization(self, seconds: float) -> float | None:
        return min(100.0, 100 * self._used / (seconds * processors())) if seconds > 0 else None

    def _processes(self) -> list[Any]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except self._gone:
            return [self._process]


class _GpuMeter:
    """Memory and utilization of GPUs, by the driver's own library."""

    def __init__(self, devices: tuple[str, ...]) -> None:
        import torch

        self._cuda = torch.cuda
        self._devices = devices
        self._free = {device: torch.cuda.mem_get_info(device)[0] for device in devices}
        self._taken = self._allocated = 0
        self._seen: list[float] = []
        self.note = ""
        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
        self._refused = _driver_errors()

    def look(self) -> None:
        # A training resets torch's own peak as it begins: hence read here too, not only at the end.
        self._allocated = max(self._allocated, int(self._cuda.max_memory_allocated(self._devices[0])))
        for device in self._devices:
            self._taken = max(self._taken, self._free[device] - self._cuda.mem_get_info(device)[0])
            if self.note:
                continue
            try:
                self._seen.append(float(self._cuda.utilization(device)))
            except self._refused as error:
                self.note = f"utilization of {device}: {error}"

    def peak(self) -> int:
        # Trained in a process each, torch here knows nothing of their memory.
        return self._taken if len(self._devices) > 1 else self._allocated

    def utilization(self, seconds: float) -> float | None:
        return sum(self._seen) / len(self._seen) if self._seen else None


def _driver_errors() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [ImportError, RuntimeError, OSError]
    try:
        import pynvml

        errors.append(pynvml.NVMLError)
    except ImportError:
        pass  # then torch says so when it is asked
    try:
        import amdsmi

        errors.append(amdsmi.AmdSmiException)
    except (ImportError, OSError, KeyError):
        pass
    return tuple(errors)
