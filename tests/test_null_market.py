"""On markets without an edge the chain finds none; on markets with one it does (contract §9).

Before costs: no commission, no slippage, and a limit fills on a touch. Letting the price trade through a limit by a
tick, as accounts do by default, costs a tick a fill and is a cost like the others.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.backtest import Account, simulate
from pipeline.market.instruments import load_instruments
from pipeline.market.simulator import simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategy import make_signals, session_history

pytestmark = pytest.mark.slow

NULL_MARKETS, EDGE_MARKETS, SESSIONS = 120, 20, 400
START = "2015-01-02"
FREE = Account(initial_capital=1e9, slippage_ticks=0, trade_through_ticks=0)


class Outcome(NamedTuple):
    """Trades of many markets, with ``market``: of the rule signals, of all fades, and of fades that look ahead."""

    rules: pd.DataFrame
    fades: pd.DataFrame
    cheats: pd.DataFrame


@cache
def _outcome(edge: float, markets: int) -> Outcome:
    es = load_instruments()["ES"]
    free = es.model_copy(update={"commission_per_side": 0.0})
    found: dict[str, list[pd.DataFrame]] = {"rules": [], "fades": [], "cheats": []}
    for market in range(markets):
        bars = simulate_market(es, START, SESSIONS, market, edge)
        history = session_history(bars, session_profiles(bars, es), es)
        signals = make_signals(history, es).assign(quantity=1)
        candidates = signals
        orders = {
            "rules": signals[signals["rule_signal"]],
            "fades": candidates,
            # The profile of a session traded in that session itself, before it is known.
            "cheats": candidates.assign(session=candidates["decided_on"]),
        }
        for name, given in orders.items():
            trades = simulate(bars, given, free, FREE).trades
            found[name].append(trades.assign(market=market))
    return Outcome(*(pd.concat(found[name], ignore_index=True) for name in Outcome._fields))


def _t(values: pd.Series) -> float:
    return float(values.mean() / values.std() * np.sqrt(len(values)))


def _t_by_market(trades: pd.DataFrame) -> pd.Series:
    groups = trades.groupby("market")["r_multiple"]
    return (groups.mean() / groups.std() * np.sqrt(groups.size())).dropna()


def _kindly(trades: pd.DataFrame) -> pd.Series:
    """R multiples with every ambiguous bar taken as the target: more than there was, by as much as is unknown."""
    return trades["r_multiple"].where(~trades["ambiguous"], 2.0)


@pytest.mark.parametrize(("which", "least"), [("rules", 2_500), ("fades", 25_000)])
def test_null_markets_trades_before_costs_earn_nothing(which: str, least: int) -> None:
    trades = getattr(_outcome(0.0, NULL_MARKETS), which)

    # An ambiguous bar is always a loss, so the truth lies between these two; neither end may be significant
    # on its wrong side, at 1 %.
    assert trades["market"].nunique() >= 100
    assert len(trades) > least
    assert _t(trades["r_multiple"]) < 2.58
    assert _t(_kindly(trades)) > -2.58


@pytest.mark.parametrize("which", ["rules", "fades"])
def test_null_markets_t_statistics_are_those_of_chance(which: str) -> None:
    statistics = _t_by_market(getattr(_outcome(0.0, NULL_MARKETS), which))

    beyond = int((statistics.abs() > 1.96).sum())
    assert stats.binomtest(beyond, len(statistics), 0.05).pvalue > 0.01
    assert int((statistics > 1.645).sum()) <= stats.binom.ppf(0.99, len(statistics), 0.05)


def test_null_markets_pessimism_inside_bars_is_small() -> None:
    fades = _outcome(0.0, NULL_MARKETS).fades

    # What all ambiguous bars together can hide; half of it, if either side is as likely first.
    hidden = (_kindly(fades) - fades["r_multiple"]).mean()
    assert fades["ambiguous"].mean() < 0.003
    assert 0 < hidden < 0.008


def test_null_markets_a_look_ahead_is_caught() -> None:
    cheats = _outcome(0.0, NULL_MARKETS).cheats

    assert _t(cheats["r_multiple"]) > 10


@pytest.mark.parametrize("which", ["rules", "fades"])
def test_planted_edge_is_found(which: str) -> None:
    trades = getattr(_outcome(0.5, EDGE_MARKETS), which)

    assert _t(trades["r_multiple"]) > 3.3
    assert 0.1 < trades["r_multiple"].mean() < 0.6


def test_planted_edge_is_found_in_nearly_every_market() -> None:
    # Rule signals are too few, some thirty a market, to tell in one; all fades are enough.
    statistics = _t_by_market(_outcome(0.5, EDGE_MARKETS).fades)

    assert (statistics > 1.96).mean() >= 0.8


def test_planted_edge_more_of_it_earns_more() -> None:
    earned = [_outcome(edge, EDGE_MARKETS).fades["r_multiple"].mean() for edge in (0.5, 1.0)]

    assert earned[1] > earned[0] + 0.1
