"""All figures of a desk as plain values, for JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipeline.backtest import BacktestResult, DeskResult
from pipeline.performance.desk_use import beside_alone, margin_use, opposed_positions, turned_away
from pipeline.performance.portfolio import (
    book_summary,
    contribution,
    correlation,
    diversification,
    drawdown_parts,
    session_drawdowns,
    shared_correlation,
)
from pipeline.performance.summary import summary, summary_to_dict

__all__ = ["portfolio_to_dict"]


def portfolio_to_dict(
    result: DeskResult, alone: Mapping[str, BacktestResult] | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Everything that a desk's report says, as plain values.

    Parameters
    ----------
    result
        From :func:`pipeline.backtest.simulate_desk`.
    alone
        From :func:`pipeline.backtest.simulate_alone`; of any of the books.
    seed
        Of the intervals.

    Returns
    -------
    dict
        ``summary`` (as of :func:`~pipeline.performance.summary_to_dict`); ``books``, by name: ``summary``,
        ``contribution``, ``turned_away``, and ``alone`` where it is known; ``correlation``, ``shared_correlation``,
        ``shared_sessions`` by book and book; ``diversification``; ``drawdowns``, each with ``books``, what they made
        in it; ``margin_use``; ``opposed_positions``. Fractions stay fractions. NaN and infinity become None, dates
        text.
    """
    currency = result.desk.currency
    parts, away, compared = contribution(result), turned_away(result), beside_alone(result, alone or {})
    books = {}
    for book in result.instruments:
        books[book] = {
            "summary": summary_to_dict(book_summary(result, book, seed=seed, currency=currency)),
            "contribution": _plain(parts.loc[book].to_dict()),
            "turned_away": _plain(away.loc[book].to_dict()),
        }
        if book in compared.index:
            books[book]["alone"] = _plain(compared.loc[book].to_dict())
    spread, shared, falls = (
        diversification(result.daily_pnl),
        shared_correlation(result.daily_pnl),
        session_drawdowns(result),
    )
    made = drawdown_parts(result, falls).to_dict("records")
    drawdowns = [{**fall, "books": each} for fall, each in zip(falls.to_dict("records"), made, strict=True)]
    return {
        "summary": summary_to_dict(summary(result, seed=seed, currency=currency)),
        "books": books,
        "correlation": _plain(correlation(result.daily_pnl).to_dict()),
        "shared_correlation": _plain(shared.coefficients.to_dict()),
        "shared_sessions": _plain(shared.sessions.to_dict()),
        "diversification": _plain(
            {**asdict(spread), "ratio": spread.ratio, "uncorrelated_ratio": spread.uncorrelated_ratio}
        ),
        "drawdowns": _plain(drawdowns),
        "margin_use": _plain(margin_use(result).to_dict()),
        "opposed_positions": _plain(opposed_positions(result).to_dict("records")),
    }


def _plain(value: Any) -> Any:
    """Values that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if math.isfinite(value) else None
