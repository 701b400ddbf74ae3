"""Strategies put to the test: on bars cut off, and on markets where nothing can be earned."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.audit.strategy_check import NullCheck, check_on_bars, check_on_null_markets
from pipeline.backtest import Account
from pipeline.errors import DataError
from pipeline.market import Instrument, simulate_market
from pipeline.strategies.initial_balance_breakout import InitialBalanceBreakout
from pipeline.strategy import HistorySettings, Seen, Setups, Strategy, StrategyParameters, TradingRules

ACCOUNT = Account(risk_per_trade=0.02)


class _Own(Strategy):
    name = "own"
    title = "Own"
    description = "Made for a test."
    source = "A test"
    Parameters = StrategyParameters


class _Peeks(_Own):
    """Buys where the next session closes higher."""

    def setups(self, seen: Seen) -> Setups:
        close = seen.ticks("close")
        move = np.append(np.diff(close), 0)
        row = np.flatnonzero(move != 0)
        side = np.sign(move[row])
        return Setups(row, side, close[row], close[row] - side * 40, close[row] + side * 40)


class _PeeksToday(_Own):
    """Knows, an hour in, which way the whole session goes."""

    def decision_minutes(self) -> tuple[int, ...]:
        return (60,)

    def setups(self, seen: Seen) -> Setups:
        today = seen.today
        closes = pd.Series(seen.ticks("close"), seen.sessions).reindex(seen.upcoming).fillna(0).to_numpy(np.int64)
        row = np.flatnonzero(today.known & (closes > 0) & (closes != today.last))
        side = np.sign(closes[row] - today.last[row])
        entry = today.last[row]
        return Setups(row, side, entry, entry - side * 40, entry + side * 40)


class _Raises(_Own):
    def setups(self, seen: Seen) -> Setups:
        raise DataError("no idea what to do")


def rules(strategy: Strategy) -> TradingRules:
    return TradingRules(HistorySettings(), strategy)


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2021-01-04", 200, 5, bar="15min")


def test_strategy_without_fault_passes_on_bars_with_its_counts(bars: pd.DataFrame, es: Instrument) -> None:
    found = check_on_bars(rules(InitialBalanceBreakout()), bars, es, ACCOUNT)

    assert found.passed
    assert found.sessions == 199
    assert 0 < found.signals < found.candidates <= 2 * found.sessions
    assert set(found.results) == {"All candidates", "Rule signals"}
    assert len(found.results["All candidates"].orders) == found.candidates


@pytest.mark.parametrize("strategy", [_Peeks(), _PeeksToday()], ids=["next session", "rest of the session"])
def test_strategy_that_sees_the_future_is_caught_on_bars(
    strategy: Strategy, bars: pd.DataFrame, es: Instrument
) -> None:
    found = check_on_bars(rules(strategy), bars, es, ACCOUNT)

    assert not found.passed
    assert found.findings[0].check == "signals"


def test_strategy_that_stops_says_why_and_is_no_traceback(bars: pd.DataFrame, es: Instrument) -> None:
    found = check_on_bars(rules(_Raises()), bars, es, ACCOUNT)

    assert (found.passed, found.results) == (False, {})
    assert "no idea what to do" in found.error
    assert "no idea what to do" in check_on_null_markets(rules(_Raises()), es, ACCOUNT).error


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [_Peeks(), _PeeksToday()], ids=["next session", "rest of the session"])
def test_strategy_that_sees_the_future_earns_where_nothing_can_be_earned(strategy: Strategy, es: Instrument) -> None:
    found = check_on_null_markets(rules(strategy), es, ACCOUNT)

    assert not found.passed
    assert found.score > 5


@pytest.mark.slow
def test_strategies_of_the_box_earn_nothing_where_nothing_can_be_earned(es: Instrument) -> None:
    from pipeline.strategy import strategies

    for strategy in strategies().values():
        found = check_on_null_markets(rules(strategy()), es, ACCOUNT)
        assert found.passed, (strategy.name, found)
        assert found.trades > 100, strategy.name


@pytest.mark.parametrize(
    ("given", "passed"),
    [((1000, 30.0, 10.0), True), ((1000, 30.1, 10.0), False), ((1, math.nan, math.nan), True), ((9, 0.0, 0.0), True)],
)
def test_null_check_fails_from_three_standard_errors_on(given: Any, passed: bool) -> None:
    assert NullCheck(*given).passed == passed
