"""One command at a time makes a symbol's results: a second one in the same home waits, and says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.screen import Console
from pipeline.home import Home
from pipeline.locks import locked

__all__ = ["symbol_alone"]


@contextmanager
def symbol_alone(home: Home, symbol: str, console: Console) -> Iterator[None]:
    """Hold off other commands on the same symbol and its books; wait first for one that is already running.

    The operating system holds the lock for the process, and frees it when that ends, however it ends.
    """
    folder = home.root / "locks" / symbol
    folder.mkdir(parents=True, exist_ok=True)

    def tell() -> None:
        console.print(
            f"another run of {symbol} is under way in {home.root}: this one starts when it ends; press Ctrl-C to stop "
            "waiting",
            soft_wrap=True,
            highlight=False,
        )

    with locked(folder, tell):
        yield
