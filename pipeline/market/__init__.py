"""Instruments, their sessions, and their bars."""

from pipeline.market.instruments import Instrument, RegularHours, find_instrument, load_instruments
from pipeline.market.months import split_by_month, trade_months
from pipeline.market.sessions import Hours, SessionLabels, label_sessions, next_session, session_schedule
from pipeline.market.simulator import simulate_market

__all__ = [
    "Hours",
    "Instrument",
    "RegularHours",
    "SessionLabels",
    "find_instrument",
    "label_sessions",
    "load_instruments",
    "next_session",
    "session_schedule",
    "simulate_market",
    "split_by_month",
    "trade_months",
]
