"""A strategy put to the test: on bars, cut off again and again, and on markets where nothing can be earned.

Money made on a martingale is a look at the future, or a fill that no broker would give: before costs, the mean of what
trades earn there is zero. The test is one-sided; of strategies without fault, one in 740 fails it by chance.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.audit.report import Finding
from pipeline.audit.trading_replay import check_fill_replay, check_signal_replay, fill_cutoffs, signal_cutoffs
from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.errors import PipelineError
from pipeline.market import Instrument, simulate_market
from pipeline.replays import Replays
from pipeline.research import RULES, orders_of
from pipeline.strategy import TradingRules

__all__ = ["MarketCheck", "NullCheck", "check_on_bars", "check_on_null_markets"]

_NULL_MARKETS, _START, _SESSIONS, _BAR = 4, "2015-01-05", 500, "5min"
_FAR = 3.0


@dataclass(frozen=True)
class MarketCheck:
    """What a strategy does on some bars.

    Attributes
    ----------
    sessions, candidates, signals
        Counts: sessions seen, setups, and those that the rules take.
    seconds
        That deciding took.
    error
        Why nothing came of it, in a sentence; empty where something did.
    findings
        What knew the future.
    results
        Backtests of all candidates and of the rule signals, by name.
    """

    sessions: int
    candidates: int
    signals: int
    seconds: float
    error: str
    findings: tuple[Finding, ...]
    results: dict[str, BacktestResult]

    @property
    def passed(self) -> bool:
        """Return True where it ran and nothing knew the future."""
        return not self.error and not self.findings


@dataclass(frozen=True)
class NullCheck:
    """What a strategy earns on markets without an edge.

    Attributes
    ----------
    trades
        Of all candidates, on all the markets together.
    mean, standard_error
        Money per trade of one contract before costs, NaN for fewer than two trades.
    error
        As of :class:`MarketCheck`.
    """

    trades: int
    mean: float
    standard_error: float
    error: str = ""

    @property
    def score(self) -> float:
        """Standard errors that the mean lies above zero; NaN where unknown."""
        return self.mean / self.standard_error if self.standard_error > 0 else float("nan")

    @property
    def passed(self) -> bool:
        """Return True where it ran and nothing was earned that can't be chance."""
        return not self.error and not self.score > _FAR


def check_on_bars(
    rules: TradingRules, bars: pd.DataFrame, instrument: Instrument, account: Account, *, seed: int = 0
) -> MarketCheck:
    """Run a strategy on bars, and again on bars cut off at many of its decisions.

    Parameters
    ----------
    rules
        Strategy and history.
    bars
        Clean bars.
    instrument, account
        What trades, and on which account.
    seed
        Draws the cut-offs.
    """
    began = time.perf_counter()
    replays = Replays(bars, instrument)
    try:
        decisions = replays.decide(rules)
        signals, seconds = decisions.frame(), time.perf_counter() - began
        history = decisions.seen.history
        findings = check_signal_replay(
            bars, instrument, rules, signals, signal_cutoffs(signals, history, instrument, seed)
        )
        results = {
            name: simulate(replays.prepared, orders, instrument, account, hours=rules.history.hours)
            for name, orders in orders_of(signals, rules.strategy).items()
        }
        taken = results[RULES]
        orders = signals[signals["rule_signal"]]
        findings += check_fill_replay(bars, orders, taken, rules.history.hours, fill_cutoffs(bars, taken, seed))
    except PipelineError as error:
        return MarketCheck(0, 0, 0, time.perf_counter() - began, str(error), (), {})
    return MarketCheck(
        len(history), len(signals), int(signals["rule_signal"].sum()), seconds, "", tuple(findings), results
    )


def check_on_null_markets(rules: TradingRules, instrument: Instrument, account: Account, *, seed: int = 0) -> NullCheck:
    """Trade every candidate, one contract each, on simulated markets without an edge (contract §9)."""
    try:
        earned = np.concatenate(list(_null_money(rules, instrument, account, seed)))
    except PipelineError as error:
        return NullCheck(0, float("nan"), float("nan"), str(error))
    if len(earned) < 2:
        return NullCheck(len(earned), float("nan"), float("nan"))
    return NullCheck(len(earned), float(earned.mean()), float(earned.std(ddof=1) / np.sqrt(len(earned))))


def _null_money(
    rules: TradingRules, instrument: Instrument, account: Account, seed: int
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Money per trade on each market, without commission and slippage."""
    free = account.model_copy(update={"initial_capital": 1e12, "max_positions": 1, "slippage_ticks": 0})
    costless = instrument.model_copy(update={"commission_per_side": 0.0, "commission_rate": 0.0})
    for market in range(_NULL_MARKETS):
        bars = simulate_market(costless, _START, _SESSIONS, seed + market, bar=_BAR)
        signals = Replays(bars, costless).decide(rules).frame().assign(quantity=1)
        result = simulate(bars, signals, costless, free, hours=rules.history.hours)
        yield result.trades["pnl"].to_numpy(np.float64)
