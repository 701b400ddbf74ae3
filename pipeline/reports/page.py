"""The report of one symbol: its lead, the facts in force, and its sections."""

from pipeline.errors import DataError
from pipeline.performance import format_value
from pipeline.reports import sections
from pipeline.reports.frame import document, simulated_banner
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.theme import STRATEGY_COLORS
from pipeline.reports.wording import commission, counted

__all__ = ["build_report"]

_SIMULATED = (
    "SIMULATED MARKET",
    "every bar on this page was made by the project's own simulator;",
    "nothing here happened on an exchange.",
)


def build_report(inputs: ReportInputs) -> str:
    """The whole page as one self-contained HTML document.

    The same inputs give the same text. Its sections are the modules of :mod:`pipeline.reports.sections`.

    Raises
    ------
    DataError
        If results and summaries don't have the same names, or there are none, or more than twelve.
    """
    names = list(inputs.results)
    if not names or len(names) > len(STRATEGY_COLORS) or names != list(inputs.summaries):
        raise DataError(
            f"a report compares one to {len(STRATEGY_COLORS)} strategies; there are results of {names} and summaries "
            f"of {list(inputs.summaries)}"
        )
    return document(
        inputs,
        sections,
        title=f"{inputs.title}{' (simulated market)' if inputs.simulated else ''}",
        lead=_lead(inputs),
        facts=_facts(inputs),
        banner=simulated_banner(*_SIMULATED) if inputs.simulated else "",
    )


def _lead(inputs: ReportInputs) -> str:
    instrument = inputs.instrument
    held = inputs.profiles.index
    period = f"{held[0]:%Y-%m-%d} to {held[-1]:%Y-%m-%d}" if len(held) else "no session"
    hours = "regular hours" if inputs.settings.hours == "rth" else "the whole trade date"
    words = [
        f"{inputs.symbol}: {instrument.description or instrument.symbol}",
        f"{counted(len(held), 'session')} with a profile, {period}, {hours}",
        f"{len(inputs.bars):,} bars",
    ]
    return " · ".join(words)


def _facts(inputs: ReportInputs) -> dict[str, str]:
    """Risk, capital and costs in force, at the head of the page."""
    account, instrument = inputs.account, inputs.instrument
    slippage = format_value(account.slippage_ticks * instrument.tick_value, inputs.currency)
    return {
        "Initial capital": format_value(account.initial_capital, inputs.currency),
        "Risk per trade": f"{100 * account.risk_per_trade:g} % of equity"
        + (", scaled by volatility" if account.volatility_target is not None else ""),
        "Commission": commission(instrument),
        "Slippage": f"{counted(account.slippage_ticks, 'tick')} ({slippage} per contract) on stops and closes",
    }
