"""The trades of a desk as a CSV file beside its report."""

from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.trades_csv import as_csv

__all__ = ["portfolio_trades_csv"]


def portfolio_trades_csv(inputs: PortfolioInputs) -> str:
    """Write the trades of all books as CSV, in the order of entry, ``book`` and ``symbol`` the first columns.

    Times are in UTC, with their offset; money is rounded to cents, R to four decimals. Text from data that a
    spreadsheet would take for a formula is preceded by an apostrophe.
    """
    trades = inputs.result.trades.drop(columns="order")
    trades = trades.assign(side=trades["side"].map({1: "long", -1: "short"}))
    return as_csv(trades, ("book", "symbol", "contract"))
