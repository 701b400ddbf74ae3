"""``vpoc bench``: speed of the engines, checked for correctness before they are timed."""

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from cli.options import JsonOption
from cli.screen import Console
from cli.tables import frame_table
from pipeline.errors import DataError

__all__ = ["bench"]

bench = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Time the engines against their peers; measure the accuracy of the statistics.",
)

RepeatOption = Annotated[int, typer.Option(min=1, help="Timed repetitions; the fastest counts.")]


@bench.command()
def profiles(
    repeat: RepeatOption = 5,
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions of one-minute bars to make; 3900 are 15 years.")
    ] = 3900,
    trades: Annotated[int, typer.Option(min=1, help="Trades to make, a million per session.")] = 5_000_000,
    real_data: Annotated[
        Path | None, typer.Option(help="Folder of real files to measure too. [default: VPOC_REAL_DATA]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Profiles and value areas: ours, a NumPy difference array, py-market-profile, and reading the arrays once."""
    from bench.profiles import bench_profiles

    rows = bench_profiles(repeat=repeat, sessions=sessions, trades=trades, real_data=real_data)
    _show(rows, "volume profiles", as_json=as_json)


@bench.command()
def fills(repeat: RepeatOption = 5, as_json: JsonOption = False) -> None:
    """Bracket orders on bars: the kernel on arrays, and the public call on frames."""
    from bench.backtest import bench_backtest

    _show(bench_backtest(repeat=repeat), "backtest", as_json=as_json)


@bench.command()
def training(
    repeat: RepeatOption = 3,
    rows: Annotated[int, typer.Option(min=10, help="Rows of the table to make.")] = 5_000,
    columns: Annotated[int, typer.Option(min=1, help="Its columns.")] = 210,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 20,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Also measure torch.compile, which takes a minute.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Training: the project's loop, a plain DataLoader loop, the arithmetic alone; LightGBM; available GPUs."""
    from bench.training import bench_training

    found = bench_training(rows=rows, columns=columns, epochs=epochs, repeat=repeat, compiled=compiled)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    frame = pd.DataFrame(found)
    done = zip(frame["per_second"], frame["unit"], strict=True)
    frame["per second"] = ["–" if pd.isna(count) else f"{count:.3g} {unit}" for count, unit in done]
    for name in ("times_plain", "ratio_to_floor"):
        frame[name] = frame[name].astype(float).round(2)
    shown = ["engine", "per second", "times_plain", "ratio_to_floor", "agrees", "note"]
    for workload, part in frame.groupby("workload", sort=False):
        Console().print(frame_table(part[shown], f"training: {workload}"))


@bench.command()
def chain(
    real_data: Annotated[
        Path | None, typer.Option(help="Folder of real files; simulated bars without. [default: VPOC_REAL_DATA]")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="Keep this run's figures as those of a release of this name.")
    ] = None,
    conditions: Annotated[str, typer.Option(help="With --keep: where and how it was measured.")] = "",
    as_json: JsonOption = False,
) -> None:
    """The whole chain, cold, on seven years: each step's seconds beside the release before; features of ten years."""
    from bench.chain import bench_chain, bench_features, keep_release

    console = Console(stderr=True) if as_json else Console()
    with console.status("Running the chain on seven years"):
        found = bench_chain(real_data)
    with console.status("Making features of ten years"):
        features = bench_features()
    if keep is not None:
        keep_release(found, keep, conditions)
    if as_json:
        typer.echo(json.dumps({**found, "features_of_ten_years": features}, indent=2))
    else:
        frame = pd.DataFrame(found["steps"]).round(1)
        frame.columns = ["step", "seconds", "processor seconds", "before", "processor before"]
        before = found["previous"]
        console.print(frame_table(frame, f"{found['workload']}; before: {before.get('release', 'nothing kept')}"))
        for name, value in found["figures"].items():
            console.print(f"{name} {value:,.4g}")
        made = f"{features['features']} features of {features['bars']:,} bars"
        console.sentence(f"{made}: {features['seconds']:.2f} s, {features['processor_seconds']:.2f} of a processor")
    if found["differences"]:
        raise DataError(
            f"the figures are not those of {found['previous']['release']}: {'; '.join(found['differences'])}"
        )


@bench.command()
def tuning(
    sessions: Annotated[int, typer.Option(min=60, help="Sessions of five-minute bars to make; 2520 are 10 years.")] = (
        2_520
    ),
    trials: Annotated[int, typer.Option(min=10, help="Trials of the strategy.")] = 200,
    rows: Annotated[int, typer.Option(min=200, help="Rows of the table LightGBM learns from.")] = 5_000,
    columns: Annotated[int, typer.Option(min=1, help="Its columns.")] = 210,
    model_trials: Annotated[int, typer.Option(min=1, help="Trials of LightGBM.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Tuning: trials per second of the strategy and of LightGBM, against loops that start over at each trial."""
    from bench.tuning import bench_tuning

    found = bench_tuning(sessions=sessions, trials=trials, rows=rows, columns=columns, model_trials=model_trials)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    frame = pd.DataFrame(found).round({"milliseconds": 1, "processor_milliseconds": 1, "times_naive": 1})
    frame["trials/s"] = [f"{rate:.3g}" for rate in frame["trials_per_second"]]
    shown = ["engine", "trials/s", "milliseconds", "processor_milliseconds", "times_naive", "agrees", "note"]
    for workload, part in frame.groupby("workload", sort=False):
        Console().print(frame_table(part[shown], f"tuning: {workload}"))


@bench.command()
def statistics(
    repeat: Annotated[
        int, typer.Option(min=1, help="Series of each kind for an interval; ten times as many for a probability.")
    ] = 400,
    trades: Annotated[
        list[int] | None, typer.Option(min=30, help="Trades per series. [default: 30, 100, 300, 1000]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the statistics: coverage of the intervals, and worthless returns that pass. Half an hour by default."""
    from bench.statistics import RETURNS, TRADES, coverage, false_passes

    console = Console(stderr=True)
    intervals, passes = [], []
    for count in trades or (30, 100, 300, 1000):
        for kind in TRADES:
            with console.status(f"intervals of {count} trades: {kind}"):
                intervals += coverage(kind, trades=count, repeat=repeat)
    for sessions in (250, 1000):
        for kind in RETURNS:
            with console.status(f"probabilities of {sessions} sessions: {kind}"):
                passes.append(false_passes(kind, sessions=sessions, repeat=10 * repeat))
    if as_json:
        typer.echo(json.dumps({"intervals": intervals, "false_passes": passes}, indent=2))
        return
    shown = Console()
    title = "95 % intervals that contain the truth, %: plain blocks and ours; how much wider ours are"
    shown.print(frame_table(pd.DataFrame(intervals).round({"plain": 1, "held": 1, "wider": 2}), title))
    title = "worthless returns whose probabilistic Sharpe ratio exceeds 95 %, %"
    shown.print(frame_table(pd.DataFrame(passes).round(1), title))


def _show(rows: list[dict[str, Any]], title: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    console = Console()
    frame = pd.DataFrame(rows)
    frame["M bars/s"] = (frame.pop("bars_per_second") / 1e6).round(1)
    frame["ratio_to_floor"] = frame["ratio_to_floor"].round(1)
    shown = ["engine", "M bars/s", "ratio_to_floor", "agrees", "note"]
    for workload, part in frame.groupby("workload", sort=False):
        console.print(frame_table(part[[name for name in shown if name in part]], f"{title}: {workload}"))
