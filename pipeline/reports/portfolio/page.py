"""The report of a desk: its lead, the facts in force, and its sections."""

from pipeline.performance import format_value
from pipeline.reports.frame import document, simulated_banner
from pipeline.reports.portfolio import sections
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.wording import counted

__all__ = ["build_portfolio_report"]


def build_portfolio_report(inputs: PortfolioInputs) -> str:
    """The whole page as one self-contained HTML document.

    The same inputs give the same text. Its sections are the modules of :mod:`pipeline.reports.portfolio.sections`.
    """
    marked = " (partly simulated)" if inputs.partly else " (simulated market)" if inputs.simulated else ""
    return document(
        inputs,
        sections,
        title=inputs.title + marked,
        lead=_lead(inputs),
        facts=_facts(inputs),
        definitions="docs/desk.md and docs/statistics.md",
        banner=_banner(inputs),
    )


def _banner(inputs: PortfolioInputs) -> str:
    if not inputs.simulated:
        return ""
    if inputs.partly:
        one = len(set(inputs.simulated)) == 1
        return simulated_banner(
            "PARTLY SIMULATED",
            f"the bars of {'book' if one else 'books'} {inputs.names(inputs.simulated)} were made by the project's own "
            "simulator;",
            "these figures did not all happen on an exchange.",
        )
    return simulated_banner(
        "SIMULATED MARKET",
        "every bar behind this page was made by the project's own simulator;",
        "nothing here happened on an exchange.",
    )


def _lead(inputs: PortfolioInputs) -> str:
    sessions = inputs.result.session_equity.index
    symbols = list(dict.fromkeys(each.symbol for each in inputs.result.instruments.values()))
    period = f", {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}" if len(sessions) else ""
    return " · ".join(
        [
            f"{counted(len(inputs.books), 'book')} on one account",
            ", ".join(symbols),
            f"{counted(len(sessions), 'session')}{period}",
        ]
    )


def _facts(inputs: PortfolioInputs) -> dict[str, str]:
    """Capital, risk and the limits in force, at the head of the page."""
    desk = inputs.result.desk
    limits = [
        *([counted(desk.max_positions, "position")] if desk.max_positions else []),
        *([counted(desk.max_contracts, "contract")] if desk.max_contracts else []),
        *([f"{100 * desk.total_risk:g} % of equity at risk"] if desk.total_risk else []),
        *([counted(len(desk.groups), "group")] if desk.groups else []),
    ]
    return {
        "Initial capital": format_value(desk.initial_capital, inputs.currency),
        "Risk per trade": f"{100 * desk.risk_per_trade:g} % of equity",
        "Limits of the desk": ", ".join(limits) or "none",
    }
