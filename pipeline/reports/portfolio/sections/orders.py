"""What became of every order, and what the limits turned away."""

from pipeline.performance import turned_away
from pipeline.reports.markup import heads, kept, named, note
from pipeline.reports.portfolio.inputs import WHOLE, PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.orders import outcomes_table
from pipeline.reports.wording import counted

__all__ = ["SECTION"]

_SHARED = ("desk_positions", "group_positions", "desk_contracts", "desk_risk", "group_risk")


def _html(inputs: PortfolioInputs) -> str:
    if inputs.result.orders.empty:
        return note("No orders.")
    ledgers = inputs.result.ledgers
    shown = {book: (ledger.orders, ledger.trades) for book, ledger in zip(inputs.books, ledgers, strict=True)}
    if len(inputs.books) > 1:
        shown = {WHOLE: (inputs.result.orders, inputs.result.trades), **shown}
    orders, trades = zip(*shown.values(), strict=True)
    head = heads("", *(named(inputs.colors[name], name) for name in shown), kind="both book")
    return note(kept(_sentence(inputs))) + outcomes_table(head, orders, trades)


def _sentence(inputs: PortfolioInputs) -> str:
    counts = turned_away(inputs.result).sum()
    shared = int(counts.reindex(_SHARED, fill_value=0).sum())
    rest = int(counts.sum()) - shared
    return (
        f"Of {counted(len(inputs.result.orders), 'order')} the limits of the desk and its groups turned away "
        f"{shared:,}; {rest:,} more were skipped because of the book's own position, the size that "
        "the risk allows or the margin. Orders that a limit only made smaller are not counted."
    )


SECTION = Section(90, "orders", "Orders and limits", _html)
