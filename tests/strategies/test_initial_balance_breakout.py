import numpy as np
import pandas as pd
import pytest

from pipeline.strategies.initial_balance_breakout import InitialBalanceBreakout
from tests.strategies.market import calendar, flat, made_bars, made_history, mirrored, seen_of, signals, told

# The first hour spans 15,990 to 16,030, 40 ticks; the average true range is 120.
HOUR = [(16_000, 16_030, 15_995, 16_010), (16_010, 16_020, 15_990, 16_000)]
LATER = flat(16_000, 6)
HISTORY = made_history({"atr": 120.0})
PLAIN = ["side", "type", "entry", "stop", "target", "group", "narrow", "rule_signal"]


def found(*bars, history=HISTORY, minutes=30, first=0, **parameters):
    seen = seen_of(history, made_bars(1, bars, minutes=minutes, first=first))
    return signals(InitialBalanceBreakout(parameters), seen)


def test_first_hour_has_a_buy_stop_above_and_a_sell_stop_below_one_cancelling_the_other() -> None:
    frame = found(*HOUR, *LATER)

    decided = calendar()["rth_open"].iloc[1] + pd.Timedelta("60min")
    assert told(frame, *PLAIN) == [
        (1, "stop", 16_031, 16_011, 16_071, "2024-01-03 balance", True, True),
        (-1, "stop", 15_989, 16_009, 15_949, "2024-01-03 balance", True, True),
    ]
    assert told(frame, "session", "decided_at", "live_from") == [(calendar().index[1], decided, decided)] * 2
    assert told(frame, "stop_ticks", "target_ticks") == [(20, 40)] * 2


def test_parameters_move_entry_stop_and_target() -> None:
    frame = found(*HOUR, *LATER, buffer_ticks=3, stop_share=1.0, target_multiple=1.1)

    # 1.1 × 40 is a little more than 44 in floats, and 44 ticks all the same.
    assert told(frame, "entry", "stop", "target") == [(16_033, 15_993, 16_077), (15_987, 16_027, 15_943)]


def test_half_a_tick_of_stop_or_target_is_rounded_away_from_the_entry() -> None:
    hour = [(16_000, 16_031, 15_990, 16_000)] * 2

    frame = found(*hour, *LATER, target_multiple=0.5)

    assert told(frame, "stop_ticks", "target_ticks") == [(21, 21)] * 2


@pytest.mark.parametrize(("minutes", "high"), [(30, 16_030), (60, 16_030), (90, 16_050)])
def test_balance_is_as_long_as_asked_for(minutes: int, high: int) -> None:
    own = InitialBalanceBreakout({"minutes": minutes})
    bars = made_bars(1, [*HOUR, (16_000, 16_050, 16_000, 16_010), *LATER])

    assert told(signals(own, seen_of(HISTORY, bars)), "entry")[0] == (high + 1,)


@pytest.mark.parametrize(("height", "count"), [(7, 0), (8, 2)])
def test_balance_below_the_least_height_has_no_setup(height: int, count: int) -> None:
    assert len(found(*[(16_000, 16_000 + height, 16_000, 16_000)] * 2, *LATER)) == count


@pytest.mark.parametrize(
    ("atr", "share", "narrow"),
    [
        (100.0, 0.4, False),
        (101.0, 0.4, True),
        (100.0, 0.41, True),
        (100.1, 0.4, True),
        (57.0, 0.7, False),
        (58.0, 0.7, True),
    ],
)
def test_narrow_gate_opens_below_its_share_of_the_range_and_not_at_it(atr: float, share: float, narrow: bool) -> None:
    frame = found(*HOUR, *LATER, history=made_history({"atr": atr}), narrow_share=share)

    assert frame["narrow"].tolist() == frame["rule_signal"].tolist() == [narrow] * 2


def test_without_an_average_true_range_there_is_no_setup() -> None:
    assert len(found(*HOUR, *LATER, history=made_history({"atr": np.nan}))) == 0


def test_session_with_no_complete_bar_in_the_hour_has_no_setup() -> None:
    assert len(found(*LATER, first=2)) == 0
    assert len(found(*HOUR, *LATER, minutes=120)) == 0


def test_session_with_the_first_bar_missing_has_the_balance_of_the_rest() -> None:
    assert told(found(HOUR[1], *LATER, first=1), "entry") == [(16_021,), (15_989,)]


def test_history_and_session_of_two_contracts_have_no_setup() -> None:
    bars = made_bars(1, [*HOUR, *LATER], contract="M")

    assert len(signals(InitialBalanceBreakout(), seen_of(HISTORY, bars))) == 0


def test_balance_as_long_as_an_early_session_has_no_setup() -> None:
    start = "2024-11-27"  # Thanksgiving closes after 210 minutes
    bars = [made_bars(1, [*HOUR, *flat(16_000, 5)], start=start), made_bars(2, flat(16_000, 3), start=start)]
    seen = seen_of(made_history({}, start=start), *bars)

    assert len(signals(InitialBalanceBreakout({"minutes": 209, "narrow_share": 0.4}), seen)) == 2
    assert len(signals(InitialBalanceBreakout({"minutes": 210}), seen)) == 0


def test_bars_before_the_open_and_after_the_hour_do_not_count() -> None:
    wild = (10_000, 20_000, 10_000, 10_000)
    bars = [made_bars(1, [wild], first=-1), made_bars(1, [*HOUR, wild, *LATER])]

    assert told(signals(InitialBalanceBreakout(), seen_of(HISTORY, *bars)), "entry") == [(16_031,), (15_989,)]


def test_mirrored_hour_mirrors_the_orders() -> None:
    frame = signals(InitialBalanceBreakout(), seen_of(HISTORY, mirrored(made_bars(1, [*HOUR, *LATER]))))

    assert told(frame, "side", "entry", "stop", "target") == [
        (1, 16_011, 15_991, 16_051),
        (-1, 15_969, 15_989, 15_929),
    ]
