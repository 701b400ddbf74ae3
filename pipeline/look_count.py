"""Backtests put into the ledger of trials, and what its count leaves of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipeline.backtest import BacktestResult
from pipeline.errors import ConfigurationError
from pipeline.home import vpoc_home
from pipeline.market import Instrument
from pipeline.performance import format_value
from pipeline.reports.deflation import deflation
from pipeline.tuning.database import tuning_url
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.look import Look
from pipeline.tuning.looks import Looks

__all__ = ["LookCount", "after_looks", "count_backtests", "market_looks", "record_backtests"]

PATIENCE = 5.0  # seconds: a verdict is worth more than its number of looks


@dataclass(frozen=True)
class LookCount:
    """Trials behind the backtests, as the ledger counts them.

    Attributes
    ----------
    looks
        Every trial on their sessions; None where unknown.
    why_unknown
        Why; empty where they are known.
    deflated
        From :func:`pipeline.reports.deflation.deflation`.
    expected_best
        Annualised Sharpe ratio that the best of the trials is expected to show if none has an edge; NaN if unknown.
    overfitting
        Probability of backtest overfitting, percent; NaN if unknown.
    """

    looks: Looks | None = None
    why_unknown: str = ""
    deflated: pd.DataFrame = field(default_factory=pd.DataFrame)
    expected_best: float = math.nan
    overfitting: float = math.nan

    def document(self) -> dict[str, Any]:
        """Return the JSON document: sentence, count, period, and what is left of each; chances in percent."""
        if self.looks is None:
            return {"said": f"The number of trials is unknown: {self.why_unknown}"}
        return {
            "said": self.looks.sentence(),
            "trials": self.looks.count,
            "first_session": f"{self.looks.first:%F}",
            "last_session": f"{self.looks.last:%F}",
            "deflated_sharpe_ratio": {
                str(name): None if math.isnan(value) else float(value)
                for name, value in self.deflated["deflated_sharpe_ratio"].items()
            },
            "probability_of_backtest_overfitting": None if math.isnan(self.overfitting) else self.overfitting,
        }


def record_backtests(looks: Iterable[Look | None]) -> str:
    """Put backtests into the ledger of the home; why not, where that failed."""
    try:
        _ledger().record([look for look in looks if look is not None], renew=True)
    except ConfigurationError as error:
        return str(error)
    return ""


def count_backtests(
    symbol: str, instrument: Instrument, results: Mapping[str, BacktestResult], summaries: Mapping[str, pd.DataFrame]
) -> LookCount:
    """Count every trial on the sessions that were backtested, and what that leaves; no error where the ledger is down.

    Parameters
    ----------
    symbol
        Market, as it is called in the ledger.
    instrument
        What was traded.
    results, summaries
        Backtests and their figures by name.
    """
    sessions = next(iter(results.values())).daily_returns.index
    if sessions.empty:
        return LookCount(why_unknown="there are no sessions")
    try:
        looks = _ledger().looks(symbol, sessions[0], sessions[-1])
    except ConfigurationError as error:
        return LookCount(why_unknown=str(error))
    return LookCount(
        looks,
        deflated=deflation(looks, results, summaries),
        expected_best=looks.expected_best * math.sqrt(instrument.periods_per_year),
        overfitting=100 * looks.overfitting(),
    )


def market_looks(symbol: str, sessions: pd.DatetimeIndex) -> Looks | None:
    """Return every trial on a market in these sessions; None where there is no session or the ledger is down."""
    if sessions.empty:
        return None
    try:
        return _ledger().looks(symbol, sessions[0], sessions[-1])
    except ConfigurationError:
        return None


def after_looks(document: Mapping[str, Any]) -> str:
    """Say how many trials there were, and what that leaves of each backtest, from :meth:`LookCount.document`."""
    known = {name: chance for name, chance in document.get("deflated_sharpe_ratio", {}).items() if chance is not None}
    if not known:
        return str(document["said"])
    each = ", ".join(f"{name} {format_value(chance, '%')}" for name, chance in known.items())
    return (
        f"{document['said']} The chance that the true Sharpe ratio is above 0, given so many trials (deflated): {each}."
    )


def _ledger() -> Ledger:
    home = vpoc_home()
    return Ledger(tuning_url(home), patience=PATIENCE, home=home)
