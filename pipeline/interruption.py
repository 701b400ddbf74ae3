"""Ctrl-C and SIGTERM: who handles them meanwhile, and what happens where a library swallows them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interruption", "handled", "held_back", "interruptible", "interruptions_kept"]

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


@contextmanager
def held_back() -> Iterator[None]:
    """Hold interruptions back while a process is started, which then knows no Ctrl-C; they come afterwards.

    Ctrl-C reaches all processes of a terminal: the one that started the others tells them.
    """
    held: list[int] = []
    try:
        with handled(lambda number, _: held.append(number)):
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what the new process begins with
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        if held:
            signal.raise_signal(held[0])


class Interruption:
    """Remembers an interruption, which is lost where a library lets no exception through."""

    asked = False

    def look(self) -> None:
        """Raise ``KeyboardInterrupt`` if it came."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Make SIGINT and SIGTERM a ``KeyboardInterrupt``, and remember it for work that looks for it between its parts."""
    interruption = Interruption()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interruption.asked = True
        raise KeyboardInterrupt

    hook = sys.unraisablehook

    def known(lost: Any) -> None:
        # It will be found: sent again, it would meet what is saved after it.
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            hook(lost)

    with handled(interrupt):
        sys.unraisablehook = known
        try:
            yield interruption
        finally:
            sys.unraisablehook = hook
