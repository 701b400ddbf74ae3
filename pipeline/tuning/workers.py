"""Several processes on one study: started fresh, stopped together, and gone when the one that started them is."""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

from pipeline.errors import ConfigurationError, PipelineError
from pipeline.interruption import held_back
from pipeline.tuning.trial_store import TrialStore

__all__ = ["require_parent", "run_workers", "without_remarks"]

LOOK_EVERY = 0.3
WORDY = ("pipeline.learning.transforms", "pipeline.features.table")

_log = logging.getLogger(__name__)
# Set in a worker that was asked to end: where the interruption came to nothing, for Python drops what is raised in a
# callback of its own, the worker ends after its trial.
_told_to_end = threading.Event()


def run_workers(
    work: Callable[[Any, TrialStore], None],
    task: object,
    store: TrialStore,
    workers: int,
    look: Callable[[], None],
) -> None:
    """Let several fresh processes work on a task until all are done.

    Fresh ones: threads of OpenMP do not survive a fork. A worker that dies takes nothing with it but its trial.

    Parameters
    ----------
    work
        A function of a module, called with the task and the store.
    task
        Anything that can be pickled.
    store
        Whose database they share.
    workers
        How many.
    look
        Called now and then meanwhile.

    Raises
    ------
    ConfigurationError
        If the task can't be pickled.
    KeyboardInterrupt
        When interrupted, after the workers have ended their trials as interrupted.
    """
    try:
        parcel = pickle.dumps((work, task))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"what several workers are to evaluate can't be sent to them: {error}; give a function of a module or an "
            "object of its classes, or use one worker"
        ) from error
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_main, args=(parcel, store), name=f"tuning {number}") for number in range(1, workers + 1)
    ]
    try:
        resource_tracker.ensure_running()  # it unblocks signals when it starts
        for process in processes:
            with held_back():
                process.start()
        while any(process.is_alive() for process in processes):
            for process in processes:
                process.join(LOOK_EVERY / workers)
            look()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            if process.pid is not None:  # else an interruption came before it was started
                process.join()
    for process in processes:
        if process.exitcode:
            _log.warning(
                "the worker %s ended with exit code %d; the others and this process continue",
                process.name,
                process.exitcode,
            )


def require_parent() -> None:
    """End this worker where the process that started it is gone, or asks it to end.

    Raises
    ------
    KeyboardInterrupt
        If it is or has.
    """
    parent = multiprocessing.parent_process()
    if _told_to_end.is_set() or (parent is not None and not parent.is_alive()):
        raise KeyboardInterrupt


@contextmanager
def without_remarks() -> Iterator[None]:
    """Drop the log messages about each inner fold's data: they would be repeated at every trial."""
    levels = {name: logging.getLogger(name).level for name in WORDY}
    for name in WORDY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _main(parcel: bytes, store: TrialStore) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        work, task = pickle.loads(parcel)  # noqa: S301 (from the process that started this one)
        with without_remarks():
            work(task, store)
    except KeyboardInterrupt:
        os._exit(0)
    except PipelineError as error:
        _log.error("%s", error)
        os._exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _told_to_end.set()
    raise KeyboardInterrupt
