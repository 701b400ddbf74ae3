"""The desk of the settings: its books' orders, as their own backtests traded them, on one account (contract §6b)."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.backtest import Backtests, BookOrders, Desk, PreparedBars
from pipeline.book_settings import BookSettings
from pipeline.books import Book, find_book
from pipeline.errors import ConfigurationError, DataError, UnknownSymbolError
from pipeline.home import Home
from pipeline.market import label_sessions
from pipeline.research import RULES, model_strategy
from pipeline.settings import Settings
from pipeline.yaml_files import place_in_yaml

__all__ = ["DeskBook", "desk_books", "desk_of", "desk_orders"]


@dataclass(frozen=True)
class DeskBook:
    """A book with what was made of it.

    Attributes
    ----------
    book
        The book.
    bars
        All bars of its symbol.
    rules
        Backtests of its rules; None where it has not been run.
    model
        Backtests of its model's signals; None where it has no model, or that was not trained.
    """

    book: Book
    bars: pd.DataFrame
    rules: Backtests | None
    model: Backtests | None = None

    @property
    def trades_by(self) -> str:
        """Return the name of the backtest whose orders the book places."""
        return RULES if self.book.model is None else model_strategy(self.book.model)

    @property
    def orders(self) -> pd.DataFrame:
        """Orders of the book; a DataError that says what to run where there are none of the present bars."""
        name = self.book.name
        if self.book.model is None:
            made, run = self.rules, f"vpoc run {self.book.option}"
        else:
            made, run = self.model, f"vpoc models train {self.book.model} {self.book.option}"
        if made is None:
            raise DataError(f"book {name} has no backtest of {self.trades_by} yet: '{run}' makes it")
        asset = "rule_backtest" if self.book.model is None else "model_backtest"
        self.book.require_same(**{asset: made})
        result = made.results[self.trades_by]
        if (until := result.equity.index[-1]) < (last := self.bars["timestamp"].iloc[-1]):
            raise DataError(
                f"the backtest of book {name} ends on {until:%F}, and its bars on {last:%F}: '{run}' makes it anew"
            )
        return result.orders.drop(columns=["status", "reason"])

    @property
    def sessions(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """First and last session in which it trades; a model's first is the first that was scored out of fold."""
        labels = _sessions(self)
        first = labels.min()
        if self.book.model is not None and self.model is not None:
            first = max(first, pd.Timestamp(self.model.attrs["first_session"]))
        return first, labels.max()


def desk_books(home: Home, settings: Settings) -> list[Book]:
    """Find the books of the settings' desk, in the order in which they enter.

    Raises
    ------
    ConfigurationError
        Where there are none, and for one that there is not.
    """
    if not settings.desk_books:
        raise ConfigurationError(
            f"the desk has no books: name some under 'books' in {home.settings}, as docs/desk.md shows"
        )
    return [_found(name, home, settings) for name in settings.desk_books]


def _found(name: str, home: Home, settings: Settings) -> Book:
    try:
        return find_book(name, home, settings)
    except UnknownSymbolError as error:
        raise ConfigurationError(f"{place_in_yaml(home.settings, 'desk', 'books')}: desk.books: {error}") from error


def desk_of(settings: Settings, books: Sequence[Book]) -> Desk:
    """Return the desk of the settings, in the currency of its first book."""
    return settings.desk.desk(settings.account, books[0].instrument.currency)


def desk_orders(books: Sequence[DeskBook]) -> list[BookOrders]:
    """Return the orders of all books over the sessions that every one of them trades in.

    Raises
    ------
    DataError
        For a book that has not been run, and where no session is common to all.
    """
    orders = [each.orders for each in books]
    spans = [each.sessions for each in books]
    first, last = max(span[0] for span in spans), min(span[1] for span in spans)
    if first > last:
        latest = books[[span[0] for span in spans].index(first)].book.name
        earliest = books[[span[1] for span in spans].index(last)].book.name
        raise DataError(
            f"the books have no session in common: {latest} begins on {first:%F}, and {earliest} ends on {last:%F}; "
            "give them bars of the same years"
        )
    prepared: dict[str, PreparedBars] = {}
    found = []
    for each, own in zip(books, orders, strict=True):
        book, key = each.book, each.book.dataset.key
        if key not in prepared:
            inside = _sessions(each).between(first, last).to_numpy()
            prepared[key] = PreparedBars(each.bars[inside].reset_index(drop=True), book.instrument)
        account = book.settings.account_for(book.instrument)
        limits = book.settings.books.get(book.name, BookSettings(symbol=key))
        found.append(
            BookOrders(
                book.name,
                book.instrument,
                prepared[key],
                own[own["session"].between(first, last)],
                hours=book.settings.history.hours,
                max_positions=limits.max_positions or account.max_positions,
                max_contracts=limits.max_contracts or account.max_contracts,
                margin_day=limits.margin_day,
                margin_overnight=limits.margin_overnight,
            )
        )
    return found


def _sessions(book: DeskBook) -> pd.Series:
    labels = label_sessions(pd.DatetimeIndex(book.bars["timestamp"]), book.book.instrument)
    return pd.Series(labels.sessions)
