import numpy as np
import pandas as pd
import pytest

from pipeline.strategies.opening_gap_fill import OpeningGapFill
from tests.strategies.market import calendar, flat, made_bars, made_history, mirrored, seen_of, signals, told

# The last session closed at 16,000 and spanned 15,960 to 16,040; the average true range is 100 ticks.
HISTORY = made_history({})
PLAIN = ["side", "type", "entry", "stop", "target", "small", "within_range", "rule_signal"]
LATER = flat(16_020, 6)


def found(*bars, history=HISTORY, minutes=5, first=0, **parameters):
    return signals(OpeningGapFill(parameters), seen_of(history, made_bars(1, bars, minutes=minutes, first=first)))


def test_gap_up_that_is_still_open_is_sold_towards_the_last_close() -> None:
    frame = found((16_020, 16_028, 16_010, 16_016), *LATER)

    decided = calendar()["rth_open"].iloc[1] + pd.Timedelta("5min")
    assert told(frame, *PLAIN) == [(-1, "market", None, 16_032, 16_000, True, True, True)]
    assert told(frame, "session", "decided_at", "live_from") == [(calendar().index[1], decided, decided)]
    assert told(frame, "stop_ticks", "target_ticks") == [(16, 16)]


def test_gap_down_that_is_still_open_is_bought() -> None:
    bars = mirrored(made_bars(1, [(16_020, 16_028, 16_010, 16_016), *LATER], minutes=5))

    frame = signals(OpeningGapFill(), seen_of(HISTORY, bars))

    assert told(frame, *PLAIN) == [(1, "market", None, 15_968, 16_000, True, True, True)]


@pytest.mark.parametrize(("opens", "count"), [(16_009, 0), (16_010, 1), (16_000, 0), (15_991, 0), (15_990, 1)])
def test_gap_of_less_than_its_share_of_the_range_is_none(opens: int, count: int) -> None:
    assert len(found((opens, opens, opens, opens), *LATER)) == count


@pytest.mark.parametrize(("low", "count"), [(16_001, 1), (16_000, 0), (15_999, 0)])
def test_gap_that_was_filled_before_the_decision_is_none(low: int, count: int) -> None:
    assert len(found((16_020, 16_028, low, 16_016), *LATER)) == count


@pytest.mark.parametrize(
    ("opens", "atr", "small_range", "small"),
    [
        (16_030, 100.0, 0.3, True),
        (16_031, 100.0, 0.3, False),
        (16_030, 99.9, 0.3, False),  # 29.97 ticks
        (16_033, 30.0, 1.1, True),
        (16_034, 30.0, 1.1, False),
    ],
)
def test_small_gate_opens_at_its_very_threshold(opens: int, atr: float, small_range: float, small: bool) -> None:
    frame = found((opens,) * 4, *LATER, history=made_history({"atr": atr}), small_range=small_range)

    assert told(frame, "small", "within_range", "rule_signal") == [(small, True, small)]


@pytest.mark.parametrize(("opens", "within"), [(16_040, True), (16_041, False), (15_960, True), (15_959, False)])
def test_range_gate_lets_the_extremes_themselves_through(opens: int, within: bool) -> None:
    assert told(found((opens,) * 4, *LATER), "small", "within_range", "rule_signal") == [(True, within, within)]


def test_stop_is_a_share_of_the_way_left_rounded_up() -> None:
    bar = (16_020, 16_028, 16_010, 16_015)

    assert told(found(bar, *LATER, stop_share=0.5), "stop") == [(16_023,)]
    # 1.1 × 20 is 22 in ticks, a little more in floats.
    assert told(found((16_020,) * 4, *LATER, stop_share=1.1), "stop") == [(16_042,)]


def test_later_decision_sees_more_bars() -> None:
    bars = [(16_020, 16_028, 16_010, 16_016), *flat(16_024, 2), *LATER]

    assert told(found(*bars, minutes=5), "stop", "target") == [(16_032, 16_000)]
    own = OpeningGapFill({"minutes": 15})
    assert told(signals(own, seen_of(HISTORY, made_bars(1, bars, minutes=5))), "stop") == [(16_048,)]


def test_without_an_average_true_range_there_is_no_setup() -> None:
    assert len(found((16_020,) * 4, *LATER, history=made_history({"atr": np.nan}))) == 0


def test_bars_longer_than_the_decision_minute_give_no_setup() -> None:
    assert len(found((16_020,) * 4, *LATER, minutes=30)) == 0


def test_session_whose_first_bars_are_missing_has_no_setup_until_one_is_complete() -> None:
    assert len(found(*LATER, first=1)) == 0
    own = OpeningGapFill({"minutes": 15})
    assert len(signals(own, seen_of(HISTORY, made_bars(1, LATER, minutes=5, first=2)))) == 1


def test_gap_over_a_roll_is_none() -> None:
    bars = made_bars(1, [(16_020,) * 4, *LATER], minutes=5, contract="M")

    assert len(signals(OpeningGapFill(), seen_of(HISTORY, bars))) == 0


def test_gap_on_an_early_close_is_decided_before_it_or_not_at_all() -> None:
    start = "2024-11-27"  # Thanksgiving closes after 210 minutes
    bars = [made_bars(1, flat(16_020, 7), start=start), made_bars(2, flat(16_020, 2), start=start)]
    seen = seen_of(made_history({}, start=start), *bars)

    assert [len(signals(OpeningGapFill({"minutes": minutes}), seen)) for minutes in (209, 210, 240)] == [1, 0, 0]
