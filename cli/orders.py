"""``vpoc orders``: what to do next, from the results of 'vpoc run'."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cli.options import BookOption, JsonOption, MadeSymbolOption, chosen_book
from cli.screen import Console
from pipeline.books import Book, find_book
from pipeline.errors import ConfigurationError, DataError, PipelineError
from pipeline.home import Home, vpoc_home
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.coming import ComingSession

__all__ = ["orders"]

_TABLE = ("by", "order", "entry", "stop", "target", "size", "loss at stop", "margin")


def orders(
    symbol: MadeSymbolOption = None,
    book: BookOption = None,
    equity: Annotated[
        float | None,
        typer.Option(min=0.01, help="Equity of the account, for the sizes. [default: account.initial_capital]"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the orders to this CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the orders for the coming session: prices, size, gates, score, and what is unusual about it.

    They are the orders that the backtest of 'vpoc run' would place next: of all books that settings.yaml names, or of
    one. A session that has begun or is over is said to be so; docs/orders.md explains every column.
    """
    home = vpoc_home()
    named = load_settings(home).books
    made: list[_Made] = []
    failed: list[str] = []
    if symbol is not None or book is not None or not named:
        made.append(_coming(home, chosen_book(home, symbol, book), equity))
    else:
        for name in named:
            try:
                made.append(_coming(home, find_book(name, home), equity))
            except PipelineError as error:  # stops no other book
                failed.append(f"book {name}: {error}")
    if csv is not None and made:
        rows = pd.concat([each.coming.orders.assign(book=each.book.name) for each in made], ignore_index=True)
        try:
            rows[["book", *(name for name in rows if name != "book")]].to_csv(csv, index=False)
        except OSError as error:
            raise ConfigurationError(f"the orders can't be written to {csv}: {error.strerror or error}") from error
    if as_json and made:
        documents = [_document(each) for each in made]
        typer.echo(json.dumps(documents[0] if len(made) == 1 else documents, indent=2))
    elif not as_json:
        for each in made:
            _show(each)
    if failed:
        raise DataError("; ".join(failed))


@dataclass(frozen=True)
class _Made:
    """A book's orders for its coming session, and the equity that sizes them."""

    book: Book
    coming: "ComingSession"
    equity: float


def _coming(home: Home, book: Book, equity: float | None) -> _Made:
    from pipeline.coming import coming_at, with_sizes

    instrument = book.instrument
    account = book.settings.account_for(instrument)
    # A simulated market has no clock but its own.
    now = None if book.dataset.simulated else pd.Timestamp.now(tz="UTC")
    seen = coming_at(_made(home, book), instrument, now)
    # Anew: the account may have changed since.
    sized = with_sizes(seen.orders, instrument, account, book.settings.history.hours, equity=equity)
    held = account.initial_capital if equity is None else equity
    return _Made(book, coming_at(sized, instrument, now), held)


def _made(home: Home, book: Book) -> pd.DataFrame:
    run = f"'vpoc run {book.option}' makes them"
    path = home.assets / "next_orders" / f"{book.name}.parquet"
    if not path.is_file():
        raise DataError(f"there are no orders of {book.name} yet: {run}")
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read ({' '.join(str(error).split())}): {run} anew") from error
    book.require_same(next_orders=frame)
    if frame.empty:
        raise DataError(f"{book.name} has no session with volume to decide on: give it more bars")
    return frame


def _document(made: _Made) -> dict[str, Any]:
    coming, book, dataset = made.coming, made.book, made.book.dataset
    rows = coming.orders.drop(columns=["session", "opens", "closes", "notes"])
    rows["decided_on"] = rows["decided_on"].dt.strftime("%F")
    listed = json.loads(rows.to_json(orient="records", date_format="iso", double_precision=15))
    for row in listed:
        row |= {name: [each for each in row[name].split("; ") if each] for name in ("passed", "shut", "measures")}
    return {
        "book": book.name,
        "symbol": dataset.key,
        "simulated": dataset.simulated,
        "session": f"{coming.session:%F}",
        "opens": coming.opens.isoformat(),
        "closes": coming.closes.isoformat(),
        "time_zone": dataset.instrument.time_zone,
        "state": coming.state,
        "known_until": coming.known_until.isoformat(),
        "unusual": coming.notes,
        "equity": made.equity,
        "currency": dataset.instrument.currency,
        "orders": listed,
    }


def _show(made: _Made) -> None:
    from pipeline.coming import order_table
    from pipeline.performance import format_value

    console, coming, book = Console(), made.coming, made.book
    simulated = " (simulated market)" if book.dataset.simulated else ""
    console.sentence(Text(f"{book.name}{simulated}: orders for {coming.hours}", "bold"))
    console.sentence(Text(coming.standing, "" if coming.state == "coming" else "bold yellow"))
    if coming.state == "over":
        console.sentence(f"'vpoc run {book.option}' on newer bars makes the next ones.")
    for text in coming.notes:
        console.sentence(f"Unusual: {text}")
    texts = order_table(coming)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in _TABLE:
        table.add_column(name, justify="left" if name in ("by", "order") else "right", no_wrap=name != "by")
    for row, action in zip(texts.to_dict("records"), coming.orders["action"], strict=True):
        table.add_row(*(row[name] for name in _TABLE), style="" if action == "order" else "dim")
    console.print(table)
    for row in texts.to_dict("records"):
        said = [row["why"], row["score"] != "–" and f"score {row['score']}", row["terms"]]
        said += [row[name] and f"{name}: {row[name]}" for name in ("passed", "shut")] + [row["measures"]]
        console.sentence(f"{row['by']}, {row['order']}: {'. '.join(each for each in said if each)}")
    money = format_value(made.equity, book.instrument.currency)
    console.sentence(f"Sizes are for an equity of {money}; losses include slippage and commission.")
