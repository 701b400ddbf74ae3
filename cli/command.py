"""``vpoc``: the commands, and one-sentence messages for mistakes.

Exit codes: 0 good, 1 what was asked for failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.text import Text

from cli.lazy import LazyGroup, add_lazily
from cli.screen import Console
from pipeline.errors import ConfigurationError, PipelineError, UnknownSymbolError
from pipeline.home import vpoc_home
from pipeline.outside import sentence_of_fault
from pipeline.shown import shown

__all__ = ["app", "main"]

INTERRUPTED = 130

app = typer.Typer(
    name="vpoc",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Volume-profile research: from raw bars to an honest backtest.\n\n"
    "Start with 'vpoc run' (five simulated years of ES), then 'vpoc run --data FILE' on your own bars, "
    "and 'vpoc ui' for the web pages. All output goes to VPOC_HOME (var in a checkout, else ~/vpoc).",
)
for name, help_ in {
    "run": "Run the whole chain: bars, profiles, signals, backtest, report.",
    "profile": "Show VPOC and value area of each session, and one session's profile.",
    "backtest": "Backtest the strategy of the settings, or your own orders, under honest fills.",
    "audit": "Recompute features, signals and models on data cut off at many sessions, and compare bit by bit.",
    "strategy": "Trading strategies: those in the box, and your own.",
    "desk": "Trade several books on one account: shared equity, margin and limits.",
    "orders": "Show the orders for the coming session: prices, size, gates, score, and what is unusual about it.",
    "tune": "Search parameters on the results of 'vpoc run' for a book; called again, it resumes.",
    "config": "Show the settings in force, and change them.",
    "doctor": "Check everything a run needs, or with --data a file of bars; exit 1 if something won't work.",
    "ui": "Serve both pages on this machine only, with the schedules running, until Ctrl-C.",
    "models": "Registered models, and trainings waiting for MLflow.",
    "bench": "Time the engines against their peers; measure the accuracy of the statistics.",
}.items():
    add_lazily(app, name, f"cli.{name}", help_)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"vpoc {version('vpoc-pipeline')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; a user's mistake is shown as one sentence, never as a traceback."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_ShownFormatter())
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # so that a full disk is reported here, not by the interpreter as it exits
    except (ConfigurationError, UnknownSymbolError) as error:
        _fail(str(error), 2)
    except PipelineError as error:
        _fail(str(error), 1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer ends so after Ctrl-C, without a word
            _fail("Interrupted. Run the same command to resume.", INTERRUPTED)
        raise
    except BrokenPipeError:
        # The reader of a pipe (head, less) has closed it.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        fault = sentence_of_fault(error, vpoc_home())
        if fault is None:
            raise  # a bug of our own: its traceback is what a report needs
        _fail(fault, 1)


class _ShownFormatter(logging.Formatter):
    """Warnings of the package and of libraries, which may hold names from files."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), lines=True)


def _fail(sentence: str, code: int) -> None:
    text = Text.assemble(("Error:", "bold red"), " ", sentence)
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    sys.exit(code)
