"""Fresh processes for work that runs side by side, or that must not know what this process knows.

Each call gets a process of its own, forked from a server that has imported the program and nothing else: no bars, no
results, no threads of a library. So it begins in milliseconds, and what this process remembers is not there. It ends
with the process that asked, however that ends.
"""

import importlib.util
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from pipeline.errors import DataError
from pipeline.hardware import processors
from pipeline.plugins import make_importable

__all__ = ["FreshProcess", "in_fresh_processes", "tell", "warm_up"]

# What a call may need that takes long to import; torch's optimizers import its compiler.
_IMPORTS = (
    "pipeline.audit.cut_run",
    "pipeline.audit.run",
    "pipeline.features.families",
    "pipeline.learning.combination",
    "pipeline.learning.training.distributed",
    "arch.bootstrap",
    "lightgbm",
    "pyarrow.pandas_compat",
    "scipy.signal",
    "sklearn.linear_model",
    "torch._dynamo",
)

Told = Callable[[int, Any], None]
"""Takes the number of a call and what it told."""

_to_starter: connection.Connection | None = None
_one_message_at_a_time = threading.Lock()


def warm_up() -> None:
    """Begin to import, in the server and beside what this process does, what calls will need."""
    _context()


def tell(message: object) -> None:
    """Send something on the way from a fresh process to the ``told`` of the one that started it; lost elsewhere."""
    if _to_starter is not None:
        _send("told", message)


class FreshProcess:
    """A call in a process of its own, begun at once.

    Parameters
    ----------
    function
        Of a module, for it is found by name.
    arguments
        Its arguments; anything that can be pickled.
    environment
        The process's environment; this one's where None.
    """

    def __init__(
        self, function: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] | None = None
    ) -> None:
        self._failed: BaseException | None = None
        self._value: Any = None
        parcel = pickle.dumps((function, arguments))
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        self._process = _context().Process(
            target=_main,
            args=(theirs, dict(os.environ if environment is None else environment), _level(), parcel),
            name=function.__name__,
            daemon=True,
        )
        with _without_main():
            self._process.start()
        theirs.close()

    def result(self, told: Callable[[Any], None] | None = None) -> Any:
        """Wait for what the function returns; an exception of its own is raised here.

        Raises
        ------
        DataError
            If the process ends without an answer: killed, or out of memory.
        """
        try:
            while not self.heard(told):
                pass
        finally:
            self.close()
        return self.answer()

    def answer(self) -> Any:
        """Return what the function returned, or raise what it raised, once :meth:`heard` was True."""
        self.close()
        if self._failed is not None:
            raise self._failed
        return self._value

    def heard(self, told: Callable[[Any], None] | None = None) -> bool:
        """Wait for the next message; True once it was the answer."""
        try:
            kind, content = pickle.loads(self.pipe.recv_bytes())  # noqa: S301 (from the process that was started)
        except EOFError:
            self._process.join()
            self._failed = DataError(
                f"the process of {self._process.name} ended without an answer (exit code {self._process.exitcode}), as "
                "one does that is killed for want of memory: free some, or compute.threads: 1, and run again"
            )
            return True
        if kind == "log":
            logger = logging.getLogger(content.name)
            if logger.isEnabledFor(content.levelno):
                logger.handle(content)
        elif kind == "told":
            if told is not None:
                told(content)
        elif kind == "failed":
            self._failed = content
        else:
            self._value = content
        return kind in ("failed", "done")

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def in_fresh_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], told: Told | None = None
) -> list[Any]:
    """Call a function with each tuple of arguments, as many at once as there are processors, longest first.

    Within a fresh process, where the processors are taken, one call follows another.

    Parameters
    ----------
    function
        Of a module.
    calls
        Arguments of each call, those of the longest call last.
    told
        Called with a call's number and each message that it sends by :func:`tell`.

    Returns
    -------
    list
        What each call returned, in the calls' order.

    Raises
    ------
    DataError
        As :meth:`FreshProcess.result`.
    """
    if _to_starter is not None:
        return [function(*arguments) for arguments in calls]
    results: list[Any] = [None] * len(calls)
    waiting = list(enumerate(calls))
    running: dict[Any, tuple[int, FreshProcess]] = {}

    def told_by(number: int) -> Callable[[Any], None]:
        return lambda message: None if told is None else told(number, message)

    try:
        while waiting or running:
            while waiting and len(running) < processors():
                number, arguments = waiting.pop()
                process = FreshProcess(function, *arguments)
                running[process.pipe] = number, process
            for pipe in connection.wait(list(running)):
                number, process = running[pipe]
                if process.heard(told_by(number)):
                    del running[pipe]
                    results[number] = process.answer()
    finally:
        for _, process in running.values():
            process.close()
    return results


def _context() -> Any:
    """Return multiprocessing's context, with its server running; one that starts Python anew where there is none."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in _IMPORTS if importlib.util.find_spec(name.split(".")[0])])
    resource_tracker.ensure_running()  # it unblocks signals when it starts
    # Ctrl-C, which the terminal sends to all, is this process's to answer: also while the server still imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    except OSError:  # the path of its socket is too long, under some folder for temporary files
        return multiprocessing.get_context("spawn")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running the user's script once more in each process; no call is found there."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


def _level() -> int:
    """Level from which on records are wanted here."""
    return logging.getLogger("pipeline").getEffectiveLevel()


def _main(pipe: connection.Connection, environment: Mapping[str, str], level: int, parcel: bytes) -> None:
    global _to_starter
    _to_starter = pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    root = logging.getLogger()
    root.handlers = [_ToStarter()]
    root.setLevel(level)
    make_importable()
    try:
        function, arguments = pickle.loads(parcel)  # noqa: S301 (from the process that started this one)
        answer = "done", function(*arguments)
    except BaseException as error:  # whatever it was, the starter raises it
        answer = "failed", _sendable(error)
    _send(*answer)


def _end_with_starter() -> None:
    starter = multiprocessing.parent_process()
    if starter is not None:
        connection.wait([starter.sentinel])
        os._exit(1)


class _ToStarter(logging.Handler):
    """Sends records to the process that started this one, whose handlers they meet."""

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        _send("log", record)


def _send(kind: str, content: object) -> None:
    assert _to_starter is not None  # noqa: S101
    # Plain pickle: with multiprocessing's, torch leaves its tensors with the process that is about to end.
    message = pickle.dumps((kind, content))
    with _one_message_at_a_time:
        _to_starter.send_bytes(message)


def _sendable(error: BaseException) -> Exception:
    try:
        whole = isinstance(error, Exception) and isinstance(pickle.loads(pickle.dumps(error)), type(error))  # noqa: S301
    except Exception:  # an exception of someone else's may refuse in any way
        whole = False
    return error if whole else DataError(f"{type(error).__name__}: {' '.join(str(error).split())}")  # type: ignore[return-value]
