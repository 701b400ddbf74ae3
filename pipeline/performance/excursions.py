"""Adverse and favourable excursion of each trade while it was held."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument

__all__ = ["excursions"]

Ints = NDArray[np.int64]


def excursions(
    trades: pd.DataFrame, orders: pd.DataFrame, bars: pd.DataFrame, instrument: Instrument, *, slippage_ticks: int = 1
) -> pd.DataFrame:
    """Maximum adverse and maximum favourable excursion of every trade, in R.

    Only prices that the position certainly saw count, so each is the least it can have been:

    - between entry and exit bar all prices of all bars;
    - in the entry bar all of it where the order was filled at the open. Filled inside, its adverse extreme (a limit is
      reached from the other side, so a long's low cannot come before the fill) and, if the position outlived the bar,
      its close: the favourable extreme may have come first. Of a stop order, which the price rises to, it is the
      other way round;
    - in the exit bar all of it where the position was closed at the bar's close; else its open, where the position was
      held then, and nothing beyond the exit's fill: high and low may have come after;
    - both fills, the exit's slippage included. So neither is ever less than what the trade lost or made before
      commission.

    Parameters
    ----------
    trades, orders
        Of a :class:`~pipeline.backtest.ledger.BacktestResult`.
    bars
        Those it was simulated on, shape (n,).
    instrument
        Whose tick prices are compared in.
    slippage_ticks
        Of the account, by which a trailed stop's exit at an open is known.

    Returns
    -------
    DataFrame
        Indexed as ``trades``: ``mae``, ``mfe`` (R, ≥ 0; R is the order's distance from entry to stop), and
        ``mae_exact``, ``mfe_exact``: False where a price of the entry or exit bar lies further out that came while the
        position was held, or did not: bars cannot tell.
    """
    if not len(trades):
        empty = {"mae": float, "mfe": float, "mae_exact": bool, "mfe_exact": bool}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()}, index=trades.index)
    times = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    entered, left = (
        np.searchsorted(times, pd.DatetimeIndex(trades[name]).as_unit("ns").asi8)
        for name in ("entry_time", "exit_time")
    )
    side = trades["side"].to_numpy(np.int64)
    placed = orders.loc[trades["order"]]
    entry, exit_ = (
        side * instrument.to_ticks(trades[name].to_numpy(np.float64)) for name in ("entry_price", "exit_price")
    )
    types = placed.reindex(columns=["type"])["type"]
    rises, market = (types.eq(name).to_numpy(bool) for name in ("stop", "market"))
    stop = side * instrument.to_ticks(placed["stop"].to_numpy(np.float64))
    # A market order's entry is its fill.
    planned = np.where(market, trades["entry_price"], placed.reindex(columns=["entry"])["entry"]).astype(np.float64)
    planned = side * instrument.to_ticks(planned)
    # Prices times side: the greater, the better for the trade.
    opens, highs, lows, closes = (
        instrument.to_ticks(bars[name].to_numpy(np.float64)) for name in ("open", "high", "low", "close")
    )
    first, last = (_Bar.of(side, opens, highs, lows, closes, rows) for rows in (entered, left))

    several = left > entered
    at_close = (trades["exit_reason"] == "close").to_numpy(bool)
    at_target = (trades["exit_reason"] == "target").to_numpy(bool)
    at_stop = trades["exit_reason"].astype(str).str.endswith("stop").to_numpy(bool)
    outlived = several | at_close
    whole_entry = market | np.where(rises, first.open >= planned, first.open <= planned)
    # Of a bar entered inside, the high comes after the fill of a stop order, the low after that of a limit.
    whole_best, whole_worst = whole_entry | rises, whole_entry | ~rises
    # Whatever is neither stop nor target nor close, such as a margin call, leaves at an open.
    trailed = (trades["exit_reason"] == "trailed_stop").to_numpy(bool)
    at_stop_open = np.where(trailed, last.open - exit_ <= slippage_ticks, last.open <= stop)
    gapped = np.where(at_target, last.open >= exit_, ~at_stop | at_stop_open)
    at_open = several & ~at_close & gapped

    best, worst = np.maximum(entry, exit_), np.minimum(entry, exit_)
    best = np.where(outlived, np.maximum(best, np.where(whole_best, first.best, first.close)), best)
    worst = np.where(outlived, np.minimum(worst, np.where(whole_worst, first.worst, first.close)), worst)
    best = np.where(several, np.maximum(best, np.where(at_close, last.best, last.open)), best)
    worst = np.where(several, np.minimum(worst, np.where(at_close, last.worst, last.open)), worst)
    for k in np.flatnonzero(left - entered > 1):
        held = slice(entered[k] + 1, left[k])
        top, bottom = highs[held].max(), lows[held].min()
        best[k] = max(best[k], top if side[k] > 0 else -bottom)
        worst[k] = min(worst[k], bottom if side[k] > 0 else -top)

    inside = ~at_close & ~at_open  # closed inside the exit bar, which may be the entry bar
    best_possible = np.where(several & ~whole_best, np.maximum(best, first.best), best)
    best_possible = np.where(inside & ~at_target, np.maximum(best_possible, last.best), best_possible)
    best_possible = np.where(at_close & ~several & ~whole_best, np.maximum(best, first.best), best_possible)
    worst_possible = np.where(outlived & ~whole_worst, np.minimum(worst, first.worst), worst)
    worst_possible = np.where(inside & at_target, np.minimum(worst_possible, last.worst), worst_possible)
    risk = (planned - stop).astype(np.float64)
    return pd.DataFrame(
        {
            "mae": (entry - worst) / risk,
            "mfe": (best - entry) / risk,
            "mae_exact": worst == worst_possible,
            "mfe_exact": best == best_possible,
        },
        index=trades.index,
    )


@dataclass(frozen=True)
class _Bar:
    """One bar of each trade, prices times side, in ticks, shape (t,) each."""

    open: Ints
    best: Ints
    worst: Ints
    close: Ints

    @classmethod
    def of(cls, side: Ints, opens: Ints, highs: Ints, lows: Ints, closes: Ints, rows: Ints) -> Self:
        long = side > 0
        return cls(
            open=side * opens[rows],
            best=np.where(long, highs[rows], -lows[rows]),
            worst=np.where(long, lows[rows], -highs[rows]),
            close=side * closes[rows],
        )
