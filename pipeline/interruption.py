"""Ctrl-C and SIGTERM: who handles them meanwhile, and what happens where a library swallows them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["handled", "interruptions_kept"]

SOON = 0.05  # seconds, after which a callback that lost an interruption is over


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Give SIGINT and SIGTERM to a handler meanwhile; off the main thread, where Python hears no signal, to none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def interruptions_kept(*kinds: type[BaseException]) -> Iterator[None]:
    """Send an interruption again that a library's callback lost: what is raised there Python prints, and goes on.

    Parameters
    ----------
    kinds
        Exceptions that interrupt, beside ``KeyboardInterrupt``.
    """
    before = sys.unraisablehook

    def again(lost: Any) -> None:
        if isinstance(lost.exc_value, (KeyboardInterrupt, *kinds)):
            # From another thread, once the callback is over.
            threading.Timer(SOON, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            before(lost)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
