"""Candidates, gates and signals: what a session's close says about the next session."""

from pipeline.strategy.candidates import make_candidates, sessions_without_candidates
from pipeline.strategy.gates import (
    GateValues,
    direction_probability,
    is_calm,
    longest_run,
    pass_gates,
    runs_p_value,
    trend,
    window_deviation,
)
from pipeline.strategy.history import session_history
from pipeline.strategy.model_signals import model_signals
from pipeline.strategy.null_rates import gate_pass_rates, null_pass_rates
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.registry import find_strategy, make_strategy, strategies
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import ConfidenceWeights, HistorySettings, StrategySettings
from pipeline.strategy.setups import NO_PRICE, Setups
from pipeline.strategy.signals import rule_signals

__all__ = [
    "NO_PRICE",
    "ConfidenceWeights",
    "GateValues",
    "HistorySettings",
    "Seen",
    "Setups",
    "Strategy",
    "StrategyParameters",
    "StrategySettings",
    "direction_probability",
    "find_strategy",
    "gate_pass_rates",
    "is_calm",
    "longest_run",
    "make_candidates",
    "make_strategy",
    "model_signals",
    "null_pass_rates",
    "pass_gates",
    "rule_signals",
    "runs_p_value",
    "session_history",
    "sessions_without_candidates",
    "strategies",
    "trend",
    "window_deviation",
]
