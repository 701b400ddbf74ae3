"""``vpoc audit``: proof by replay that nothing that is learned from knows the future."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipeline.cli.options import BarOption, FormatOption, JsonOption, LabelOption, ZoneOption, file_source
from pipeline.datasets import SIMULATED_SUFFIX, find_dataset
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import expanded, vpoc_home
from pipeline.market import Instrument

if TYPE_CHECKING:
    from pipeline.audit import AuditReport
    from pipeline.settings import Settings

__all__ = ["audit"]

DEFAULT_KEY = "ES" + SIMULATED_SUFFIX


def audit(
    file: Annotated[
        str | None, typer.Argument(help="File, folder or glob with bars. [default: the symbol's own source]")
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", help=f"Which instrument. [default: ES with FILE, else {DEFAULT_KEY}]"),
    ] = None,
    vix: Annotated[
        Path | None, typer.Option(help="Daily VIX, CSV or Parquet. [default: volatility_index of settings.yaml]")
    ] = None,
    sessions: Annotated[int, typer.Option(min=3, help="How many of the last sessions to audit.")] = 504,
    cutoffs: Annotated[int, typer.Option(min=1, help="At how many sessions' closes to cut the data off.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Draws the cut-offs.")] = 0,
    format_: FormatOption = None,
    time_zone: ZoneOption = None,
    label: LabelOption = None,
    bar: BarOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute features, labels and splits on data cut off at many sessions, and compare to the bit.

    Exit code 0: no look-ahead found; 1: found, with feature, first row and likely cause; 2: wrong use.
    """
    from pipeline.audit import audit as audit_bars
    from pipeline.audit import last_sessions
    from pipeline.market.daily_series import read_daily_series

    bars, instrument, settings, what = _bars(file, symbol, format_, time_zone, label, bar)
    bars = last_sessions(bars, instrument, sessions)
    named = vix if vix is not None else settings.volatility_index
    series = None if named is None else read_daily_series(_placed(named, given=vix is not None))
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn(), console=console
    ) as shown:
        task = shown.add_task("features of all data", total=None)
        report = audit_bars(
            bars,
            instrument,
            settings.strategy,
            features=settings.features.chosen() if settings.features.leave_out else None,
            vix=series,
            account=settings.account_for(instrument),
            cutoffs=cutoffs,
            seed=seed,
            progress=lambda done, total, step: shown.update(task, completed=done, total=total, description=step),
        )
    if as_json:
        typer.echo(json.dumps({"source": what, **report.to_dict()}, indent=2))
    else:
        _show(report, what)
    if not report.passed:
        raise typer.Exit(1)


def _bars(
    file: str | None,
    symbol: str | None,
    format_: str | None,
    time_zone: str | None,
    label: str | None,
    bar: str | None,
) -> "tuple[pd.DataFrame, Instrument, Settings, str]":
    if file is not None:
        from pipeline.cli.bars import bars_of_file

        taken = bars_of_file(file_source(file, format_, time_zone, label, bar), symbol or "ES")
        return taken.bars, taken.instrument, taken.settings, taken.description
    options = {"--format": format_, "--time-zone": time_zone, "--label": label, "--bar": bar}
    if option := next((name for name, value in options.items() if value is not None), None):
        raise ConfigurationError(f"{option} says how to read a file: name the FILE, or leave {option} out")
    from pipeline.market.cleaning import clean_bars
    from pipeline.settings import load_settings

    home = vpoc_home()
    dataset = find_dataset(symbol or DEFAULT_KEY, home)
    settings = load_settings(home)
    bars = clean_bars(dataset.read().frame, dataset.instrument, off_tick=settings.off_tick).bars
    if bars.empty:
        raise DataError(f"{dataset.identity} holds no usable bar of {dataset.key}; see 'vpoc doctor'")
    return bars, dataset.instrument, settings, f"{dataset.key}: {dataset.identity}"


def _placed(path: "Path | str", *, given: bool) -> Path:
    # A path in the settings starts from the home, one on the command line from where the user stands.
    return expanded(str(path)) if given else vpoc_home().root / expanded(str(path))


def _show(report: "AuditReport", what: str) -> None:
    console = Console()
    console.print(what, soft_wrap=True, highlight=False, markup=False)
    # Twenty columns that are missing for the same reason are one thing to read.
    alike: dict[tuple[object, ...], list[str]] = {}
    for finding in report.findings:
        same = (finding.severity, finding.check, finding.row, finding.expected, finding.got, finding.likely_cause)
        alike.setdefault(tuple(map(str, same)), []).append(finding.feature)
    for (severity, check, row, expected, got, cause), names in alike.items():
        color = "red" if severity == "error" else "yellow"
        console.print(f"[bold {color}]{severity}[/] {check}: ", end="")
        console.print(", ".join(names), style="bold", highlight=False, markup=False)
        for name, value in (
            ("first at", row),
            ("expected", expected),
            ("got", got),
            ("cause", cause),
        ):
            shown = "missing" if value == "nan" else value
            console.print(f"  {name:<10} {shown}", soft_wrap=True, highlight=False, markup=False)
    reasons: dict[str, list[str]] = {}
    for name, reason in report.skipped.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        console.print(f"not judged: {shown}: {reason}", soft_wrap=True, highlight=False, markup=False)
    dates = ", ".join(str(session.date()) for session in report.cutoffs)
    console.print(
        f"{len(report.judged)} features, {report.sessions} sessions, cut off at {dates}",
        highlight=False,
        soft_wrap=True,
    )
    errors = sum(finding.severity == "error" for finding in report.findings)
    if defects := [finding for finding in report.findings if finding.is_defect]:
        from pipeline.audit.report import defect_sentence

        console.print(f"{defect_sentence(defects)}.", soft_wrap=True, highlight=False, markup=False)
    console.print(
        "[green]no look-ahead found[/]" if report.passed else f"[bold red]{errors} error{'s' * (errors > 1)}[/]"
    )
