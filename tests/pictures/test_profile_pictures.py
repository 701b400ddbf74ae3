"""Pictures of profiles: what a chart shows, terminal text, plotly figure and PNG."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.sessions import Hours
from pipeline.pictures import profile_figure, profile_png, profile_text
from pipeline.pictures.chart import Ray, profile_chart, spread_labels
from pipeline.pictures.contents import candles, picture
from pipeline.pictures.still import draw_chart
from pipeline.profiles import ProfileSettings, select_sessions
from pipeline.profiles.composites import composite_profile
from pipeline.profiles.developing import developing_levels
from tests.profiles.frames import TICK, frame
from tests.profiles.oracle import Bar

BARS = [(80, 83, 82, 40), (81, 85, 84, 100), (82, 84, 83, 90), (84, 88, 87, 20)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 80), st.integers(1, 9)), min_size=1), st.integers(2, 50)
)
def test_picture_any_bars_fit_and_lose_no_volume(bars: list[tuple[int, int, int]], most: int) -> None:
    es = load_instruments()["ES"]
    selected = select_sessions(frame([(low, low + width, low, volume) for low, width, volume in bars]), es)

    drawn = picture(selected, es, ProfileSettings(), most_rows=most)

    assert len(drawn.bottoms) <= most
    assert drawn.lengths.sum() == pytest.approx(sum(volume for *_, volume in bars))
    assert (np.diff(drawn.bottoms) == drawn.ticks_per_row).all()
    assert drawn.bottoms[0] <= drawn.low
    assert drawn.high < drawn.bottoms[-1] + drawn.ticks_per_row
    assert drawn.bottoms[drawn.vpoc_row] <= drawn.area.vpoc < drawn.bottoms[drawn.vpoc_row] + drawn.ticks_per_row
    assert drawn.inside[drawn.vpoc_row]


def test_candles_more_than_asked_are_put_together_within_sessions(es: Instrument) -> None:
    bars = pd.concat([frame([(k, k + 2, k + 1, 1) for k in range(3)]), frame(BARS, start="2024-03-06 14:30Z")])

    shown = candles(select_sessions(bars, es, last="2024-03-06"), 4)

    assert shown["session"].astype(str).tolist() == ["2024-03-05", "2024-03-05", "2024-03-06", "2024-03-06"]
    assert shown["high"].tolist() == [0.75, 1.0, 21.25, 22.0]
    assert shown["low"].tolist() == [0.0, 0.5, 20.0, 20.5]
    assert shown["open"].tolist() == [0.25, 0.75, 20.5, 20.75]
    assert shown["close"].tolist() == [0.5, 0.75, 21.0, 21.75]


def test_profile_text_every_tick_a_line_marks_the_levels(es: Instrument) -> None:
    assert profile_text(frame([(80, 80, 80, 10), (81, 81, 81, 40), (82, 82, 82, 15)]), es, width=8) == (
        "ES  volume 65  VPOC 20.25  value area 20.25 to 20.50 (84.6 %)\n"
        "20.50  ███      ◄ VAH\n"
        "20.25  ████████ ◄ VPOC VAL\n"
        "20.00  ░░"
    )


def test_profile_text_few_lines_puts_ticks_together(es: Instrument) -> None:
    lines = profile_text(frame(BARS), es, lines=5).splitlines()

    assert lines[0].endswith("rows of 2 ticks")
    assert len(lines) == 6


def test_profile_text_without_volume_is_refused(es: Instrument) -> None:
    with pytest.raises(DataError, match="these 1 bars of ES have no volume"):
        profile_text(frame([(1, 2, 1, 0)]), es)


def test_picture_of_two_contracts_is_refused(es: Instrument) -> None:
    bars = frame(BARS).assign(contract=["ESH24", "ESH24", "ESM24", "ESM24"])

    with pytest.raises(DataError, match=r"2 contracts \(ESH24, ESM24\)"):
        picture(bars, es, ProfileSettings(), most_rows=10)


def named(figure: Any, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


def days(*sessions: Sequence[Bar], start: str = "2024-03-04") -> pd.DataFrame:
    """Sessions of five-minute bars from the open of regular hours, one calendar session after the other."""
    dates = pd.bdate_range(start, periods=len(sessions))
    frames = [frame(bars, start=f"{date.date()} 14:30Z", minutes=5) for date, bars in zip(dates, sessions, strict=True)]
    return pd.concat(frames, ignore_index=True)


AT = [(level, level, level, 10) for level in range(100)]  # a bar of one price


def test_profile_figure_shows_candles_histogram_and_levels(es: Instrument) -> None:
    figure = profile_figure(frame(BARS), es)

    assert [trace.type for trace in figure.data if trace.type != "scatter"] == ["candlestick", "bar"]
    assert sum(named(figure, "volume")[0].x) == pytest.approx(250)
    words = [note.text for note in figure.layout.annotations]
    assert words == ["VAL 20.25", "VPOC 20.75", "VAH 21.25", "volume of the session"]
    assert figure.layout.title.text == "ES 2024-03-05 rth: volume 250"
    assert figure.layout.xaxis.ticktext == ("08:30", "08:31", "08:32", "08:33")


def test_profile_figure_draws_each_developing_level_from_the_close_of_its_candle(es: Instrument) -> None:
    bars = days([AT[80], AT[84], AT[84]], [AT[90], AT[91]])
    (line,) = named(profile_figure(bars, es, last="2024-03-05"), "developing VPOC")

    assert list(line.x) == [0.5, 1.5, 2.5, None, 3.5, 4.5]
    assert list(line.y) == [20.0, 20.0, 21.0, None, 22.5, 22.5]
    assert line.line.shape == "hv"


def test_profile_chart_developing_levels_are_those_after_the_last_bar_of_each_candle(es: Instrument) -> None:
    bars = frame([(k % 7, k % 7 + k % 3, k % 7, 1 + k) for k in range(50)])
    chart = profile_chart(bars, es, most_candles=12)

    developed = developing_levels(bars, es)[["vpoc", "val", "vah"]].to_numpy()
    assert chart.developing.to_numpy().tolist() == developed[[4, 9, 14, 19, 24, 29, 34, 39, 44, 49]].tolist()


def test_profile_chart_rays_begin_at_the_close_and_end_where_traded(es: Instrument) -> None:
    bars = days([AT[10]], [AT[50]], [AT[30], AT[10], AT[30]], [AT[31], AT[32]], [AT[60]])
    found = {ray.tick: ray for ray in profile_chart(bars, es, "2024-03-06", "2024-03-07").rays}

    assert found[10] == Ray(10, pd.Timestamp("2024-03-04"), 2, -0.5, 1.0, False)
    assert found[50] == Ray(50, pd.Timestamp("2024-03-05"), 2, -0.5, 4.5, True)
    assert found[30] == Ray(30, pd.Timestamp("2024-03-06"), 1, 2.5, 4.5, True)
    assert len(found) == 3


def test_profile_chart_ray_tested_in_hours_not_drawn_ends_between_candles(es: Instrument) -> None:
    night = frame([(10, 10, 10, 1)], start="2024-03-06 03:00Z")
    own = days([AT[10]], [AT[50]], [AT[50]])
    bars = pd.concat([own.iloc[:2], night, own.iloc[2:]], ignore_index=True)

    rays = profile_chart(bars, es, "2024-03-05", "2024-03-06").rays
    assert [(ray.tick, ray.begin, ray.end, ray.naked) for ray in rays] == [
        (10, -0.5, 0.5, False),
        (50, 0.5, 1.0, False),
    ]
    assert [ray.tick for ray in profile_chart(bars, es, "2024-03-06").rays] == [50]


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_profile_figure_of_a_session_knows_nothing_later(es: Instrument, real_data: Path, hours: Hours) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    bars = bars[bars["timestamp"] < "2015-04-10"]
    end = select_sessions(bars, es, "2015-03-27", hours=hours)["timestamp"].iloc[-1]

    for picture_of in (profile_figure, profile_png, profile_text):
        whole, cut = (
            picture_of(part, es, "2015-03-27", hours=hours) for part in (bars, bars[bars["timestamp"] <= end])
        )
        assert whole == cut


def test_profile_chart_takes_nothing_from_another_contract(es: Instrument) -> None:
    bars = days([AT[10]], [AT[50]], [AT[30]], [AT[31]])
    bars["contract"] = ["ESH24", "ESH24", "ESM24", "ESM24"]
    chart = profile_chart(bars, es)

    assert [ray.tick for ray in chart.rays] == [30]
    assert chart.composite_sessions == 2


def test_profile_chart_composite_is_the_composite_profile(es: Instrument) -> None:
    bars = days(*[[(k, k + 9, k + 3, 7 * k + 1), (2 * k, 2 * k + 2, 2 * k, 50)] for k in range(30)])
    chart = profile_chart(bars, es, composite=12)
    expected = composite_profile(bars, es, by=12).iloc[-1]

    assert chart.composite is not None
    area = chart.composite.area
    assert es.to_prices([area.vpoc, area.val, area.vah]).tolist() == expected[["vpoc", "val", "vah"]].tolist()
    assert chart.composite.lengths.sum() == pytest.approx(expected["volume"])
    assert chart.composite.ticks_per_row == chart.own.ticks_per_row
    assert chart.composite_sessions == expected["sessions"]


def test_profile_chart_composite_of_what_is_drawn_is_left_out(es: Instrument) -> None:
    bars = days([AT[10]], [AT[50]], [AT[30]])

    assert profile_chart(bars, es, "2024-03-04", "2024-03-06").composite is None
    assert profile_chart(bars, es, composite=0).composite is None
    assert profile_chart(bars, es, composite=1).composite is None
    assert profile_chart(bars, es, composite=2).composite is not None
    with pytest.raises(ConfigurationError, match="composite is -1"):
        profile_chart(bars, es, composite=-1)


def test_profile_chart_brackets_span_the_first_hour(es: Instrument) -> None:
    bars = days([(80, 90, 85, 5)] * 11 + [(79, 91, 85, 5)] + [(70, 99, 85, 5)] * 3, [(60, 61, 60, 1)])

    first, second = profile_chart(bars, es, last="2024-03-05").brackets
    assert (first.low, first.high, first.begin, first.end) == (79, 91, -0.5, 11.5)
    assert (second.low, second.high, second.begin, second.end) == (60, 61, 14.5, 15.5)


def test_profile_figure_of_trades_splits_what_was_bought_and_sold(es: Instrument) -> None:
    trades = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2024-03-05 14:30Z"] * 3 + ["2024-03-05 14:31Z"], utc=True),
            "price": [20.0, 20.25, 20.0, 20.5],
            "volume": [3, 2, 4, 1],
            "side": ["buy", "sell", "sell", None],
        }
    )
    figure = profile_figure(trades, es)

    parts = {name: named(figure, name)[0].x.tolist() for name in ("bought", "sold", "side unknown")}
    assert parts == {"bought": [3, 0, 0], "sold": [4, 2, 0], "side unknown": [0, 0, 1]}
    assert list(named(figure, "bought")[0].customdata) == ["−1", "−2", "+0"]
    assert {"bought", "sold"} <= set(words(draw_chart(profile_chart(trades, es), "trades")))
    assert profile_text(trades, es).startswith("ES  volume 10  VPOC 20.00")


def test_profile_chart_wide_bars_are_not_split(es: Instrument) -> None:
    bars = frame(BARS).assign(bid_volume=10.0, ask_volume=5.0)

    assert profile_chart(bars, es).own.sides is None
    assert profile_chart(bars.assign(low=bars["high"], close=bars["high"]), es).own.sides is not None


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 30))
def test_spread_labels_any_places_keep_order_and_distance(places: list[int], gap: int) -> None:
    places = sorted(places)
    moved = spread_labels([float(place) for place in places], gap)

    assert all(after - before >= gap - 1e-9 for before, after in pairwise(moved))
    if all(after - before >= gap for before, after in pairwise(places)):
        assert moved == places
    assert sum(moved) == pytest.approx(sum(places))


def test_profile_text_names_the_nearest_naked_vpocs(es: Instrument) -> None:
    bars = days([AT[10]], [AT[50]], [AT[60]], [AT[30]])

    assert profile_text(bars, es, width=4).splitlines() == [
        "ES  volume 10  VPOC 7.50  value area 7.50 to 7.50 (100.0 %)",
        "12.50  ┄ naked VPOC of 2024-03-05, age 2",
        " 7.50  ████ ◄ VPOC VAH VAL",
        " 2.50  ┄ naked VPOC of 2024-03-04, age 3",
    ]


def test_profile_pictures_of_the_same_bars_have_the_same_bytes(es: Instrument) -> None:
    bars = days([AT[10]], [AT[50]], [(8, 30, 20, 50), (12, 40, 30, 20)])

    assert profile_figure(bars, es).to_json() == profile_figure(bars.copy(), es).to_json()
    assert profile_png(bars, es) == profile_png(bars.copy(), es)


def words(figure: Any) -> list[str]:
    """Every word of a still picture."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_draw_chart_names_levels_headings_and_lines(es: Instrument) -> None:
    figure = draw_chart(profile_chart(frame(BARS), es), "ES-SIM (simulated) $5 < b")

    expected = {"VAH 21.25", "VPOC 20.75", "VAL 20.25", "volume of the session", "08:30", "developing VPOC"}
    assert {"ES-SIM (simulated) $5 < b", "developing value area", "initial balance", *expected} <= set(words(figure))


def test_draw_chart_draws_every_row_and_candle_where_it_lies(es: Instrument) -> None:
    chart = profile_chart(frame(BARS), es)
    candles_pane, profile_pane = draw_chart(chart, "ES").axes

    wicks, bodies = candles_pane.collections[:2]
    assert [path.vertices[:, 1].tolist() for path in wicks.get_paths()] == [
        [low * TICK, high * TICK] for low, high, *_ in BARS
    ]
    # Each opens where it closes: a thin line.
    assert [path.vertices[:, 1].mean() for path in bodies.get_paths()] == [close * TICK for *_, close, _ in BARS]
    rows = profile_pane.collections[0].get_paths()
    assert [path.vertices[0, 1] for path in rows] == es.to_prices(chart.own.bottoms).tolist()
    assert [path.vertices[1, 0] - path.vertices[0, 0] for path in rows] == chart.own.lengths.tolist()


def test_draw_chart_names_what_lies_beyond_the_axis(es: Instrument) -> None:
    far = days(*[AT[1:4]] * 3, [(90, 95, 92, 5)])

    # Of the composite's three equals the nearest to the middle of its range.
    assert {"↓ VPOC 0.75", "↓ naked 0.50, age 1"} <= set(words(draw_chart(profile_chart(far, es), "ES")))


@pytest.mark.parametrize("bars", [[(80, 80, 80, 1)], [(-5, 3, 1, 7)], [(0, 2**20, 5, 9)]])
def test_profile_pictures_of_odd_bars_are_drawn(es: Instrument, bars: list) -> None:
    assert profile_png(frame(bars), es).startswith(b"\x89PNG")
    assert "VPOC" in profile_text(frame(bars), es)
    assert profile_figure(frame(bars), es).data


def test_profile_pictures_of_real_sessions_are_drawn(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    chosen = ("2021-03-22", "2021-04-09")

    assert len(profile_figure(bars, es, *chosen, hours="eth").data[0].x) <= 420
    assert len(profile_png(bars, es, *chosen, hours="eth")) < 100_000


def test_profile_text_of_another_day_names_the_sessions_there_are(es: Instrument) -> None:
    with pytest.raises(DataError, match="there are 1 from 2024-03-05"):
        profile_text(frame(BARS), es, "2024-03-06")


def test_picture_of_sessions_whose_volume_passes_62_bits_is_drawn() -> None:
    # Ten of Bitcoin's heaviest days; a profile of 64-bit micro-lots takes six.
    btc = load_instruments()["BTCUSDT"]
    bars = frame([(2_000_000, 2_000_999, 2_000_500, 0), (2_000_000, 2_001_999, 2_001_500, 0)] * 10, minutes=720)
    prices = ["open", "high", "low", "close"]
    bars[prices] = bars[prices] / TICK * btc.tick_size
    bars["timestamp"] = pd.date_range("2022-11-01", periods=20, freq="12h", tz="UTC", unit="ns")
    bars["volume"] = 350_000.0

    chart = profile_chart(bars, btc, "2022-11-01", "2022-11-10", ticks_per_row=1000)

    assert chart.own.total == 7_000_000
    assert chart.own.lengths.tolist() == [5_250_000, 1_750_000]
    assert (chart.own.area.vpoc, chart.own.area.val, chart.own.area.vah) == (2_000_499, 2_000_000, 2_000_999)
    assert "volume 7,000,000" in profile_text(bars, btc, "2022-11-01", "2022-11-10", ticks_per_row=1000)
