import numpy as np
import pytest

from pipeline.strategies.value_area_breakout import ValueAreaBreakout
from tests.strategies.market import calendar, made_history, seen_of, signals, told

PLAIN = ["side", "type", "entry", "stop", "target", "migration", "value_moved", "rule_signal"]
# Value area 15,980 to 16,020, then ten ticks up.
FIRST, HIGHER = {}, {"vpoc": 16_010, "val": 15_990, "vah": 16_030}


def found(*rows, **parameters):
    frame = signals(ValueAreaBreakout(parameters), seen_of(made_history(*rows)))
    return frame[frame["decided_on"] == calendar().index[len(rows) - 1]]


def test_value_that_rises_is_bought_above_vah() -> None:
    frame = found(FIRST, HIGHER)

    assert told(frame, *PLAIN) == [
        (1, "stop", 16_031, 16_011, 16_071, True, True, True),
        (-1, "stop", 15_989, 16_009, 15_949, False, False, False),
    ]
    assert told(frame, "session", "stop_ticks", "target_ticks") == [(calendar().index[2], 20, 40)] * 2


def test_value_that_falls_is_sold_below_val() -> None:
    frame = found(FIRST, {"vpoc": 15_990, "val": 15_970, "vah": 16_010, "slope": -1.0})

    assert told(frame, *PLAIN) == [
        (1, "stop", 16_011, 15_991, 16_051, False, False, False),
        (-1, "stop", 15_969, 15_989, 15_929, True, True, True),
    ]


def test_parameters_move_entry_stop_and_target() -> None:
    # 1.1 × 40 is 44 in ticks, a little more in floats; 0.49 × 40 is 19.6.
    frame = found(FIRST, HIGHER, buffer_ticks=3, stop_share=0.49, target_multiple=1.1)

    assert told(frame, "entry", "stop", "target") == [(16_033, 16_013, 16_077), (15_987, 16_007, 15_943)]


@pytest.mark.parametrize(
    ("val", "vah", "long", "short"),
    [
        (15_981, 16_021, True, False),
        (15_980, 16_021, False, False),
        (15_981, 16_020, False, False),
        (15_979, 16_019, False, True),
        (15_979, 16_021, False, False),  # outside
        (15_981, 16_019, False, False),  # inside
    ],
)
def test_value_moved_gate_asks_for_both_ends(val: int, vah: int, long: bool, short: bool) -> None:
    assert told(found(FIRST, {"val": val, "vah": vah}), "value_moved") == [(long,), (short,)]


@pytest.mark.parametrize(
    ("r_squared", "slope", "sides"), [(0.4, 1, (0, 0)), (0.401, 1, (1, 0)), (0.9, -1, (0, 1)), (0.9, 0, (0, 0))]
)
def test_migration_gate_opens_above_its_threshold_and_not_at_it(r_squared: float, slope: float, sides) -> None:
    frame = found(FIRST, {**HIGHER, "r_squared": r_squared, "slope": slope})

    assert tuple(frame["migration"].astype(int)) == sides


@pytest.mark.parametrize(("height", "count"), [(7, 0), (8, 2)])
def test_lower_value_area_has_no_setup(height: int, count: int) -> None:
    assert len(found(FIRST, {"vpoc": 16_000, "val": 16_000, "vah": 16_000 + height})) == count


def test_first_session_and_a_roll_have_no_value_area_before() -> None:
    assert told(found(FIRST), "value_moved") == [(False,), (False,)]
    assert told(found(FIRST, {**HIGHER, "contract": "M"}), "value_moved") == [(False,), (False,)]


def test_without_a_trend_the_gate_is_shut() -> None:
    row = {**HIGHER, "r_squared": np.nan, "slope": np.nan, "atr": np.nan}

    assert told(found(FIRST, row), "migration", "value_moved", "rule_signal") == [
        (False, True, False),
        (False, False, False),
    ]
