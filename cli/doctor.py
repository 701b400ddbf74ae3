"""``vpoc doctor``: versions, device, storage, calendars and data: what works, what is missing, how to fix it."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from cli.doctor_finding import Finding, State
from cli.options import JsonOption, Reading, SymbolOption, file_source, reads_a_file, refuse_reading
from cli.own_files import own_faults
from cli.screen import Console
from pipeline.environment import POSTGRES_VARIABLE, first_month, prepare_environment
from pipeline.errors import PipelineError
from pipeline.home import INSTANCE, Home, vpoc_home

if TYPE_CHECKING:
    from pipeline.hardware import TorchBuild

__all__ = ["doctor"]

LIBRARIES = (
    "dagster", "dagster-postgres", "dagster-webserver", "mlflow", "pandas", "numpy", "pyarrow", "numba", "torch",
    "lightgbm", "optuna", "exchange-calendars", "arch", "plotly", "sqlalchemy",
)  # fmt: skip
# Extras of the package: everything else works without them.
_INSTALL = {"torch": "for networks: pip install 'vpoc-pipeline[torch]'"}
LEAST_FREE_BYTES = 2 * 2**30


@reads_a_file
def doctor(
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Check this file, folder or glob of bars instead.")
    ] = None,
    symbol: SymbolOption = "ES",
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Check everything a run needs, or with --data a file of bars; exit 1 if something won't work.

    For a file: how it is read, what is quarantined, signs that it is misread (time zone, labels, unit), and where it
    rolls from one contract to the next.
    """
    if data is not None:
        from cli.doctor_data import file_findings

        findings = file_findings(file_source(data, reading), symbol)
    else:
        refuse_reading(reading, "name it with --data FILE")
        home = vpoc_home()
        findings = [
            *_versions(),
            *_device(home),
            *_storage(home),
            *_calendars(),
            *_own_files(),
            *_books(home),
            *_data(home),
        ]
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
    colors = {"good": "green", "note": "yellow", "bad": "red"}
    for finding in findings:
        mark = Text(finding.state, colors[finding.state])
        table.add_row(mark, f"{finding.topic}: {finding.what}", finding.message, finding.remedy)
    Console(highlight=False).print(table)


def _own_files() -> list[Finding]:
    return [
        Finding("own files", fault.path.name, "bad", fault.sentence, "correct or remove it") for fault in own_faults()
    ]


def _books(home: Home) -> list[Finding]:
    from pipeline.books import book_faults
    from pipeline.settings import load_settings

    try:
        settings = load_settings(home)
        faults = book_faults(home, settings)
    except PipelineError:
        return []  # reported with the files
    found = []
    for name, book in settings.books.items():
        if why := faults.get(name):
            found.append(Finding("books", name, "bad", why, "correct it: everything else goes on without"))
        else:
            traded = f"{settings.for_book(name).strategy.name} on {book.symbol}"
            by = "" if book.model is None else f", filtered by {book.model}"
            found.append(Finding("books", name, "good", traded + by))
    return found


def _versions() -> list[Finding]:
    version = sys.version_info
    fits = (3, 11) <= version[:2] < (3, 14)
    found = [
        Finding(
            "versions", "Python", "good" if fits else "bad", ".".join(map(str, version[:3])),
            "" if fits else "recreate the environment with Python 3.11, 3.12 or 3.13",
        )
    ]  # fmt: skip
    for name in LIBRARIES:
        try:
            found.append(Finding("versions", name, "good", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            state: State = "note" if name == "torch" else "bad"
            found.append(Finding("versions", name, state, "not installed", _INSTALL.get(name, "make setup")))
    return found


def _device(home: Home) -> list[Finding]:
    return [*_processors(), *_torch(), *_lightgbm(), *_training(home)]


def _processors() -> list[Finding]:
    from pipeline.hardware import processors

    return [Finding("device", "processors", "good", f"{processors()} of {os.cpu_count()} for this process")]


def _torch() -> list[Finding]:
    from pipeline.hardware import attention_kernels, torch_build

    if importlib.util.find_spec("torch") is None:
        return []
    build = torch_build()
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("device", "torch", "bad", f"can't be imported: {error}", "make clean setup")]
    if build is None:
        return [Finding("device", "torch", "bad", f"{torch.__file__} states no version", "make clean setup")]
    made_for = "the processor" if build.kind == "CPU" else f"{build.kind} {build.toolkit}"
    return [
        Finding("device", "torch", "good", f"{build.version}, built for {made_for}"),
        *_gpus(build),
        Finding("device", "attention on the processor", "good", ", ".join(attention_kernels("cpu"))),
    ]


def _gpus(build: "TorchBuild") -> list[Finding]:
    import torch

    from pipeline.hardware import missing_device
    from pipeline.learning.compute_environment import allocator_settings, visible_devices

    if build.kind == "CPU":
        remedy = "for a GPU, install the torch built for it: docs/gpu.md"
        return [Finding("device", "GPU", "note", "none: this torch is built for the CPU", remedy)]
    hidden = visible_devices(build)
    text = ", ".join(f"{name}={value}" for name, value in hidden.items())
    found = [Finding("device", "visible devices", "note" if hidden else "good", text or "all")]
    reason = missing_device("cuda:0")
    if reason is not None:
        remedy = (
            f"unset {' and '.join(hidden)}, or list other devices there"
            if hidden
            else f"install the {'NVIDIA' if build.kind == 'CUDA' else 'AMD'} driver for {build.kind} {build.toolkit}"
        )
        return [*found, Finding("device", "GPU", "note", f"{reason}; everything runs on the CPU", remedy)]
    for number in range(torch.cuda.device_count()):
        found += _gpu(build, f"cuda:{number}")
    allocator = allocator_settings()
    set_by = "=".join(allocator) if allocator else "torch's default; trainings set their own before torch starts"
    collective = "RCCL" if build.kind == "ROCm" else "NCCL"
    several = torch.distributed.is_available() and torch.distributed.is_nccl_available()
    return [
        *found,
        Finding("device", "GPU memory", "good", set_by),
        Finding(
            "device", "several GPUs", "good" if several else "note",
            f"{collective}, as torch's backend nccl" if several else f"this torch has no {collective}",
        ),
        _utilization(build),
    ]  # fmt: skip


def _gpu(build: "TorchBuild", device: str) -> list[Finding]:
    import torch

    from pipeline.hardware import attention_kernels, has_bfloat16, missing_device

    reason = missing_device(device)
    if reason is not None:
        return [Finding("device", device, "note", reason, "leave it out of compute: device in settings.yaml")]
    about = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    architecture = about.gcnArchName if build.kind == "ROCm" else f"compute capability {about.major}.{about.minor}"
    number_format = "bfloat16" if has_bfloat16(device) else "no bfloat16 in hardware: fp32"
    memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    kernels = attention_kernels(device)
    return [
        Finding("device", device, "good", f"{about.name} ({architecture}), {memory}, {number_format}"),
        Finding(
            "device", f"attention on {device}", "good" if "flash" in kernels else "note", ", ".join(kernels),
        ),
    ]  # fmt: skip


def _utilization(build: "TorchBuild") -> Finding:
    module, remedy = (
        ("amdsmi", "pip install amdsmi, in ROCm's version")
        if build.kind == "ROCm"
        else ("pynvml", "pip install nvidia-ml-py")
    )
    if importlib.util.find_spec(module) is None:
        return Finding("device", "utilization", "note", f"not recorded: {module} is not installed", remedy)
    return Finding("device", "utilization", "good", f"by {module}")


def _lightgbm() -> list[Finding]:
    from pipeline.hardware import lightgbm_problem

    devices: tuple[Literal["gpu", "cuda"], ...] = ("gpu", "cuda")
    problems = {device: lightgbm_problem(device) for device in devices}
    remedies = {
        "gpu": "needed for OpenCL only: install the GPU's OpenCL driver",
        "cuda": "needed for CUDA or ROCm only: docs/gpu.md shows how to build LightGBM for it",
    }
    return [
        Finding("device", "LightGBM on the processor", "good", "works"),
        *(
            Finding("device", f"LightGBM on {device}", "note" if problem else "good", problem or "works",
                    remedies[device] if problem else "")
            for device, problem in problems.items()
        ),
    ]  # fmt: skip


def _training(home: Home) -> list[Finding]:
    from pipeline.settings import load_settings

    try:
        settings = load_settings(home).compute
    except PipelineError:
        return []  # reported with the files
    compute = settings.choose()
    where = " and ".join(compute.devices)
    memory = "" if compute.memory_share is None else f", at most {compute.memory_share:.0%} of its memory"
    text = f"device: {settings.device} is {where}, {compute.precision}{memory}; LightGBM on {compute.lightgbm_device}"
    kept = settings.named_devices in ((), compute.devices)
    remedy = "" if kept else "fix compute: device in settings.yaml, or see docs/gpu.md"
    return [Finding("device", "trainings", "good" if kept else "note", text, remedy)]


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
            "" if writable else "not writable: set VPOC_HOME to another folder",
        ),
        Finding(
            "storage", "free space", "good" if free > LEAST_FREE_BYTES else "note", f"{free / 2**30:.1f} GiB",
            "" if free > LEAST_FREE_BYTES else "runs need a few hundred MiB: free some space, or move VPOC_HOME",
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
            found.append(Finding("storage", path.name, "bad", str(error), "fix the file, or move it away"))
        else:
            there = str(path) if path.exists() else "none: defaults apply"
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
    return "bad", f"{file} does not exist", f"unset DAGSTER_HOME, or point it to {INSTANCE}"


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
        return []  # reported with the files
    found = [
        Finding(
            "data", key, "bad", f"named in {home.sources}, but there is no such instrument", "fix the symbol, or add it"
        )
        for key in sources
        if key not in keys or key.endswith(SIMULATED_SUFFIX)
    ]
    for key in keys:
        if key.endswith(SIMULATED_SUFFIX):
            found.append(Finding("data", key, "good", "the simulator", ""))
        elif key not in sources:
            found.append(Finding("data", key, "note", "no source of bars yet", f"vpoc run --symbol {key} --data FILE"))
        else:
            months = len(list((home.assets / "bars" / key).glob("*.parquet")))
            try:
                files = len(sources[key].files())
            except PipelineError as error:
                found.append(Finding("data", key, "bad", str(error), f"fix its path in {home.sources}"))
                continue
            found.append(Finding("data", key, "good", f"{sources[key].path} ({files} files, {months} months made)"))
    return found
