"""Everything that the report of a desk is made from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.backtest import BacktestResult, DeskResult
from pipeline.errors import DataError
from pipeline.performance import book_summary, summary
from pipeline.reports.charts import restyle
from pipeline.reports.markup import plain
from pipeline.reports.theme import INK, STRATEGY_COLORS
from pipeline.tuning.looks import Looks

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["WHOLE", "PortfolioInputs"]

WHOLE = "Whole desk"
_BOOK_COLORS = tuple(color for color in STRATEGY_COLORS if color != "#2b2f3a")  # too near to the desk's
_DASHES = ("solid", "dash", "dot")


@dataclass(frozen=True)
class PortfolioInputs:
    """Everything :func:`pipeline.reports.build_portfolio_report` shows.

    Attributes
    ----------
    title
        Heading of the page.
    result
        From :func:`pipeline.backtest.simulate_desk`.
    simulated
        Books whose market is simulated; the page then says so everywhere.
    descriptions
        What each book trades and by which rules, in words; of any of the books.
    alone
        Each book alone on the same account, from :func:`pipeline.backtest.simulate_alone`; of any of the books.
    looks
        Every trial that was made on the market and period of a book; of any of the books. Its figures are deflated by
        them.
    trades_file
        Name of the CSV file of all trades beside the page; empty for none.
    seed
        Of the intervals.

    Raises
    ------
    DataError
        If something is given for a book that the desk doesn't have, or a book has the name of the whole.
    """

    title: str
    result: DeskResult
    simulated: Collection[str] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    alone: Mapping[str, BacktestResult] = field(default_factory=dict)
    looks: Mapping[str, Looks] = field(default_factory=dict)
    trades_file: str = "desk-trades.csv"
    seed: int = 0

    def __post_init__(self) -> None:
        if WHOLE in self.books:
            raise DataError(f"a book is called {WHOLE}, as the report calls all of them together; give it another name")
        for given in ("simulated", "descriptions", "alone", "looks"):
            for name in getattr(self, given):
                if name not in self.books:
                    raise DataError(f"{given} names the book {name}; the desk's books are {', '.join(self.books)}")

    @property
    def books(self) -> list[str]:
        """Names of the books, in the desk's order."""
        return list(self.result.instruments)

    @property
    def currency(self) -> str:
        """Unit of the account's money."""
        return self.result.desk.currency

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Of the desk, from :func:`pipeline.performance.summary`."""
        return summary(self.result, seed=self.seed, currency=self.currency)

    @cached_property
    def summaries(self) -> dict[str, pd.DataFrame]:
        """Of each book's part, from :func:`pipeline.performance.book_summary`."""
        return {book: book_summary(self.result, book, seed=self.seed, currency=self.currency) for book in self.books}

    @property
    def colors(self) -> dict[str, str]:
        """Colour of each book and of the desk, the same in every table and chart."""
        each = {book: _BOOK_COLORS[place % len(_BOOK_COLORS)] for place, book in enumerate(self.books)}
        return {WHOLE: INK, **each}

    def line(self, book: str, width: float) -> dict[str, Any]:
        """A book's line in every chart, so many pixels wide."""
        dash = _DASHES[self.books.index(book) // len(_BOOK_COLORS) % len(_DASHES)]
        return {"color": self.colors[book], "dash": dash, "width": width}

    @property
    def partly(self) -> bool:
        """Tell whether some books' markets are simulated and others are not."""
        return 0 < len(set(self.simulated)) < len(self.books)

    def restyle(self, figure: "go.Figure", height: int) -> "go.Figure":
        """Give a figure the page's look, and say on it what is simulated."""
        mark = "partly simulated" if self.partly else "simulated market"
        return restyle(figure, height=height, simulated=bool(self.simulated), mark=mark)

    def names(self, books: Collection[str]) -> str:
        """Books in words, as plain text in the desk's order: ``a, b and c``."""
        listed = [plain(book) for book in self.books if book in books]
        return " and ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))
