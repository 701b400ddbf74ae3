"""The desk's books, limits and groups."""

from pipeline.performance import format_value
from pipeline.reports.markup import bullets, cell, heads, kept, named, numbers, plain, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.wording import commission, counted

__all__ = ["SECTION"]


def _html(inputs: PortfolioInputs) -> str:
    return f"{_books(inputs)}<h3>Limits of the desk</h3>{_limits(inputs)}{_groups(inputs)}"


def _books(inputs: PortfolioInputs) -> str:
    body = []
    for book, instrument in inputs.result.instruments.items():
        said = [inputs.descriptions.get(book, ""), "simulated market" if book in inputs.simulated else ""]
        cells = [
            cell(plain(instrument.symbol)),
            cell(kept("; ".join(filter(None, said)) or "–")),
            *numbers(format_value(instrument.tick_value, inputs.currency, digits=2)),
            cell(kept(commission(instrument))),
        ]
        body.append(row(named(inputs.colors[book], book), cells))
    left = ("Symbol", "What it trades", "Commission")
    return table(heads("Book", "Symbol", "What it trades", "A tick of a contract", "Commission", left=left), body)


def _limits(inputs: PortfolioInputs) -> str:
    desk = inputs.result.desk
    return bullets(
        kept(text)
        for text in (
            "Positions at once: "
            + (f"at most {desk.max_positions:,}." if desk.max_positions else "what each book allows."),
            f"Contracts at once: {f'at most {desk.max_contracts:,}' if desk.max_contracts else 'what margin allows'}.",
            "Lost if every stop is hit: "
            + (f"at most {100 * desk.total_risk:g} % of equity." if desk.total_risk else "no limit of the desk."),
            f"Risk per trade: {100 * desk.risk_per_trade:g} % of equity"
            + (
                f", scaled down above a volatility of {100 * desk.volatility_target:g} %."
                if desk.volatility_target
                else "."
            ),
        )
    )


def _groups(inputs: PortfolioInputs) -> str:
    groups = inputs.result.desk.groups
    if not groups:
        return ""
    body = []
    for name, group in groups.items():
        limits = [
            *([counted(group.max_positions, "position")] if group.max_positions else []),
            *([f"{100 * group.max_risk:g} % of equity at risk"] if group.max_risk else []),
        ]
        cells = [
            cell(", ".join(named(inputs.colors[book], book) for book in group.books)),
            cell(kept(", ".join(limits))),
        ]
        body.append(row(plain(name), cells))
    return "<h3>Groups</h3>" + table(
        heads("Group", "Books", "At most, at once", left=("Books", "At most, at once")), body
    )


SECTION = Section(120, "settings", "Books and limits", _html)
