"""Each book alone on the same account, beside its part on the desk."""

from pipeline.performance import beside_alone, format_value
from pipeline.reports.markup import both, heads, kept, named, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section

__all__ = ["SECTION"]

_COLUMNS = {
    "trades": "Trades",
    "pnl": "P&amp;L",
    "sharpe_ratio": "Sharpe ratio",
    "missed": "Trades missed",
    "missed_pnl": "P&amp;L of those, alone",
}


def _html(inputs: PortfolioInputs) -> str:
    if not inputs.alone:
        return ""
    found = beside_alone(inputs.result, inputs.alone)
    money = inputs.currency
    body = []
    for book in inputs.books:
        if book not in found.index:
            continue
        part = found.loc[book]
        cells = [
            both(f"{int(part['trades']):,}", f"alone {int(part['trades_alone']):,}", words=True),
            both(format_value(part["pnl"], money), f"alone {format_value(part['pnl_alone'], money)}", words=True),
            both(
                format_value(part["sharpe_ratio"], "", digits=2),
                f"alone {format_value(part['sharpe_ratio_alone'], '', digits=2)}",
                words=True,
            ),
            both(f"{int(part['missed']):,}"),
            both(format_value(part["missed_pnl"], money)),
        ]
        body.append(row(named(inputs.colors[book], book), cells))
    caption = (
        f"Alone: the same orders on an account of their own of {format_value(inputs.result.initial_capital, money)}, "
        "with no other book and none of the desk's limits. P&L differs because of trades missed, and because sizes "
        "follow the equity that all books share. Missed: orders that traded alone and not on the desk, with what they "
        "made alone. Sharpe ratios are of daily P&L."
    )
    return table(heads("", *_COLUMNS.values(), kind="both"), body, kept(caption), even=True)


SECTION = Section(100, "alone", "On the desk and alone", _html)
