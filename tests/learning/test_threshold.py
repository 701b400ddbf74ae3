"""Tuned thresholds: against every possible one, one after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.learning.threshold import LEAST_TRADES, NO_TRADES, tune_threshold


def best_by_hand(scores: np.ndarray, net: np.ndarray, least: int) -> tuple[float, int]:
    """Most money of any selection of the highest scores, and the fewest trades that make it; nothing: 0, 0."""
    best = (0.0, 0)
    for level in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= level
        if taken.sum() >= least and net[taken].sum() > best[0]:
            best = (float(net[taken].sum()), int(taken.sum()))
    return best


@given(
    st.lists(
        st.tuples(st.integers(0, 12).map(lambda step: step / 12), st.integers(-9, 9).map(lambda step: 12.5 * step)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 25),
)
def test_tune_threshold_any_rows_finds_what_trying_every_level_finds(rows: list, least: int) -> None:
    scores, net = (np.array(column) for column in zip(*rows, strict=True))

    threshold = tune_threshold(scores, net, least_trades=least)

    taken = scores >= threshold
    assert (float(net[taken].sum()), int(taken.sum())) == best_by_hand(scores, net, least)


def test_tune_threshold_lies_halfway_between_the_scores_it_parts() -> None:
    scores = np.repeat([0.2, 0.4, 0.6], LEAST_TRADES)
    net = np.repeat([-10.0, 5.0, 5.0], LEAST_TRADES)

    assert tune_threshold(scores, net) == pytest.approx(0.3, abs=1e-15)


def test_tune_threshold_of_equal_money_takes_the_higher() -> None:
    scores = np.repeat([0.2, 0.4, 0.6], LEAST_TRADES)
    net = np.concatenate([np.zeros(LEAST_TRADES), [7.0, -7.0] * (LEAST_TRADES // 2), np.full(LEAST_TRADES, 5.0)])

    assert tune_threshold(scores, net) == pytest.approx(0.5, abs=1e-15)


def test_tune_threshold_few_lucky_trades_do_not_count() -> None:
    scores = np.concatenate([np.full(LEAST_TRADES - 1, 0.9), np.full(30, 0.5)])
    net = np.concatenate([np.full(LEAST_TRADES - 1, 1000.0), np.full(30, -1.0)])

    assert tune_threshold(scores, net) == 0.25
    assert tune_threshold(scores, net, least_trades=LEAST_TRADES - 1) == pytest.approx(0.7)


def test_tune_threshold_where_all_lose_trades_nothing() -> None:
    scores = np.linspace(0, 1, 50)

    assert tune_threshold(scores, np.full(50, -1.0)) == NO_TRADES
    assert not (np.array([1.0]) >= NO_TRADES).any()


def test_tune_threshold_neighbouring_floats_are_parted() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    scores = np.repeat([low, high], 20)
    net = np.repeat([-1.0, 1.0], 20)

    assert ((scores >= tune_threshold(scores, net)) == (scores == high)).all()


def test_tune_threshold_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match="2 scores and 3 results"):
        tune_threshold(np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match="not a number"):
        tune_threshold(np.array([np.nan]), np.zeros(1))
