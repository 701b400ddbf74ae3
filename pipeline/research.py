"""The chain without an orchestrator: from clean bars to the two backtests, in one call.

The assets make the same steps one by one; ``vpoc backtest`` and the null-market test call this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.backtest import BacktestResult, simulate
from pipeline.market import Instrument, label_sessions
from pipeline.profiles import session_profiles
from pipeline.replays import Replays
from pipeline.settings import Settings
from pipeline.strategy import HistorySettings, Strategy

__all__ = [
    "RULES",
    "RULES_IN_THEIR_TIME",
    "Research",
    "bars_from",
    "make_profiles",
    "model_orders",
    "model_strategy",
    "orders_of",
    "run_research",
]

RULES = "Rule signals"
RULES_IN_THEIR_TIME = "Rules, same time"
"""The rules over the sessions that a model's signals are traded in."""


@dataclass(frozen=True)
class Research:
    """Output of the chain on a symbol's bars.

    Attributes
    ----------
    profiles, history
        By session.
    signals
        The candidates with their gates.
    results
        Backtests by name: every candidate, and those that the rules take.
    """

    profiles: pd.DataFrame
    history: pd.DataFrame
    signals: pd.DataFrame
    results: Mapping[str, BacktestResult]


def make_profiles(bars: pd.DataFrame, instrument: Instrument, history: HistorySettings) -> pd.DataFrame:
    """Session profiles under the settings of a history."""
    return session_profiles(bars, instrument, **history.profile(instrument).options)


def model_strategy(family: str) -> str:
    """Return the name of the backtest of a model family's signals."""
    return f"ML {family}"


def bars_from(bars: pd.DataFrame, session: pd.Timestamp, instrument: Instrument) -> pd.DataFrame:
    """The bars of a session and those after it, so that strategies are compared over the same time."""
    sessions = label_sessions(pd.DatetimeIndex(bars["timestamp"]), instrument).sessions
    return bars[sessions >= session].reset_index(drop=True)


def orders_of(signals: pd.DataFrame, strategy: Strategy) -> dict[str, pd.DataFrame]:
    """The orders of each backtest: all candidates, the baseline of the strategy, and the rule signals among them."""
    return {strategy.baseline: signals, RULES: signals[signals["rule_signal"]]}


def model_orders(signals: pd.DataFrame) -> pd.DataFrame:
    """The orders of a model's backtest: its signals among the candidates."""
    return signals[signals["model_signal"]]


def run_research(bars: pd.DataFrame, instrument: Instrument, settings: Settings | None = None) -> Research:
    """Make profiles, history, candidates, signals and both backtests of clean bars.

    Parameters
    ----------
    bars
        Clean bars of one instrument (contract §1), shape (n,).
    instrument
        What trades.
    settings
        The defaults where None.
    """
    chosen = settings or Settings()
    replays, history = Replays(bars, instrument), chosen.history
    signals = replays.decide(chosen.rules).frame()
    account = chosen.account_for(instrument)
    results = {
        name: simulate(replays.prepared, orders, instrument, account, hours=history.hours)
        for name, orders in orders_of(signals, chosen.strategy).items()
    }
    return Research(replays.profiles(history), replays.history(history), signals, results)
