"""The list of trades, and the way to the file of all of them."""

from typing import Any
from urllib.parse import quote

import pandas as pd

from pipeline.performance import format_value
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import cell, folded, heads, note, numbers, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import BAD, GOOD
from pipeline.reports.trades_csv import trades_file

__all__ = ["LISTED", "SECTION", "TRADE_COLUMNS", "trade_cells"]

LISTED = 200
_HOUR, _DAY = "%H:%M", "%Y-%m-%d %H:%M"
TRADE_COLUMNS = ("Side", "Contracts", "Entry", "Exit", "Reason", "P&amp;L", "R")


def _html(inputs: ReportInputs) -> str:
    trades = inputs.trades
    count = sum(map(len, trades.values()))
    if not count:
        return note("No trades.")
    file = trades_file(inputs)
    text = (
        f'All {count:,} trades of every backtest are in <a href="{quote(file)}" download>{plain(file)}</a>, beside '
        f"this page. Below, the latest {LISTED} of each at most, the newest first; times are those of "
        f"{plain(inputs.instrument.time_zone)}."
    )
    folds = (
        folded(f"{plain(name)}: {len(trades[name]):,} trades", _list(inputs, trades[name]))
        for name in inputs.by_interest
    )
    return note(text) + "".join(folds)


def _list(inputs: ReportInputs, trades: pd.DataFrame) -> str:
    body, digits = [], inputs.instrument.price_decimals
    for trade in trades.iloc[: -LISTED - 1 : -1].itertuples():
        reached = numbers(*(format_value(value, "", digits=2) for value in (trade.mae, trade.mfe)))
        body.append(row(f"{trade.session:%Y-%m-%d}", [*trade_cells(trade, digits, inputs.currency), *reached]))
    return table(heads("Session", *TRADE_COLUMNS, "MAE", "MFE", left=("Side", "Reason")), body)


def trade_cells(trade: Any, digits: int, currency: str) -> list[str]:
    """Cells of one trade under :data:`TRADE_COLUMNS`.

    Parameters
    ----------
    trade
        A row of trades, its ``side`` in words and its times by the clock that is shown.
    digits
        Decimals of its prices.
    currency
        Unit of money.
    """
    clock = _DAY if trade.exit_time.date() != trade.entry_time.date() else _HOUR
    color = GOOD if trade.pnl > 0 else BAD
    return [
        cell(trade.side),
        *numbers(
            f"{trade.quantity:,}",
            f"{trade.entry_time:%H:%M} at {trade.entry_price:,.{digits}f}",
            f"{trade.exit_time:{clock}} at {trade.exit_price:,.{digits}f}",
        ),
        cell(plain(trade.exit_reason).replace("_", " ")),
        cell(f'<span style="color:{color}">{plain(format_value(trade.pnl, currency))}</span>', "number"),
        *numbers(format_value(trade.r_multiple, "", digits=2)),
    ]


SECTION = Section(140, "trade-list", "Trade list", _html)
