"""Turned upside down, a market has the same setups on the other side."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.strategy import make_strategy, strategies
from tests.strategies.market import in_order, mirrored, seen_of, sides_swapped, signals, walk


@pytest.mark.parametrize("name", sorted(strategies()))
@settings(max_examples=15)
@given(seed=st.integers(0, 1_000_000), minutes=st.sampled_from([15, 30]))
def test_mirrored_market_has_mirrored_setups(name: str, seed: int, minutes: int) -> None:
    history, bars = walk(np.random.default_rng(seed), 24, bars=390 // minutes, minutes=minutes)
    # A decision after a quarter of an hour sees a bar.
    strategy = make_strategy(name, {"minutes": 15} if name == "opening_gap_fill" else {})

    upright = signals(strategy, seen_of(history, bars))
    turned = signals(strategy, seen_of(mirrored(history), mirrored(bars)))

    pd.testing.assert_frame_equal(in_order(upright), sides_swapped(turned), check_dtype=False)


@pytest.mark.parametrize("name", sorted(strategies()))
def test_random_markets_of_these_tests_have_setups_of_both_sides(name: str) -> None:
    found = []
    for seed in range(8):
        history, bars = walk(np.random.default_rng(seed), 24, bars=26, minutes=15)
        strategy = make_strategy(name, {"minutes": 15} if name == "opening_gap_fill" else {})
        found.append(signals(strategy, seen_of(history, bars)))

    assert set(pd.concat(found)["side"]) == {1, -1}
