"""What a chain of runs does, on the screen while it does it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from pipeline.cli.screen import Console
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pipeline.definitions import StepEvent

__all__ = ["shown_while"]


def shown_while(console: Console, run: Callable[["Callable[[StepEvent], None]"], object]) -> None:
    """Call ``run`` with an observer that shows its steps, a line each, and what they tell above them.

    Raises
    ------
    DataError
        If a step failed: says what it said.
    """
    from pipeline.definitions import ChainError

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def observe(event: "StepEvent") -> None:
            name = event.step.replace("_", " ")
            if event.kind == "started":
                tasks[event.step] = progress.add_task(name, total=None)
            elif event.kind == "finished":
                progress.update(tasks[event.step], total=1, completed=1, description=name)
            elif event.kind == "going":
                progress.update(tasks[event.step], description=f"{name}: {event.text}")
            elif event.kind == "told":
                progress.console.print(f"  {event.text}", soft_wrap=True, highlight=False)
            else:
                progress.console.print(
                    Text.assemble("  ", ("note", "yellow"), " ", event.text), soft_wrap=True, highlight=False
                )

        try:
            run(observe)
        except ChainError as failure:
            raise DataError(str(failure)) from failure
