"""How good a backtest was, and how far that number can be trusted."""

from pipeline.performance.display import format_interval, format_value
from pipeline.performance.metrics import (
    Drawdown,
    annual_return,
    drawdown_series,
    expectancy,
    exposure,
    maximum_drawdown,
    profit_factor,
    sharpe_ratio,
    sortino_ratio,
    tail_ratio,
    total_return,
    turnover,
    win_rate,
)
from pipeline.performance.overfitting import overfitting_logits, probability_of_backtest_overfitting
from pipeline.performance.summary import HEADLINE_METRICS, SupportsSummary, summary, summary_to_dict, verdict
from pipeline.performance.uncertainty import (
    Interval,
    block_length,
    bootstrap_interval,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    probabilistic_sharpe_ratio,
    sharpe_probability,
)

__all__ = [
    "HEADLINE_METRICS",
    "Drawdown",
    "Interval",
    "SupportsSummary",
    "annual_return",
    "block_length",
    "bootstrap_interval",
    "deflated_sharpe_ratio",
    "drawdown_series",
    "expectancy",
    "expected_maximum_sharpe",
    "exposure",
    "format_interval",
    "format_value",
    "maximum_drawdown",
    "overfitting_logits",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "profit_factor",
    "sharpe_probability",
    "sharpe_ratio",
    "sortino_ratio",
    "summary",
    "summary_to_dict",
    "tail_ratio",
    "total_return",
    "turnover",
    "verdict",
    "win_rate",
]
