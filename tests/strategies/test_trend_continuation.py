import numpy as np
import pytest

from pipeline.strategies.trend_continuation import TrendContinuation
from tests.strategies.market import calendar, made_history, seen_of, signals, told

PLAIN = ["side", "type", "entry", "stop", "target", "trail_ticks", "trend", "strong_close", "rule_signal"]


def found(row, **parameters):
    return signals(TrendContinuation(parameters), seen_of(made_history(row)))


def test_rising_market_that_closed_near_its_high_is_bought_above_it() -> None:
    # High 16,040, low 15,960; half of the average true range is 50 ticks; the close is 20 of 80 ticks below the high.
    frame = found({"close": 16_020})

    assert told(frame, *PLAIN) == [
        (1, "stop", 16_041, 15_991, None, 50, True, True, True),
        (-1, "stop", 15_959, 16_009, None, 50, False, False, False),
    ]
    assert (
        told(frame, "session", "decided_on", "stop_ticks", "target_ticks")
        == [(calendar().index[1], calendar().index[0], 50, None)] * 2
    )
    assert "decided_at" not in frame


def test_falling_market_that_closed_near_its_low_is_sold_below_it() -> None:
    frame = found({"close": 15_980, "slope": -1.0})

    assert told(frame, "side", "trend", "strong_close", "rule_signal") == [
        (1, False, False, False),
        (-1, True, True, True),
    ]


def test_parameters_move_entry_stop_and_trail() -> None:
    # 1.1 × 110 is 121 in ticks, a little more in floats.
    frame = found({"atr": 110.0}, buffer_ticks=4, stop_range=1.1, trail_range=0.25)

    assert told(frame, "entry", "stop", "trail_ticks") == [(16_044, 15_923, 28), (15_956, 16_077, 28)]


@pytest.mark.parametrize(("r_squared", "slope", "trend"), [(0.4, 1.0, False), (0.41, 1.0, True), (0.9, 0.0, False)])
def test_trend_gate_opens_above_its_threshold_and_not_at_it(r_squared: float, slope: float, trend: bool) -> None:
    frame = found({"close": 16_040, "r_squared": r_squared, "slope": slope})

    assert told(frame, "trend", "strong_close") == [(trend, True), (False, False)]


@pytest.mark.parametrize(
    ("high", "close", "share", "strong"),
    [
        (16_040, 16_020, 0.25, True),
        (16_040, 16_019, 0.25, False),
        (16_060, 16_031, 0.29, True),  # 29 ticks of 100, and 0.29 × 100 is a little less than 29 in floats
        (16_060, 16_030, 0.29, False),
        (16_040, 16_000, 0.5, True),
    ],
)
def test_strong_close_gate_opens_at_its_very_threshold(high: int, close: int, share: float, strong: bool) -> None:
    assert told(found({"high": high, "close": close}, close_share=share), "strong_close")[0] == (strong,)


def test_close_in_the_middle_is_strong_for_both_sides_of_a_share_of_half() -> None:
    assert told(found({}, close_share=0.5), "strong_close") == [(True,), (True,)]


def test_session_of_one_price_is_at_both_its_extremes() -> None:
    row = dict.fromkeys(("open", "high", "low", "close"), 16_000)

    assert told(found(row), "entry", "strong_close") == [(16_001, True), (15_999, True)]


def test_without_a_trend_the_gate_is_shut_and_without_a_range_there_is_no_setup() -> None:
    assert told(found({"r_squared": np.nan, "slope": np.nan, "close": 16_040}), "trend") == [(False,), (False,)]
    assert len(found({"atr": np.nan})) == 0


def test_every_session_with_a_range_has_a_long_and_a_short() -> None:
    history = made_history({"atr": np.nan}, {}, {"contract": "M"}, {})

    frame = signals(TrendContinuation(), seen_of(history))

    assert told(frame, "decided_on", "side") == [(calendar().index[k], side) for k in (1, 2, 3) for side in (1, -1)]
