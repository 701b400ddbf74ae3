"""``vpoc``: the commands, and how mistakes are shown.

Exit codes: 0 good, 1 what was asked for failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

import logging
import sys

import typer
from rich.text import Text

from pipeline.cli.lazy import LazyGroup, add_lazily
from pipeline.cli.screen import Console
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
    help="Volume-profile research: from raw bars to an honestly judged backtest.\n\n"
    "Start with 'vpoc run' (five simulated years of ES), then 'vpoc run --data FILE' on your own bars, "
    "and 'vpoc ui' for the pages. Everything written lies under VPOC_HOME (var in a checkout, else ~/vpoc).",
)
for name, help_ in {
    "run": "Run the whole chain: bars, profiles, signals, backtest, report.",
    "profile": "Show VPOC and value area of each session, and one session's profile.",
    "backtest": "Backtest all value-area fades and the rule signals, or your own orders, under honest fills.",
    "audit": "Recompute everything from features to models' decisions on data cut off at many sessions, and compare to "
    "the bit.",
    "tune": "Search parameters on what 'vpoc run' made of a symbol; called again it goes on where it was.",
    "config": "Show the settings in force, and change them.",
    "doctor": "Check everything a run needs, or with --data a file of bars; exit 1 where something won't work.",
    "ui": "Open both pages on this machine only, with the schedules running, until Ctrl-C.",
    "models": "Registered models, and trainings that wait for MLflow.",
    "bench": "Time the engines beside their peers; measure how right the statistics are.",
}.items():
    add_lazily(app, name, f"pipeline.cli.{name}", help_)


def main() -> None:
    """Run the command; a user's mistake is shown as one sentence, never as a traceback."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_ShownFormatter())
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # a full disk behind it is told here, not by the interpreter as it ends
    except (ConfigurationError, UnknownSymbolError) as error:
        _fail(str(error), 2)
    except PipelineError as error:
        _fail(str(error), 1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer ends so after Ctrl-C, without a word
            _fail("Interrupted. Run the same command to resume.", INTERRUPTED)
        raise
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        said = sentence_of_fault(error, vpoc_home())
        if said is None:
            raise  # a fault of the program's own: its traceback is what a report of it needs
        _fail(said, 1)


class _ShownFormatter(logging.Formatter):
    """Warnings of the package and of libraries, which may hold names from files."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), lines=True)


def _fail(sentence: str, code: int) -> None:
    said = Text.assemble(("Error:", "bold red"), " ", sentence)
    Console(stderr=True, soft_wrap=True, highlight=False).print(said)
    sys.exit(code)
