"""How a desk used its account: margin, orders that its limits turned away, and books that stood against each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.backtest import BacktestResult, DeskResult
from pipeline.errors import DataError
from pipeline.market import label_sessions
from pipeline.performance import kernels

__all__ = ["beside_alone", "instant_sessions", "margin_by_session", "margin_use", "opposed_positions", "turned_away"]


def _margin_share(result: DeskResult) -> pd.Series:
    """Margin over equity at every instant; infinite where margin is needed and no equity is left, 0 without margin."""
    share = (result.margin / result.equity).where(result.equity > 0, np.inf)
    return share.where(result.margin > 0, 0.0)


def margin_use(result: DeskResult) -> pd.Series:
    """Maintenance margin of the positions as a fraction of equity.

    Returns
    -------
    Series
        ``most`` and ``mean_while_held`` of the instants at which a position is held (infinite where equity is gone),
        ``held_share`` (fraction of instants with a position), ``calls`` (positions closed by a margin call). A position
        opened and closed within one bar takes margin at no instant.
    """
    held = result.margin > 0
    share = _margin_share(result)[held]
    return pd.Series(
        {
            "most": share.max() if len(share) else 0.0,
            "mean_while_held": share.mean() if len(share) else 0.0,
            "held_share": held.mean() if len(held) else 0.0,
            "calls": float((result.trades["exit_reason"] == "margin_call").sum()),
        },
        name="margin_use",
    )


def margin_by_session(result: DeskResult) -> pd.DataFrame:
    """Most margin held in each session, in money and as a fraction of equity at that instant.

    Instants belong to sessions as :func:`instant_sessions` says.

    Returns
    -------
    DataFrame
        Indexed by session, every session of the desk: ``money``, ``share``.
    """
    frame = pd.DataFrame({"money": result.margin, "share": _margin_share(result)})
    return frame.groupby(instant_sessions(result)).max().reindex(result.session_equity.index, fill_value=0.0)


def instant_sessions(result: DeskResult) -> pd.DatetimeIndex:
    """Session of each instant of the desk's equity; where the calendars of the books differ, the latest begun."""
    index = pd.DatetimeIndex(result.equity.index)
    instruments = {each.symbol: each for each in result.instruments.values()}
    # An instant is the open of some book's bar, so at least one instrument knows the session.
    each = np.array([label_sessions(index, one).sessions.as_unit("ns").asi8 for one in instruments.values()])
    return pd.DatetimeIndex(each.max(axis=0).astype("M8[ns]"), name="session")


def turned_away(result: DeskResult) -> pd.DataFrame:
    """Count the orders that were reached and not taken: books × reasons, which are those of skipped orders.

    A reason that no order has is left out. What a limit only made smaller is not counted.
    """
    skipped = result.orders[result.orders["status"] == "skipped"]
    counts = pd.crosstab(skipped["book"], skipped["reason"]) if len(skipped) else pd.DataFrame(dtype=int)
    return counts.reindex(pd.Index(result.daily_pnl.columns, name="book"), fill_value=0).rename_axis(columns="reason")


def opposed_positions(result: DeskResult) -> pd.DataFrame:
    """Find the books that held both sides of one symbol (and contract) at once.

    Two positions are counted where both were surely held at one time: one was entered in an earlier bar than the other
    was left in, and the other way round.

    Returns
    -------
    DataFrame
        A row per symbol, book that was long and book that was short: ``symbol``, ``long``, ``short``, ``times`` (pairs
        of positions), ``latest`` (session of the last such short's order, or long's, whichever is later). Empty where
        there are none.
    """
    trades = result.trades
    of = [name for name in ("symbol", "contract") if name in trades]
    found: dict[tuple[str, str, str], tuple[int, pd.Timestamp]] = {}
    for _, market in trades.groupby(of, dropna=False, sort=True):
        shorts = market[market["side"] < 0]
        entered, left = shorts["entry_time"].to_numpy(), shorts["exit_time"].to_numpy()
        books, sessions = shorts["book"].to_numpy(), shorts["session"]
        longs = market[market["side"] > 0]
        times_held = zip(longs["entry_time"].to_numpy(), longs["exit_time"].to_numpy(), strict=True)
        for long, (entry, exit_) in zip(longs.itertuples(), times_held, strict=True):
            for place in np.flatnonzero((entered < exit_) & (left > entry)):
                pair = (str(long.symbol), str(long.book), str(books[place]))
                times, latest = found.get(pair, (0, long.session))
                found[pair] = (times + 1, max(latest, long.session, sessions.iloc[place]))
    rows = [(*pair, times, latest) for pair, (times, latest) in sorted(found.items())]
    return pd.DataFrame(rows, columns=["symbol", "long", "short", "times", "latest"])


def beside_alone(result: DeskResult, alone: Mapping[str, BacktestResult]) -> pd.DataFrame:
    """Compare each book's part on the desk with the same book alone on the same account.

    Parameters
    ----------
    result
        Of the desk.
    alone
        By book, those known, from :func:`pipeline.backtest.simulate_alone`.

    Returns
    -------
    DataFrame
        Indexed by book: ``trades_alone``, ``trades``, ``pnl_alone``, ``pnl``, ``sharpe_ratio_alone``,
        ``sharpe_ratio`` (annualised, of daily P&L), ``missed`` (orders that traded alone and not on the desk) and
        ``missed_pnl`` (their P&L alone, at the size they had alone).

    Raises
    ------
    DataError
        If a book's orders alone are not those it has on the desk.
    """
    rows = {}
    for book, single in alone.items():
        ledger = result.ledger(book)
        if not single.orders.index.equals(ledger.orders.index):
            raise DataError(
                f"book {book} alone has {len(single.orders):,} orders that are not the {len(ledger.orders):,} it has "
                "on the desk; run it alone on the same orders"
            )
        equity = single.session_equity
        made = equity.diff().fillna(equity - single.initial_capital)
        part, missed = result.daily_pnl[book], ~single.trades["order"].isin(ledger.trades["order"])
        rows[book] = {
            "trades_alone": len(single.trades),
            "trades": len(ledger.trades),
            "pnl_alone": float(made.sum()),
            "pnl": float(part.sum()),
            "sharpe_ratio_alone": float(kernels.sharpe(made.to_numpy(np.float64), single.periods_per_year)),
            "sharpe_ratio": float(kernels.sharpe(part.to_numpy(np.float64), result.periods_per_year)),
            "missed": int(missed.sum()),
            "missed_pnl": float(single.trades.loc[missed, "pnl"].sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("book")
