"""How orders were filled, and what the numbers don't promise."""

from collections.abc import Sequence

from pipeline.performance import format_value
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import bullets, plain
from pipeline.reports.section import Section
from pipeline.reports.wording import commission, counted

__all__ = ["SECTION", "assumptions", "fill_rules", "margin_words"]


def _html(inputs: ReportInputs) -> str:
    account = inputs.account
    instrument, currency = inputs.instrument, inputs.currency
    ticks = account.slippage_ticks
    cutoff = f"{account.entry_cutoff:%H:%M}" if account.entry_cutoff else "the session's last bar"
    money = f" ({format_value(ticks * instrument.tick_value, currency)} per contract)"
    made = [
        *fill_rules(account.trade_through_ticks, ticks, money),
        f"Commission: {commission(instrument)}.",
        f"Size: {100 * account.risk_per_trade:g} % of equity at risk, whole contracts, rounded down; at most "
        f"{account.max_contracts or 'what margin allows'}, with margin of "
        f"{margin_words(account.margin_day, currency)} by day and "
        f"{margin_words(account.margin_overnight, currency)} overnight. "
        f"At most {counted(account.max_positions, 'position')} at once.",
        f"Entries until {cutoff}; positions are "
        f"{'held overnight' if account.hold_overnight else 'closed at the end of the session'}.",
    ]
    tried = (
        "Intervals and probabilities here hold for a strategy fixed beforehand. The more settings were tried before "
        "this one, the less they mean: see the deflated Sharpe ratio over all trials"
        f"{', under “Trials on this market”' if inputs.looks is not None or inputs.why_no_looks else ''}."
    )
    return assumptions(made, tried)


def fill_rules(through: int, slippage: int, money: str = "") -> list[str]:
    """How limits, stops and bars that reach both are filled, in sentences.

    Parameters
    ----------
    through, slippage
        Ticks that price must go beyond a limit, and that stops and closes pay.
    money
        The slippage in money, in brackets after a space.
    """
    return [
        f"Inside a bar a limit order fills only once price has traded {counted(through, 'tick')} beyond it; where a "
        "bar opens past the limit, it fills at that open. Limit fills pay no slippage.",
        f"Stops and closes pay {counted(slippage, 'tick')} of slippage{money}. An order still waiting when a bar "
        "opens beyond its stop is cancelled, never filled.",
        "A bar that reaches stop and target counts as stopped; a target inside the entry bar counts only if the bar "
        "closes beyond it.",
    ]


def assumptions(made: Sequence[str], tried: str) -> str:
    """How orders were filled, as sentences, and what the numbers don't promise; ``tried`` is of what was chosen."""
    promised = [
        "The past of one market is one sample. An interval says how far chance alone could have moved the number on "
        "data like this; it says nothing about a market that changes.",
        tried,
        "Within a bar the order of prices is unknown, and nothing is known of the place in the queue at a limit. Both "
        "are resolved against the trader, but a real fill can still be worse.",
        "Taxes, interest on the account and fees for data are left out.",
    ]
    return (
        f"<h3>How orders were filled</h3>{bullets(map(plain, made))}"
        f"<h3>What the numbers don't promise</h3>{bullets(map(plain, promised))}"
    )


def margin_words(rule: object, currency: str) -> str:
    """A margin rule in words."""
    if isinstance(rule, dict):
        return f"a dated table of {currency} per contract"
    return f"{100 * float(str(rule)):g} % of notional"


SECTION = Section(180, "assumptions", "Assumptions", _html)
