"""``vpoc backtest``: the strategy, or orders of one's own, on a file of bars, without Dagster."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.status import Status

from pipeline.cli.bars import FileBars, bars_of_file
from pipeline.cli.findings import print_findings
from pipeline.cli.options import JsonOption, Reading, SymbolOption, file_source, reads_a_file
from pipeline.cli.screen import Console
from pipeline.cli.tables import frame_table, results_table
from pipeline.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pipeline.backtest import BacktestResult

__all__ = ["backtest"]


@reads_a_file
def backtest(
    file: Annotated[str, typer.Argument(help="File, folder or glob with bars.")],
    symbol: SymbolOption = "ES",
    orders: Annotated[
        Path | None,
        typer.Option(help="CSV of your own bracket orders: session, side (1 or -1), entry, stop, target[, quantity]."),
    ] = None,
    trades: Annotated[Path | None, typer.Option(help="Write the trades to this CSV.")] = None,
    ends: Annotated[Path | None, typer.Option(help="Write every order and how it ended to this CSV.")] = None,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Backtest all value-area fades and the rule signals, or your own orders, under honest fills.

    Account and strategy come from settings.yaml in VPOC_HOME; the rules of the fills are in docs/fills.md.
    """
    from pipeline.performance import summary_to_dict, verdict

    console = Console(stderr=True)
    with Status("reading and cleaning bars", console=console):
        taken = bars_of_file(file_source(file, reading), symbol)
    console.print(taken.description, highlight=False)
    taken.require_intraday()
    print_findings(taken.findings, console)
    with Status("profiles, signals, fills, statistics", console=console):
        results = _run(taken, orders)
        summary = _summaries(results, taken)
    _write({name: result.trades for name, result in results.items()}, trades, "trades")
    _write({name: result.orders for name, result in results.items()}, ends, "orders")
    if as_json:
        typer.echo(
            json.dumps(
                {str(name): summary_to_dict(part.droplevel(0)) for name, part in summary.groupby(level=0, sort=False)},
                indent=2,
            )
        )
        return
    shown = Console()
    shown.print(results_table(summary, f"{symbol}: {file}"))
    shown.print(frame_table(_ends(results), "What became of the orders"))
    for strategy, part in summary.groupby(level=0, sort=False):
        shown.print(f"{strategy}: {verdict(part.droplevel(0))}", highlight=False)


def _write(frames: dict[str, pd.DataFrame], path: Path | None, what: str) -> None:
    if path is None:
        return
    try:
        pd.concat(frames, names=["strategy", None]).reset_index(level=0).to_csv(path, index=False)
    except OSError as error:
        raise ConfigurationError(f"the {what} can't be written to {path}: {error.strerror or error}") from error


def _ends(results: "dict[str, BacktestResult]") -> pd.DataFrame:
    """How many orders of each strategy ended how, and why."""
    counts = {name: result.orders.groupby(["status", "reason"]).size() for name, result in results.items()}
    return pd.DataFrame(counts).fillna(0).astype(int).reset_index()


def _run(taken: FileBars, orders: Path | None) -> "dict[str, BacktestResult]":
    if orders is None:
        from pipeline.research import run_research

        return dict(run_research(taken.bars, taken.instrument, taken.settings).results)
    from pipeline.backtest import simulate

    try:
        own = pd.read_csv(orders)
    except OSError as error:
        raise DataError(f"the orders in {orders} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"the orders in {orders} can't be read as CSV: {' '.join(str(error).split())}") from error
    account = taken.settings.account_for(taken.instrument)
    return {orders.name: simulate(taken.bars, own, taken.instrument, account, hours=taken.settings.strategy.hours)}


def _summaries(results: "dict[str, BacktestResult]", taken: FileBars) -> pd.DataFrame:
    from pipeline.performance import summary

    seed, currency = taken.settings.seed, taken.instrument.currency
    parts = {name: summary(result, seed=seed, currency=currency) for name, result in results.items()}
    return pd.concat(parts, names=["strategy", "metric"])
