"""Strategies written for one session at a time."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market import simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategies.initial_balance_breakout import BalanceParameters, InitialBalanceBreakout
from pipeline.strategies.value_area_fade import FadeParameters, ValueAreaFade
from pipeline.strategy import HistorySettings, Seen, StrategyParameters, session_history
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.per_session import Order, SessionStrategy, SessionView
from pipeline.strategy.signals import signals_frame
from tests.strategies.market import ES, calendar, flat, made_bars, made_history, seen_of, walk

NAN = math.nan


def frame_of(strategy: Any, seen: Seen) -> pd.DataFrame:
    return signals_frame(checked_setups(strategy, seen), seen)


def up(ticks: float) -> int:
    """Whole ticks, rounded up but for float noise."""
    return math.ceil(ticks - 1e-6)


class BalanceByDay(SessionStrategy):
    """The initial-balance breakout, one session at a time."""

    name = "balance_by_day"
    title = description = source = "As the one in the box"
    Parameters = BalanceParameters
    gates: ClassVar[Mapping[str, str]] = {"narrow": "narrow"}

    def decision_minutes(self) -> tuple[int, ...]:
        return (self.parameters.minutes,)

    def orders(self, day: SessionView) -> Iterable[Order]:
        own, tick = self.parameters, day.instrument.tick_size
        average = day.history["atr_14"].iloc[-1]
        high, low = day.today["high"].max(), day.today["low"].min()
        height = round((high - low) / tick)
        if math.isnan(average) or height < own.min_ticks:
            return
        for side, edge in ((1, high), (-1, low)):
            entry = edge + side * own.buffer_ticks * tick
            yield Order(
                side=side,
                type="stop",
                entry=entry,
                stop=entry - side * up(own.stop_share * height) * tick,
                target=entry + side * up(own.target_multiple * height) * tick,
                group="balance",
                gates={"narrow": height < up(own.narrow_share * average / tick)},
            )


class FadeByDay(SessionStrategy):
    """The value-area fade, one session at a time, by the words of contract §5."""

    name = "fade_by_day"
    title = description = source = "As the one in the box"
    Parameters = FadeParameters
    gates = ValueAreaFade.gates

    def orders(self, day: SessionView) -> Iterable[Order]:
        own, tick, last = self.parameters, day.instrument.tick_size, day.history.iloc[-1]
        if math.isnan(last["atr_14"]):
            return
        distance = round((last["vah"] - last["val"]) / tick)
        stop = up(min(own.stop_atr_factor * last["atr_14"] / tick, distance / 2))
        if stop < own.min_stop_ticks:
            return
        for side, entry, target in ((1, last["val"], last["vah"]), (-1, last["vah"], last["val"])):
            p_up, weights = last["direction_probability"], own.confidence_weights
            share = (
                weights.r_squared * last["r_squared"]
                + weights.direction * (p_up if side > 0 else 1 - p_up)
                + weights.calm * last["calm"]
                + weights.runs * (1 - last["runs_p_value"])
            )
            confidence = round(100 * share, 10)
            likely = p_up > own.direction_long if side > 0 else p_up < own.direction_short
            trend = side * last["slope"] > 0 and last["r_squared"] > own.r_squared_threshold
            gates = {
                "trend": trend,
                "r_squared_high": last["r_squared"] > own.r_squared_threshold,
                "calm": bool(last["calm"]),
                "direction": likely,
                "confidence": confidence,
                "confidence_high": confidence > own.confidence_threshold,
            }
            taken = trend and (gates["calm"] or likely) and gates["confidence_high"]
            yield Order(side, entry - side * stop * tick, entry, target, gates=gates, taken=taken)


@pytest.fixture(scope="module")
def simulated() -> Seen:
    bars = simulate_market(ES, "2023-01-03", 300, seed=2)
    profiles = session_profiles(bars, ES)
    settings = HistorySettings(direction_window=60)
    return Seen.of(session_history(bars, profiles, ES, settings), ES, settings, bars)


@pytest.mark.parametrize(
    ("by_day", "at_once", "parameters"),
    [
        (BalanceByDay, InitialBalanceBreakout, {}),
        (BalanceByDay, InitialBalanceBreakout, {"stop_share": 1.1, "narrow_share": 0.4, "minutes": 90}),
        (FadeByDay, ValueAreaFade, {}),
        (FadeByDay, ValueAreaFade, {"stop_atr_factor": 0.3, "r_squared_threshold": 0.2, "confidence_threshold": 40.0}),
    ],
)
def test_one_session_at_a_time_gives_the_frame_of_all_at_once(by_day, at_once, parameters, simulated: Seen) -> None:
    left, right = frame_of(by_day(parameters), simulated), frame_of(at_once(parameters), simulated)

    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert len(left) > 400
    assert left["rule_signal"].any()


def test_one_session_at_a_time_with_missing_bars_and_a_roll_gives_the_same_frame() -> None:
    for seed in range(6):
        history, bars = walk(np.random.default_rng(seed), 30)
        seen = seen_of(history, bars)

        pd.testing.assert_frame_equal(frame_of(BalanceByDay(), seen), frame_of(InitialBalanceBreakout(), seen))


class Given(SessionStrategy):
    """Gives what it was made with, and keeps the days it saw."""

    name = "given"
    title = description = source = "Made up"
    Parameters = StrategyParameters

    def __init__(self, given: Any, minutes: tuple[int, ...] = (), gates: Iterable[str] = ()) -> None:
        super().__init__()
        self.given, self.minutes, self.days = given, minutes, list[SessionView]()
        self.gates = dict.fromkeys(gates, "a gate")  # type: ignore[misc]

    def decision_minutes(self) -> tuple[int, ...]:
        return self.minutes

    def orders(self, day: SessionView) -> Iterable[Order]:
        self.days.append(day)
        return self.given(day) if callable(self.given) else self.given


HISTORY = made_history({}, {"close": 16_010})
SEEN = seen_of(HISTORY, *(made_bars(k, flat(16_000, 13)) for k in (1, 2)))


def test_before_the_session_opens_the_day_has_its_history_and_no_bars() -> None:
    strategy = Given([])

    checked_setups(strategy, SEEN)

    assert [day.session for day in strategy.days] == calendar().index[1:3].tolist()
    assert [len(day.history) for day in strategy.days] == [1, 2]
    assert strategy.days[0].history["close"].tolist() == [4000.0]
    assert all(day.today.empty and day.minute is None for day in strategy.days)
    assert strategy.days[0].today["timestamp"].dtype == "datetime64[ns, UTC]"


def test_within_the_session_the_day_has_the_complete_bars_and_days_without_them_are_left_out() -> None:
    strategy = Given([], (20, 65))

    checked_setups(strategy, SEEN)

    assert [(day.session, day.minute, len(day.today)) for day in strategy.days] == [
        (calendar().index[1], 65, 2),
        (calendar().index[2], 65, 2),
    ]
    assert strategy.days[0].today.columns.tolist() == [
        *("timestamp", "open", "high", "low", "close", "volume", "contract"),
    ]


def test_what_is_written_into_a_day_is_not_seen_on_the_next() -> None:
    def scribbles(day: SessionView) -> list[Order]:
        assert not (day.history["close"] == 1.0).any()
        day.history.loc[:, "close"] = 1.0
        day.today["high"] = 1.0
        return []

    checked_setups(Given(scribbles), SEEN)
    checked_setups(Given(scribbles, (60,)), SEEN)

    assert HISTORY["close"].tolist() == [4000.0, 4002.5]
    assert SEEN.at(60).today.frame(0)["high"].tolist() == [4000.0] * 2


def test_every_field_of_an_order_arrives_in_its_column() -> None:
    opened = calendar()["rth_open"].iloc[1]
    everything = Order(
        *(1, 3990.0, 4005.0, 4020.0, "stop"),
        **{"trail_ticks": 8, "breakeven_ticks": 9, "give_back_percent": 50.0, "give_back_from_ticks": 10},
        **{"max_bars": 11, "live_from": opened, "live_until": opened + dt.timedelta(hours=2), "group": "a"},
    )
    plain = Order(-1, 4010.0)

    frame = frame_of(Given(lambda day: [everything, plain] if len(day.history) == 1 else []), SEEN)

    columns = ["type", "entry", "stop", "target", "trail_ticks", "breakeven_ticks", "give_back_percent"]
    columns += ["give_back_from_ticks", "max_bars", "live_from", "live_until", "group"]
    first, second = frame[columns].to_dict("records")
    assert first == {
        **{"type": "stop", "entry": 4005.0, "stop": 3990.0, "target": 4020.0, "trail_ticks": 8, "breakeven_ticks": 9},
        **{"give_back_percent": 50.0, "give_back_from_ticks": 10, "max_bars": 11, "group": "2024-01-03 a"},
        **{"live_from": opened, "live_until": opened + pd.Timedelta("2h")},
    }
    assert (second["type"], second["stop"]) == ("market", 4010.0)
    assert all(pd.isna(second[name]) for name in columns if name not in ("type", "stop"))


def test_orders_of_two_times_with_different_fields_stand_in_one_frame() -> None:
    def orders(day: SessionView) -> list[Order]:
        if day.minute == 30:
            return [Order(1, 3990.0, trail_ticks=4, gates={"odds": 0.5})]
        return [Order(1, 3990.0, 3995.0, group="late")]

    frame = frame_of(Given(orders, (30, 60)), SEEN)

    assert frame["type"].fillna("limit").tolist() == ["market", "limit"] * 2
    assert frame["trail_ticks"].fillna(0).tolist() == [4, 0] * 2
    assert frame["group"].isna().tolist() == [True, False] * 2
    assert frame["odds"].isna().tolist() == [False, True] * 2


def test_whole_numbers_that_every_order_has_stay_whole() -> None:
    frame = frame_of(Given([Order(1, 3990.0, trail_ticks=4)]), SEEN)

    assert frame["trail_ticks"].dtype == np.int64


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (Order(1, 3990.1), r"stop is 3990\.1; round it to ES's tick of 0\.25"),
        (Order(1, 3990.0, 3995.3), r"entry is 3995\.3; round it"),
        (Order(1, 3990.0, target=4010.01), r"target is 4010\.01; round it"),
        (Order(1, NAN), "stop is nan; give a number"),
        (Order(1, math.inf), "stop is inf; give a number"),
        (Order(1, None), "stop is None; give a number"),  # type: ignore[arg-type]
        (Order(1, "3990"), "stop is '3990'; give a number"),  # type: ignore[arg-type]
        (Order(1, True), "stop is True; give a number"),
        (Order(1, 0.0), "stop is 0; give a price above 0"),
        (Order(1, -5.0), "stop is -5; give a price above 0"),
        (Order(1, 3990.0, 1e300), "entry is 1e.300; give a number"),
        (Order(1, 3990.0, 5e15), r"entry is 5e\+15; there is no such price"),
        (Order(0, 3990.0), "side is 0; give 1"),
        (Order(1.0, 3990.0), r"side is 1\.0; give 1"),  # type: ignore[arg-type]
        (Order(True, 3990.0), "side is True"),
        (Order(1, 3990.0, type="stp"), "type is 'stp'; give limit, stop, market or None"),
        (Order(1, 3990.0, trail_ticks=0), "trail_ticks is 0; give a whole number"),
        (Order(1, 3990.0, max_bars=2.5), r"max_bars is 2\.5"),  # type: ignore[arg-type]
        (
            Order(1, 3990.0, give_back_percent=101, give_back_from_ticks=4),
            "give_back_percent is 101; give a percentage",
        ),
        (Order(1, 3990.0, max_bars=NAN), "max_bars is nan"),  # type: ignore[arg-type]
        (Order(1, 3990.0, live_from=dt.datetime(2024, 1, 3, 15)), "live_from is .*; give a time with a zone"),
        (Order(1, 3990.0, live_until="15:00"), "live_until is '15:00'"),  # type: ignore[arg-type]
        (Order(1, 3990.0, live_until=pd.NaT), "live_until is NaT"),
        (Order(1, 3990.0, live_until=dt.datetime(1500, 1, 1, tzinfo=dt.UTC)), "live_until is"),
        (Order(1, 3990.0, gates=["open"]), r"gates is \['open'\]"),  # type: ignore[arg-type]
        (Order(1, 3990.0, gates={}), "no gate open; give each order every gate"),
        (Order(1, 3990.0, gates={"open": 1.0}), r"the gate open is 1\.0; give True or False"),
        (Order(1, 3990.0, gates={"open": True, "how": "so"}), "how is 'so'; give a number"),
        ("buy", "orders gives 'buy' among others; give Orders"),
        (None, "orders gives None among others; give Orders"),
    ],
)
def test_order_that_cannot_be_names_strategy_session_and_value(order: Any, message: str) -> None:
    good = Order(1, 3990.0, gates={"open": True})
    strategy = Given(lambda day: [good, order] if len(day.history) == 2 else [good], gates=["open"])

    with pytest.raises(DataError, match=f"^strategy given, session 2024-01-04: .*{message}"):
        checked_setups(strategy, SEEN)


def test_taken_of_some_orders_only_or_of_another_kind_is_refused() -> None:
    for taken in (1, None):
        orders = [Order(1, 3990.0, taken=True), Order(-1, 4010.0, taken=taken)]  # type: ignore[arg-type]
        with pytest.raises(DataError, match=f"session 2024-01-03: taken is {taken}; give True or False"):
            checked_setups(Given(orders), SEEN)


def test_order_that_cannot_stand_beside_the_last_price_is_refused_as_any_strategys() -> None:
    with pytest.raises(DataError, match="strategy given: setup 0, for session 2024-01-03, has its stop at or beyond"):
        checked_setups(Given([Order(1, 4000.0)]), SEEN)
    with pytest.raises(DataError, match="with type market; leave it empty"):
        checked_setups(Given([Order(1, 3990.0, 3995.0, type="market")]), SEEN)
    with pytest.raises(DataError, match="has no entry"):
        checked_setups(Given([Order(1, 3990.0, type="limit")]), SEEN)


def test_error_of_the_users_code_is_one_sentence_with_file_line_and_session() -> None:
    def breaks(day: SessionView) -> Iterable[Order]:
        yield Order(1, 3990.0)
        yield Order(1, {}[len(day.history)])

    where = r"^strategy given, session 2024-01-03: .*test_per_session\.py:\d+: KeyError: 1$"
    with pytest.raises(DataError, match=where):
        checked_setups(Given(breaks), SEEN)
    with pytest.raises(DataError, match="session 2024-01-03: orders gives None; give a list of Orders"):
        checked_setups(Given(None), SEEN)


def test_error_deep_in_a_library_names_the_users_line() -> None:
    def breaks(day: SessionView) -> Iterable[Order]:
        return day.history["no such column"]

    with pytest.raises(DataError, match=r"test_per_session\.py:\d+: KeyError"):
        checked_setups(Given(breaks), SEEN)


def test_no_orders_at_all_give_a_frame_without_rows() -> None:
    frame = frame_of(Given([], gates=["open"]), SEEN)

    assert len(frame) == 0
    assert frame.columns.tolist()[-2:] == ["open", "rule_signal"]


def test_measure_that_some_orders_lack_is_empty_there() -> None:
    orders = [Order(1, 3990.0, gates={"odds": 0.5}), Order(-1, 4010.0)]

    frame = frame_of(Given(lambda day: orders if len(day.history) == 1 else []), SEEN)

    assert frame["odds"].fillna(-1).tolist() == [0.5, -1]
    assert frame["rule_signal"].tolist() == [True, True]
