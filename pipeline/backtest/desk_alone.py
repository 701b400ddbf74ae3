"""Each book of a desk alone on the same account."""

from collections.abc import Sequence

from pipeline.backtest.desk_settings import BookOrders, Desk
from pipeline.backtest.engine import simulate
from pipeline.backtest.ledger import BacktestResult

__all__ = ["simulate_alone"]


def simulate_alone(books: Sequence[BookOrders], desk: Desk) -> dict[str, BacktestResult]:
    """Run each book as if the desk had no other and no limits of its own.

    Parameters
    ----------
    books, desk
        As of :func:`~pipeline.backtest.desk.simulate_desk`.

    Returns
    -------
    dict
        Result of :func:`~pipeline.backtest.engine.simulate` by book.
    """
    return {
        book.name: simulate(
            book.bars,
            book.orders,
            book.instrument,
            desk.account_of(book),
            hours=book.hours,
            intrabar_bars=book.intrabar_bars,
        )
        for book in books
    }
