"""How the desk's orders were filled, and what the numbers don't promise."""

from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.assumptions import assumptions, fill_rules, margin_words

__all__ = ["SECTION"]


def _html(inputs: PortfolioInputs) -> str:
    desk = inputs.result.desk
    cutoff = f"{desk.entry_cutoff:%H:%M} of each market's clock" if desk.entry_cutoff else "the session's last bar"
    made = [
        *fill_rules(desk.trade_through_ticks, desk.slippage_ticks),
        f"Size: {100 * desk.risk_per_trade:g} % of the desk's equity at risk, whole contracts, rounded down, cut to "
        "what limits and free margin leave.",
        f"Margin: by day {_margin(desk.margin_day, inputs)}, overnight {_margin(desk.margin_overnight, inputs)}, where "
        "a book has none of its own.",
        "At one instant positions leave before others are entered, and the books enter in the order of the table "
        "above. What happened inside a bar is known to the other books only once that bar is over.",
        f"Entries until {cutoff}; positions are "
        f"{'held overnight' if desk.hold_overnight else 'closed at the end of the session'}.",
    ]
    tried = (
        "Intervals and probabilities here hold for books, settings and limits fixed beforehand. The more were tried "
        "before these, the less they mean."
    )
    return assumptions(made, tried)


def _margin(rule: object, inputs: PortfolioInputs) -> str:
    return "each instrument's own rate" if rule is None else margin_words(rule, inputs.currency)


SECTION = Section(130, "assumptions", "Assumptions", _html)
