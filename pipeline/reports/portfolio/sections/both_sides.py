"""Books that held both sides of one symbol at once, and what a broker would make of it."""

from pipeline.performance import opposed_positions
from pipeline.reports.markup import bullets, cell, folded, heads, named, numbers, plain, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section

__all__ = ["SECTION"]

_OPEN = 6  # rows of a table that is not folded
_TEXTS = (
    "Some books were long while others were short in the same symbol. The backtest keeps each position with its own "
    "stop, target and margin.",
    "A broker that nets positions, as futures brokers do within one account, would show only the difference. P&L and "
    "commission would be the same, because every fill takes place all the same; margin would be lower than here.",
    "The account would then not show what each book holds: stops and targets have to be kept by book, and cancelled "
    "when their book has left. With a separate account per book nothing is netted, and margin is as here.",
    "Contracts that cancel each other out pay two commissions and have no exposure meanwhile.",
)


def _html(inputs: PortfolioInputs) -> str:
    found = opposed_positions(inputs.result)
    # A symbol's simulated market is another one.
    found = found[found["long"].isin(inputs.simulated) == found["short"].isin(inputs.simulated)]
    if found.empty:
        return ""
    body = []
    for pair in found.sort_values("times", ascending=False, kind="stable").itertuples():
        cells = [
            *(cell(named(inputs.colors[book], book)) for book in (pair.long, pair.short)),
            *numbers(f"{pair.times:,}", f"{pair.latest:%Y-%m-%d}"),
        ]
        body.append(row(plain(pair.symbol), cells))
    head = heads("Symbol", "Long", "Short", "Times", "Latest session", left=("Long", "Short"))
    pairs = table(head, body)
    return bullets(map(plain, _TEXTS)) + (
        pairs if len(found) <= _OPEN else folded(f"{len(found)} pairs of books", pairs)
    )


SECTION = Section(80, "both-sides", "Both sides of one symbol", _html)
