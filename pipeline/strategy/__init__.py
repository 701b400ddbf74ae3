"""What a strategy is, what it may see, and the candidates and signals it makes."""

from pipeline.strategy.gates import (
    direction_probability,
    is_calm,
    longest_run,
    runs_p_value,
    trend,
    window_deviation,
)
from pipeline.strategy.history import session_history
from pipeline.strategy.model_signals import model_signals
from pipeline.strategy.per_session import Order, SessionStrategy, SessionView
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.registry import find_strategy, make_strategy, strategies
from pipeline.strategy.rules import TradingRules
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import HistorySettings
from pipeline.strategy.setups import NO_PRICE, Setups
from pipeline.strategy.signals import decided_by_close, gate_columns, make_candidates, make_signals

__all__ = [
    "NO_PRICE",
    "HistorySettings",
    "Order",
    "Seen",
    "SessionStrategy",
    "SessionView",
    "Setups",
    "Strategy",
    "StrategyParameters",
    "TradingRules",
    "decided_by_close",
    "direction_probability",
    "find_strategy",
    "gate_columns",
    "is_calm",
    "longest_run",
    "make_candidates",
    "make_signals",
    "make_strategy",
    "model_signals",
    "runs_p_value",
    "session_history",
    "strategies",
    "trend",
    "window_deviation",
]
