"""``vpoc doctor``: versions, device, storage, calendars and data: what is there, what is missing, how to get it."""

import importlib.metadata
import json
import os
import shutil
import sqlite3
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.options import JsonOption
from pipeline.environment import POSTGRES_VARIABLE, first_month, prepare_environment
from pipeline.errors import PipelineError
from pipeline.home import PROJECT, Home, vpoc_home

__all__ = ["doctor"]

LIBRARIES = (
    "dagster", "dagster-postgres", "dagster-webserver", "mlflow", "pandas", "numpy", "pyarrow", "numba", "torch",
    "lightgbm", "optuna", "pandas-ta-classic", "exchange-calendars", "arch", "plotly", "sqlalchemy",
)  # fmt: skip
LEAST_FREE_BYTES = 2 * 2**30

State = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    topic, what
        Where it belongs, and what it is.
    state
        ``good``, ``note`` (works without it) or ``bad`` (something won't work).
    said
        What was found.
    remedy
        What to do, where something is missing.
    """

    topic: str
    what: str
    state: State
    said: str
    remedy: str = ""


def doctor(as_json: JsonOption = False) -> None:
    """Look at everything a run needs; exit 1 where something won't work."""
    home = vpoc_home()
    findings = [*_versions(), *_device(), *_storage(home), *_calendars(), *_data(home)]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    table = Table(show_edge=False)
    for name in ("", "", "found", "to do"):
        table.add_column(name, overflow="fold")
    marks = {"good": "[green]good[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/]"}
    for finding in findings:
        table.add_row(marks[finding.state], f"{finding.topic}: {finding.what}", finding.said, finding.remedy)
    Console(highlight=False).print(table)


def _versions() -> list[Finding]:
    version = sys.version_info
    found = [
        Finding(
            "versions", "Python", "good" if version[:2] == (3, 11) else "bad", ".".join(map(str, version[:3])),
            "" if version[:2] == (3, 11) else "make the environment anew with Python 3.11: make clean setup",
        )
    ]  # fmt: skip
    for name in LIBRARIES:
        try:
            found.append(Finding("versions", name, "good", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding("versions", name, "bad", "not installed", "make setup"))
    return found


def _device() -> list[Finding]:
    found = [Finding("device", "processors", "good", f"{os.cpu_count()} cores")]
    try:
        import torch
    except ImportError:
        return [*found, Finding("device", "torch", "bad", "can't be imported", "make clean setup")]
    if torch.cuda.is_available():
        kind = "ROCm" if torch.version.hip else "CUDA"
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return [*found, Finding("device", "GPU", "good", f"{kind}: {names}")]
    return [*found, Finding("device", "GPU", "note", "none that torch can use: everything runs on the processor")]


def _storage(home: Home) -> list[Finding]:
    from pipeline.datasets import load_sources
    from pipeline.settings import load_settings

    try:
        prepare_environment(home)
    except PipelineError as error:
        return [Finding("storage", str(home.root), "bad", str(error))]
    writable = os.access(home.root, os.W_OK)
    free = shutil.disk_usage(home.root).free
    found = [
        Finding(
            "storage", "home", "good" if writable else "bad", str(home.root),
            "" if writable else "it can't be written: name another folder in VPOC_HOME",
        ),
        Finding(
            "storage", "free space", "good" if free > LEAST_FREE_BYTES else "note", f"{free / 2**30:.1f} GiB",
            "" if free > LEAST_FREE_BYTES else "runs need some hundred MiB; make room, or move VPOC_HOME",
        ),
        Finding("storage", "SQLite", "good", sqlite3.sqlite_version),
        Finding(
            "storage", "Dagster", "good",
            f"PostgreSQL, by {POSTGRES_VARIABLE}" if os.environ.get(POSTGRES_VARIABLE) else "SQLite in the home",
        ),
        Finding("storage", "Dagster instance file", *_instance_file()),
    ]  # fmt: skip
    for path, load in ((home.sources, load_sources), (home.settings, load_settings)):
        try:
            load(home)
        except PipelineError as error:
            found.append(Finding("storage", path.name, "bad", str(error), "mend the file, or move it away"))
        else:
            there = str(path) if path.exists() else "not there: defaults hold"
            found.append(Finding("storage", path.name, "good", there))
    try:
        found.append(Finding("storage", "first month", "good", first_month()))
    except PipelineError as error:
        found.append(Finding("storage", "first month", "bad", str(error)))
    return found


def _instance_file() -> tuple[State, str, str]:
    file = Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml"
    if file.exists():
        return "good", str(file), ""
    return "bad", f"{file} is not there", f"unset DAGSTER_HOME, or point it to {PROJECT}"


def _calendars() -> list[Finding]:
    from pipeline.market import load_instruments, session_schedule

    try:
        instruments = load_instruments()
    except PipelineError as error:
        return [Finding("calendar", "instruments", "bad", str(error))]
    found = [Finding("calendar", "instruments", "good", ", ".join(instruments))]
    import pandas as pd

    today = pd.Timestamp.now(tz="UTC").tz_localize(None).normalize()
    for calendar in sorted({instrument.calendar for instrument in instruments.values()}):
        instrument = next(one for one in instruments.values() if one.calendar == calendar)
        schedule = session_schedule(instrument, today, today + pd.Timedelta(days=14))
        if schedule.empty:
            found.append(
                Finding("calendar", calendar, "bad", "no session in the next two weeks", "update exchange-calendars")
            )
        else:
            found.append(Finding("calendar", calendar, "good", f"next session {schedule.index[0].date()}"))
    return found


def _data(home: Home) -> list[Finding]:
    from pipeline.datasets import SIMULATED_SUFFIX, dataset_keys, load_sources

    try:
        sources, keys = load_sources(home), dataset_keys()
    except PipelineError:
        return []  # told with the files
    found = [
        Finding("data", key, "bad", f"{home.sources} names it, but no instrument does", "mend the symbol, or add it")
        for key in sources
        if key not in keys or key.endswith(SIMULATED_SUFFIX)
    ]
    for key in keys:
        if key.endswith(SIMULATED_SUFFIX):
            found.append(Finding("data", key, "good", "the simulator", ""))
        elif key not in sources:
            found.append(Finding("data", key, "note", "no source of bars", f"vpoc run --symbol {key} --data FILE"))
        else:
            months = len(list((home.assets / "bars" / key).glob("*.parquet")))
            try:
                files = len(sources[key].files())
            except PipelineError as error:
                found.append(Finding("data", key, "bad", str(error), f"mend its path in {home.sources}"))
                continue
            found.append(Finding("data", key, "good", f"{sources[key].path} ({files} files, {months} months made)"))
    return found
