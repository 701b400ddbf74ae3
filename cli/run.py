"""``vpoc run``: the whole chain for one symbol, through Dagster, with progress and a table of results."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.alone import symbol_alone
from cli.findings import print_findings
from cli.options import JsonOption, Reading, file_source, reads_a_file, refuse_reading
from cli.own_files import own_faults
from cli.profile_trades import source_holds_trades
from cli.progress import shown_while
from cli.quiet import quieten
from cli.screen import Console
from cli.tables import account_line, results_table, side_by_side_table
from pipeline.books import Book, book_faults, books_of, find_book
from pipeline.datasets import SIMULATED_SUFFIX, FileSource, find_dataset, load_sources, remember_source
from pipeline.environment import prepare_environment
from pipeline.errors import BooksError, ChainError, ConfigurationError, DataError, did_you_mean
from pipeline.home import Home, vpoc_home
from pipeline.market import find_instrument
from pipeline.market.evidence import Finding
from pipeline.settings import require_settings

if TYPE_CHECKING:
    import pandas as pd

    from jobs.progress import Observer

__all__ = ["run"]

DEFAULT_KEY = "ES" + SIMULATED_SUFFIX


@reads_a_file
def run(
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="File, folder or glob with bars; its path is remembered for the symbol."),
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option(
            "--symbol",
            "-s",
            help=f"Instrument, or {DEFAULT_KEY} for the simulator. [default: ES with --data, else {DEFAULT_KEY}]",
        ),
    ] = None,
    book: Annotated[
        str | None,
        typer.Option("--book", "-b", help="Book of settings.yaml. [default: every book of the symbol]"),
    ] = None,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Run the whole chain: bars, profiles, signals, backtest, report.

    Without --data, it uses five simulated years of ES; with it, your own bars. Their path is remembered for the
    symbol, so that 'vpoc run --symbol ES', the nightly schedule and Dagster's page use them from then on.
    """
    home = vpoc_home()
    settings = require_settings(home)
    if book is not None and book in settings.books:
        if symbol not in (None, settings.books[book].symbol):
            raise ConfigurationError(f"--book {book} trades {settings.books[book].symbol}: leave out --symbol {symbol}")
        symbol = settings.books[book].symbol
    elif book is not None:
        raise ConfigurationError(
            f"there is no book {book!r} in {home.settings}; "
            f"choose from {', '.join(settings.books) or 'none'}{did_you_mean(book, settings.books)}"
        )
    key = symbol if symbol is not None else "ES" if data is not None else DEFAULT_KEY
    console = Console(stderr=True) if as_json else Console()
    taken, source = "", None
    if data is None:
        refuse_reading(reading, "give it as --data FILE")
        find_dataset(key, home)
    else:
        if key.endswith(SIMULATED_SUFFIX):
            raise ConfigurationError(f"--data can't be used with {key}, which is simulated: leave one of them out")
        source = file_source(data, reading)
        find_instrument(key)
        if source_holds_trades(source):
            raise DataError(f"{data} holds trades, but a run needs bars: show them with 'vpoc profile {data}'")
        load_sources(home)
        with console.status(f"Reading {data}"):
            taken = source.read(key).description  # an unreadable file must not be remembered
    prepare_environment(home)
    if taken:
        console.sentence(taken)
    for fault in own_faults():
        console.sentence(f"Not used: {fault.sentence}")
    for name, why in book_faults(home, settings).items():
        console.sentence(f"Not used: book {name}: {why}")
    if book is not None:
        find_book(book, home, settings)  # its mistakes are reported before anything starts
    with symbol_alone(home, key, console):
        failed: BooksError | None = None
        books = list(books_of(key, settings)) if book is None else [book]
        try:
            _run(key, home, source, console, books)
        except BooksError as error:
            failed = error
            books = [name for name in books if name not in failed.failed]
        documents = [_show(find_book(name, home), home, console, as_json=as_json) for name in books]
    if as_json:
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    elif books:
        console.print("Pages      'vpoc ui' serves Dagster and MLflow and prints their addresses")
    if failed is not None:
        raise failed


def _run(key: str, home: Home, source: FileSource | None, console: Console, books: list[str]) -> None:
    before = load_sources(home).get(key)
    if source is not None:
        remember_source(home, key, source)

    def chain(observe: "Observer") -> None:
        quieten()
        from jobs.chain import run_chain
        from pipeline.definitions import defs

        run_chain(defs, key, home, observe, books)

    try:
        shown_while(console, chain)
    except BooksError:
        raise  # its bars are read
    except (ChainError, DataError) as error:
        if source is None or before is None or before == source:
            raise
        # A mistyped file must not take the place of the one that worked.
        remember_source(home, key, before)
        raise DataError(
            f"{error}; {key} still has its source {before.path}: 'vpoc run --symbol {key}' rebuilds its months"
        ) from error


def _show(book: Book, home: Home, console: Console, *, as_json: bool) -> dict[str, Any]:
    """Print a book's results, or return them as a document."""
    import dagster as dg

    from pipeline.definitions import defs

    with dg.DagsterInstance.get() as instance:
        loader = defs.get_asset_value_loader(instance)
        summary: pd.DataFrame = loader.load_asset_value("backtest_summary", partition_key=book.name)
    from pipeline.look_count import after_looks
    from pipeline.performance import summary_to_dict, verdict

    dataset = book.dataset
    report = home.reports / f"{book.name}.html"
    findings = [Finding.from_dict(each) for each in summary.attrs.get("findings", ())]
    print_findings(findings, console)
    if as_json:
        strategies = {
            str(name): summary_to_dict(part.droplevel(0)) for name, part in summary.groupby(level=0, sort=False)
        }
        return {
            "book": book.name,
            "symbol": dataset.key,
            "simulated": dataset.simulated,
            "source": dataset.identity,
            "strategies": strategies,
            "looks": summary.attrs["looks"],
            "findings": [finding.to_dict() for finding in findings],
            "report": str(report),
        }
    title = f"{book.name}: {dataset.identity}"
    names = list(summary.index.get_level_values(0).unique())
    console.sentence(account_line(book.settings.account_for(dataset.instrument), dataset.instrument))
    console.print(results_table(summary.loc[names[:2]], title))
    if len(names) > 2:
        console.print(side_by_side_table(summary, f"{book.name}: rules and models side by side"))
    for strategy, part in summary.groupby(level=0, sort=False):
        console.sentence(f"{strategy}: {verdict(part.droplevel(0))}")
    console.sentence(after_looks(summary.attrs["looks"]))
    console.sentence(f"Report     {report}")
    return {}
