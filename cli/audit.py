"""``vpoc audit``: proof by replay that no training data knows the future."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.options import BookOption, JsonOption, Reading, reads_a_file
from cli.screen import Console
from pipeline.datasets import SIMULATED_SUFFIX
from pipeline.home import expanded, vpoc_home

if TYPE_CHECKING:
    from pipeline.audit import AuditReport

__all__ = ["audit"]

DEFAULT_KEY = "ES" + SIMULATED_SUFFIX


@reads_a_file
def audit(
    file: Annotated[
        str | None, typer.Argument(help="File, folder or glob with bars. [default: the symbol's own source]")
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", help=f"Instrument. [default: ES with FILE, else {DEFAULT_KEY}]"),
    ] = None,
    book: BookOption = None,
    vix: Annotated[
        Path | None, typer.Option(help="Daily VIX, CSV or Parquet. [default: volatility_index of settings.yaml]")
    ] = None,
    sessions: Annotated[int, typer.Option(min=3, help="Number of most recent sessions to audit.")] = 504,
    cutoffs: Annotated[
        int, typer.Option(min=1, help="Number of session closes to cut off at, besides the rare days.")
    ] = 8,
    models: Annotated[
        bool,
        typer.Option(help="Train the model families of the settings, and cut off at the first decision of each fold."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn cut-offs.")] = 0,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Recompute features, signals and models on data cut off at many sessions, and compare bit by bit.

    Exit code 0: no look-ahead found; 1: look-ahead found, with feature, first row and likely cause; 2: wrong use.
    """
    from cli.bars import bars_of
    from pipeline.audit import audit as audit_bars
    from pipeline.audit import audit_models, last_sessions
    from pipeline.market.daily_series import read_daily_series

    taken = bars_of(file, symbol, reading, book)
    instrument, settings, what = taken.instrument, taken.settings, taken.description
    bars = last_sessions(taken.bars, instrument, sessions)
    named = vix if vix is not None else settings.volatility_index
    series = None if named is None else read_daily_series(_placed(named, given=vix is not None))
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn(), console=console
    ) as shown:
        task = shown.add_task("features of all data", total=None)

        def tell(done: int, total: int, step: str) -> None:
            shown.update(task, completed=done, total=total, description=step)

        report = audit_bars(
            bars,
            instrument,
            settings.rules,
            features=settings.features.chosen() if settings.features.leave_out else None,
            vix=series,
            account=settings.account_for(instrument),
            cutoffs=cutoffs,
            seed=seed,
            progress=tell,
        )
        if models:
            report = report.joined(audit_models(bars, instrument, settings, vix=series, progress=tell))
    if as_json:
        typer.echo(json.dumps({"source": what, **report.to_dict()}, indent=2))
    else:
        _show(report, what)
    if not report.passed:
        raise typer.Exit(1)


def _placed(path: "Path | str", *, given: bool) -> Path:
    # A path in the settings starts from the home, one on the command line from where the user stands.
    return expanded(str(path)) if given else vpoc_home().root / expanded(str(path))


def _show(report: "AuditReport", what: str) -> None:
    console = Console()
    console.sentence(what)
    # Twenty columns missing for the same reason are one line to read.
    alike: dict[tuple[object, ...], list[str]] = {}
    for finding in report.findings:
        same = (finding.severity, finding.check, finding.row, finding.expected, finding.got, finding.likely_cause)
        alike.setdefault(tuple(map(str, same)), []).append(finding.feature)
    for (severity, check, row, expected, got, cause), names in alike.items():
        color = "red" if severity == "error" else "yellow"
        console.print(f"[bold {color}]{severity}[/] {check}: ", end="", markup=True)
        console.print(", ".join(names), style="bold", highlight=False)
        for name, value in (("first at", row), ("expected", expected), ("got", got), ("cause", cause)):
            shown = "missing" if value == "nan" else value
            console.sentence(f"  {name:<10} {shown}")
    reasons: dict[str, list[str]] = {}
    for name, reason in report.skipped.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        console.sentence(f"not judged: {shown}: {reason}")
    dates = ", ".join(str(session.date()) for session in report.cutoffs)
    console.print(
        f"{len(report.judged)} features, {report.sessions} sessions, cut-offs at {dates}",
        highlight=False,
        soft_wrap=True,
    )
    if report.families:
        console.print(
            f"{', '.join(report.families)}: the chain to the first decision of {report.folds} folds", highlight=False
        )
    errors = sum(finding.severity == "error" for finding in report.findings)
    if defects := [finding for finding in report.findings if finding.is_defect]:
        from pipeline.audit.report import defect_sentence

        console.sentence(f"{defect_sentence(defects)}.")
    console.print(
        "[green]no look-ahead found[/]" if report.passed else f"[bold red]{errors} error{'s' * (errors > 1)}[/]",
        markup=True,
    )
