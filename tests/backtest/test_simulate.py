"""Hand-computed backtests: money, size, margin, and every way an order ends."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, load_instruments
from tests.backtest.frames import BASE, TICK, book, days, order, session_bars

B = BASE  # 4,000 points; one contract is worth $200,000
QUIET = (B + 8, B + 8, B + 8, B + 8)
DIP = (B + 8, B + 9, B - 1, B + 2)  # fills a long at B inside the bar


def flat(ticks: int) -> tuple[int, int, int, int]:
    return (ticks, ticks, ticks, ticks)


def ends(result: BacktestResult) -> list[tuple[str, str]]:
    return list(zip(result.orders["status"], result.orders["reason"], strict=True))


# Money


def test_simulate_ten_points_on_two_contracts_earns_fifty_dollars_a_point(es: Instrument) -> None:
    bars = session_bars([QUIET, DIP, (B + 2, B + 41, B + 1, B + 40), flat(B + 40)])

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=2)), es, Account())

    trade = result.trades.iloc[0]
    assert (trade["entry_price"], trade["exit_price"], trade["exit_reason"]) == (4000.0, 4010.0, "target")
    assert trade["commission"] == 20.0
    assert trade["pnl"] == 2 * 10 * 50 - 20
    assert trade["r_multiple"] == 980 / (5 * 50 * 2)
    assert trade["bars_held"] == 2
    assert trade["order"] == 0
    assert trade["session"] == pd.Timestamp("2021-03-16")
    assert (trade["entry_time"], trade["exit_time"]) == (bars["timestamp"][1], bars["timestamp"][2])
    # Marked at each close: the entry's commission and half a point on the bar of entry.
    assert result.equity.tolist() == [100_000, 100_000 - 10 + 0.5 * 50 * 2, 100_980, 100_980]
    assert result.equity.index.equals(pd.DatetimeIndex(bars["timestamp"], name="timestamp"))
    assert ends(result) == [("closed", "")]


def test_simulate_short_pays_slippage_on_its_stop(es: Instrument) -> None:
    bars = session_bars([flat(B - 8), (B - 8, B + 1, B - 8, B), (B, B + 20, B, B + 10), flat(B)])

    result = simulate(bars, book(order(-1, B, B + 20, B - 40, quantity=1)), es, Account(slippage_ticks=2))

    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", 4005.5)
    assert trade["pnl"] == -5.5 * 50 - 10


def test_simulate_commission_rate_is_charged_on_the_notional_of_each_side() -> None:
    btc = load_instruments()["BTCUSDT"]
    bars = pd.DataFrame(
        {
            "timestamp": pd.date_range("2021-04-20", periods=3, freq="1min", tz="UTC"),
            "open": [50_100.0, 50_100.0, 50_000.0],
            "high": [50_100.0, 50_100.0, 51_000.01],
            "low": [50_100.0, 49_999.99, 50_000.0],
            "close": [50_100.0, 50_000.0, 50_900.0],
        }
    )
    orders = pd.DataFrame(
        {"session": ["2021-04-20"], "side": 1, "entry": 50_000.0, "stop": 49_500.0, "target": 51_000.0, "quantity": 10}
    )

    trade = simulate(bars, orders, btc, Account.for_instrument(btc)).trades.iloc[0]

    assert trade["commission"] == pytest.approx(0.001 * 0.01 * 10 * (50_000 + 51_000))
    assert trade["pnl"] == pytest.approx(1_000 * 0.01 * 10 - 10.1)


def test_simulate_gap_past_the_stop_never_becomes_a_profitable_stop(es: Instrument) -> None:
    # The trap: filled at 3,994.50 and "stopped" at 3,995.00 this would earn on every gap.
    bars = session_bars([(B - 22, B - 10, B - 24, B - 12), flat(B)])

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account())

    assert ends(result) == [("gapped_past_stop", "gapped_past_stop")]
    assert len(result.trades) == 0


# Size


@pytest.mark.parametrize(
    ("account", "quantity"),
    [
        (Account(), 3),  # floor(1,000 / (5 × 50 + 10))
        (Account(risk_per_trade=0.02, margin_day=0.05), 7),
        (Account(risk_per_trade=0.02, max_contracts=4), 4),
        (Account(risk_per_trade=0.20), 5),  # 100,000 / (10 % of 200,000)
        (Account(risk_per_trade=0.20, hold_overnight=True), 3),  # 15 %
        (Account(risk_per_trade=0.20, margin_day={"2020-01-01": 7_000, "2021-03-16": 12_000}), 8),
        (Account(risk_per_trade=0.20, margin_day={"2020-01-01": 7_000, "2021-03-17": 12_000}), 14),
        (Account(risk_per_trade=0.20, hold_overnight=True, margin_overnight={"2020-01-01": 24_000}), 4),
        (Account(volatility_target=0.20), 1),  # half the risk at twice the volatility
    ],
)
def test_simulate_size_follows_risk_margin_and_cap(account: Account, quantity: int, es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 2)])

    result = simulate(bars, book(order(1, B, B - 20, B + 40, volatility=0.40)), es, account)

    assert result.trades["quantity"].tolist() == [quantity]


def test_simulate_size_uses_equity_after_the_trades_before(es: Instrument) -> None:
    # 25 contracts lose 5.25 points and commission: 100,000 − 25 × 272.50 = 93,187.50; then 20 % of that over 260.
    account = Account(risk_per_trade=0.2, margin_day={"2021-01-01": 500})
    bars = days(session_bars([DIP, (B, B, B - 20, B - 20)]), session_bars([DIP, flat(B + 2)], day="2021-03-17"))
    orders = book(
        order(1, B, B - 20, B + 40, quantity=25), order(1, B, B - 20, B + 40, day="2021-03-17", quantity=None)
    )

    result = simulate(bars, orders, es, account)

    assert result.equity.iloc[1] == 93_187.5
    assert result.trades["quantity"].tolist() == [25, 71]


def test_simulate_size_counts_what_an_open_position_has_won_so_far(es: Instrument) -> None:
    # 100,000 − 20 + 4 × 250 × 12.50 = 112,480 at the close before; 1 % of it over 260 is 4, of the cash alone 3.
    bars = session_bars([DIP, flat(B + 250), (B + 250, B + 262, B + 250, B + 255), flat(B + 255)])
    orders = book(order(1, B, B - 20, B + 400, quantity=4), order(-1, B + 260, B + 280, B, quantity=None))

    result = simulate(bars, orders, es, Account(max_positions=2, margin_day=0.01))

    assert result.equity.iloc[1] == 112_480
    assert result.trades["quantity"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("account", "extra", "reason"),
    [
        (Account(risk_per_trade=0.001), {}, "risk_below_one_contract"),
        (Account(15_000, 0.1), {}, "margin_below_one_contract"),
        (Account(), {"quantity": 6}, "margin_below_quantity"),
        (Account(30_000, hold_overnight=True, margin_overnight=0.2), {"quantity": 1}, "margin_below_quantity"),
    ],
)
def test_simulate_size_zero_skips_the_order_with_its_reason(
    account: Account, extra: dict, reason: str, es: Instrument
) -> None:
    bars = session_bars([QUIET, DIP, flat(B + 2)])

    result = simulate(bars, book(order(1, B, B - 20, B + 40, **extra)), es, account)

    assert ends(result) == [("skipped", reason)]
    assert result.equity.eq(account.initial_capital).all()


def test_simulate_skipped_order_leaves_the_slot_to_the_next(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 2)])
    orders = book(order(1, B, B - 20, B + 40, quantity=6), order(1, B, B - 20, B + 40, quantity=5))

    assert ends(simulate(bars, orders, es, Account())) == [("skipped", "margin_below_quantity"), ("closed", "")]


def test_simulate_fixed_quantity_is_not_capped_by_max_contracts(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 2)])

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=4)), es, Account(max_contracts=1))

    assert result.trades["quantity"].tolist() == [4]


def test_simulate_margin_of_an_open_position_is_not_free(es: Instrument) -> None:
    bars = session_bars([DIP, (B + 2, B + 2, B - 5, B), flat(B + 2)])
    orders = book(order(1, B, B - 20, B + 40, quantity=4), order(1, B - 4, B - 24, B + 40, quantity=2))

    assert ends(simulate(bars, orders, es, Account(max_positions=2))) == [
        ("closed", ""),
        ("skipped", "margin_below_quantity"),
    ]
    assert ends(simulate(bars, orders, es, Account(200_000, max_positions=2))) == [("closed", "")] * 2


def test_simulate_margin_table_that_starts_too_late_is_refused(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 2)])
    orders = book(order(1, B, B - 20, B + 40))

    with pytest.raises(ConfigurationError, match="margin_day is a table that starts on 2021-04-01, after session 2021"):
        simulate(bars, orders, es, Account(margin_day={"2021-04-01": 9_000}))
    # Never held overnight, never asked for.
    assert len(simulate(bars, orders, es, Account(margin_overnight={"2021-04-01": 9_000})).trades) == 1


# One position, several orders


def test_simulate_order_reached_while_the_slot_is_taken_is_skipped(es: Instrument) -> None:
    bars = session_bars([DIP, (B + 2, B + 11, B + 2, B + 5), flat(B + 5)])
    orders = book(order(-1, B + 10, B + 30, B - 30, quantity=1), order(1, B, B - 20, B + 40, quantity=1))

    result = simulate(bars, orders, es, Account())

    assert ends(result) == [("skipped", "position_open"), ("closed", "")]
    assert result.trades["order"].tolist() == [1]


def test_simulate_order_waiting_behind_a_position_fills_once_the_slot_is_free(es: Instrument) -> None:
    bars = session_bars([DIP, (B, B, B - 21, B - 21), (B + 10, B + 12, B + 9, B + 11), flat(B + 11)])
    orders = book(order(1, B, B - 20, B + 40, quantity=1), order(-1, B + 10, B + 30, B - 30, quantity=1))

    result = simulate(bars, orders, es, Account())

    assert result.trades["exit_reason"].tolist() == ["stop", "close"]
    assert result.trades["entry_price"].tolist() == [4000.0, 4002.5]
    assert result.trades["entry_time"].tolist()[1] == bars["timestamp"][2]


def test_simulate_bar_of_an_exit_lets_nothing_in(es: Instrument) -> None:
    bars = session_bars([DIP, (B - 21, B + 15, B - 21, B), flat(B)])
    orders = book(order(1, B, B - 20, B + 40, quantity=1), order(-1, B + 10, B + 30, B - 30, quantity=1))

    result = simulate(bars, orders, es, Account())

    assert ends(result) == [("closed", ""), ("skipped", "position_open")]


def test_simulate_gap_while_the_slot_is_taken_cancels_nothing(es: Instrument) -> None:
    bars = session_bars(
        [DIP, (B + 35, B + 36, B + 34, B + 35), (B + 35, B + 41, B + 20, B + 20), flat(B + 5), flat(B + 11)]
    )
    orders = book(order(1, B, B - 20, B + 40, quantity=1), order(-1, B + 10, B + 30, B - 30, quantity=1))

    result = simulate(bars, orders, es, Account())

    assert ends(result) == [("closed", ""), ("closed", "")]
    assert result.trades["entry_time"].tolist()[1] == bars["timestamp"][4]


def test_simulate_both_sides_reached_in_one_bar_takes_the_long(es: Instrument) -> None:
    bars = session_bars([(B + 5, B + 11, B - 1, B + 5), flat(B + 5)])
    orders = book(order(-1, B + 10, B + 30, B - 30, quantity=1), order(1, B, B - 20, B + 40, quantity=1))

    result = simulate(bars, orders, es, Account())

    assert result.trades["side"].tolist() == [1]
    assert simulate(bars, orders, es, Account(max_positions=2)).trades["order"].tolist() == [1, 0]


# Sessions


def test_simulate_cutoff_lets_nothing_in_from_that_time_on(es: Instrument) -> None:
    bars = session_bars([QUIET, QUIET, DIP, flat(B + 2)])
    orders = book(order(1, B, B - 20, B + 40, quantity=1))

    assert ends(simulate(bars, orders, es, Account(entry_cutoff="08:40"))) == [("not_reached", "")]
    assert ends(simulate(bars, orders, es, Account(entry_cutoff=dt.time(8, 41)))) == [("closed", "")]


def test_simulate_cutoff_in_the_evening_counts_where_the_whole_trade_date_is_traded(es: Instrument) -> None:
    evening = session_bars([QUIET, DIP, flat(B + 2)], day="2021-03-15", start="17:00")
    orders = book(order(1, B, B - 20, B + 40, quantity=1))

    for cutoff, end in (("17:05", "not_reached"), ("17:10", "closed"), ("14:00", "closed")):
        result = simulate(evening, orders, es, Account(entry_cutoff=cutoff), hours="eth")
        assert ends(result) == [(end, "")]


def test_simulate_early_close_closes_on_its_last_bar(es: Instrument) -> None:
    # The Friday after Thanksgiving: regular hours end at a quarter past noon.
    bars = session_bars([DIP, flat(B + 4), flat(B + 6), flat(B - 30)], day="2020-11-27", start="12:00")

    trade = simulate(bars, book(order(1, B, B - 20, B + 40, "2020-11-27", quantity=1)), es, Account()).trades.iloc[0]

    assert (trade["exit_reason"], trade["exit_price"]) == ("close", (B + 6 - 1) * TICK)
    assert trade["exit_time"] == bars["timestamp"][2]


def test_simulate_regular_hours_ignore_what_trades_outside_them(es: Instrument) -> None:
    night = session_bars([(B, B + 50, B - 50, B)], start="08:20")
    after = session_bars([(B, B + 50, B - 50, B)], start="15:00")
    bars = days(night, session_bars([QUIET, QUIET]), after)

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account())

    assert ends(result) == [("not_reached", "")]
    assert len(result.equity) == 4


def test_simulate_session_without_bars_cancels_its_order(es: Instrument) -> None:
    bars = days(session_bars([QUIET]), session_bars([QUIET], day="2021-03-17", start="03:00"))
    saturday = order(1, B, B - 20, B + 40, "2021-03-20")
    only_night = order(1, B, B - 20, B + 40, "2021-03-17")

    assert ends(simulate(bars, book(saturday, only_night), es, Account())) == [("cancelled", "no_bars")] * 2
    assert ends(simulate(bars, book(saturday, only_night), es, Account(), hours="eth")) == [
        ("cancelled", "no_bars"),
        ("not_reached", ""),
    ]


def test_simulate_held_overnight_is_marked_outside_the_hours_and_stopped_at_the_next_open(es: Instrument) -> None:
    bars = days(
        session_bars([DIP, flat(B + 4)]),
        session_bars([(B, B, B - 60, B - 12)], start="17:00"),  # beyond the stop, but not in the hours
        session_bars([(B - 25, B - 20, B - 30, B - 22), flat(B)], day="2021-03-17"),
    )
    account = Account(hold_overnight=True)

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, account)

    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", (B - 26) * TICK)
    assert result.equity.tolist() == [
        100_000 - 5 + 2 * 12.5,
        100_000 - 5 + 4 * 12.5,
        100_000 - 5 - 12 * 12.5,
        100_000 - 10 - 26 * 12.5,
        100_000 - 10 - 26 * 12.5,
    ]
    assert trade["bars_held"] == 4
    # The evening bar of 17:00 belongs to the trade date of the 17th.
    expected = [50 - 5, -26 * 12.5 - 10 - (50 - 5)]
    assert (result.session_equity.diff().fillna(result.session_equity.iloc[0] - 100_000)).tolist() == expected


def test_simulate_held_overnight_meets_its_target_in_a_later_session(es: Instrument) -> None:
    bars = days(
        session_bars([DIP]),
        session_bars([flat(B + 4)], day="2021-03-17"),
        session_bars([flat(B + 44), flat(B)], day="2021-03-18"),
    )

    trade = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account(hold_overnight=True)).trades.iloc[
        0
    ]

    assert (trade["exit_reason"], trade["exit_price"]) == ("target", (B + 44) * TICK)
    assert trade["session"] == pd.Timestamp("2021-03-16")


def test_simulate_held_position_is_closed_at_the_last_bar_of_the_data(es: Instrument) -> None:
    bars = days(session_bars([DIP]), session_bars([flat(B + 4)], day="2021-03-17"))

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account(hold_overnight=True))

    assert result.trades["exit_reason"].tolist() == ["close"]
    assert result.equity.iloc[-1] == 100_000 + 3 * 12.5 - 10


# Contracts


def test_simulate_held_position_is_closed_before_the_roll(es: Instrument) -> None:
    bars = days(
        session_bars([DIP, flat(B + 4)], contract="ESH21"),
        session_bars([flat(B + 400)], day="2021-03-17", start="03:00", contract="ESM21"),
        session_bars([flat(B + 404)], day="2021-03-17", contract="ESM21"),
    )

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account(hold_overnight=True))

    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"], trade["contract"]) == ("close", (B + 3) * TICK, "ESH21")
    assert result.equity.iloc[-1] == 100_000 + 3 * 12.5 - 10


def test_simulate_order_for_the_expired_contract_is_cancelled(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 4)], contract="ESM21")
    old, new, any_ = (order(1, B, B - 20, B + 40, contract=name) for name in ("ESH21", "ESM21", None))

    assert ends(simulate(bars, book(old), es, Account())) == [("cancelled", "contract_rolled")]
    assert ends(simulate(bars, book(new), es, Account())) == [("closed", "")]
    assert ends(simulate(bars, book(any_), es, Account())) == [("closed", "")]
    assert ends(simulate(bars.drop(columns="contract"), book(old), es, Account())) == [("closed", "")]


def test_simulate_contracts_written_as_numbers_meet_the_orders(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 4)]).assign(contract=202403)
    orders = [order(1, B, B - 20, B + 40, contract=name) for name in (202403, None, "202403", 202406)]

    named = [ends(simulate(bars, book(each), es, Account()))[0] for each in orders]
    beside_an_empty_cell = simulate(bars, book(*orders[:2]), es, Account(max_positions=2))

    assert named == [("closed", ""), ("closed", ""), ("closed", ""), ("cancelled", "contract_rolled")]
    assert ends(beside_an_empty_cell) == [("closed", ""), ("closed", "")]


def test_simulate_session_of_two_contracts_trades_only_the_orders_own(es: Instrument) -> None:
    bars = days(
        session_bars([QUIET, DIP, flat(B + 4)], contract="ESH21"),
        session_bars([(B + 408, B + 409, B - 1, B + 402), flat(B + 402)], start="08:45", contract="ESM21"),
    )
    unnamed = order(1, B, B - 20, B + 40, quantity=1)
    later = order(1, B, B - 20, B + 40, quantity=1, contract="ESM21")

    result = simulate(bars, book(unnamed, later), es, Account())

    assert result.trades["contract"].tolist() == ["ESH21", "ESM21"]
    assert result.trades["exit_time"].tolist() == [bars["timestamp"][2], bars["timestamp"][3]]  # it closed far beyond
    # Without a contract an order is meant for the one the session opens with.
    missed = session_bars([QUIET, QUIET, QUIET], contract="ESH21")
    assert ends(simulate(days(missed, bars.iloc[3:]), book(unnamed), es, Account())) == [("not_reached", "")]


# Margin calls


def test_simulate_equity_below_maintenance_margin_is_liquidated_at_the_next_open(es: Instrument) -> None:
    # Opened on $20,000 of margin; at 3,975 equity is 21,000 − 5 − 1,250 = 19,745, under 10 % of 198,750.
    bars = session_bars([DIP, flat(B - 100), flat(B - 104), flat(B)])

    result = simulate(bars, book(order(1, B, B - 200, B + 400, quantity=1)), es, Account(21_000))

    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"]) == ("margin_call", (B - 105) * TICK)
    assert trade["exit_time"] == bars["timestamp"][2]
    assert ends(result) == [("closed", "")]
    assert result.equity.tolist() == [21_000 - 5 + 25, 19_745, 21_000 - 10 - 105 * 12.5, 21_000 - 10 - 105 * 12.5]


def test_simulate_equity_at_maintenance_margin_stays(es: Instrument) -> None:
    # At 3,975 the margin is 19,875; 19,875 + 1,250 + 5 is exactly enough.
    bars = session_bars([DIP, flat(B - 100), flat(B - 100)])

    result = simulate(bars, book(order(1, B, B - 200, B + 400, quantity=1)), es, Account(21_130))

    assert result.trades["exit_reason"].tolist() == ["close"]


def test_simulate_overnight_margin_is_asked_of_a_position_carried(es: Instrument) -> None:
    bars = days(session_bars([DIP, flat(B)]), session_bars([flat(B + 8), flat(B + 8)], day="2021-03-17"))
    orders = book(order(1, B, B - 200, B + 400, quantity=1))

    # 15 % of 200,000 is 30,000, and the commission has already gone.
    called = simulate(bars, orders, es, Account(30_000, hold_overnight=True))
    kept = simulate(bars, orders, es, Account(30_005, hold_overnight=True))

    assert called.trades["exit_reason"].tolist() == ["margin_call"]
    assert called.trades["exit_price"].tolist() == [(B + 7) * TICK]
    assert kept.trades["exit_reason"].tolist() == ["close"]


def test_simulate_dated_margin_rises_under_an_open_position(es: Instrument) -> None:
    bars = days(session_bars([DIP, flat(B)]), session_bars([flat(B), flat(B + 8)], day="2021-03-17"))
    table = {"2021-01-01": 12_000, "2021-03-17": 25_000}

    result = simulate(
        bars,
        book(order(1, B, B - 200, B + 400, quantity=1)),
        es,
        Account(20_000, hold_overnight=True, margin_day=table, margin_overnight={"2021-01-01": 12_000}),
    )

    assert result.trades["exit_reason"].tolist() == ["margin_call"]
    assert result.trades["exit_time"].tolist() == [bars["timestamp"][3]]


def test_simulate_overnight_margin_is_asked_outside_the_hours_too(es: Instrument) -> None:
    # Carried with 30,020 against 30,000; in the evening 100 points up a short has 25,020 against 30,750.
    bars = days(
        session_bars([(B - 8, B + 1, B - 9, B), flat(B)]),
        session_bars([flat(B + 80), flat(B)], start="17:00"),
        session_bars([flat(B), flat(B)], day="2021-03-17"),
    )
    account = Account(30_025, hold_overnight=True)

    result = simulate(bars, book(order(-1, B, B + 200, B - 400, quantity=1)), es, account)

    assert result.trades["exit_reason"].tolist() == ["margin_call"]
    assert result.trades["exit_time"].tolist() == [bars["timestamp"][4]]


def test_simulate_margin_call_ends_with_the_position_it_was_made_for(es: Instrument) -> None:
    bars = session_bars(
        [DIP, flat(B - 100), flat(B - 104), (B - 398, B - 397, B - 401, B - 400), flat(B - 396), flat(B)]
    )
    orders = book(order(1, B, B - 200, B + 400, quantity=1), order(1, B - 400, B - 600, B + 400, quantity=1))

    result = simulate(bars, orders, es, Account(21_000))

    assert result.trades["exit_reason"].tolist() == ["margin_call", "close"]


def test_simulate_position_already_flat_gets_no_margin_call(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B - 100), flat(B - 104)])

    result = simulate(bars.iloc[:2], book(order(1, B, B - 200, B + 400, quantity=1)), es, Account(21_000))

    assert result.trades["exit_reason"].tolist() == ["close"]


# The result


def test_simulate_daily_returns_have_every_session_idle_ones_too(es: Instrument) -> None:
    bars = days(
        session_bars([QUIET], day="2021-03-15"),
        session_bars([DIP, (B + 2, B + 41, B + 1, B + 40)], day="2021-03-16"),
        session_bars([QUIET], day="2021-03-17", start="03:00"),
    )

    returns = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=2)), es, Account()).daily_returns

    assert returns.index.tolist() == [pd.Timestamp(f"2021-03-{day}") for day in (15, 16, 17)]
    np.testing.assert_allclose(returns, [0, 0.0098, 0], rtol=1e-12)


def test_simulate_ruined_account_returns_nothing_more(es: Instrument) -> None:
    bars = days(session_bars([DIP, (B - 2000, B - 2000, B - 2000, B - 2000)]), session_bars([QUIET], day="2021-03-17"))

    result = simulate(bars, book(order(1, B, B - 20, B + 40, quantity=1)), es, Account(21_000))

    assert result.equity.iloc[-1] < 0
    assert result.daily_returns.iloc[0] < -1
    assert result.daily_returns.iloc[1] == 0


def test_simulate_inputs_are_left_as_they_were_and_labels_kept(es: Instrument) -> None:
    bars = session_bars([DIP, flat(B + 2)])
    orders = pd.DataFrame([order(-1, B + 20, B + 40, B), order(1, B, B - 20, B + 40)], index=["short", "long"])
    before = bars.copy(deep=True), orders.copy(deep=True)

    result = simulate(bars, orders, es, Account())

    pd.testing.assert_frame_equal(bars, before[0])
    pd.testing.assert_frame_equal(orders, before[1])
    assert result.orders.index.tolist() == ["short", "long"]
    assert result.trades["order"].tolist() == ["long"]
    pd.testing.assert_frame_equal(result.orders[list(orders.columns)], orders)


def test_simulate_foreign_frame_gives_the_same_result(es: Instrument) -> None:
    bars = session_bars([DIP, (B + 2, B + 41, B + 1, B + 40), flat(B + 40)])
    orders = book(order(1, B, B - 20, B + 40))
    foreign = bars.set_index(bars["timestamp"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ms")).drop(columns="timestamp")
    foreign = foreign[["volume", "close", "low", "high", "open"]].astype({"volume": "int64"})

    expected, found = simulate(bars, orders, es, Account()), simulate(foreign, orders, es, Account())

    pd.testing.assert_frame_equal(found.trades, expected.trades)
    pd.testing.assert_series_equal(found.equity, expected.equity)


def test_simulate_prices_off_the_tick_are_snapped_and_counted(es: Instrument, caplog: pytest.LogCaptureFixture) -> None:
    bars = session_bars([DIP, flat(B + 2)])
    bars.loc[0, "low"] += 0.05

    result = simulate(bars, book(order(1, B, B - 20, B + 40)), es, Account())

    assert result.off_tick_bars == 1
    assert "1 of 2 bars have prices off ES's tick" in caplog.text
    assert ends(result) == [("closed", "")]


# Finer bars


@pytest.mark.parametrize(
    ("minutes", "reason", "price", "ambiguous"),
    [
        ([(0, 41, 0, 38), (38, 38, -25, -20)], "target", B + 40, False),
        ([(0, 10, -20, -5), (-5, 41, -5, 30)], "stop", B - 21, False),
        ([(0, 41, -20, 0)], "stop", B - 21, True),  # both within one minute
        ([(0, 5, -5, 0), (-24, -20, -25, -22)], "stop", B - 25, False),  # a gap between two minutes
        ([(0, 5, -5, 0)], "stop", B - 21, True),  # the minutes don't show what the bar did
        ([], "stop", B - 21, True),
    ],
)
def test_simulate_ambiguous_bar_is_decided_on_intrabar_bars(
    minutes: list, reason: str, price: int, ambiguous: bool, es: Instrument
) -> None:
    bars = session_bars([DIP, (B, B + 41, B - 25, B), flat(B), flat(B)])
    finer = session_bars([tuple(B + tick for tick in row) for row in minutes], start="08:35")
    finer["timestamp"] = bars["timestamp"][1] + pd.to_timedelta(np.arange(len(finer)), unit="min")
    orders = book(order(1, B, B - 20, B + 40, quantity=1))

    trade = simulate(bars, orders, es, Account(), intrabar_bars=finer).trades.iloc[0]

    assert (trade["exit_reason"], trade["exit_price"], trade["ambiguous"]) == (reason, price * TICK, ambiguous)
    assert simulate(bars, orders, es, Account()).trades["ambiguous"].tolist() == [True]


def test_simulate_bar_of_a_session_of_longer_bars_is_decided_on_all_its_intrabar_bars(es: Instrument) -> None:
    short = days(*(session_bars([flat(B + 2)] * 78, day=day) for day in ("2021-03-11", "2021-03-12")))
    long = session_bars([DIP, (B, B + 41, B - 25, B), *[flat(B)] * 11])
    long["timestamp"] = long["timestamp"].iloc[0] + 6 * (long["timestamp"] - long["timestamp"].iloc[0])
    finer = session_bars([(B, B + 5, B - 5, B), (B, B + 41, B, B + 38)])
    finer["timestamp"] = long["timestamp"].iloc[1] + pd.to_timedelta([10, 20], unit="min")
    orders = book(order(1, B, B - 20, B + 40, quantity=1))

    trade = simulate(days(short, long), orders, es, Account(), intrabar_bars=finer).trades.iloc[0]

    assert (trade["exit_reason"], trade["ambiguous"]) == ("target", False)


def test_simulate_intrabar_bars_of_a_short_and_of_another_contract(es: Instrument) -> None:
    bars = session_bars([(B, B + 25, B - 41, B), flat(B), flat(B)], contract="ESH21")
    finer = session_bars([(B, B + 5, B - 41, B - 40), (B, B + 25, B, B)], contract="ESH21")
    finer["timestamp"] = bars["timestamp"][0] + pd.to_timedelta([0, 1], unit="min")
    orders = book(order(-1, B, B + 20, B - 40, quantity=1))

    own = simulate(bars, orders, es, Account(), intrabar_bars=finer).trades
    other = simulate(bars, orders, es, Account(), intrabar_bars=finer.assign(contract="ESM21")).trades

    assert (own["exit_reason"][0], own["exit_price"][0], own["ambiguous"][0]) == ("target", (B - 40) * TICK, False)
    assert (other["exit_reason"][0], other["ambiguous"][0]) == ("stop", True)
