"""Performance of a backtest, and how far its numbers can be trusted."""

from pipeline.performance.account_result import AccountResult
from pipeline.performance.classification import (
    NO_EDGE_BY_ITSELF,
    ModelJudgement,
    judge_model,
    model_summary,
    model_verdict,
)
from pipeline.performance.desk_use import (
    beside_alone,
    margin_by_session,
    margin_use,
    opposed_positions,
    turned_away,
)
from pipeline.performance.display import format_interval, format_value
from pipeline.performance.drawdowns import drawdown_series, maximum_drawdown, worst_drawdowns
from pipeline.performance.excursions import excursions
from pipeline.performance.holding import BuyAndHold, buy_and_hold
from pipeline.performance.metric_table import MODEL_DIGITS, format_estimate, format_line
from pipeline.performance.metrics import (
    annual_return,
    expectancy,
    exposure,
    profit_factor,
    sharpe_ratio,
    sortino_ratio,
    tail_ratio,
    total_return,
    turnover,
    win_rate,
)
from pipeline.performance.model_comparison import BASELINES, baseline_verdict, compare_models
from pipeline.performance.overfitting import probability_of_backtest_overfitting
from pipeline.performance.periods import monthly_returns, rolling_sharpe_ratio
from pipeline.performance.portfolio import (
    book_summary,
    contribution,
    correlation,
    diversification,
    drawdown_parts,
    session_drawdowns,
    shared_correlation,
)
from pipeline.performance.portfolio_values import portfolio_to_dict
from pipeline.performance.scored import scored_rows
from pipeline.performance.sharpe import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    probabilistic_sharpe_ratio,
)
from pipeline.performance.summary import (
    COST_LINES,
    FEWEST_TRADES,
    HEADLINE_METRICS,
    interval_reach,
    summary,
    summary_to_dict,
    verdict,
)
from pipeline.performance.uncertainty import (
    bootstrap_interval,
)

__all__ = [
    "BASELINES",
    "COST_LINES",
    "FEWEST_TRADES",
    "HEADLINE_METRICS",
    "MODEL_DIGITS",
    "NO_EDGE_BY_ITSELF",
    "AccountResult",
    "BuyAndHold",
    "ModelJudgement",
    "annual_return",
    "baseline_verdict",
    "beside_alone",
    "book_summary",
    "bootstrap_interval",
    "buy_and_hold",
    "compare_models",
    "contribution",
    "correlation",
    "deflated_sharpe_ratio",
    "diversification",
    "drawdown_parts",
    "drawdown_series",
    "excursions",
    "expectancy",
    "expected_maximum_sharpe",
    "exposure",
    "format_estimate",
    "format_interval",
    "format_line",
    "format_value",
    "interval_reach",
    "judge_model",
    "margin_by_session",
    "margin_use",
    "maximum_drawdown",
    "model_summary",
    "model_verdict",
    "monthly_returns",
    "opposed_positions",
    "portfolio_to_dict",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "profit_factor",
    "rolling_sharpe_ratio",
    "scored_rows",
    "session_drawdowns",
    "shared_correlation",
    "sharpe_ratio",
    "sortino_ratio",
    "summary",
    "summary_to_dict",
    "tail_ratio",
    "total_return",
    "turned_away",
    "turnover",
    "verdict",
    "win_rate",
    "worst_drawdowns",
]
