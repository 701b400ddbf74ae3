"""Progress of long steps: written to Dagster's log now and then, and told to whoever watches in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

__all__ = ["Reporter", "progress_to"]

Watcher = Callable[[str, str], None]  # takes the step's name and how far it is

_watchers: list[Watcher] = []


@contextmanager
def progress_to(watcher: Watcher) -> Iterator[None]:
    """Tell a watcher of the progress of all steps that this process runs meanwhile."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class Reporter:
    """Reports how far a step is.

    Parameters
    ----------
    context
        The step's.
    seconds
        Least time between two lines of the log on the same part; watchers hear of everything.
    """

    def __init__(self, context: dg.AssetExecutionContext, seconds: float) -> None:
        self._log, self._step, self._seconds = context.log, context.op_execution_context.op_def.name, seconds
        self._parts: set[str] = set()
        self._logged = float("-inf")

    def __call__(self, part: str, text: str, *, seconds: float | None = None) -> None:
        """Report how far a part is; the log takes a new part's first report at once."""
        for watcher in tuple(_watchers):
            watcher(self._step, text)
        now = time.monotonic()
        # Parts may go on side by side.
        if part not in self._parts or now - self._logged >= (self._seconds if seconds is None else seconds):
            self._parts.add(part)
            self._logged = now
            self._log.info(text)
