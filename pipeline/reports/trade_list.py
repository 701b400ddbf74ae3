"""Every trade of every backtest in one table, and that as a CSV file."""

import pandas as pd

from pipeline.performance import excursions
from pipeline.reports.inputs import ReportInputs

__all__ = ["trade_list", "trades_csv", "trades_file"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute


def trade_list(inputs: ReportInputs) -> dict[str, pd.DataFrame]:
    """Trades of each backtest, in the order of entry, with their orders' levels and their excursions.

    Returns
    -------
    dict
        Strategy → DataFrame: session, side (``long``, ``short``), quantity, contract (where there are any),
        entry_time, entry_price, stop, target, exit_time, exit_price, exit_reason, bars_held, commission, pnl,
        r_multiple, mae, mfe (R), mae_exact, mfe_exact, ambiguous. Times are opens of bars, by the instrument's clock.
    """
    found = {}
    for name, result in inputs.results.items():
        trades = result.trades
        measured = excursions(trades, result.orders, inputs.bars, inputs.instrument)
        frame = trades.join(result.orders[["stop", "target"]], on="order").join(measured)
        for time in ("entry_time", "exit_time"):
            frame[time] = pd.DatetimeIndex(frame[time]).tz_convert(inputs.instrument.time_zone)
        frame["side"] = frame["side"].map({1: "long", -1: "short"})
        columns = [
            *("session", "side", "quantity", *(["contract"] if "contract" in frame else [])),
            *("entry_time", "entry_price", "stop", "target", "exit_time", "exit_price", "exit_reason", "bars_held"),
            *("commission", "pnl", "r_multiple", "mae", "mfe", "mae_exact", "mfe_exact", "ambiguous"),
        ]
        found[name] = frame[columns].reset_index(drop=True)
    return found


def trades_file(inputs: ReportInputs) -> str:
    """Name of the CSV file, which lies beside the report."""
    return f"{inputs.symbol}-trades.csv"


def trades_csv(inputs: ReportInputs) -> str:
    """Write :func:`trade_list` of all backtests as CSV, one below the other, ``strategy`` the first column.

    Money is rounded to cents, R to four decimals; times carry their offset from UTC. Text from data that a spreadsheet
    would take for a formula is preceded by an apostrophe.
    """
    frames = [frame.assign(strategy=name) for name, frame in trade_list(inputs).items()]
    whole = pd.concat(frames, ignore_index=True)
    whole.insert(0, "strategy", whole.pop("strategy"))
    whole["session"] = pd.DatetimeIndex(whole["session"]).strftime("%Y-%m-%d")
    for time in ("entry_time", "exit_time"):
        whole[time] = [each.isoformat() for each in whole[time]]
    for name in ("strategy", "contract"):
        if name in whole:
            text = whole[name].astype(str)
            whole[name] = text.where(~text.str.startswith(_FORMULA), "'" + text)
    return whole.round({"pnl": 2, "commission": 2, "r_multiple": 4, "mae": 4, "mfe": 4}).to_csv(
        index=False, lineterminator="\n"
    )
