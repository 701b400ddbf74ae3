"""Progress of a chain of runs on the screen: a line for each finished step, and one for the whole."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.screen import Console

if TYPE_CHECKING:
    from jobs.progress import Observer, StepEvent

__all__ = ["duration_text", "shown_while"]

_BAR = 12  # columns
_QUIET_LINES = 15.0  # seconds between two lines on the same step where there is no terminal
_ALMOST = 0.95  # of a step that takes longer than expected
_AS_EXPECTED = 20.0  # seconds that the pace counts as gone as expected: the first short steps alone tell little of it
_ACRONYMS = {"naked_vpocs": "naked VPOCs", "ml_signals": "ML signals", "ml_backtest": "ML backtest"}


def shown_while(console: Console, run: Callable[["Observer"], object]) -> None:
    """Call ``run`` with an observer that shows its steps, their messages above.

    On a terminal the last line shows the share done and the time left; elsewhere a line is printed as each step starts
    and, while one goes on, every few seconds. Slow imports belong inside ``run``.
    """
    chain = _Chain()
    if console.is_terminal:
        with Live(get_renderable=chain.line, console=console, refresh_per_second=8, transient=True):
            run(lambda event: _show_on_terminal(chain, event, console))
    else:
        console.print(f"{chain.share():4.0%} {chain.words()}")
        run(lambda event: _show_in_lines(chain, event, console))


def duration_text(seconds: float) -> str:
    """Format a duration for people: ``<1 s``, ``7 s``, ``2 min 05 s``, ``1 h 12 min``."""
    whole = round(seconds)
    if seconds < 1:
        return "<1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Chain:
    """A chain's steps: those planned with their expected seconds, those done, and the one that goes on."""

    def __init__(self) -> None:
        self.started = self.step_started = self.line_printed = time.monotonic()
        self.plan: dict[str, float] = {}
        self.done: dict[str, float] = {}
        self.step = self.going = ""
        self._spinner = Spinner("dots")

    def take(self, event: "StepEvent") -> None:
        now = time.monotonic()
        if event.kind == "planned":
            self.plan = dict(event.plan)
        elif event.kind == "started":
            self.step, self.going, self.step_started = event.step, "", now
        elif event.kind == "going":
            self.going = event.text
        elif event.kind == "finished" and event.step == self.step:
            self.done[event.step] = now - self.step_started
            self.step, self.going = "", ""

    def share(self) -> float:
        """Share done, by the seconds that the steps were expected to take."""
        whole = sum(self.plan.values())
        ended = sum(seconds for step, seconds in self.plan.items() if step in self.done)
        expected = self.plan.get(self.step, 0.0)
        ended += min(time.monotonic() - self.step_started, _ALMOST * expected) if self.step else 0.0
        return ended / whole if whole else 0.0

    def seconds_left(self) -> float | None:
        """Seconds to the end, as this machine went through the steps so far; None where it is too soon to tell."""
        known = [step for step in self.done if step in self.plan]
        expected = sum(self.plan[step] for step in known)
        whole = sum(self.plan.values())
        if expected < 5 or expected < whole / 50:
            return None
        pace = (sum(self.done[step] for step in known) + _AS_EXPECTED) / (expected + _AS_EXPECTED)
        return whole * (1 - self.share()) * pace

    def position(self) -> str:
        ended = sum(step in self.done for step in self.plan)
        return f"{min(ended + 1, len(self.plan))} of {len(self.plan)}" if self.plan else ""

    def line(self) -> Table:
        """One line: the step, its number, the share done and the time left."""
        share, left = self.share(), self.seconds_left()
        filled = round(_BAR * share)
        bar = Text.assemble(("━" * filled, "green"), ("━" * (_BAR - filled), "dim"))
        until = f"{duration_text(left)} left" if left is not None else duration_text(time.monotonic() - self.started)
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right", width=4)
        grid.add_column(no_wrap=True, justify="right", width=15)
        grid.add_row(self._spinner, Text(self.words()), bar, f"{share:.0%}", until)
        return grid

    def words(self) -> str:
        number = f"[{self.position()}] " if self.plan else ""
        words = _words(self.step) or "preparing"
        return f"{number}{words}{f': {self.going}' if self.going else ''}"


def _words(step: str) -> str:
    return _ACRONYMS.get(step, step.replace("_", " "))


def _show_on_terminal(chain: _Chain, event: "StepEvent", console: Console) -> None:
    chain.take(event)
    if event.kind == "finished" and event.step in chain.done:
        took = duration_text(chain.done[event.step])
        console.print(Text.assemble(("✓ ", "green"), f"{_words(event.step):<56}", (f"{took:>12}", "dim")))
    else:
        _tell(event, console)


def _show_in_lines(chain: _Chain, event: "StepEvent", console: Console) -> None:
    chain.take(event)
    now = time.monotonic()
    if event.kind == "started" or (event.kind == "going" and now - chain.line_printed >= _QUIET_LINES):
        chain.line_printed = now
        left = chain.seconds_left()
        until = f", {duration_text(left)} left" if left is not None else ""
        console.sentence(f"{chain.share():4.0%} {chain.words()}{until}")
    else:
        _tell(event, console)


def _tell(event: "StepEvent", console: Console) -> None:
    if event.kind == "told":
        console.sentence(f"  {event.text}")
    elif event.kind in ("check", "warned"):
        console.sentence(Text.assemble("  ", ("note", "yellow"), " ", event.text))
