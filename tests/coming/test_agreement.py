"""The orders made from data that ends at the decision are the backtest's of all data, cell by cell, sizes too."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import BacktestResult, simulate
from pipeline.coming import coming_orders, with_sizes
from pipeline.market import find_instrument, label_sessions, session_schedule, simulate_market
from pipeline.market.bar_times import bar_ends
from pipeline.research import RULES, make_profiles, orders_of
from pipeline.settings import Settings
from pipeline.strategy import make_signals, session_history

ES = find_instrument("ES")
SHORT = {"trend_window": 6, "direction_window": 20, "calm_short": 3, "calm_long": 9, "atr_window": 5}
# More than so short a history looks back; a longer one gives the same, later.
MONTHS = pd.Timedelta("75D")
# Enough money that sizes differ from order to order, little enough margin that it sometimes decides them.
ACCOUNT = {"initial_capital": 1_000_000.0, "margin_day": 0.2}


@dataclass(frozen=True)
class Market:
    """Bars, which can be cut off at any time."""

    bars: pd.DataFrame

    def settings(self, name: str) -> Settings:
        return Settings(history=SHORT, strategy={"name": name}, account=ACCOUNT)

    def known(self, moment: pd.Timestamp) -> pd.DataFrame:
        """Return the last months up to the first bar that reaches the moment: it says that those missing before are."""
        ends = bar_ends(pd.DatetimeIndex(self.bars["timestamp"]).as_unit("ns").asi8)
        first, last = (np.searchsorted(ends, at.as_unit("ns").value) for at in (moment - MONTHS, moment))
        return self.bars.iloc[int(first) : int(last) + 1].reset_index(drop=True)


def signals_of(bars: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    history = session_history(bars, make_profiles(bars, ES, settings.history), ES, settings.history)
    return make_signals(history, ES, settings.rules, bars), history


def decisions(market: Market, settings: Settings, count: int) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    """The last sessions, and when all of each had been decided: the close before, or its last decision."""
    sessions = pd.DatetimeIndex(label_sessions(market.bars["timestamp"], ES).sessions).dropna().unique()
    schedule = session_schedule(ES, sessions[0], sessions[-1])
    schedule = schedule[schedule["rth_close"] > schedule["rth_open"]]
    minutes = settings.strategy.decision_minutes()
    for before, session in list(zip(schedule.index[:-1], schedule.index[1:], strict=True))[-count:]:
        own = schedule.loc[session]
        times = [own["rth_open"] + pd.Timedelta(minutes=minute) for minute in minutes]
        times = [at for at in times if at < own["rth_close"]]
        yield session, times[-1] if times else schedule.loc[before, "rth_close"]


def disagreements(market: Market, name: str, count: int) -> tuple[list[str], int, int]:
    """What differs over so many sessions, and how many orders and how many sizes were compared."""
    settings = market.settings(name)
    signals, _ = signals_of(market.bars, settings)
    account = settings.account_for(ES)
    result = simulate(market.bars, orders_of(signals, settings.strategy)[RULES], ES, account)
    found: list[str] = []
    orders = sizes = 0
    for session, moment in decisions(market, settings, count):
        bars = market.known(moment)
        made = coming_orders(*signals_of(bars, settings), bars, ES, settings)
        own = made[(made["session"] == session) & (made["action"] == "order")].reset_index(drop=True)
        wanted = result.orders[result.orders["session"] == session]
        found += different_cells(own, wanted, session)
        orders += len(own)
        for label, trade in result.trades[result.trades["order"].isin(wanted.index)].set_index("order").iterrows():
            row = own.iloc[[wanted.index.get_loc(label)]]
            if size_of(row, trade, result, settings) != trade["quantity"]:
                found.append(f"{session:%F}: size {size_of(row, trade, result, settings)}, not {trade['quantity']}")
            sizes += 1
    return found, orders, sizes


def different_cells(own: pd.DataFrame, wanted: pd.DataFrame, session: pd.Timestamp) -> list[str]:
    if len(own) != len(wanted):
        return [f"{session:%F}: {len(own)} orders, not {len(wanted)}"]
    shared = [name for name in own.columns if name in wanted.columns]
    assert {"session", "decided_on", "side", "entry", "stop", "target"} <= set(shared)
    found = []
    for name in shared:
        for ours, theirs in zip(own[name], wanted[name], strict=True):
            if not (ours == theirs or ((pd.isna(ours) or ours == "") and pd.isna(theirs))):
                found.append(f"{session:%F}: {name} {ours!r}, not {theirs!r}")
    return found


def size_of(row: pd.DataFrame, trade: pd.Series, result: BacktestResult, settings: Settings) -> int:
    """The size of an order for the equity that the backtest had at its fill, at the price that it filled at."""
    place = int(result.equity.index.searchsorted(trade["entry_time"]))
    equity = float(result.equity.iloc[place - 1]) if place else settings.account_for(ES).initial_capital
    market = row["type"].iloc[0] in ("market", "stop")
    slipped = settings.account_for(ES).slippage_ticks * ES.tick_size * trade["side"] if market else 0.0
    account = settings.account_for(ES)
    sized = with_sizes(row, ES, account, "rth", equity=equity, price=trade["entry_price"] - slipped)
    return int(sized["quantity"].iloc[0])


@pytest.fixture(scope="module")
def made() -> Market:
    """Sessions with rolls, early closes and a day without regular hours, one bar in fifty missing."""
    bars = simulate_market(ES, "2024-02-20", 235, seed=5, bar="30min")
    kept = np.random.default_rng(3).random(len(bars)) > 1 / 50
    return Market(bars[kept].reset_index(drop=True))


# Limits from the close before; stops with a trail; a group of stops within the session; market orders within it.
KINDS = ("value_area_fade", "trend_continuation", "initial_balance_breakout", "eighty_percent_rule")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_orders_of_200_sessions_cut_off_at_the_decision_are_the_backtests(name: str, made: Market) -> None:
    found, orders, sizes = disagreements(made, name, 200)
    assert found == []
    assert orders > 10
    assert sizes > 5


@pytest.mark.parametrize("name", KINDS)
def test_orders_of_some_sessions_cut_off_at_the_decision_are_the_backtests(name: str, made: Market) -> None:
    found, orders, _ = disagreements(made, name, 25)
    assert found == []
    assert orders > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_orders_of_200_sessions_of_real_es_are_the_backtests(name: str, real_data) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:66_000]
    found, orders, sizes = disagreements(Market(bars), name, 200)
    assert found == []
    assert orders > 5
    assert sizes > 2
