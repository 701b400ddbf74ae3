"""Hand-made bars for stop and market orders, groups, live windows and managed exits; each long as a short too."""

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.errors import DataError
from pipeline.market import Instrument
from tests.backtest.frames import BASE, DAY, TICK, days, session_bars

Rows = list[tuple[int, int, int, int]]
_PRICES = ("entry", "stop", "target")


def flat(ticks: int) -> tuple[int, int, int, int]:
    return (ticks, ticks, ticks, ticks)


def clock(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"{DAY} {text}", tz="America/Chicago")


def long(entry: int | None, stop: int, target: int | None = None, **more: object) -> dict:
    """An order in ticks from BASE."""
    return {"session": DAY, "side": 1, "entry": entry, "stop": stop, "target": target, "quantity": 1, **more}


def short(entry: int | None, stop: int, target: int | None = None, **more: object) -> dict:
    return {**long(entry, stop, target, **more), "side": -1}


def told(result: BacktestResult, bars: pd.DataFrame, glass: int) -> list[tuple]:
    """Of each order (entry bar, entry, exit bar, exit, reason, ambiguous), or (status, reason); prices from BASE."""
    times = pd.Index(bars["timestamp"])
    found = list(zip(result.orders["status"], result.orders["reason"], strict=True))
    for trade in result.trades.itertuples():
        entry, exit_ = (glass * (round(price / TICK) - BASE) for price in (trade.entry_price, trade.exit_price))
        bar, out = times.get_loc(trade.entry_time), times.get_loc(trade.exit_time)
        found[trade.order] = (bar, entry, out, exit_, trade.exit_reason, trade.ambiguous)
    return found


def ends(
    bars: Rows | pd.DataFrame, orders: list[dict], es: Instrument, account: Account | None = None, **more: object
) -> list[tuple]:
    """Ends of the orders, after a check that the market in a mirror ends the mirrored orders alike."""
    frame = session_bars([tuple(BASE + tick for tick in row) for row in bars]) if isinstance(bars, list) else bars
    book = pd.DataFrame(orders)
    both = []
    for glass in (1, -1):
        seen = frame.copy()
        if glass < 0:
            turned = {"open": "open", "close": "close", "high": "low", "low": "high"}
            for name, other in turned.items():
                seen[name] = 2 * BASE * TICK - frame[other]
        placed = book.assign(
            side=glass * book["side"],
            **{name: (BASE + glass * book[name].astype(float)) * TICK for name in _PRICES},
        )
        result = simulate(seen, placed, es, account or Account(1e7, max_positions=1), **more)  # type: ignore[arg-type]
        both.append(told(result, frame, glass))
    if book["side"].eq(1).all():  # with both sides, which is tried first is not mirrored
        assert both[1] == both[0]
    return both[0]


# Entries


def test_simulate_stop_order_that_opens_past_entry_and_target_is_cancelled(es: Instrument) -> None:
    assert ends([flat(-5), flat(25)], [long(0, -10, 20, type="stop")], es) == [("cancelled", "gapped_past_target")]
    # One tick short of the target it fills, a tick worse, and the bar that reaches beyond the target takes it there.
    assert ends([flat(-5), (19, 21, 19, 21)], [long(0, -10, 20, type="stop")], es) == [(1, 20, 1, 20, "target", False)]


def test_simulate_stop_order_waits_below_its_stop_and_does_not_end_there(es: Instrument) -> None:
    rows = [flat(-20), (-20, 0, -20, -1), flat(-1)]

    assert ends(rows, [long(0, -10, 20, type="stop")], es) == [(1, 1, 2, -2, "close", False)]


def test_simulate_stop_order_low_at_the_stop_exactly_is_an_ambiguous_stop(es: Instrument) -> None:
    order = long(0, -10, 20, type="stop")

    assert ends([(-5, 3, -10, 2), flat(2)], [order], es) == [(0, 1, 0, -11, "stop", True)]
    assert ends([(-5, 3, -9, 2), flat(2)], [order], es) == [(0, 1, 1, 1, "close", False)]
    assert ends([(-10, 3, -10, 2), flat(2)], [order], es) == [(0, 1, 1, 1, "close", False)]  # opened at it
    assert ends([(-5, 3, -10, -10), flat(2)], [order], es) == [(0, 1, 0, -11, "stop", False)]
    assert ends([(-5, 30, -12, 2), flat(2)], [order], es) == [(0, 1, 0, -11, "stop", True)]
    assert ends([(-12, 21, -15, 2), flat(2)], [order], es) == [(0, 1, 0, 20, "target", False)]


def test_simulate_stop_order_on_finer_bars_knows_where_the_low_came(es: Instrument) -> None:
    bars = session_bars([tuple(BASE + tick for tick in row) for row in [(-5, 3, -12, 2), flat(2), flat(2)]])

    def with_minutes(*rows: tuple[int, int, int, int]) -> list[tuple]:
        finer = session_bars([tuple(BASE + tick for tick in row) for row in rows])
        finer["timestamp"] = bars["timestamp"][0] + pd.to_timedelta(np.arange(len(finer)), unit="min")
        order = pd.DataFrame([long(0, -10, 20, type="stop")])
        order[list(_PRICES)] = (BASE + order[list(_PRICES)].astype(float)) * TICK
        return told(simulate(bars, order, es, Account(1e7), intrabar_bars=finer), bars, 1)

    stays, stopped, open_ = (0, 1, 2, 1, "close", False), (0, 1, 0, -11, "stop", False), (0, 1, 0, -11, "stop", True)
    assert with_minutes((-5, -5, -12, -8), (-8, 3, -8, 2)) == [stays]
    assert with_minutes((-5, 3, -5, 2), (2, 2, -12, -8), (-8, 2, -8, 2)) == [stopped]
    assert with_minutes((-5, 3, -12, 2)) == [open_]  # both within one minute
    assert with_minutes((-5, -5, -9, -8), (-8, 3, -8, 2)) == [open_]  # the minutes don't show the low
    assert with_minutes((-5, -5, -12, -8)) == [open_]  # nor here the fill


def test_simulate_market_order_between_its_levels_fills_at_the_first_live_open(es: Instrument) -> None:
    rows = [flat(0), flat(4), (4, 8, 3, 7), flat(7)]

    assert ends(rows, [long(None, -10, 20, type="market")], es) == [(0, 1, 3, 6, "close", False)]
    later = long(None, -10, 20, type="market", live_from=clock("08:40"))
    assert ends(rows, [later], es) == [(2, 5, 3, 6, "close", False)]
    assert ends([flat(20)], [long(None, -10, 20, type="market")], es) == [("cancelled", "gapped_past_target")]
    assert ends([flat(-10)], [long(None, -10, 20, type="market")], es) == [("gapped_past_stop", "gapped_past_stop")]
    assert ends([(0, 21, -10, 5)], [long(None, -10, 20, type="market")], es) == [(0, 1, 0, -11, "stop", True)]


def test_simulate_market_order_without_a_free_slot_does_not_fill_later(es: Instrument) -> None:
    rows = [flat(0), (0, 21, 0, 10), flat(10), flat(10)]
    orders = [long(None, -10, 20, type="market"), long(None, -10, 30, type="market")]

    assert ends(rows, orders, es) == [(0, 1, 1, 20, "target", False), ("skipped", "position_open")]


@pytest.mark.parametrize(
    ("order", "quantity"),
    [
        (long(None, -19, 90, type="market", quantity=None), 3),  # floor(1,000 / (20 × 12.50 + 10)): fill 1, stop −19
        (long(0, -20, 90, type="stop", quantity=None), 3),  # of the order's own prices, not of the fill
        (long(0, -19, 90, type="stop", quantity=None), 4),
    ],
)
def test_simulate_size_of_other_kinds_comes_from_their_planned_entry(
    order: dict, quantity: int, es: Instrument
) -> None:
    bars = session_bars([tuple(BASE + tick for tick in flat(0))] * 2)
    book = pd.DataFrame([order])
    book[list(_PRICES)] = (BASE + book[list(_PRICES)].astype(float)) * TICK

    trade = simulate(bars, book, es, Account(margin_day=0.001)).trades.iloc[0]

    assert (trade["quantity"], trade["entry_price"]) == (quantity, (BASE + 1) * TICK)
    risk = (20 if order["entry"] is None else -order["stop"]) * 12.5 * quantity
    assert trade["r_multiple"] == trade["pnl"] / risk


# Live windows


def test_simulate_window_includes_its_first_instant_and_not_its_last(es: Instrument) -> None:
    rows = [(5, 5, -1, 5), (5, 5, -2, 5), flat(5)]

    def live(first: str, last: str) -> list[tuple]:
        order = long(0, -10, 20, live_from=clock(first), live_until=clock(last))
        return ends(rows, [order], es)

    assert live("08:35", "08:40") == [(1, 0, 2, 4, "close", False)]
    assert live("08:34", "08:36") == [(1, 0, 2, 4, "close", False)]
    assert live("08:36", "08:50") == [("not_reached", "")]
    assert live("08:30", "08:31") == [(0, 0, 2, 4, "close", False)]
    assert live("08:41", "08:44") == [("cancelled", "no_bars")]  # no bar opens in it
    assert live("03:00", "08:30") == [("cancelled", "no_bars")]  # not in the hours


def test_simulate_window_narrows_the_cutoff_and_never_widens_it(es: Instrument) -> None:
    rows = [flat(5), (5, 5, -1, 5), (5, 5, -1, 5), flat(5)]
    account = Account(1e7, entry_cutoff="08:40")

    late = long(0, -10, 20, live_from=clock("08:40"), live_until=clock("09:00"))
    assert ends(rows, [late], es, account) == [("not_reached", "")]
    early = long(0, -10, 20, live_until=clock("08:35"))
    assert ends(rows, [early], es, account) == [("not_reached", "")]
    assert ends(rows, [long(0, -10, 20)], es, account) == [(1, 0, 3, 4, "close", False)]


# Groups


def test_simulate_group_fills_one_leg_and_never_the_other(es: Instrument) -> None:
    legs = [long(10, 0, 30, type="stop", group="a"), short(0, 10, -20, type="stop", group="a")]

    # Both triggers in one bar, room for both.
    both = ends([(5, 11, -1, 4), flat(4)], legs, es, Account(1e7, max_positions=2))
    assert both == [(0, 11, 0, -1, "stop", True), ("cancelled", "group_filled")]
    # The long's stop is hit in the next bar, at the short's entry.
    later = ends([(5, 11, 5, 10), (10, 10, -5, -5), flat(-5)], legs, es)
    assert later == [(0, 11, 1, -1, "stop", False), ("cancelled", "group_filled")]


def test_simulate_group_ends_a_leg_that_is_not_live_yet_but_not_one_that_is_no_more(es: Instrument) -> None:
    rows = [flat(5), (5, 5, -1, 5), flat(5)]
    filled = long(0, -10, 20, group="a")

    not_yet = long(-5, -10, 20, group="a", live_from=clock("08:40"))
    assert ends(rows, [filled, not_yet], es)[1] == ("cancelled", "group_filled")
    no_more = long(-5, -10, 20, group="a", live_until=clock("08:35"))
    assert ends(rows, [filled, no_more], es)[1] == ("not_reached", "")


def test_simulate_group_leg_that_fills_at_the_open_comes_before_one_inside(es: Instrument) -> None:
    rows = [(5, 8, -1, 4), flat(4)]
    inside, opens = long(0, -10, 20, group="a"), long(6, -10, 20, group="a")

    assert ends(rows, [inside, opens], es) == [("cancelled", "group_filled"), (0, 5, 1, 3, "close", False)]
    # Without a group the order given decides.
    alone = [{**inside, "group": None}, {**opens, "group": "b"}]
    assert ends(rows, alone, es) == [(0, 0, 1, 3, "close", False), ("skipped", "position_open")]
    # One that gets no size is not filled, and the other's turn comes.
    assert ends(rows, [inside, {**opens, "quantity": 1000}], es) == [
        (0, 0, 1, 3, "close", False),
        ("skipped", "margin_below_quantity"),
    ]


def test_simulate_leg_that_the_open_gapped_past_ended_before_the_group_was_filled(es: Instrument) -> None:
    legs = [long(5, -10, 20, group="a"), long(5, 3, 20, group="a", quantity=2)]

    assert ends([flat(2)], legs, es) == [(0, 2, 0, 1, "close", False), ("gapped_past_stop", "gapped_past_stop")]


def test_simulate_orders_of_one_entry_are_tried_as_given(es: Instrument) -> None:
    rows = [(5, 5, -1, 4), flat(4)]
    orders = [long(0, -10, 20, quantity=2), long(0, -8, 20)]

    assert ends(rows, orders, es) == [(0, 0, 1, 3, "close", False), ("skipped", "position_open")]
    assert ends(rows, orders, es, Account(1e7, max_positions=2)) == [(0, 0, 1, 3, "close", False)] * 2


# Managed exits: limit at 0, filled inside the first bar


def test_simulate_trail_never_acts_in_the_bar_that_moves_it(es: Instrument) -> None:
    order = long(0, -10, None, trail_ticks=6)

    # Best close 20: the stop is at 14 from the next bar on, whatever this bar's low was.
    rows = [(2, 4, -1, 3), (3, 20, -2, 20), (20, 20, 15, 15), (15, 15, 14, 14), flat(14)]
    assert ends(rows, [order], es) == [(0, 0, 3, 13, "trailed_stop", False)]


def test_simulate_trail_above_the_next_open_leaves_at_that_open(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), (3, 20, 3, 20), (8, 30, 7, 30), flat(30)]

    assert ends(rows, [long(0, -10, None, trail_ticks=6)], es) == [(0, 0, 2, 7, "trailed_stop", False)]


def test_simulate_trail_counts_from_the_fill_where_no_close_is_better(es: Instrument) -> None:
    rows = [(2, 4, -5, -4), (-2, -2, -3, -3), flat(-3)]

    assert ends(rows, [long(0, -10, None, trail_ticks=3)], es) == [(0, 0, 1, -4, "trailed_stop", False)]
    # A stop that the trail has not moved is a stop.
    assert ends([(2, 4, -5, -4), (-4, -4, -10, -8)], [long(0, -10, None, trail_ticks=10)], es) == [
        (0, 0, 1, -11, "stop", False)
    ]


def test_simulate_breakeven_needs_the_close_and_counts_from_the_fill(es: Instrument) -> None:
    order = long(0, -10, None, breakeven_ticks=8)

    assert ends([(2, 4, -1, 3), (3, 9, 3, 7), (7, 7, -1, 2), flat(2)], [order], es) == [(0, 0, 3, 1, "close", False)]
    rows = [(2, 4, -1, 3), (3, 9, 3, 8), (7, 7, 0, 2), flat(2)]
    assert ends(rows, [order], es) == [(0, 0, 2, -1, "trailed_stop", False)]
    paid = long(0, -10, None, breakeven_ticks=8, type="stop")  # filled at 1: 8 is 7 beyond it
    assert ends([(-2, 4, -2, 3), (3, 9, 3, 8), (7, 7, 0, 2), flat(2)], [paid], es) == [(0, 1, 3, 1, "close", False)]


def test_simulate_breakeven_and_trail_together_take_the_higher(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), (3, 9, 3, 8), (8, 8, -20, -20)]

    def out(trail: int) -> tuple:
        return ends(rows, [long(0, -10, None, breakeven_ticks=8, trail_ticks=trail)], es)[0]

    assert out(6) == (0, 0, 2, 1, "trailed_stop", False)  # trail at 2
    assert out(9) == (0, 0, 2, -1, "trailed_stop", False)  # fill at 0, trail at −1


@pytest.mark.parametrize(
    ("percent", "closes", "left"),
    [
        (50, [20, 11, 10], 4),  # 9 of 20 given back is not half, 10 is
        (100, [20, 1, 0], 4),  # all of it
        (100, [20, 11, 1], None),
        (0.5, [20, 20, 19], 4),
        (33.3333, [3, 2, 2], 3),  # 1 of 3 is a little more
        (33.3334, [3, 2, 2], None),  # and a little less
    ],
)
def test_simulate_give_back_leaves_at_the_open_after_the_close_that_gave_it(
    percent: float, closes: list[int], left: int | None, es: Instrument
) -> None:
    rows = [(2, 4, -1, 3), *((c, c, c, c) for c in closes), (9, 9, 9, 9), (9, 9, 9, 9)]
    order = long(0, -10, None, give_back_percent=percent, give_back_from_ticks=3)

    expected = (0, 0, left, rows[left][0] - 1, "give_back", False) if left else (0, 0, 5, 8, "close", False)
    assert ends(rows, [order], es) == [expected]


def test_simulate_give_back_counts_only_from_its_ticks_on(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), flat(9), flat(0), flat(1)]

    order = long(0, -10, None, give_back_percent=50, give_back_from_ticks=10)
    assert ends(rows, [order], es) == [(0, 0, 3, 0, "close", False)]
    assert ends(rows, [{**order, "give_back_from_ticks": 9}], es) == [(0, 0, 3, 0, "give_back", False)]


def test_simulate_max_bars_of_one_leaves_at_the_next_open(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), (4, 30, -30, 3), flat(3)]

    assert ends(rows, [long(0, -10, 20, max_bars=1)], es) == [(0, 0, 1, 3, "time", False)]
    assert ends([(2, 4, -1, 3)], [long(0, -10, 20, max_bars=1)], es) == [(0, 0, 0, 2, "close", False)]


def test_simulate_at_an_open_stop_and_target_come_before_what_is_due(es: Instrument) -> None:
    order = long(0, -10, 20, max_bars=1)

    assert ends([(2, 4, -1, 3), flat(-10)], [order], es) == [(0, 0, 1, -11, "stop", False)]
    assert ends([(2, 4, -1, 3), flat(20)], [order], es) == [(0, 0, 1, 20, "target", False)]


def test_simulate_give_back_and_time_both_due_is_give_back(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), flat(10), flat(5), flat(5)]

    order = long(0, -10, None, give_back_percent=50, give_back_from_ticks=5, max_bars=3)
    assert ends(rows, [order], es) == [(0, 0, 3, 4, "give_back", False)]


def test_simulate_last_bar_of_the_session_closes_before_any_managed_exit(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), flat(10), (10, 10, 4, 4)]

    order = long(0, -10, None, give_back_percent=50, give_back_from_ticks=5, max_bars=3)
    assert ends(rows, [order], es) == [(0, 0, 2, 3, "close", False)]


def test_simulate_margin_call_comes_before_what_is_due(es: Instrument) -> None:
    # 10 % of 200,000 at 4,000 are 20,000; at −10 ticks the mark is 20,010 − 5 − 125, below the margin.
    rows = [(2, 4, -1, 3), flat(-9), flat(-8), flat(-8)]

    account = Account(20_010, margin_day={"2020-01-01": 20_000})
    assert ends(rows, [long(0, -10, None, max_bars=2)], es, account) == [(0, 0, 2, -9, "margin_call", False)]


def test_simulate_held_overnight_what_is_due_acts_at_the_next_session_s_open(es: Instrument) -> None:
    def bars(rows: Rows, day: str, start: str = "08:30") -> pd.DataFrame:
        return session_bars([tuple(BASE + tick for tick in row) for row in rows], day=day, start=start)

    market = days(
        bars([(2, 4, -1, 3), flat(10)], DAY),
        bars([(10, 90, -9, 50)], DAY, "15:00"),  # outside the hours: neither a bar nor a close of the position
        bars([(9, 9, 3, 9), flat(9), flat(9)], "2021-03-17"),
    )
    account = Account(1e7, hold_overnight=True)

    assert ends(market, [long(0, -10, None, trail_ticks=6)], es, account) == [(0, 0, 3, 3, "trailed_stop", False)]
    assert ends(market, [long(0, -10, None, max_bars=2)], es, account) == [(0, 0, 3, 8, "time", False)]
    assert ends(market, [long(0, -10, None, max_bars=3)], es, account) == [(0, 0, 4, 8, "time", False)]


def test_simulate_managed_and_plain_position_side_by_side_leave_as_each_would_alone(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), flat(10), (10, 10, 3, 4), (4, 4, -10, -10), flat(-10)]
    orders = [long(0, -10, 20), long(0, -10, 20, trail_ticks=6)]

    assert ends(rows, orders, es, Account(1e7, max_positions=2)) == [
        (0, 0, 3, -11, "stop", False),
        (0, 0, 2, 3, "trailed_stop", False),
    ]


# Mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "lmt"}, "type is lmt; give limit, stop or market"),
        ({"type": ["stop"]}, "type is ['stop']; give one word"),
        ({"group": ["a", "b"]}, "group is ['a', 'b']; give one word"),
        ({"type": "market"}, "entry is 4000.0 with type market; leave it empty"),
        ({"type": "market", "entry": None, "target": 3994.0}, "target is 3994.0 with stop 3995.0; it must be above"),
        ({"type": "stop", "entry": None}, "entry is empty; give a price"),
        ({"type": "stop", "stop": 4005.0}, "stop is 4005.0 with entry 4000.0; it must be below the entry of a long"),
        ({"type": "stop", "target": 3999.0}, "target is 3999.0 with entry 4000.0; it must be above the entry"),
        ({"type": "stop", "entry": 4000.1}, "entry is 4000.1; round it to ES's tick"),
        ({"target": 1e300}, "target is 1e+300; give a price"),
        ({"trail_ticks": -4}, "trail_ticks is -4.0; give a whole number of ticks, 1 or more"),
        ({"trail_ticks": 0}, "trail_ticks is 0.0; give a whole number of ticks, 1 or more"),
        ({"breakeven_ticks": 2.5}, "breakeven_ticks is 2.5; give a whole number of ticks"),
        ({"breakeven_ticks": "two"}, "breakeven_ticks is two; give a whole number of ticks"),
        ({"max_bars": 0.5}, "max_bars is 0.5; give a whole number of bars"),
        ({"max_bars": np.inf}, "max_bars is inf; give a whole number of bars"),
        ({"give_back_percent": 50}, "give_back_percent is 50.0 with give_back_from_ticks empty; give both"),
        ({"give_back_from_ticks": 5}, "give_back_from_ticks is 5.0 with give_back_percent empty; give both"),
        *(
            ({"give_back_percent": percent, "give_back_from_ticks": 5}, "; give a percentage from 0.0001 to 100")
            for percent in (0, -10, 0.00009, 100.5, np.inf, "half")
        ),
        ({"give_back_percent": 50, "give_back_from_ticks": -5}, "give_back_from_ticks is -5.0; give a whole number"),
        ({"live_from": "2021-03-16 09:00"}, "live_from is 2021-03-16 09:00; give a time with its zone"),
        (
            {"live_from": pd.Timestamp("2021-03-16 09:00")},
            "live_from is 2021-03-16 09:00:00; give a time with its zone",
        ),
        ({"live_until": "9999-12-31 00:00Z"}, "live_until is 9999-12-31 00:00Z; give a time with its zone"),
        ({"live_from": ["2021-03-16 09:00Z"]}, "live_from is ['2021-03-16 09:00Z']; give"),
        ({"session": "9999-12-31"}, "session is 9999-12-31; give the trade date"),
        ({"live_until": "soon"}, "live_until is soon; give a time with its zone"),
        ({"live_until": 1615900000}, "live_until is 1615900000"),
        ({"live_from": "2021-03-17 09:00-05:00"}, "; give a time within its session"),
        ({"live_until": "2021-03-15 09:00-05:00"}, "; give a time within its session"),
        (
            {"live_from": "2021-03-16 10:00-05:00", "live_until": "2021-03-16 10:00-05:00"},
            "live_until is 2021-03-16 10:00-05:00 with live_from 2021-03-16 10:00-05:00; it must come after that",
        ),
        ({"session": "2021-03-20", "live_from": "2021-03-20 10:00-05:00"}, "ES has no session of that date"),
    ],
)
def test_simulate_impossible_order_is_refused_with_row_and_column(change: dict, message: str, es: Instrument) -> None:
    good = {"session": DAY, "side": 1, "entry": 4000.0, "stop": 3995.0, "target": 4010.0}
    orders = pd.DataFrame([good, {**good, **change}], index=["first", "second"])

    with pytest.raises(DataError) as caught:
        simulate(session_bars([flat(BASE)]), orders, es, Account())

    assert str(caught.value).startswith("orders row second: ")
    assert message in str(caught.value)


def test_simulate_group_over_two_sessions_is_refused(es: Instrument) -> None:
    good = {"session": DAY, "side": 1, "entry": 4000.0, "stop": 3995.0, "target": 4010.0, "group": "a"}

    with pytest.raises(DataError, match=r"row 1: group is a with session 2021-03-17; a group lives in one session"):
        simulate(session_bars([flat(BASE)]), pd.DataFrame([good, {**good, "session": "2021-03-17"}]), es, Account())


def test_simulate_column_there_twice_is_refused(es: Instrument) -> None:
    good = {"session": DAY, "side": 1, "entry": 4000.0, "stop": 3995.0, "target": 4010.0, "trail_ticks": 4}
    orders = pd.DataFrame([good])

    with pytest.raises(DataError, match="orders have two columns trail_ticks"):
        simulate(session_bars([flat(BASE)]), pd.concat([orders, orders[["trail_ticks"]]], axis=1), es, Account())


def test_simulate_empty_columns_mean_plain_brackets(es: Instrument) -> None:
    rows = [(2, 4, -1, 3), flat(10), (10, 21, 10, 12)]
    empty = dict.fromkeys(
        ("type", "live_from", "live_until", "group", "trail_ticks", "breakeven_ticks", "max_bars"), None
    )

    assert ends(rows, [long(0, -10, 20, **empty)], es) == ends(rows, [long(0, -10, 20)], es)
    assert ends(rows, [long(0, -10, 20, type="", group="")], es) == [(0, 0, 2, 20, "target", False)]


def test_simulate_orders_of_one_kind_need_only_their_columns(es: Instrument) -> None:
    bars = session_bars([flat(BASE), flat(BASE + 4)])
    market = pd.DataFrame([{"session": DAY, "side": 1, "type": "market", "stop": 3995.0, "quantity": 1}])
    no_target = pd.DataFrame([{"session": DAY, "side": 1, "entry": 4000.0, "stop": 3995.0, "quantity": 1}])

    assert simulate(bars, market, es, Account()).trades["exit_price"].tolist() == [4000.75]
    assert simulate(bars, no_target, es, Account()).trades["exit_reason"].tolist() == ["close"]
    with pytest.raises(DataError, match="orders have no column entry"):
        simulate(bars, market.assign(type="stop"), es, Account())


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", None])
def test_simulate_windows_of_any_zone_are_the_same_instants(zone: str | None, es: Instrument) -> None:
    rows = [(5, 5, -1, 5), (5, 5, -2, 5), flat(5)]
    moments = pd.Series([clock("08:35"), clock("08:40")])
    moments = moments.dt.tz_convert(zone) if zone else moments.astype(str)
    orders = [long(0, -10, 20, live_from=moment) for moment in moments]

    assert ends(rows, orders, es, Account(1e7, max_positions=2)) == [(1, 0, 2, 4, "close", False), ("not_reached", "")]
