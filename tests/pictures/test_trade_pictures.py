"""Pictures of a trade: bars, order, stop, fills, levels and their labels."""

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market import Instrument, simulate_market
from pipeline.pictures import palette
from pipeline.pictures.trade import Level, draw_trade, stop_path, trade_png
from pipeline.research import run_research
from pipeline.settings import Settings
from tests.profiles.frames import frame

BEFORE, SESSION = pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-05")
# Low, high, close, volume in ticks; the session before has six bars, of which two are drawn.
YESTERDAY = frame([(80, 84, 82, 10)] * 6, "2024-03-04 14:30Z", 5)
TODAY = frame([(80, 84, 82, 10), (78, 82, 79, 10), (79, 86, 85, 10), (84, 92, 91, 10), (88, 92, 90, 10)], minutes=5)
BARS = pd.concat([YESTERDAY, TODAY], ignore_index=True)
ORDER = {"session": SESSION, "side": 1, "entry": 19.75, "stop": 18.75, "target": 22.5}
TRADE = {
    **{"entry_time": TODAY["timestamp"][1], "entry_price": 19.75, "exit_time": TODAY["timestamp"][3]},
    **{"exit_price": 22.5, "exit_reason": "target"},
}
# First candle of the session among those drawn, less half a candle.
OPEN = 1.5


def lines(figure: Any, colour: str) -> list[tuple[float, float, float]]:
    """Begin, end and price of each level line of a colour."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_hex

    found = []
    for drawn in figure.axes[0].collections:
        if isinstance(drawn, LineCollection) and {to_hex(each) for each in drawn.get_color()} == {colour}:
            found += [(a[0], b[0], a[1]) for a, b in drawn.get_segments() if a[1] == b[1]]
    return found


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def markers(figure: Any) -> list[tuple[float, float]]:
    from matplotlib.collections import PathCollection

    drawn = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    return [tuple(each.get_offsets()[0].tolist()) for each in drawn]


def test_picture_has_its_size_and_is_the_same_again(es: Instrument) -> None:
    picture = trade_png(BARS, es, ORDER, TRADE, [Level("VPOC", 20.5)])

    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (1056, 506)
    assert picture == trade_png(BARS, es, pd.Series(ORDER), pd.Series(TRADE), [Level("VPOC", 20.5)])


def test_filled_order_is_drawn_from_the_open_to_its_exit(es: Instrument) -> None:
    figure = draw_trade(BARS, es, ORDER, TRADE)

    assert lines(figure, palette.INK) == [(OPEN, 3.0, 19.75)]
    assert lines(figure, palette.BUY) == [(2.5, 5.5, 22.5)]
    (stop,) = figure.axes[0].lines[-1:]
    assert (min(stop.get_xdata()), max(stop.get_xdata()), set(stop.get_ydata())) == (2.5, 5.5, {18.75})
    assert markers(figure) == [(3.0, 19.75), (5.0, 22.5)]
    assert texts(figure) == ["04 Mar", "05 Mar", "18.75  stop", "19.75  entry", "22.50  target"]
    assert figure.texts[0].get_text() == "ES 2024-03-05 rth: long, limit order; exit: target, +11 ticks"


def test_order_without_a_trade_is_drawn_while_it_may_enter(es: Instrument) -> None:
    live = {"live_from": TODAY["timestamp"][1], "live_until": TODAY["timestamp"][4], "type": "stop"}

    figure = draw_trade(BARS, es, {**ORDER, **live, "side": -1, "stop": 23.0, "target": np.nan})

    assert lines(figure, palette.INK) == [(2.5, 5.5, 19.75)]
    assert lines(figure, palette.SELL) == [(2.5, 5.5, 23.0)]
    assert lines(figure, palette.BUY) == []
    assert markers(figure) == []
    assert "from 08:35" in texts(figure)
    assert figure.texts[0].get_text() == "ES 2024-03-05 rth: short, stop order"


def test_market_order_is_labelled_with_its_fill(es: Instrument) -> None:
    order = {**ORDER, "type": "market", "entry": np.nan, "live_from": TODAY["timestamp"][1]}

    figure = draw_trade(BARS, es, order, {**TRADE, "exit_price": 19.0, "exit_reason": "trailed_stop"})

    assert lines(figure, palette.INK) == []
    assert "19.75  entry" in texts(figure)
    assert figure.texts[0].get_text().endswith("long, market order; exit: trailed stop, −3 ticks")


def test_levels_are_lines_bands_and_parts_of_the_session(es: Instrument) -> None:
    levels = [
        Level("VAL", 19.75, 21.0, "VAH"),
        Level("balance", 20.0, 20.5, begin=TODAY["timestamp"][0], end=TODAY["timestamp"][2], colour=palette.BALANCE),
        Level("VPOC", 20.25, colour=palette.VPOC),
    ]

    figure = draw_trade(BARS, es, ORDER, TRADE, levels)

    assert lines(figure, palette.EDGE) == [(-1.0, 6.5, 19.75), (-1.0, 6.5, 21.0)]
    assert lines(figure, palette.BALANCE) == [(1.5, 3.5, 20.0), (1.5, 3.5, 20.5)]
    assert lines(figure, palette.VPOC) == [(-1.0, 6.5, 20.25)]
    assert texts(figure)[2:] == [
        *("18.75  stop", "19.75  entry, VAL", "20.00  balance", "20.25  VPOC", "20.50  balance", "21.00  VAH"),
        "22.50  target",
    ]


def test_labels_lie_apart_and_within_the_picture(es: Instrument) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    levels = [Level(f"a level with a long name {k}", 19.75 + 0.25 * k) for k in range(6)]
    figure = draw_trade(BARS, es, ORDER, TRADE, levels)
    renderer = FigureCanvasAgg(figure).get_renderer()

    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts[2:]]

    assert len(boxes) == 8
    assert all(above.y0 >= below.y1 for below, above in pairwise(boxes))
    assert max(box.x1 for box in boxes) <= 1056
    assert min(box.x0 for box in boxes) > figure.axes[0].transData.transform((6.5, 20))[0]


def test_session_before_of_another_contract_is_left_out(es: Instrument) -> None:
    bars = BARS.assign(contract=["ESZ23"] * 6 + ["ESH24"] * 5)

    figure = draw_trade(bars, es, ORDER, TRADE)

    assert lines(figure, palette.INK) == [(-0.5, 1.0, 19.75)]
    assert "04 Mar" not in texts(figure)


def test_finer_bars_are_put_together_and_fills_lie_in_their_candle(es: Instrument) -> None:
    bars = frame([(80, 84, 82, 10)] * 390)
    trade = {**TRADE, "entry_time": bars["timestamp"][9], "exit_time": bars["timestamp"][389]}

    figure = draw_trade(bars, es, ORDER, trade)

    # Three bars a candle: the tenth begins the fourth, the last ends the last.
    assert markers(figure) == [(3.0, 19.75), (129.0, 22.5)]


def test_position_held_overnight_is_drawn_to_the_session_of_its_exit(es: Instrument) -> None:
    order = {**ORDER, "session": BEFORE}
    trade = {**TRADE, "entry_time": YESTERDAY["timestamp"][4]}

    figure = draw_trade(BARS, es, order, trade)

    assert markers(figure) == [(4.0, 19.75), (9.0, 22.5)]
    assert lines(figure, palette.BUY) == [(3.5, 9.5, 22.5)]
    assert texts(figure)[:2] == ["04 Mar", "05 Mar"]


@pytest.mark.parametrize(
    ("order", "trade", "message"),
    [
        ({"session": pd.Timestamp("2024-06-05")}, {}, "no bar lies near ES's session 2024-06-05"),
        ({"session": pd.Timestamp("2024-03-06")}, {}, "no bar lies in the rth hours of ES's session 2024-03-06"),
        ({}, {"entry_time": YESTERDAY["timestamp"][2]}, "does not lie in the bars of its session"),
    ],
)
def test_bars_without_the_session_or_the_trade_are_refused(
    es: Instrument, order: dict[str, Any], trade: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        trade_png(BARS, es, {**ORDER, **order}, {**TRADE, **trade})


def test_stop_path_trails_the_best_close_from_the_next_bar_on(es: Instrument) -> None:
    closes = np.array([100.0, 101.0, 103.0, 102.0, 104.0, 90.0])
    order, trade = {"side": 1, "stop": 98.0, "trail_ticks": 8}, {"entry_price": 100.5}

    # 8 ticks are 2 points; before a close beyond the fill, the fill itself is the best price.
    assert stop_path(order, trade, closes, es).tolist() == [98.0, 98.5, 99.0, 101.0, 101.0, 102.0]


def test_stop_path_of_a_short_is_mirrored_and_rises_to_the_fill(es: Instrument) -> None:
    closes = np.array([99.5, 98.5, 97.0, 99.0, 99.0])
    order, trade = {"side": -1, "stop": 102.0, "breakeven_ticks": 8, "trail_ticks": np.nan}, {"entry_price": 99.5}

    assert stop_path(order, trade, closes, es).tolist() == [102.0, 102.0, 102.0, 99.5, 99.5]


def test_stop_path_ends_where_the_engine_was_stopped(es: Instrument) -> None:
    bars = simulate_market(es, "2021-01-04", 300, seed=5)
    result = next(iter(run_research(bars, es, Settings(strategy="trend_continuation")).results.values()))
    stopped = result.trades[result.trades["exit_reason"].isin(["stop", "trailed_stop"])]

    for _, trade in stopped.iterrows():
        held = bars[bars["timestamp"].between(trade["entry_time"], trade["exit_time"])]
        last = stop_path(result.orders.loc[trade["order"]], trade, held["close"].to_numpy(), es)[-1]
        # A bar that opens beyond the stop fills at its open; either pays a tick.
        side, opened = trade["side"], held["open"].iloc[-1]
        beyond = len(held) > 1 and side * (last - opened) >= 0
        assert trade["exit_price"] == (opened if beyond else last) - side * es.tick_size
    assert len(stopped) > 15
    assert (stopped["exit_reason"] == "trailed_stop").sum() > 10
