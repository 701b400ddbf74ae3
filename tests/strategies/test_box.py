"""What every strategy in the box declares, and what it gives on a market without an edge."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.market import simulate_market
from pipeline.profiles import session_profiles
from pipeline.search_space import Choice
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import HistorySettings, Seen, make_strategy, session_history, strategies
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.null_market import null_history
from pipeline.strategy.signals import candidates_frame
from tests.strategies.market import ES, seen_of, walk

NAMES = [
    *("eighty_percent_rule", "initial_balance_breakout", "naked_vpoc_magnet", "opening_gap_fill"),
    *("trend_continuation", "value_area_breakout", "value_area_fade"),
]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return simulate_market(ES, "2023-01-03", 150, seed=4)


@pytest.fixture(scope="module")
def market(bars: pd.DataFrame) -> Seen:
    settings = HistorySettings(trend_window=10, direction_window=40)
    return Seen.of(session_history(bars, session_profiles(bars, ES), ES, settings), ES, settings, bars)


def test_box_holds_the_strategies() -> None:
    assert sorted(set(strategies()) & set(NAMES)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_null_rates_are_shares_of_the_setups_that_the_market_without_an_edge_has(name: str) -> None:
    strategy = make_strategy(name)

    rates = strategy.null_rates(HistorySettings())

    assert list(rates.columns) == ["pass_rate", "standard_error", "paths"]
    assert rates["pass_rate"].between(0, 1).all()
    assert (rates["paths"] > 100).all()
    assert np.isfinite(rates["standard_error"]).all()
    assert set(rates.index) <= set(strategy.titles())
    assert rates.loc[["rule_signal_long", "rule_signal_short"], "pass_rate"].between(0.01, 0.99).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "value_area_fade"])
def test_null_rates_count_the_checked_setups(name: str) -> None:
    strategy, settings = make_strategy(name), HistorySettings()

    setups = checked_setups(strategy, null_history(settings, 0))

    rates = strategy.null_rates(settings)
    for gate in (*strategy.gates, "rule_signal"):
        flags = setups.rule_signal if gate == "rule_signal" else setups.gates[gate]
        for side, sign in (("long", 1), ("short", -1)):
            passed = [bool(flag) for flag, own in zip(flags, setups.side, strict=True) if own == sign]
            assert rates.loc[f"{gate}_{side}", "pass_rate"] == sum(passed) / len(passed)
            assert rates.loc[f"{gate}_{side}", "paths"] == len(passed)


@pytest.mark.parametrize("name", NAMES)
def test_extremes_of_the_search_space_are_valid_and_give_setups_that_can_be_orders(name: str) -> None:
    strategy = strategies()[name]
    own = set(strategy.Parameters.model_fields)
    ends = {
        key: list(dimension.options) if isinstance(dimension, Choice) else [dimension.low, dimension.high]
        for key, dimension in strategy.space.items()
    }
    history, bars = walk(np.random.default_rng(1), 40, bars=26, minutes=15)
    seen = seen_of(history, bars)

    assert len(ends) >= 4
    corners = itertools.product(*(sorted({0, len(values) - 1}) for values in ends.values()))
    for corner in itertools.islice(corners, 512):
        values = {key: ends[key][place] for (key, place) in zip(ends, corner, strict=True)}
        HistorySettings(**{key: value for key, value in values.items() if key in HistorySettings.model_fields})
        checked_setups(strategy({key: value for key, value in values.items() if key in own}), seen)
    # Each option besides the first and the last too.
    for key, options in ends.items():
        for value in options:
            if key in own:
                strategy({key: value})


@pytest.mark.parametrize("name", NAMES)
def test_gate_parameters_move_no_candidate_and_the_others_do(name: str) -> None:
    strategy, seen = strategies()[name], null_history(HistorySettings(), 0)
    usual = candidates_frame(checked_setups(strategy(), seen), seen)

    for key in strategy.Parameters.model_fields:
        dimension = strategy.space.get(key)
        if dimension is None:
            continue
        ends = dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high)
        frames = [candidates_frame(checked_setups(strategy({key: end}), seen), seen) for end in ends]
        unmoved = [frame.equals(usual) for frame in frames]
        assert all(unmoved) if key in strategy.gate_parameters else not all(unmoved), key


@pytest.mark.parametrize("name", NAMES)
def test_candidates_are_orders_that_a_backtest_takes(name: str, market: Seen, bars: pd.DataFrame) -> None:
    candidates = candidates_frame(checked_setups(make_strategy(name), market), market)

    result = simulate(bars, candidates, ES, Account(initial_capital=1_000_000.0))

    assert len(candidates) > 5
    assert len(result.orders) == len(candidates)
    assert set(result.orders["status"]) <= {"closed", "not_reached", "gapped_past_stop", "skipped", "cancelled"}
    assert (result.orders["status"] == "closed").any()
    if "decided_at" in candidates:
        decided = candidates.set_index("session")["decided_at"].groupby(level=0).min()
        assert (result.trades["entry_time"].to_numpy() >= decided.loc[result.trades["session"]].to_numpy()).all()


@pytest.mark.parametrize("name", NAMES)
def test_defaults_lie_within_the_search_space(name: str) -> None:
    strategy = strategies()[name]
    defaults = {**HistorySettings().model_dump(), **strategy.Parameters().model_dump(), "account.entry_cutoff": None}

    assert [key for key, dimension in strategy.space.items() if not dimension.contains(defaults[key])] == []


@pytest.mark.parametrize("name", NAMES)
def test_declaration_is_complete(name: str) -> None:
    strategy = make_strategy(name)

    assert strategy.name == name
    assert len(strategy.description) > 200
    assert "(" in strategy.source
    assert strategy.gates
    own = type(strategy.parameters)
    assert own.__doc__ is not None
    assert [each for each in own.model_fields if f"{each}" not in own.__doc__] == []


def test_null_history_of_a_seed_is_the_same_again_and_of_another_seed_another() -> None:
    settings = HistorySettings(atr_window=5)
    null_history.cache_clear()
    first = null_history(settings, 1)
    null_history.cache_clear()
    again, other = null_history(settings, 1), null_history(settings, 2)

    pd.testing.assert_frame_equal(first.history, again.history, check_exact=True)
    assert first.at(60).today.high.tolist() == again.at(60).today.high.tolist()
    assert not first.history["close"].equals(other.history["close"])
    assert len(first) == 2_515  # of 2,520 sessions, those with regular hours
    assert "atr_5" in first.history


def test_null_history_is_not_changed_by_what_a_strategy_writes_into_its_own() -> None:
    seen = null_history(HistorySettings(), 0)
    before = seen["close"].copy()

    seen.history["close"] = 0.0

    np.testing.assert_array_equal(null_history(HistorySettings(), 0)["close"], before)


def test_null_rates_of_the_fade_are_of_random_walks() -> None:
    assert (ValueAreaFade().null_rates(HistorySettings(), paths=300)["paths"] == 300).all()
