"""The list of the desk's latest trades, and the way to the file of all of them."""

from urllib.parse import quote

import pandas as pd

from pipeline.reports.markup import cell, folded, heads, named, note, plain, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.trade_list import LISTED, TRADE_COLUMNS, trade_cells

__all__ = ["SECTION"]


def _html(inputs: PortfolioInputs) -> str:
    trades = inputs.result.trades
    if trades.empty:
        return note("No trades.")
    zones = {each.time_zone for each in inputs.result.instruments.values()}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    text = f"The latest {LISTED} at most, the newest first; times are those of {plain(zone)}."
    if inputs.trades_file:
        link = f'<a href="{quote(inputs.trades_file)}" download>{plain(inputs.trades_file)}</a>'
        text = f"All {len(trades):,} trades are in {link}, beside this page. Below: {text[0].lower()}{text[1:]}"
    latest = trades.iloc[: -LISTED - 1 : -1].copy()
    for time in ("entry_time", "exit_time"):
        latest[time] = pd.DatetimeIndex(latest[time]).tz_convert(zone)
    latest["side"] = latest["side"].map({1: "long", -1: "short"})
    body = []
    for trade in latest.itertuples():
        digits = inputs.result.instruments[trade.book].price_decimals
        first = cell(named(inputs.colors[trade.book], trade.book))
        body.append(row(f"{trade.session:%Y-%m-%d}", [first, *trade_cells(trade, digits, inputs.currency)]))
    head = heads("Session", "Book", *TRADE_COLUMNS, left=("Book", "Side", "Reason"))
    return note(text) + folded(f"{len(latest):,} trades", table(head, body))


SECTION = Section(110, "trade-list", "Trade list", _html)
