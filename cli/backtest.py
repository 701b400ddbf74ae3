"""``vpoc backtest``: the strategy, or your own orders, on a file of bars, without Dagster."""

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer
from rich.status import Status

from cli.bars import FileBars, bars_of, market_of
from cli.options import BookOption, JsonOption, Reading, reads_a_file
from cli.screen import Console
from cli.tables import frame_table, results_table
from pipeline.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pipeline.backtest import BacktestResult

__all__ = ["backtest"]


@reads_a_file
def backtest(
    file: Annotated[
        str | None,
        typer.Argument(help="File, folder or glob with bars. [default: with --book its symbol's own source]"),
    ] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Instrument of the bars. [default: ES]")] = None,
    book: BookOption = None,
    orders: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet of your own orders: session, side (1 or -1), entry, stop[, target, quantity, "
            "contract, type (limit, stop, market), live_from, live_until (times with zone), group, trail_ticks, "
            "breakeven_ticks, give_back_percent, give_back_from_ticks, max_bars]; docs/fills.md explains them."
        ),
    ] = None,
    trades: Annotated[Path | None, typer.Option(help="Write the trades to this CSV.")] = None,
    ends: Annotated[Path | None, typer.Option(help="Write every order and its outcome to this CSV.")] = None,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Backtest the strategy of the settings, or your own orders, under honest fills.

    Two backtests of a strategy are shown: of all its candidates, and of its rule signals.

    Account and strategy come from settings.yaml in VPOC_HOME, with --book those of that book; docs/fills.md has the
    fill rules. Each backtest counts as a trial on this market: the ledger in VPOC_HOME records it, once for the same
    settings and period.
    """
    from pipeline.look_count import after_looks
    from pipeline.performance import interval_reach, verdict

    console = Console(stderr=True)
    if file is None and book is None:
        raise ConfigurationError("name the FILE with the bars, or a book with --book, whose symbol's source is taken")
    market = market_of(file, symbol, book)
    with Status("reading and cleaning bars", console=console):
        taken = bars_of(file, symbol, reading, book)
    console.print(taken.description, highlight=False)
    with Status("profiles, signals, fills, statistics", console=console):
        own = None if orders is None else _own_orders(orders)
        with _named_lines(orders):
            if own is not None and orders is not None:
                _refuse_mistakes(own, orders)
            results = _run(taken, own, "" if orders is None else orders.name)
        parts = _summaries(results, taken)
        counted = _counted(market, taken, results, parts, own, book or "")
        summary = pd.concat(parts, names=["strategy", "metric"])
    _write({name: result.trades for name, result in results.items()}, trades, "trades")
    _write({name: result.orders for name, result in results.items()}, ends, "orders")
    if as_json:
        typer.echo(json.dumps({name: _document(name, part, counted) for name, part in parts.items()}, indent=2))
        return
    shown = Console()
    shown.print(results_table(summary, f"{book or market}: {file or taken.description.partition(': ')[2]}"))
    shown.print(frame_table(_ends(results), "Outcome of the orders"))
    for strategy, part in parts.items():
        shown.print(f"{strategy}: {verdict(part)}", highlight=False)
    shown.sentence(after_looks(counted))
    if summary["low"].notna().any():
        shown.sentence(interval_reach(max(len(result.daily_returns) for result in results.values())))


def _document(name: str, summary: pd.DataFrame, counted: "Mapping[str, Any]") -> dict[str, Any]:
    """Convert a summary for JSON, with what the number of trials leaves of it."""
    from pipeline.performance import summary_to_dict

    line = {"low": None, "high": None, "note": counted["said"]}
    deflated = counted.get("deflated_sharpe_ratio", {}).get(name)
    return {
        **summary_to_dict(summary),
        "looks": {"value": counted.get("trials"), "unit": "trials", **line},
        "deflated_sharpe_ratio": {"value": deflated, "unit": "%", **line},
    }


def _counted(
    market: str,
    taken: FileBars,
    results: "Mapping[str, BacktestResult]",
    summaries: "Mapping[str, pd.DataFrame]",
    orders: pd.DataFrame | None,
    book: str,
) -> dict[str, Any]:
    """Record the backtests in the ledger; return the number of trials, and what that leaves of them."""
    from pipeline.choices import backtest_look, order_choices, rule_choices
    from pipeline.look_count import LookCount, count_backtests, record_backtests

    if orders is None:
        from pipeline.research import RULES

        name, result, choices = "rules", results[RULES], rule_choices(taken.settings, taken.instrument)
    else:
        name, result = "orders", next(iter(results.values()))
        choices = order_choices(taken.settings, taken.instrument, orders)
    if failed := record_backtests([backtest_look(market, name, choices, result, book=book)]):
        return LookCount(why_unknown=failed).document()
    return count_backtests(market, taken.instrument, results, summaries).document()


def _write(frames: dict[str, pd.DataFrame], path: Path | None, what: str) -> None:
    if path is None:
        return
    try:
        pd.concat(frames, names=["strategy", None]).reset_index(level=0).to_csv(path, index=False)
    except OSError as error:
        raise ConfigurationError(f"the {what} can't be written to {path}: {error.strerror or error}") from error


def _ends(results: "dict[str, BacktestResult]") -> pd.DataFrame:
    """Count the orders of each strategy by status and reason."""
    counts = {name: result.orders.groupby(["status", "reason"]).size() for name, result in results.items()}
    return pd.DataFrame(counts).fillna(0).astype(int).reset_index()


@contextmanager
def _named_lines(path: Path | None) -> Iterator[None]:
    """Say of a wrong order where in the file it stands."""
    from pipeline.backtest.orders import OrderError

    try:
        yield
    except OrderError as error:
        if path is None:
            raise
        if _is_parquet(path):
            place = f"row {error.row + 1}"
        else:
            lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip()]
            place = f"line {lines[error.row + 1]}"  # after the line of names
        raise DataError(f"{path}, {place}: {error.reason}") from error


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _own_orders(path: Path) -> pd.DataFrame:
    kind = "Parquet" if _is_parquet(path) else "CSV"
    try:
        orders = pd.read_parquet(path) if _is_parquet(path) else pd.read_csv(path)
    except OSError as error:
        raise DataError(f"the orders in {path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"the orders in {path} can't be read as {kind}: {' '.join(str(error).split())}") from error
    return orders


def _refuse_mistakes(orders: pd.DataFrame, path: Path) -> None:
    """Refuse what a table of one's own may hold by mistake: a misspelt column, an order that stands there twice."""
    from pipeline.backtest.orders import ORDER_COLUMNS, refuse_repeated

    names = [str(name) for name in orders.columns]
    for name in names:
        near = difflib.get_close_matches(name.lower(), ORDER_COLUMNS, n=1, cutoff=0.8)
        if near and name not in ORDER_COLUMNS and near[0] not in names:
            raise DataError(f"{path} has a column {name}, which means nothing here; write {near[0]}, or leave it out")
    refuse_repeated(orders)


def _run(taken: FileBars, own: pd.DataFrame | None, name: str) -> "dict[str, BacktestResult]":
    if own is None:
        from pipeline.research import run_research

        return dict(run_research(taken.bars, taken.instrument, taken.settings).results)
    from pipeline.backtest import simulate

    account = taken.settings.account_for(taken.instrument)
    return {name: simulate(taken.bars, own, taken.instrument, account, hours=taken.settings.history.hours)}


def _summaries(results: "dict[str, BacktestResult]", taken: FileBars) -> dict[str, pd.DataFrame]:
    from pipeline.performance import summary

    seed, currency = taken.settings.seed, taken.instrument.currency
    return {name: summary(result, seed=seed, currency=currency) for name, result in results.items()}
