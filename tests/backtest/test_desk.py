"""Hand-computed desks: what books share, in what order things happen, and every limit."""

import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, DeskResult, simulate_desk
from pipeline.market import Instrument, load_instruments
from pipeline.performance.desk_use import margin_use
from pipeline.performance.portfolio import contribution
from tests.backtest.frames import BASE, book, days, order, session_bars

B = BASE  # 4,000 points
QUIET = (B + 8, B + 8, B + 8, B + 8)
DIP = (B + 8, B + 9, B - 1, B + 2)  # fills a long at B inside the bar
STAY = (B + 2, B + 2, B + 2, B + 2)
UP = (B + 2, B + 41, B + 1, B + 40)  # reaches a target of B + 40
LONG = order(1, B, B - 20, B + 40, quantity=1)
NONE = book(LONG).iloc[:0]
INSTRUMENTS = load_instruments()
MES, NQ, SPY = INSTRUMENTS["MES"], INSTRUMENTS["NQ"], INSTRUMENTS["SPY"]
FREE = {"margin_day": 0.001, "margin_overnight": 0.001}


def ends(result: DeskResult) -> list[tuple[str, str, str]]:
    columns = (result.orders[name] for name in ("book", "status", "reason"))
    return list(zip(*columns, strict=True))


def bars_of(rows: list[tuple[int, int, int, int]], minutes: int) -> pd.DataFrame:
    frame = session_bars(rows)
    return frame.assign(timestamp=pd.date_range(frame["timestamp"][0], periods=len(rows), freq=f"{minutes}min"))


# One account


def test_simulate_desk_two_symbols_share_one_equity_to_which_each_adds_its_own(es: Instrument) -> None:
    bars = session_bars([DIP, UP, QUIET])
    big, small = book(LONG), book({**LONG, "quantity": 10})

    result = simulate_desk([BookOrders("big", es, bars, big), BookOrders("small", MES, bars, small)], Desk())

    assert result.trades[["book", "symbol", "quantity", "pnl"]].to_numpy().tolist() == [
        ["big", "ES", 1, 40 * 12.5 - 10],
        ["small", "MES", 10, 40 * 1.25 * 10 - 100],
    ]
    marked = 100_000 - 5 + 2 * 12.5 - 50 + 2 * 1.25 * 10  # at the close of the bar of entry
    assert result.equity.tolist() == [marked, 100_890, 100_890]
    assert result.margin.tolist() == [0.1 * 4_000.5 * 50 + 0.1 * 4_000.5 * 5 * 10, 0, 0]
    assert result.session_equity.tolist() == [100_890]
    assert result.daily_pnl.to_numpy().tolist() == [[490, 400]]
    assert result.daily_returns.tolist() == [pytest.approx(0.0089)]
    assert contribution(result)["pnl"].tolist() == [490, 400]
    assert contribution(result)["commission"].tolist() == [10, 100]
    assert margin_use(result)["most"] == pytest.approx(40_005 / marked)
    assert margin_use(result)["held_share"] == pytest.approx(1 / 3)


def test_simulate_desk_size_follows_the_equity_that_another_book_has_made(es: Instrument) -> None:
    # 100,000 × 1 % / 60 is 16; with the 24,500 that the other book earned on the day before, 20.
    rule = order(1, B, B - 4, B + 40, day="2021-03-17")
    second = BookOrders("b", es, session_bars([DIP, STAY], day="2021-03-17"), book(rule))
    earns = BookOrders("a", es, session_bars([DIP, UP]), book({**LONG, "quantity": 50}))

    alone = simulate_desk([second], Desk(**FREE))
    together = simulate_desk([second, earns], Desk(**FREE))

    assert alone.trades["quantity"].tolist() == [16]
    assert together.trades[["book", "quantity"]].to_numpy().tolist() == [["a", 50], ["b", 20]]


def test_simulate_desk_margin_held_by_one_book_is_not_free_for_another(es: Instrument) -> None:
    # Two contracts of 20,000 each are held: 60,000 are left, and the second book would like five.
    bars = session_bars([DIP, DIP, STAY])
    first = BookOrders("first", es, bars, book({**LONG, "quantity": 2}))
    second = BookOrders("second", es, bars, book({**LONG, "quantity": 4}, {**LONG, "quantity": 3}))

    result = simulate_desk([first, second], Desk())

    assert ends(result) == [
        ("first", "closed", ""),
        ("second", "skipped", "margin_below_quantity"),
        ("second", "closed", ""),
    ]


# Order of events


def test_simulate_desk_one_free_slot_goes_to_the_first_book(es: Instrument) -> None:
    bars = session_bars([DIP, STAY])
    a, b = (BookOrders(name, instrument, bars, book(LONG)) for name, instrument in (("a", es), ("b", MES)))

    assert ends(simulate_desk([a, b], Desk(max_positions=1))) == [
        ("a", "closed", ""),
        ("b", "skipped", "desk_positions"),
    ]
    assert ends(simulate_desk([b, a], Desk(max_positions=1))) == [
        ("b", "closed", ""),
        ("a", "skipped", "desk_positions"),
    ]


def test_simulate_desk_slot_freed_inside_a_bar_is_free_from_the_next(es: Instrument) -> None:
    leaves = BookOrders("a", es, session_bars([DIP, UP, STAY, STAY]), book(LONG))
    waits = BookOrders("b", MES, session_bars([QUIET, DIP, DIP, STAY]), book(LONG))

    result = simulate_desk([leaves, waits], Desk(max_positions=1))

    starts = session_bars([DIP] * 4)["timestamp"]
    assert result.trades["entry_time"].tolist() == [starts[0], starts[2]]
    assert ends(result) == [("a", "closed", ""), ("b", "closed", "")]


def test_simulate_desk_long_bar_hands_its_slot_on_only_when_it_is_over(es: Instrument) -> None:
    # The 15-minute bar reaches its target somewhere before 8:45; the 5-minute book dips at 8:35, 8:40 and 8:45.
    slow = BookOrders("slow", NQ, bars_of([DIP, UP, STAY, STAY], 15), book(LONG))
    fast = BookOrders("fast", es, session_bars([QUIET] * 4 + [DIP] * 3), book({**LONG, "quantity": 1}))

    result = simulate_desk([slow, fast], Desk(max_positions=1))

    entered = result.trades.set_index("book")["entry_time"].dt.tz_convert("America/Chicago")
    assert f"{entered['fast']:%H:%M}" == "09:00"


def test_simulate_desk_size_in_a_short_bar_knows_nothing_of_the_long_bar_around_it(es: Instrument) -> None:
    # NQ earns 40 ticks × $5 × 100 less commission, 19,000, inside its bar of 8:45 to 9:00.
    earns = BookOrders("slow", NQ, bars_of([DIP, UP, STAY], 15), book({**LONG, "quantity": 100}))
    rule = order(1, B, B - 4, B + 40)

    def size_at(bar: int) -> int:
        rows = [QUIET] * 9
        rows[bar] = DIP
        fast = BookOrders("fast", es, session_bars(rows), book(rule))
        trades = simulate_desk([earns, fast], Desk(**FREE)).trades
        return trades.set_index("book")["quantity"]["fast"]

    # At its first close NQ is worth 2 ticks × $5 × 100 less $500 of commission, 500; then 100,500 × 1 % / 60 is 16.
    assert [size_at(bar) for bar in (0, 3, 4, 5, 6, 7)] == [16, 16, 16, 16, 19, 19]


def test_simulate_desk_equity_is_what_is_known_before_the_next_bar_opens(es: Instrument) -> None:
    slow = BookOrders("slow", NQ, bars_of([DIP, UP], 15), book(LONG))
    fast = BookOrders("fast", es, session_bars([QUIET] * 6), NONE)

    result = simulate_desk([slow, fast], Desk())

    # NQ's first bar is over at 8:45, so the bar before that is the first to show it; the second at 9:00.
    marked, done = 100_000 - 5 + 2 * 5, 100_000 + 40 * 5 - 10
    assert result.equity.tolist() == [100_000, 100_000, marked, marked, marked, done]


def test_simulate_desk_no_entry_of_a_book_works_while_it_holds_a_position(es: Instrument) -> None:
    # The long's target is the short's entry: the bar that reaches it lets the short in no sooner than the next.
    both = book(order(1, B, B - 20, B + 40, quantity=1), order(-1, B + 40, B + 60, B, quantity=1))
    rows = [DIP, UP, (B + 39, B + 41, B + 38, B + 38), STAY]

    result = simulate_desk([BookOrders("both", es, session_bars(rows), both)], Desk(max_positions=5))
    touched_once = simulate_desk([BookOrders("both", es, session_bars([DIP, UP, STAY]), both)], Desk(max_positions=5))

    starts = session_bars(rows)["timestamp"]
    assert result.trades["side"].tolist() == [1, -1]
    assert result.trades["entry_time"].tolist() == [starts[0], starts[2]]
    assert ends(touched_once) == [("both", "closed", ""), ("both", "skipped", "position_open")]


def test_simulate_desk_two_books_of_one_symbol_may_hold_both_sides(es: Instrument) -> None:
    bars = session_bars([DIP, (B + 2, B + 12, B + 2, B + 2), STAY])
    short = book(order(-1, B + 10, B + 30, B - 30, quantity=1))

    result = simulate_desk([BookOrders("up", es, bars, book(LONG)), BookOrders("down", es, bars, short)], Desk())

    assert result.trades[["book", "side", "exit_reason"]].to_numpy().tolist() == [
        ["up", 1, "close"],
        ["down", -1, "close"],
    ]
    assert result.margin.iloc[1] == 2 * 0.1 * 4_000.5 * 50


# Limits


def many(es: Instrument, bars: pd.DataFrame, *names: str, **more: object) -> list[BookOrders]:
    """Books of one rule-sized long: by default three contracts, which lose 260 each at the stop."""
    return [BookOrders(name, es, bars, book(order(1, B, B - 20, B + 40, **more))) for name in names]


def test_simulate_desk_total_risk_cuts_sizes_to_what_is_left(es: Instrument) -> None:
    books = many(es, session_bars([DIP, STAY]), "a", "b", "c")

    result = simulate_desk(books, Desk(total_risk=0.015, **FREE))

    # 1,500 less 780 leave two contracts; less 520 more, none.
    assert result.trades[["book", "quantity"]].to_numpy().tolist() == [["a", 3], ["b", 2]]
    assert ends(result)[2] == ("c", "skipped", "desk_risk")


def test_simulate_desk_fixed_quantity_beyond_the_total_risk_is_not_cut(es: Instrument) -> None:
    books = many(es, session_bars([DIP, STAY]), "a", "b", quantity=3)

    assert ends(simulate_desk(books, Desk(total_risk=0.015, **FREE)))[1] == ("b", "skipped", "desk_risk")


def test_simulate_desk_stop_moved_to_the_entry_leaves_only_commission_at_risk(es: Instrument) -> None:
    rows = [DIP, (B + 2, B + 12, B + 2, B + 10), (B + 10, B + 10, B + 10, B + 10)]
    first = many(es, session_bars(rows), "first", breakeven_ticks=10)
    later = session_bars([QUIET, QUIET, DIP])

    still = simulate_desk(
        [*many(es, session_bars(rows), "first"), *many(es, later, "b")], Desk(total_risk=0.01, **FREE)
    )
    moved = simulate_desk([*first, *many(es, later, "b")], Desk(total_risk=0.01, **FREE))

    assert ends(still)[1] == ("b", "skipped", "desk_risk")
    # About 1,003 less the 3 × 10 of commission of a stop at the entry carry three contracts again.
    assert moved.trades["quantity"].tolist() == [3, 3]


def test_simulate_desk_max_contracts_counts_all_that_is_held(es: Instrument) -> None:
    books = many(es, session_bars([DIP, STAY]), "a", "b", "c")

    result = simulate_desk(books, Desk(max_contracts=4, **FREE))

    assert result.trades[["book", "quantity"]].to_numpy().tolist() == [["a", 3], ["b", 1]]
    assert ends(result)[2] == ("c", "skipped", "desk_contracts")


def test_simulate_desk_max_contracts_of_a_book_caps_its_size(es: Instrument) -> None:
    bars = session_bars([DIP, STAY])
    capped = BookOrders("a", es, bars, book(order(1, B, B - 20, B + 40)), max_contracts=2)

    assert simulate_desk([capped, *many(es, bars, "b")], Desk(**FREE)).trades["quantity"].tolist() == [2, 3]


def test_simulate_desk_group_holds_its_own_books_only(es: Instrument) -> None:
    books = many(es, session_bars([DIP, STAY]), "a", "b", "c")
    positions = Desk(groups={"index": {"books": ["a", "b"], "max_positions": 1}}, **FREE)
    risk = Desk(groups={"index": {"books": ["a", "b"], "max_risk": 0.01}}, **FREE)

    assert [end[1:] for end in ends(simulate_desk(books, positions))] == [
        ("closed", ""),
        ("skipped", "group_positions"),
        ("closed", ""),
    ]
    assert [end[1:] for end in ends(simulate_desk(books, risk))] == [
        ("closed", ""),
        ("skipped", "group_risk"),
        ("closed", ""),
    ]


# Margin call


def test_simulate_desk_margin_call_closes_each_position_at_its_next_open(es: Instrument) -> None:
    # ES needs 5 × 20,000 at the entry, NQ 8,000; ES falls 4 points in the second bar, and NQ has no bar for a while.
    fall = (B + 2, B + 2, B - 16, B - 16)
    crash = BookOrders("es", es, session_bars([DIP, fall, (B - 16,) * 4, STAY]), book({**LONG, "quantity": 5}))
    nq = session_bars([DIP, STAY, STAY, (B + 4, B + 4, B + 4, B + 4), STAY]).drop(index=[1, 2])
    other = BookOrders("nq", NQ, nq.reset_index(drop=True), book(LONG))

    result = simulate_desk([crash, other], Desk(initial_capital=108_100))

    assert result.trades[["book", "exit_reason", "exit_price"]].to_numpy().tolist() == [
        ["es", "margin_call", (B - 17) / 4],
        ["nq", "margin_call", (B + 3) / 4],
    ]
    assert margin_use(result)["calls"] == 2


# Time


def test_simulate_desk_date_ends_with_the_last_bar_that_any_book_has_of_it(es: Instrument) -> None:
    futures = days(session_bars([QUIET, QUIET]), session_bars([QUIET], day="2021-03-17"))
    shares = session_bars([(40_000,) * 4] * 3, start="14:00")  # ends later on the one day, has none on the other

    result = simulate_desk([BookOrders("f", es, futures, NONE), BookOrders("s", SPY, shares, NONE)], Desk())

    assert [f"{session:%m-%d}" for session in result.session_equity.index] == ["03-16", "03-17"]
    assert len(result.equity) == 6
    assert result.daily_pnl.to_numpy().tolist() == [[0, 0], [0, 0]]
    assert result.periods_per_year == 252


def test_simulate_desk_position_is_marked_at_its_last_close_while_others_trade(es: Instrument) -> None:
    # NQ has bars at 8:30 and 9:30 only; ES trades in between.
    nq = bars_of([DIP, (B + 6,) * 4], 60)
    quiet = BookOrders("es", es, session_bars([QUIET] * 14), NONE)

    result = simulate_desk([BookOrders("nq", NQ, nq, book(LONG)), quiet], Desk(initial_capital=50_000))

    marked = 50_000 - 5 + 2 * 5
    assert result.equity.tolist() == [50_000] * 11 + [marked, marked, 50_000 + 5 * 5 - 10]
