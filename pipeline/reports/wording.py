"""Phrases that several parts of the report use."""

from pipeline.market import Instrument
from pipeline.performance import format_value

__all__ = ["commission", "counted"]


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 tick``, ``1,200 sessions``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def commission(instrument: Instrument) -> str:
    """What a side of a trade costs."""
    fixed = f"{format_value(instrument.commission_per_side, instrument.currency)} per contract and side"
    rate = instrument.commission_rate
    return f"{100 * rate:g} % of notional per side, plus {fixed}" if rate else fixed
