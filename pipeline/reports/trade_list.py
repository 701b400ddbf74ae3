"""Every trade of every backtest in one table each."""

from collections.abc import Mapping

import pandas as pd

from pipeline.backtest import BacktestResult
from pipeline.market import Instrument
from pipeline.performance import excursions

__all__ = ["trade_list"]


def trade_list(
    results: Mapping[str, BacktestResult], bars: pd.DataFrame, instrument: Instrument
) -> dict[str, pd.DataFrame]:
    """Trades of each backtest, in the order of entry, with their orders' levels and their excursions.

    Returns
    -------
    dict
        Strategy → DataFrame: session, side (``long``, ``short``), quantity, contract (where there are any),
        entry_time, entry_price, stop, target, exit_time, exit_price, exit_reason, bars_held, commission, pnl,
        r_multiple, mae, mfe (R), mae_exact, mfe_exact, ambiguous. Times are opens of bars, by the instrument's clock.
    """
    found = {}
    for name, result in results.items():
        trades = result.trades
        slippage = result.account.slippage_ticks
        measured = excursions(trades, result.orders, bars, instrument, slippage_ticks=slippage)
        frame = trades.join(result.orders.reindex(columns=["stop", "target"]), on="order").join(measured)
        for time in ("entry_time", "exit_time"):
            frame[time] = pd.DatetimeIndex(frame[time]).tz_convert(instrument.time_zone)
        frame["side"] = frame["side"].map({1: "long", -1: "short"})
        columns = [
            *("session", "side", "quantity", *(["contract"] if "contract" in frame else [])),
            *("entry_time", "entry_price", "stop", "target", "exit_time", "exit_price", "exit_reason", "bars_held"),
            *("commission", "pnl", "r_multiple", "mae", "mfe", "mae_exact", "mfe_exact", "ambiguous"),
        ]
        found[name] = frame[columns].reset_index(drop=True)
    return found
