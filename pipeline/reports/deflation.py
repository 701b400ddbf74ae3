"""What the number of trials recorded on a market leaves of each backtest."""

import math
from collections.abc import Mapping

import pandas as pd

from pipeline.backtest import BacktestResult
from pipeline.tuning.looks import Looks

__all__ = ["SURE", "deflation"]

SURE = 95.0
"""Percent, from which on luck and selection are a poor explanation of a Sharpe ratio."""
_COLUMNS = (
    "sharpe_ratio",
    "expected_maximum_sharpe_ratio",
    "probabilistic_sharpe_ratio",
    "deflated_sharpe_ratio",
)


def deflation(
    looks: Looks, results: Mapping[str, BacktestResult], summaries: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Deflate the Sharpe ratio of each backtest by the number of trials.

    Parameters
    ----------
    looks
        Every trial on the market and period.
    results, summaries
        By name of the strategy.

    Returns
    -------
    DataFrame
        Indexed by strategy: sharpe_ratio, expected_maximum_sharpe_ratio (both annualised; the second what the best of
        the trials is expected to show if none has an edge), probabilistic_sharpe_ratio, deflated_sharpe_ratio (both in
        percent; NaN where there are too few trades for either, or the spread of the trials is unknown).
    """
    rows = {}
    for name, result in results.items():
        summary = summaries[name]["value"]
        probabilistic = float(summary["probabilistic_sharpe_ratio"])
        deflated = math.nan if math.isnan(probabilistic) else 100 * looks.deflated_sharpe(result.daily_returns)
        expected = looks.expected_best * math.sqrt(result.instrument.periods_per_year)
        rows[name] = (float(summary["sharpe_ratio"]), expected, probabilistic, deflated)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS)).rename_axis("strategy")
