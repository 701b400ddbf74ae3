"""The desk's worst drawdowns, and what each book made or lost in them."""

import pandas as pd

from pipeline.performance import drawdown_parts, format_value, session_drawdowns
from pipeline.reports.markup import both, heads, named, note, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section

__all__ = ["SECTION"]

_COLUMNS = ("In money", "Peak", "Trough", "Recovered", "Sessions")


def _html(inputs: PortfolioInputs) -> str:
    falls = session_drawdowns(inputs.result)
    if falls.empty:
        return note("No drawdown at any session's end.")
    parts = drawdown_parts(inputs.result, falls)
    body = []
    for fall, made in zip(falls.itertuples(), parts.to_dict("records"), strict=True):
        dates = (_day(fall.start, "the start"), _day(fall.trough, ""), _day(fall.recovery, "not yet"))
        cells = [
            both(format_value(fall.amount, inputs.currency)),
            *(both(date) for date in dates),
            both(f"{fall.sessions:,}"),
            *(
                both(
                    format_value(made[book], inputs.currency),
                    format_value(-100 * made[book] / fall.amount, "%"),
                )
                for book in inputs.books
            ),
        ]
        body.append(row(format_value(100 * fall.depth, "%"), cells))
    caption = (
        "By equity at each session's end, the deepest first. Sessions are counted from the peak to recovery. Under "
        "each book: what it made from the peak to the trough, and its share of the fall; a book of negative share "
        "gained meanwhile."
    )
    names = [named(inputs.colors[book], book) for book in inputs.books]
    return table(heads("Depth", *_COLUMNS, *names, kind="both book"), body, caption, even=True)


def _day(session: pd.Timestamp, otherwise: str) -> str:
    """A date that no line ends within."""
    return otherwise if pd.isna(session) else f"{session:%Y-%m-%d}".replace("-", "\N{NON-BREAKING HYPHEN}")


SECTION = Section(60, "drawdowns", "Worst drawdowns", _html)
