"""Data as vendors deliver it: holes of months, sessions of a few bars, contracts of a few days, another bar length."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.audit.tables import raw_table
from pipeline.features import FeatureInputs, history_needed, registered
from pipeline.features.sequences import sequence_features
from pipeline.market import simulate_market
from pipeline.strategy import make_candidates

SESSIONS = 300
DAYS = 430
days = st.integers(0, DAYS)


@dataclass(frozen=True)
class Holes:
    """Holes to cut into a market; stretches are (first day, length in days)."""

    share: float
    gap: tuple[int, int]
    sparse: tuple[int, int]
    hourly: tuple[int, int]
    rolls: tuple[int, ...]
    seed: int


holes = st.builds(
    Holes,
    share=st.sampled_from([1.0, 0.5, 0.15]),
    gap=st.tuples(days, st.sampled_from([0, 20, 130, 270])),
    sparse=st.tuples(days, st.sampled_from([0, 60, 200])),
    hourly=st.tuples(days, st.sampled_from([0, 60, DAYS])),
    rolls=st.lists(days, max_size=5).map(tuple),
    seed=st.integers(0, 99),
)


@pytest.fixture(scope="module")
def market(es):
    bars = simulate_market(es, "2018-01-02", SESSIONS, 4, bar="15min")
    bought = np.floor(bars["volume"] * 0.4)
    return bars.assign(bid_volume=bars["volume"] - bought, ask_volume=bought, num_trades=bars["volume"] // 3 + 1)


def thinned(bars: pd.DataFrame, how: Holes) -> pd.DataFrame:
    day = (bars["timestamp"] - bars["timestamp"].iloc[0]).dt.days.to_numpy()
    drawn = np.random.default_rng(how.seed).random(len(bars))

    def inside(stretch: tuple[int, int]) -> np.ndarray:
        return (day >= stretch[0]) & (day < stretch[0] + stretch[1])

    kept = (drawn < how.share) & ~inside(how.gap) & ~(inside(how.sparse) & (drawn > 0.05))
    kept &= ~(inside(how.hourly) & (bars["timestamp"].dt.minute != 0).to_numpy())
    # The first two weeks stay, so that there is something to cut.
    kept |= day < 14
    contracts = np.array(list("ABCDEF"), object)[np.searchsorted(np.sort(how.rolls), day, side="right")]
    return bars.assign(contract=contracts)[kept].reset_index(drop=True)


def tables(inputs: FeatureInputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every feature before its warm-up is taken off, and the sequences of every candidate."""
    pool = {name: one for name, one in registered().items() if all(map(inputs.has, one.needs))}
    found = raw_table(inputs, pool)
    assert not found.failed
    assert not found.infinite
    return found.frame, sequence_features(inputs, make_candidates(inputs.history, inputs.instrument))


# Nothing but two weeks before a quarter that the gap leaves empty; bars of a quarter of an hour, then hourly ones.
GAP = Holes(share=1.0, gap=(14, 130), sparse=(0, 0), hourly=(0, 0), rolls=(100,), seed=0)
OTHER_BARS = Holes(share=1.0, gap=(0, 0), sparse=(0, 0), hourly=(60, DAYS), rolls=(), seed=0)


@settings(max_examples=8)
@example(how=GAP, place=0.5, after=1)
@example(how=OTHER_BARS, place=0.2, after=0)
@given(how=holes, place=st.floats(0, 1), after=st.integers(0, 4))
def test_every_feature_of_ragged_data_cut_off_anywhere_is_the_same_to_the_bit(market, es, how, place, after):
    inputs = FeatureInputs.from_bars(thinned(market, how), es)
    last = len(inputs.sessions) - 1
    # One anywhere, one soon after the longest pause: there a slice or a window holds few bars.
    pause = int(np.diff(inputs.sessions.asi8).argmax()) + 1

    features, sequences = tables(inputs)
    for cutoff in (int(place * last), min(pause + after, last)):
        cut_features, cut_sequences = tables(inputs.until(inputs.sessions[cutoff]))

        assert len(cut_features) == cutoff + 1
        pd.testing.assert_frame_equal(cut_features, features.iloc[: cutoff + 1], check_exact=True)
        pd.testing.assert_frame_equal(cut_sequences, sequences.iloc[: len(cut_sequences)], check_exact=True)


@settings(max_examples=6)
@given(how=holes, place=st.floats(0, 0.5))
def test_every_feature_of_ragged_data_that_begins_later_is_the_same_once_warm(market, es, how, place):
    inputs = FeatureInputs.from_bars(thinned(market, how), es)
    start = int(place * (len(inputs.sessions) - 1))

    features, _ = tables(inputs)
    late, _ = tables(inputs.since(inputs.sessions[start]))

    for name, needed in history_needed(inputs).items():
        if name in late:
            warm = late[name].iloc[needed - 1 :]
            assert warm.equals(features[name].loc[warm.index]), name
