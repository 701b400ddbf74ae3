"""Pictures of profiles: rows for the eye, terminal text, SVG and plotly figure."""

import base64
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import profile_figure, profile_markdown, profile_svg, profile_text, select_sessions
from pipeline.profiles.pictures import candles, picture
from tests.profiles.frames import frame

BARS = [(80, 83, 82, 40), (81, 85, 84, 100), (82, 84, 83, 90), (84, 88, 87, 20)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 80), st.integers(1, 9)), min_size=1), st.integers(2, 50)
)
def test_picture_any_bars_fit_and_lose_no_volume(bars: list[tuple[int, int, int]], most: int) -> None:
    drawn = picture(
        frame([(low, low + width, low, volume) for low, width, volume in bars]),
        load_instruments()["ES"],
        most_rows=most,
    )

    assert len(drawn.bottoms) <= most
    assert drawn.steps.sum() == pytest.approx(sum(volume for *_, volume in bars))
    assert (np.diff(drawn.bottoms) == drawn.ticks_per_row).all()
    assert drawn.bottoms[0] <= drawn.low
    assert drawn.high < drawn.bottoms[-1] + drawn.ticks_per_row
    assert drawn.bottoms[drawn.vpoc_row] <= drawn.area.vpoc < drawn.bottoms[drawn.vpoc_row] + drawn.ticks_per_row
    assert drawn.inside[drawn.vpoc_row]


def test_candles_more_than_asked_are_put_together_within_sessions(es: Instrument) -> None:
    days = pd.concat([frame([(k, k + 2, k + 1, 1) for k in range(3)]), frame(BARS, start="2024-03-06 14:30Z")])

    shown = candles(select_sessions(days, es, last="2024-03-06"), 4)

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
        picture(bars, es, most_rows=10)


def test_profile_figure_shows_candles_histogram_and_levels(es: Instrument) -> None:
    figure = profile_figure(frame(BARS), es)

    assert [trace.type for trace in figure.data] == ["candlestick", "bar"]
    assert sum(figure.data[1].x) == pytest.approx(250)
    assert [note.text for note in figure.layout.annotations] == ["VAH 21.25", "VPOC 20.75", "VAL 20.25"]
    assert figure.layout.title.text == "ES 2024-03-05 rth: volume 250"
    assert figure.layout.xaxis.ticktext == ("08:30", "08:31", "08:32", "08:33")


def test_profile_svg_is_well_formed_and_names_the_levels(es: Instrument) -> None:
    drawing = ElementTree.fromstring(profile_svg(frame(BARS), es, title="a < b"))  # noqa: S314

    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "VAH 21.25", "VPOC 20.75", "VAL 20.25"} <= set(texts)


@pytest.mark.parametrize("bars", [[(80, 80, 80, 1)], [(-5, 3, 1, 7)], [(0, 2**20, 5, 9)]])
def test_profile_pictures_of_odd_bars_are_drawn(es: Instrument, bars: list) -> None:
    assert "VPOC" in profile_svg(frame(bars), es)
    assert "VPOC" in profile_text(frame(bars), es)
    assert profile_figure(frame(bars), es).data


def test_profile_markdown_carries_the_drawing(es: Instrument) -> None:
    image = profile_markdown(frame(BARS), es, "2024-03-05", title="ES")

    payload = image.removeprefix("![volume profile](data:image/svg+xml;base64,").removesuffix(")")
    assert base64.b64decode(payload).decode() == profile_svg(frame(BARS), es, title="ES")


def test_profile_pictures_of_real_sessions_are_drawn(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    chosen = ("2021-03-22", "2021-04-09")

    assert len(profile_figure(bars, es, *chosen, hours="eth").data[0].x) <= 420
    assert len(profile_svg(bars, es, *chosen, hours="eth")) < 40_000


def test_profile_text_of_another_day_names_the_sessions_there_are(es: Instrument) -> None:
    with pytest.raises(DataError, match="there are 1 from 2024-03-05"):
        profile_text(frame(BARS), es, "2024-03-06")
