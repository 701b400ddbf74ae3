"""What each strategy said at a time, it says again of data that ends there, to the bit (contract §4, §11)."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.market import label_sessions, session_schedule, simulate_market
from pipeline.market.bar_times import bar_ends
from pipeline.profiles import session_profiles
from pipeline.strategies.initial_balance_breakout import InitialBalanceBreakout
from pipeline.strategies.trend_continuation import TrendContinuation
from pipeline.strategy import HistorySettings, Seen, Setups, Strategy, make_strategy, session_history, strategies
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.signals import signals_frame
from tests.strategies.market import ES

SHORT = HistorySettings(trend_window=6, direction_window=20, calm_short=3, calm_long=9, atr_window=5)


class Market:
    """Bars, and what was known of them at any time."""

    def __init__(self, bars: pd.DataFrame, settings: HistorySettings) -> None:
        self.bars, self.settings = bars, settings
        self.ends = bar_ends(pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8)
        self.labels = label_sessions(bars["timestamp"], ES).sessions.to_numpy()
        sessions = pd.DatetimeIndex(pd.unique(self.labels)).dropna()
        self.closes = session_schedule(ES, sessions.min(), sessions.max())["rth_close"].loc[sessions]
        self._seen: dict[int, pd.DataFrame] = {}

    @property
    def over(self) -> int:
        """The last bar's end."""
        return int(self.ends[-1])

    def seen(self, cutoff: int) -> Seen:
        """What was known at an instant: the bars complete by then, and the history of the sessions over by then."""
        closed = self.closes.index[pd.DatetimeIndex(self.closes).asi8 <= cutoff]
        if len(closed) not in self._seen:
            held = self.bars[self.labels <= closed[-1].to_datetime64()].reset_index(drop=True)
            profiles = session_profiles(held, ES)
            self._seen[len(closed)] = session_history(held, profiles, ES, self.settings)
        complete = self.bars[self.ends <= cutoff].reset_index(drop=True)
        return Seen.of(self._seen[len(closed)], ES, self.settings, complete, pd.Timestamp(cutoff, tz="UTC"))

    def signals(self, strategy: Strategy, cutoff: int) -> pd.DataFrame:
        seen = self.seen(cutoff)
        return signals_frame(checked_setups(strategy, seen), seen)

    def known_at(self, signals: pd.DataFrame) -> np.ndarray:
        """When each setup was decided, nanoseconds."""
        if "decided_at" in signals:
            return pd.DatetimeIndex(signals["decided_at"]).as_unit("ns").asi8
        return pd.DatetimeIndex(self.closes.loc[signals["decided_on"]]).as_unit("ns").asi8


def cutoffs(market: Market, strategy: Strategy, sessions: Iterable[int]) -> list[int]:
    """Closes, and decision instants with a bar before, a bar after, and a time within a bar on either side."""
    found = []
    minute = 60 * 10**9
    opens = session_schedule(ES, market.closes.index[0], market.closes.index[-1])["rth_open"].loc[market.closes.index]
    for number in sessions:
        close, opened = (pd.DatetimeIndex(column)[number].as_unit("ns").value for column in (market.closes, opens))
        found += [close, close + 2 * minute]
        minutes = strategy.decision_minutes()
        found += [opened + (decided + shift) * minute for decided in minutes[:1] for shift in (-5, -2, 0, 2, 5)]
        found += [opened + (decided + shift) * minute for decided in minutes[3:4] for shift in (-2, 0)]
    return [cutoff for cutoff in sorted(set(found)) if cutoff <= market.over]


def faults(strategy: Strategy, market: Market, sessions: Iterable[int]) -> list[str]:
    """Times at which the strategy had said something else than it says afterwards of the same time."""
    full = market.signals(strategy, market.over)
    found = []
    for cutoff in cutoffs(market, strategy, sessions):
        known = full[market.known_at(full) <= cutoff].reset_index(drop=True)
        try:
            pd.testing.assert_frame_equal(market.signals(strategy, cutoff), known, check_exact=True, check_dtype=False)
        except AssertionError as error:
            found.append(f"{pd.Timestamp(cutoff, tz='UTC')}: {error}")
    return found


@pytest.fixture(scope="module")
def made() -> Market:
    """Sixty sessions with a roll, early closes and a day without regular hours, one bar in thirty missing."""
    bars = simulate_market(ES, "2024-10-21", 60, seed=5)
    kept = np.random.default_rng(3).random(len(bars)) > 1 / 30
    return Market(bars[kept].reset_index(drop=True), SHORT)


@pytest.fixture(scope="module")
def real(real_data) -> Market:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:80_000]
    return Market(bars, HistorySettings())


@pytest.mark.parametrize("name", sorted(strategies()))
def test_simulated_market_cut_off_at_any_time_has_the_same_setups(name: str, made: Market) -> None:
    # Session 27 is Thanksgiving's, 28 closes early too; the roll is around 35.
    assert faults(make_strategy(name), made, (6, 7, 15, 26, 27, 28, 34, 35, 36, 37, 45, 46, 59)) == []


@pytest.mark.parametrize("name", sorted(strategies()))
def test_real_es_cut_off_at_any_time_has_the_same_setups(name: str, real: Market) -> None:
    assert faults(make_strategy(name), real, (20, 53, 54, 55, 118, 200, 201, 260)) == []


def test_simulated_market_of_these_tests_rolls_and_closes_early(made: Market) -> None:
    assert made.bars["contract"].nunique() == 2
    lengths = made.closes - session_schedule(ES, made.closes.index[0], made.closes.index[-1])["rth_open"]
    hours = lengths[lengths < pd.Timedelta("6h")] / pd.Timedelta("1h")
    assert hours.to_dict() == {
        pd.Timestamp("2024-11-28"): 3.5,
        pd.Timestamp("2024-11-29"): 3.75,
        pd.Timestamp("2024-12-24"): 3.75,
        pd.Timestamp("2025-01-09"): 0.0,
    }
    assert len(made.closes) == 60


class NextRow(TrendContinuation):
    """A gate on the close of the session that is still to come."""

    def setups(self, seen: Seen) -> Setups:
        found = super().setups(seen)
        coming = np.append(seen.ticks("close")[1:], seen.ticks("close")[-1:])
        later = (coming > seen.ticks("close"))[found.row]
        return replace(found, gates={**found.gates, "trend": later})


class WholeSample(TrendContinuation):
    """A gate at a quantile of all the history there is."""

    def setups(self, seen: Seen) -> Setups:
        found = super().setups(seen)
        ranges = seen["atr"]
        return replace(found, gates={**found.gates, "trend": (ranges > np.nanquantile(ranges, 0.5))[found.row]})


class LaterBars(InitialBalanceBreakout):
    """A gate on the hour after the decision."""

    def setups(self, seen: Seen) -> Setups:
        found = super().setups(seen)
        later = seen.at(120).today.high > seen.today.high
        return replace(found, gates={"narrow": later[found.row]})


class UnfinishedBar(InitialBalanceBreakout):
    """A gate on the close of the bar that the decision falls into."""

    def setups(self, seen: Seen) -> Setups:
        found = super().setups(seen)
        today = seen.today
        bar = np.minimum(today.stops, len(today.bars.opens) - 1)
        rises = today.bars.ticks["close"][bar] > today.last
        return replace(found, gates={"narrow": rises[found.row]})


@pytest.mark.parametrize("planted", [NextRow, WholeSample, LaterBars, UnfinishedBar])
def test_planted_look_ahead_is_caught(planted: type[Strategy], made: Market) -> None:
    assert faults(planted(), made, (15, 17, 19, 21, 26, 45, 46)) != []
