"""Whatever a strategy returns: setups that can be orders, or one error that names strategy and session."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.errors import ConfigurationError, DataError
from pipeline.strategy import NO_PRICE, Seen, Setups, Strategy, StrategyParameters
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.order_columns import ORDER_COLUMNS
from pipeline.strategy.signals import candidates_frame, signals_frame
from tests.strategies.market import ES, calendar, flat, made_bars, made_history, seen_of

HISTORY = made_history({}, {}, {})
BARS = [made_bars(number, flat(16_000, 13)) for number in (1, 2, 3)]
SEEN = seen_of(HISTORY, *BARS)
OPENS = pd.DatetimeIndex(calendar()["rth_open"]).as_unit("ns").asi8
MINUTE = 60 * 10**9


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# A long above the last price and a short below it on row 0, a market order on row 2.
GOOD = Setups(
    row=whole(0, 0, 2),
    side=whole(1, -1, 1),
    entry=whole(16_010, 15_990, NO_PRICE),
    stop=whole(16_000, 16_000, 15_980),
    target=whole(16_030, NO_PRICE, 16_020),
    columns={"type": np.array(["stop", "stop", "market"], object)},
    gates={"open": np.array([True, False, True]), "measure": np.array([0.5, np.nan, 2.0])},
)


class Given(Strategy):
    """Returns what it was made with."""

    name = "given"
    title = description = source = "Made up"
    Parameters = StrategyParameters
    gates: ClassVar[Mapping[str, str]] = {"open": "open"}

    def __init__(self, returned: Any, minutes: Any = ()) -> None:
        super().__init__()
        self.returned, self.minutes = returned, minutes

    def decision_minutes(self) -> tuple[int, ...]:
        return self.minutes

    def setups(self, seen: Seen) -> Setups:
        return self.returned(seen) if callable(self.returned) else self.returned


def test_good_setups_come_back_with_the_last_price_of_the_decision() -> None:
    found = checked_setups(Given(GOOD), SEEN)

    assert found.last is not None
    assert found.last.tolist() == [16_000] * 3
    assert found.decided_at is None
    frame = signals_frame(found, SEEN)
    assert frame["session"].tolist() == calendar().index[[1, 1, 3]].tolist()
    assert frame["entry"].tolist()[:2] == [4002.5, 3997.5]
    assert np.isnan(frame["entry"].iloc[2])
    assert frame["stop_ticks"].tolist() == [10, 10, 20]
    assert frame["target_ticks"].fillna(-1).tolist() == [20, -1, 20]
    assert frame["open"].tolist() == frame["rule_signal"].tolist() == [True, False, True]


def changed(**parts: Any) -> Setups:
    return replace(GOOD, **parts)


def with_column(name: str, values: Any) -> Setups:
    return changed(columns={**GOOD.columns, name: values})


REFUSED = {
    "nothing": (None, "gives NoneType; give Setups"),
    "a frame": (pd.DataFrame(), "gives DataFrame; give Setups"),
    "a list of rows": (changed(row=[0, 0, 2]), "row as list"),
    "floats": (changed(entry=np.array([1.0, 2.0, np.nan])), "entry as float64; give an array of whole numbers"),
    "unsigned": (changed(stop=np.array([1, 2, 3], np.uint64)), "stop as uint64"),
    "bools as sides": (changed(side=np.array([True, False, True])), "side as bool"),
    "two dimensions": (changed(target=np.zeros((3, 1), np.int64)), r"target of shape \(3, 1\)"),
    "one value for all": (changed(stop=np.array(3)), r"stop of shape \(\)"),
    "too few stops": (changed(stop=whole(1, 2)), r"3 setups but stop of shape \(2,\)"),
    "a row too many": (changed(row=whole(0, 1, 3)), "row 3, but the history has rows 0 to 2"),
    "a row from the end": (changed(row=whole(-1, 0, 2)), "row -1"),
    "rows out of order": (changed(row=whole(2, 0, 2)), "setup 1, for session 2024-01-03, comes after later sessions"),
    "a side of two": (changed(side=whole(1, 2, 1)), "setup 1, for session 2024-01-03, has side 2; give 1"),
    "a side of none": (changed(side=whole(0, -1, 1)), "setup 0, for session 2024-01-03, has side 0; give 1"),
    "no stop": (changed(stop=whole(16_000, 16_000, NO_PRICE)), "setup 2, for session 2024-01-05, has no stop"),
    "stop at the entry": (
        changed(stop=whole(16_010, 16_000, 15_980)),
        "setup 0, .* stop 4002.5 with entry 4002.5; it must be below",
    ),
    "stop beyond": (
        changed(stop=whole(16_000, 15_980, 15_980)),
        "setup 1, .* stop 3995.0 with entry 3997.5; it must be",
    ),
    "target at the entry": (
        changed(target=whole(16_010, NO_PRICE, 16_020)),
        "setup 0, .* target 4002.5 with entry 4002.5",
    ),
    "target behind": (
        changed(target=whole(16_030, 16_005, 16_020)),
        "setup 1, .* target 4001.25 with entry 3997.5; it must be above",
    ),
    "stop at the last price": (changed(stop=whole(16_000, 16_000, 16_000)), "setup 2, .* stop at or beyond the last"),
    "target at the last price": (changed(target=whole(16_030, NO_PRICE, 16_000)), "setup 2, .* target at or beyond"),
    "price of 0": (changed(stop=whole(0, 16_000, 15_980)), "setup 0, .* stop at a price there can't be, 0 or below"),
    "price beyond all": (changed(target=whole(1 << 60, NO_PRICE, 16_020)), "setup 0, .* target at a price there can't"),
    "a gate missing": (changed(gates={}), "declares the gate open, but its setups don't have it"),
    "a gate of numbers": (changed(gates={"open": np.ones(3)}), "open as float64; give an array of bools"),
    "a gate of another length": (changed(gates={"open": np.ones(2, bool)}), r"open of shape \(2,\)"),
    "a gate as a list": (changed(gates={"open": [True] * 3}), "open as list"),
    "a measure of text": (changed(gates={**GOOD.gates, "why": np.array(["a"] * 3)}), "why as <U1"),
    "a measure named as a column": (changed(gates={**GOOD.gates, "stop": np.ones(3)}), "'stop' has the name of a col"),
    "gates as a list": (changed(gates=[]), "must each be a mapping"),
    "taken of numbers": (changed(taken=whole(1, 0, 1)), "taken as int64"),
    "taken of another length": (changed(taken=np.ones(4, bool)), r"taken of shape \(4,\)"),
    "the same order twice": (
        changed(
            row=whole(0, 0, 2),
            side=whole(1, 1, 1),
            entry=whole(16_010, 16_010, NO_PRICE),
            target=whole(16_030, 16_030, 16_020),
        ),
        "setup 1, for session 2024-01-03, is the same as one before it",
    ),
    "an unknown column": (with_column("trail_tick", whole(1, 1, 1)), "'trail_tick', .* did you mean trail_ticks"),
    "an unknown type": (
        with_column("type", np.array(["stop", "stp", "market"], object)),
        "setup 1, .* type stp; give limit, stop or market",
    ),
    "a market order with an entry": (
        with_column("type", np.array(["market", "stop", "market"], object)),
        "setup 0, .* entry 4002.5 with type market; leave it empty",
    ),
    "no entry and no type": (changed(columns={}), "setup 2, .* has no entry"),
    "a limit without entry": (
        with_column("type", np.array(["stop", "stop", None], object)),
        "setup 2, .* has no entry",
    ),
    "a trail of 0": (
        with_column("trail_ticks", whole(1, 0, 1)),
        "setup 1, .* trail_ticks 0; give a whole number of ticks",
    ),
    "half a bar": (
        with_column("max_bars", np.array([np.nan, 1.5, 2.0])),
        "setup 1, .* max_bars 1.5; give a whole number of bars",
    ),
    "endless bars": (
        with_column("max_bars", np.array([np.inf, 1.0, 2.0])),
        "setup 0, .* max_bars inf; give a whole number of bars",
    ),
    "ticks as text": (with_column("breakeven_ticks", np.array(["4"] * 3, object)), "breakeven_ticks as object"),
    "no size": (with_column("quantity", whole(1, 1, -1)), "setup 2, .* quantity -1; give a whole number of contracts"),
    "half a peak exit": (
        with_column("give_back_percent", np.array([50.0, np.nan, np.nan])),
        "setup 0, .* both or neither",
    ),
    "more than the whole gain": (
        changed(
            columns={**GOOD.columns, "give_back_percent": whole(101, 100, 1), "give_back_from_ticks": whole(1, 1, 1)}
        ),
        "setup 0, .* give_back_percent 101; give a percentage",
    ),
    "a group of no text": (
        with_column("group", np.array(["a", 1.5, "a"], object)),
        "setup 1, .* group 1.5; give a text",
    ),
    "times as floats": (with_column("live_from", np.full(3, 1.7e18)), "live_from as float64"),
    "times as timestamps": (with_column("live_until", np.array([1, 2, 3], "M8[ns]")), "live_until as datetime64"),
    "a time outside the session": (
        with_column("live_until", whole(0, OPENS[1], OPENS[3])),
        "setup 0, .* live_until 1970-01-01 .*; give a time within its session",
    ),
    "a time of the session before": (
        with_column("live_from", whole(OPENS[0], OPENS[1], OPENS[3])),
        "setup 0, .* live_from 2024-01-02 .*; give a time within its session",
    ),
    "a window of nothing": (
        changed(
            columns={**GOOD.columns, "live_from": OPENS[[1, 1, 3]], "live_until": OPENS[[1, 1, 3]] + whole(1, 0, 1)}
        ),
        "setup 1, .* live_until 2024-01-03 .* with live_from .*; it must come after",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_setups_that_cannot_be_orders_are_refused_by_name(case: str) -> None:
    returned, message = REFUSED[case]

    with pytest.raises(DataError, match=message) as caught:
        checked_setups(Given(returned), SEEN)

    assert str(caught.value).startswith("strategy given")


def test_prices_below_zero_can_be_where_the_instrument_allows_them() -> None:
    oil = ES.model_copy(update={"allow_negative_prices": True})
    seen = Seen.of(HISTORY, oil, None, None)
    below = changed(entry=whole(-10, -30, NO_PRICE), stop=whole(-20, -20, 15_980), target=whole(0, NO_PRICE, 16_020))

    assert checked_setups(Given(below), seen).entry.tolist()[:2] == [-10, -30]


def test_no_setups_need_no_gates() -> None:
    found = checked_setups(Given(Setups.none()), SEEN)

    assert signals_frame(found, SEEN).columns.tolist()[-2:] == ["open", "rule_signal"]
    assert len(found.row) == 0


def test_small_whole_numbers_are_widened() -> None:
    found = checked_setups(Given(changed(side=GOOD.side.astype(np.int8), row=GOOD.row.astype(np.int32))), SEEN)

    assert (found.side.dtype, found.row.dtype) == (np.int64, np.int64)


def test_error_of_the_strategys_code_names_file_line_and_reason() -> None:
    def broken(seen: Seen) -> Setups:
        return seen["close"] / {}["nothing"]

    with pytest.raises(DataError, match=r"strategy given: .*test_decisions\.py:\d+: KeyError: 'nothing'"):
        checked_setups(Given(broken), SEEN)


def test_column_that_the_history_lacks_names_the_line_that_asks_for_it() -> None:
    def asks(seen: Seen) -> Setups:
        return seen["clos"]

    with pytest.raises(
        ConfigurationError, match=r"strategy given: .*test_decisions\.py:\d+: the session history has no clos"
    ):
        checked_setups(Given(asks), SEEN)


def test_strategy_that_leaves_the_program_is_one_error() -> None:
    def leaves(seen: Seen) -> Setups:
        raise SystemExit(3)

    with pytest.raises(DataError, match="SystemExit: 3"):
        checked_setups(Given(leaves), SEEN)


@pytest.mark.parametrize("minutes", [(30.0,), (0,), (-5,), ("30",), [30], None, (60, 30), (30, 30)])
def test_impossible_decision_minutes_are_refused(minutes: Any) -> None:
    with pytest.raises(DataError, match="strategy given: decision_minutes gives"):
        checked_setups(Given(GOOD, minutes), SEEN)


def test_setups_of_several_minutes_come_by_session_and_time() -> None:
    found = checked_setups(Given(lambda seen: GOOD, (30, 60)), SEEN)

    assert found.row.tolist() == [0, 0, 0, 0, 2, 2]
    assert found.side.tolist() == [1, -1, 1, -1, 1, 1]
    assert found.decided_at is not None
    minutes = (found.decided_at - OPENS[found.row + 1]) // MINUTE
    assert minutes.tolist() == [30, 30, 60, 60, 30, 60]
    assert found.columns["live_from"].tolist() == found.decided_at.tolist()
    assert found.gates["open"].tolist() == [True, False, True, False, True, True]
    frame = candidates_frame(found, SEEN)
    assert frame["decided_at"].tolist() == frame["live_from"].tolist()


def test_minutes_without_setups_leave_those_of_the_others() -> None:
    def late(seen: Seen) -> Setups:
        return GOOD if seen.minute == 60 else Setups.none()

    found = checked_setups(Given(late, (30, 60, 90)), SEEN)

    assert found.row.tolist() == [0, 0, 2]
    assert found.columns["type"].tolist() == ["stop", "stop", "market"]


def test_no_minute_with_setups_gives_a_frame_without_rows() -> None:
    found = checked_setups(Given(Setups.none(), (30, 60)), SEEN)

    frame = signals_frame(found, SEEN)
    assert len(frame) == 0
    assert {"decided_at", "live_from", "open", "rule_signal"} <= set(frame.columns)


def test_column_or_measure_that_one_minute_lacks_is_empty_there() -> None:
    more = {
        **{"type": GOOD.columns["type"], "max_bars": whole(1, 2, 3), "group": np.array(["a", "a", "b"], object)},
        "live_until": OPENS[GOOD.row + 1] + 200 * MINUTE,
    }
    full = changed(columns=more)
    bare = changed(**{name: getattr(GOOD, name)[:2] for name in ("row", "side", "entry", "stop", "target")})
    bare = replace(bare, columns={"type": GOOD.columns["type"][:2]}, gates={"open": np.array([True, True])})

    found = checked_setups(Given(lambda seen: bare if seen.minute == 30 else full, (30, 60)), SEEN)

    frame = signals_frame(found, SEEN)
    assert found.row.tolist() == [0, 0, 0, 0, 2]
    assert frame["max_bars"].fillna(0).tolist() == [0, 0, 1, 2, 3]
    assert frame["group"].isna().tolist() == [True, True, False, False, False]
    assert frame["live_until"].isna().tolist() == [True, True, False, False, False]
    assert frame["measure"].fillna(-1).tolist() == [-1, -1, 0.5, -1, 2.0]
    assert frame["open"].tolist() == [True, True, True, False, True]


def test_undeclared_gate_that_one_minute_lacks_is_refused() -> None:
    more = changed(gates={**GOOD.gates, "more": np.array([True, False, True])})

    with pytest.raises(DataError, match="strategy given has the gate more at one time and not at another"):
        checked_setups(Given(lambda seen: more if seen.minute == 30 else GOOD, (30, 60)), SEEN)


def test_setup_of_a_session_without_a_bar_by_then_is_refused() -> None:
    seen = seen_of(HISTORY, *BARS[:2])  # the third session has not begun

    with pytest.raises(DataError, match=r"setup 2, for session 2024-01-05, is decided 30 minutes after the open"):
        checked_setups(Given(GOOD, (30,)), seen)


@pytest.mark.parametrize(
    ("column", "shift", "message"),
    [
        ("live_from", -1, "live before it was decided"),
        ("live_until", 0, "ends before it is live"),
        ("live_until", -5, "ends before it is live"),
    ],
)
def test_order_live_before_its_decision_or_never_is_refused(column: str, shift: int, message: str) -> None:
    times = OPENS[GOOD.row + 1] + 30 * MINUTE + whole(0, shift, 0) + (whole(1, 0, 1) if column == "live_until" else 0)

    with pytest.raises(DataError, match=f"setup 1, for session 2024-01-03, .*{message}"):
        checked_setups(Given(with_column(column, times), (30,)), SEEN)


def test_empty_live_from_is_the_decision() -> None:
    later = OPENS[1] + 40 * MINUTE

    found = checked_setups(Given(with_column("live_from", whole(later, NO_PRICE, NO_PRICE)), (30,)), SEEN)

    assert found.columns["live_from"].tolist() == [later, OPENS[1] + 30 * MINUTE, OPENS[3] + 30 * MINUTE]


def test_group_tells_its_session_and_an_empty_one_is_none() -> None:
    found = checked_setups(Given(with_column("group", np.array(["both", "", None], object))), SEEN)

    assert candidates_frame(found, SEEN)["group"].fillna("none").tolist() == ["2024-01-03 both", "none", "none"]


_ANY = st.one_of(
    st.none(),
    st.integers(),
    st.lists(st.integers(), max_size=3),
    arrays.arrays(
        st.sampled_from([np.int64, np.int8, np.float64, np.bool_, np.dtype("O"), np.dtype("U3"), np.dtype("M8[ns]")]),
        st.sampled_from([(), (0,), (1,), (3,), (2, 2)]),
    ),
    arrays.arrays(np.int64, 3, elements=st.sampled_from([-1, 0, 1, 2, 16_000, 16_010, NO_PRICE, 1 << 62])),
)
_FIELDS = ["row", "side", "entry", "stop", "target", "taken"]


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(_FIELDS), _ANY, max_size=3),
    st.dictionaries(st.sampled_from([*ORDER_COLUMNS, "strange"]), _ANY, max_size=2),
    st.dictionaries(st.sampled_from(["open", "measure", "entry"]), _ANY, max_size=2),
    st.sampled_from([(), (30,), (30, 60)]),
)
def test_whatever_a_strategy_returns_is_a_clean_frame_or_one_error(fields, columns, gates, minutes) -> None:
    returned = changed(**fields, columns={**GOOD.columns, **columns}, gates={**GOOD.gates, **gates})

    said = []
    try:
        found = checked_setups(Given(returned, minutes), SEEN)
    except DataError as error:
        said.append(str(error))
    if said:
        assert said[0].startswith("strategy given")
        return
    frame = signals_frame(found, SEEN)
    assert len(frame) == 3 * max(len(minutes), 1)
    assert frame["side"].isin((1, -1)).all()
    assert (frame["side"] * (frame["entry"] - frame["stop"]) > 0)[frame["entry"].notna()].all()
    assert frame["stop"].gt(0).all()
    assert frame["stop_ticks"].gt(0).all()
    assert frame["target_ticks"].dropna().gt(0).all()
    assert frame["rule_signal"].dtype == np.bool_
    assert frame["session"].is_monotonic_increasing
