"""The trades of every backtest as a CSV file beside the report."""

from collections.abc import Sequence

import pandas as pd

from pipeline.reports.inputs import ReportInputs

__all__ = ["as_csv", "trades_csv", "trades_file"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute


def trades_file(inputs: ReportInputs) -> str:
    """Name of the CSV file, which lies beside the report."""
    return f"{inputs.symbol}-trades.csv"


def trades_csv(inputs: ReportInputs) -> str:
    """Write the trades of all backtests as CSV, one below the other, ``strategy`` the first column.

    Money is rounded to cents, R to four decimals; times carry their offset from UTC. Text from data that a spreadsheet
    would take for a formula is preceded by an apostrophe.
    """
    frames = [frame.assign(strategy=name) for name, frame in inputs.trades.items()]
    whole = pd.concat(frames, ignore_index=True)
    whole.insert(0, "strategy", whole.pop("strategy"))
    return as_csv(whole, ("strategy", "contract"))


def as_csv(trades: pd.DataFrame, text_columns: Sequence[str]) -> str:
    """Write trades as CSV, in the way of :func:`trades_csv`; ``text_columns`` come from data, where there are any."""
    whole = trades.copy()
    whole["session"] = pd.DatetimeIndex(whole["session"]).strftime("%Y-%m-%d")
    for time in ("entry_time", "exit_time"):
        whole[time] = [each.isoformat() for each in whole[time]]
    for name in text_columns:
        if name in whole:
            text = whole[name].astype(str)
            whole[name] = text.where(~text.str.startswith(_FORMULA), "'" + text)
    return whole.round({"pnl": 2, "commission": 2, "r_multiple": 4, "mae": 4, "mfe": 4}).to_csv(
        index=False, lineterminator="\n"
    )
