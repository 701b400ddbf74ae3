import pandas as pd
import pytest

from pipeline.errors import ConfigurationError
from pipeline.strategies.eighty_percent_rule import EightyPercentRule
from tests.strategies.market import calendar, flat, made_bars, made_history, mirrored, seen_of, signals, told

# Value area 15,980 to 16,020; a tenth of the average true range is 10 ticks.
HISTORY = made_history({})
BELOW, INSIDE = (15_970, 15_976, 15_960, 15_972), (15_972, 15_996, 15_970, 15_990)
PLAIN = ["side", "type", "entry", "stop", "target", "reward", "rule_signal"]


def found(*bars, history=HISTORY, minutes=30, first=0, **parameters):
    return signals(EightyPercentRule(parameters), seen_of(history, made_bars(1, bars, minutes=minutes, first=first)))


def test_two_brackets_inside_after_an_open_below_buy_towards_vah() -> None:
    # The stop lies 10 ticks below VAL; 30 to win against 20 to lose, from the last price, 15,990.
    frame = found(BELOW, INSIDE, (15_990, 16_000, 15_985, 15_990), *flat(16_000, 8))

    assert told(frame, *PLAIN) == [(1, "market", None, 15_970, 16_020, True, True)]
    decided = calendar()["rth_open"].iloc[1] + pd.Timedelta("90min")
    assert told(frame, "session", "decided_at", "live_from") == [(calendar().index[1], decided, decided)]
    assert told(frame, "stop_ticks", "target_ticks") == [(20, 30)]


def test_two_brackets_inside_after_an_open_above_sell_towards_val() -> None:
    turned = mirrored(made_bars(1, [BELOW, INSIDE, (15_990, 16_000, 15_985, 15_990), *flat(16_000, 8)]))

    frame = signals(EightyPercentRule(), seen_of(HISTORY, turned))

    assert told(frame, *PLAIN) == [(-1, "market", None, 16_030, 15_980, True, True)]


@pytest.mark.parametrize(
    ("opens", "count"),
    [(15_979, 1), (15_980, 0), (16_000, 0), (16_020, 0), (16_021, 1)],
)
def test_open_must_lie_outside_the_value_area(opens: int, count: int) -> None:
    frame = found((opens, 16_021, 15_960, 16_000), *flat(16_000, 8))

    assert len(frame) == count


@pytest.mark.parametrize(("close", "count"), [(15_979, 0), (15_980, 1), (16_019, 1), (16_020, 0), (16_021, 0)])
def test_closes_at_the_edges_are_inside_and_a_setup_needs_a_way_to_go(close: int, count: int) -> None:
    # Two brackets close there and price never leaves: at VAH itself nothing is left to win.
    frame = found(BELOW, *flat(close, 7))

    assert len(frame) == count


def test_only_the_first_row_of_closes_inside_is_traded() -> None:
    again = [BELOW, *flat(15_990, 2), BELOW, *flat(15_990, 4)]

    frame = found(*again)

    assert told(frame, "decided_at") == [(calendar()["rth_open"].iloc[1] + pd.Timedelta("90min"),)]


def test_one_bracket_inside_and_out_again_is_no_acceptance() -> None:
    assert len(found(BELOW, INSIDE, BELOW, INSIDE, BELOW, INSIDE, BELOW, INSIDE)) == 0


def test_acceptance_in_the_first_two_brackets_counts() -> None:
    frame = found((15_970, 15_996, 15_960, 15_990), *flat(15_990, 7))

    assert told(frame, "decided_at") == [(calendar()["rth_open"].iloc[1] + pd.Timedelta("60min"),)]


@pytest.mark.parametrize(("last_minute", "count"), [(239, 0), (240, 1)])
def test_acceptance_after_the_last_minute_comes_too_late(last_minute: int, count: int) -> None:
    frame = found(*[BELOW] * 6, *flat(15_990, 4), last_minute=last_minute)

    assert len(frame) == count


@pytest.mark.parametrize(("below", "count"), [(4, 1), (5, 0)])
def test_acceptance_decided_at_an_early_close_is_none(below: int, count: int) -> None:
    # Thanksgiving closes 210 minutes after the open: the bracket that would accept ends then, or one before.
    start = "2024-11-27"
    session = calendar(start).iloc[1]
    assert session["rth_close"] - session["rth_open"] == pd.Timedelta("210min")
    bars = [made_bars(1, [BELOW] * below + flat(15_990, 7 - below), start=start), made_bars(2, flat(1, 2), start=start)]

    frame = signals(EightyPercentRule(), seen_of(made_history({}, start=start), *bars))

    assert len(frame) == count


@pytest.mark.parametrize(
    ("vah", "last", "min_reward", "reward"),
    [
        (16_020, 15_995, 1.0, True),  # 25 to win, 25 to lose
        (16_020, 15_996, 1.0, False),  # 24 and 26
        (16_020, 15_995, 1.01, False),
        (16_020, 15_990, 1.5, True),  # 30 and 20
        (16_020, 15_990, 1.51, False),
        (16_033, 16_000, 1.1, True),  # 33 and 30, but 1.1 × 30 is a little more than 33 in floats
        (16_032, 16_000, 1.1, False),
    ],
)
def test_reward_gate_opens_at_its_very_threshold(vah: int, last: int, min_reward: float, reward: bool) -> None:
    frame = found(BELOW, *flat(last, 7), history=made_history({"vah": vah}), min_reward=min_reward)

    assert frame["reward"].tolist() == frame["rule_signal"].tolist() == [reward]


def test_stop_lies_at_least_a_tick_outside_and_is_rounded_away() -> None:
    history = made_history({"atr": 101.0})

    assert told(found(BELOW, *flat(15_990, 7), history=history), "stop") == [(15_969,)]
    assert told(found(BELOW, *flat(15_990, 7), history=made_history({"atr": 3.0})), "stop") == [(15_979,)]


def test_without_an_average_true_range_there_is_no_setup() -> None:
    assert len(found(BELOW, *flat(15_990, 7), history=made_history({"atr": float("nan")}))) == 0


def test_a_bracket_without_a_bar_has_not_closed_inside() -> None:
    parts = [made_bars(1, [BELOW, INSIDE]), made_bars(1, [BELOW, *flat(15_990, 2)], first=3)]

    frame = signals(EightyPercentRule(), seen_of(HISTORY, *parts))

    assert told(frame, "decided_at") == [(calendar()["rth_open"].iloc[1] + pd.Timedelta("180min"),)]


def test_bars_longer_than_a_bracket_are_never_accepted_on_one_close() -> None:
    assert len(found((15_970, 15_996, 15_960, 15_990), BELOW, *flat(15_990, 4), minutes=60)) == 0


def test_first_bars_missing_leave_the_first_print_as_the_open() -> None:
    frame = found(BELOW, *flat(15_990, 6), first=1)

    assert told(frame, "decided_at") == [(calendar()["rth_open"].iloc[1] + pd.Timedelta("120min"),)]


def test_session_after_a_roll_has_no_setup() -> None:
    history = made_history({"contract": "H"})
    bars = made_bars(1, [BELOW, *flat(15_990, 7)], contract="M")

    assert len(signals(EightyPercentRule(), seen_of(history, bars))) == 0


def test_session_without_bars_has_no_setup() -> None:
    history = made_history({}, {})

    assert len(signals(EightyPercentRule(), seen_of(history, made_bars(1, flat(16_000, 10))))) == 0


def test_brackets_that_end_after_the_last_minute_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 brackets of 240 minutes end after last_minute, 240"):
        EightyPercentRule({"bracket_minutes": 240})


def test_setup_does_not_see_the_bars_after_its_decision() -> None:
    same = [BELOW, INSIDE, (15_990, 16_000, 15_985, 15_990)]

    left, right = found(*same, *flat(15_000, 8)), found(*same, *flat(17_000, 8))

    pd.testing.assert_frame_equal(left, right)
