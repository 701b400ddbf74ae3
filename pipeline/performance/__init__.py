"""Performance of a backtest, and how far its numbers can be trusted."""

from pipeline.performance.classification import (
    FEWEST_OF_A_KIND,
    MODEL_METRICS,
    NO_EDGE_BY_ITSELF,
    ModelJudgement,
    judge_model,
    model_summary,
    model_summary_by_fold,
    model_verdict,
)
from pipeline.performance.display import format_interval, format_value
from pipeline.performance.drawdowns import Drawdown, drawdown_series, maximum_drawdown, worst_drawdowns
from pipeline.performance.excursions import excursions
from pipeline.performance.holding import BuyAndHold, buy_and_hold
from pipeline.performance.metric_table import MODEL_DIGITS
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
from pipeline.performance.model_comparison import BASELINES, COMPARED_METRICS, baseline_verdict, compare_models
from pipeline.performance.model_curves import calibration_curve, threshold_curve
from pipeline.performance.overfitting import overfitting_logits, probability_of_backtest_overfitting
from pipeline.performance.periods import monthly_returns, rolling_sharpe_ratio
from pipeline.performance.scored import SCORED_COLUMNS, require_scored, scored_rows
from pipeline.performance.sharpe import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    probabilistic_sharpe_ratio,
    sharpe_probability,
    variance_inflation,
)
from pipeline.performance.summary import (
    COST_LINES,
    FEWEST_TRADES,
    HEADLINE_METRICS,
    SupportsSummary,
    interval_reach,
    summary,
    summary_to_dict,
    verdict,
)
from pipeline.performance.uncertainty import (
    Interval,
    block_length,
    bootstrap_interval,
    covering_level,
    regime_block_length,
)

__all__ = [
    "BASELINES",
    "COMPARED_METRICS",
    "COST_LINES",
    "FEWEST_OF_A_KIND",
    "FEWEST_TRADES",
    "HEADLINE_METRICS",
    "MODEL_DIGITS",
    "MODEL_METRICS",
    "NO_EDGE_BY_ITSELF",
    "SCORED_COLUMNS",
    "BuyAndHold",
    "Drawdown",
    "Interval",
    "ModelJudgement",
    "SupportsSummary",
    "annual_return",
    "baseline_verdict",
    "block_length",
    "bootstrap_interval",
    "buy_and_hold",
    "calibration_curve",
    "compare_models",
    "covering_level",
    "deflated_sharpe_ratio",
    "drawdown_series",
    "excursions",
    "expectancy",
    "expected_maximum_sharpe",
    "exposure",
    "format_interval",
    "format_value",
    "interval_reach",
    "judge_model",
    "maximum_drawdown",
    "model_summary",
    "model_summary_by_fold",
    "model_verdict",
    "monthly_returns",
    "overfitting_logits",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "profit_factor",
    "regime_block_length",
    "require_scored",
    "rolling_sharpe_ratio",
    "scored_rows",
    "sharpe_probability",
    "sharpe_ratio",
    "sortino_ratio",
    "summary",
    "summary_to_dict",
    "tail_ratio",
    "threshold_curve",
    "total_return",
    "turnover",
    "variance_inflation",
    "verdict",
    "win_rate",
    "worst_drawdowns",
]
