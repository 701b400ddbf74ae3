"""The desk and each book in a line, and every metric of the desk."""

import pandas as pd

from pipeline.performance import FEWEST_TRADES, format_interval, format_value
from pipeline.reports.markup import both, folded, heads, named, row, table
from pipeline.reports.portfolio.inputs import WHOLE, PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.results import metrics_table

__all__ = ["SECTION"]

_COLUMNS = {
    "pnl": "Net P&amp;L",
    "sharpe_ratio": "Sharpe ratio",
    "maximum_drawdown_amount": "Maximum drawdown",
    "trades": "Trades",
    "win_rate": "Win rate",
    "profit_factor": "Profit factor",
    "expectancy": "Expectancy per trade",
    "expectancy_r": "Expectancy in R",
}


def _html(inputs: PortfolioInputs) -> str:
    body = []
    for name, summary in {WHOLE: inputs.summary, **inputs.summaries}.items():
        made = inputs.result.daily_pnl[[name] if name in inputs.summaries else inputs.books]
        cells = [
            both(format_value(float(made.to_numpy().sum()), inputs.currency)),
            *(both(*_estimate(summary.loc[metric])) for metric in list(_COLUMNS)[1:]),
        ]
        body.append(row(named(inputs.colors[name], name), cells))
    caption = (
        "After commission and slippage, with 95 % intervals where there are at least "
        f"{FEWEST_TRADES} trades. The desk's drawdown is that of its equity at every bar; a book has no equity of its "
        "own, so its drawdown is that of its P&amp;L at each session's end."
    )
    found = table(heads("", *_COLUMNS.values(), kind="both"), body, caption, even=True)
    head = heads("", named(inputs.colors[WHOLE], WHOLE), kind="both")
    sessions = len(inputs.result.session_equity)
    return found + folded("All metrics of the desk", metrics_table(head, {WHOLE: inputs.summary}, sessions))


def _estimate(line: pd.Series) -> tuple[str, str]:
    value, low, high, unit = (line[name] for name in ("value", "low", "high", "unit"))
    digits = 2 if unit == "R" else None
    return format_value(value, unit, digits=digits), format_interval(low, high, unit, value=value, digits=digits)


SECTION = Section(20, "results", "Results", _html)
