"""``vpoc backtest``: the strategy, or orders of one's own, on a file of bars, without Dagster."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.status import Status

from pipeline.cli.bars import FileBars, bars_of_file
from pipeline.cli.options import (
    BarOption,
    FormatOption,
    JsonOption,
    LabelOption,
    SymbolOption,
    ZoneOption,
    file_source,
)
from pipeline.cli.tables import results_table
from pipeline.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pipeline.backtest import BacktestResult

__all__ = ["backtest"]


def backtest(
    file: Annotated[str, typer.Argument(help="File, folder or glob with bars.")],
    symbol: SymbolOption = "ES",
    orders: Annotated[
        Path | None,
        typer.Option(help="CSV of your own bracket orders: session, side (1 or -1), entry, stop, target[, quantity]."),
    ] = None,
    trades: Annotated[Path | None, typer.Option(help="Write the trades to this CSV.")] = None,
    format_: FormatOption = None,
    time_zone: ZoneOption = None,
    label: LabelOption = None,
    bar: BarOption = None,
    as_json: JsonOption = False,
) -> None:
    """Backtest all value-area fades and the rule signals, or your own orders, under honest fills.

    Account and strategy come from settings.yaml in VPOC_HOME; the rules of the fills are in docs/fills.md.
    """
    console = Console(stderr=True)
    with Status("reading and cleaning bars", console=console):
        taken = bars_of_file(file_source(file, format_, time_zone, label, bar), symbol)
    console.print(taken.description, highlight=False)
    with Status("profiles, signals, fills, statistics", console=console):
        results = _run(taken, orders)
        summary = _summaries(results, taken)
    if trades is not None:
        whole = pd.concat({name: result.trades for name, result in results.items()}, names=["strategy", None])
        try:
            whole.reset_index(level=0).to_csv(trades, index=False)
        except OSError as error:
            raise ConfigurationError(f"the trades can't be written to {trades}: {error.strerror or error}") from error
    if as_json:
        from pipeline.performance import summary_to_dict

        typer.echo(
            json.dumps(
                {str(name): summary_to_dict(part.droplevel(0)) for name, part in summary.groupby(level=0, sort=False)},
                indent=2,
            )
        )
        return
    Console().print(results_table(summary, f"{symbol}: {file}"))


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
