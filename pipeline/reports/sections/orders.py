"""What became of every order, and why some were not tried."""

from collections.abc import Sequence

import pandas as pd

from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.sections.results import strategy_heads

__all__ = ["SECTION", "outcomes_table"]

_STATUSES = {
    "closed": "Filled and closed",
    "not_reached": "Price not reached",
    "gapped_past_stop": "Cancelled: a bar opened beyond the stop first",
    "skipped": "Skipped",
    "cancelled": "Cancelled",
}
_REASONS = {
    "position_open": "another position was open",
    "risk_below_one_contract": "risk allowed less than one contract",
    "margin_below_one_contract": "margin allowed less than one contract",
    "margin_below_quantity": "margin allowed less than the fixed quantity",
    "no_bars": "the session has no bars in these hours",
    "contract_rolled": "the session trades another contract",
    "gapped_past_target": "a bar opened beyond the target first",
    "group_filled": "another order of its group was filled",
    "desk_positions": "the desk held as many positions as it may",
    "group_positions": "its group held as many positions as it may",
    "desk_contracts": "the desk's contracts left too few",
    "desk_risk": "the desk's total risk left too little",
    "group_risk": "its group's risk left too little",
}


def _html(inputs: ReportInputs) -> str:
    orders = [result.orders for result in inputs.results.values()]
    trades = [result.trades for result in inputs.results.values()]
    return outcomes_table(strategy_heads(inputs), orders, trades)


def outcomes_table(head: Sequence[str], orders: Sequence[pd.DataFrame], trades: Sequence[pd.DataFrame]) -> str:
    """A table of what became of orders, a column for each set of them.

    Parameters
    ----------
    head
        Header cells, the first over the outcomes.
    orders, trades
        As of a backtest's result, one each for every further header cell.
    """
    sent, closed = [len(frame) for frame in orders], [len(frame) for frame in trades]
    body = []

    def line(name: str, counts: list[int], totals: list[int], kind: str = "") -> None:
        shares = (f"{100 * count / total:.1f} %" if total else "–" for count, total in zip(counts, totals, strict=True))
        cells = (both(f"{count:,}", share) for count, share in zip(counts, shares, strict=True))
        body.append(row(plain(name), cells, kind=kind))

    for status, name in _STATUSES.items():
        chosen = [frame[frame["status"] == status] for frame in orders]
        line(name, [len(frame) for frame in chosen], sent)
        for reason in sorted({reason for frame in chosen for reason in frame["reason"].astype(str)} - {"", status}):
            counts = [int((frame["reason"] == reason).sum()) for frame in chosen]
            line(_REASONS.get(reason, reason.replace("_", " ")), counts, sent, "part")
    line("All orders", sent, sent)
    ambiguous = [int(frame["ambiguous"].astype(bool).sum()) for frame in trades]
    line("Trades with stop and target in one bar (ambiguous, counted as stopped)", ambiguous, closed)
    caption = "Every order has exactly one outcome. The last row is a share of trades."
    return table(head, body, caption, even=True)


SECTION = Section(160, "orders", "Order outcomes", _html)
