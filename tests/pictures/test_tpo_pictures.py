"""TPO letters: what each row holds, in the terminal, in plotly and in a still picture."""

import pandas as pd
import pytest

from pipeline.market.instruments import Instrument
from pipeline.pictures import profile_figure, profile_text
from pipeline.pictures.chart import profile_chart
from pipeline.pictures.contents import picture
from pipeline.pictures.letters import bracket_letter, tpo_letters
from pipeline.pictures.still import draw_chart
from pipeline.profiles import ProfileSettings, RowRule, select_sessions
from tests.profiles.frames import frame


@pytest.fixture
def bars() -> pd.DataFrame:
    """A session of four brackets: low, high and close in ticks; each opens where the one before closed."""
    whole = frame([(100, 103, 102, 0), (101, 105, 104, 0), (103, 106, 103, 0), (99, 101, 100, 0)], minutes=30)
    whole["open"] = [25.25, 25.5, 26.0, 25.25]
    return whole


def _drawn(bars: pd.DataFrame, es: Instrument, **chosen: int) -> tuple[str, ...]:
    rule = RowRule("tpo", **chosen)
    return tpo_letters(select_sessions(bars, es), es, rule, hours="rth")


def test_tpo_letters_stand_in_the_order_of_time_with_open_and_close(bars: pd.DataFrame, es: Instrument) -> None:
    assert _drawn(bars, es) == ("D", "A#", "OBD", "AB", "ABC", "BC", "BC", "C")
    assert _drawn(bars, es, ticks_per_row=4) == ("D", "OBC#", "BC")
    assert _drawn(bars, es, tpo_minutes=60) == ("B", "A#", "OB", "AB", "AB", "AB", "AB", "B")


def test_tpo_letters_of_one_row_keep_the_open(es: Instrument) -> None:
    assert _drawn(frame([(100, 100, 100, 0)]), es) == ("O",)


def test_bracket_letter_continues_in_small_letters() -> None:
    assert "".join(bracket_letter(number) for number in range(48)) == "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"


def test_profile_text_of_tpos_is_the_letter_profile(bars: pd.DataFrame, es: Instrument) -> None:
    text = profile_text(bars, es, allocation="tpo")

    # Eight rows, sixteen TPOs; the VPOC is the row of A, B and C at 103, of equals the nearest to the middle.
    lines = text.splitlines()
    assert lines[0].startswith("ES  TPOs 16  VPOC 25.75  value area 25.25 to 26.25 (75.0 %)")
    assert [line.rstrip() for line in lines[1:9]] == [
        "26.50    C",
        "26.25  │▌BC  ◄ VAH",
        "26.00  │▌BC",
        "25.75  │▌ABC ◄ VPOC",
        "25.50  │▌AB",
        "25.25  │▌OBD ◄ VAL",
        "25.00  │ A#",
        "24.75    D",
    ]
    assert "value area" in lines[9]


def test_picture_of_tpos_counts_letters_and_of_several_sessions_adds_them(bars: pd.DataFrame, es: Instrument) -> None:
    next_day = bars.assign(timestamp=bars["timestamp"] + pd.Timedelta(days=1))
    both = select_sessions(pd.concat([bars, next_day], ignore_index=True), es, "2024-03-05", "2024-03-06")

    one = picture(select_sessions(bars, es), es, ProfileSettings(rows=RowRule("tpo")), most_rows=40)
    two = picture(both, es, ProfileSettings(rows=RowRule("tpo")), most_rows=40)

    assert one.lengths.tolist() == [1, 2, 3, 2, 3, 2, 2, 1]
    assert (one.total, two.total, two.letters) == (16, 32, None)
    assert two.lengths.tolist() == [2, 4, 6, 4, 6, 4, 4, 2]


def test_draw_chart_of_tpos_draws_every_letter(bars: pd.DataFrame, es: Instrument) -> None:
    pane = draw_chart(profile_chart(bars, es, allocation="tpo"), "ES").axes[1]

    letters = [(text.get_text(), *text.get_position()) for text in pane.texts if len(text.get_text()) == 1]
    assert "".join(letter for letter, *_ in letters) == "DA#OBDABABCBCBCC"
    assert letters[3] == ("O", 0.5, 25.25)
    assert pane.get_title(loc="left") == "TPOs of the session"


def test_profile_figure_of_tpos_draws_every_letter(bars: pd.DataFrame, es: Instrument) -> None:
    figure = profile_figure(bars, es, allocation="tpo")

    letters = next(trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text")
    assert "".join(letters.text) == "DA#OBDABABCBCBCC"
    assert letters.y[3] == 25.25
    assert [letters.x[place] for place in (3, 4, 5)] == [0.5, 1.5, 2.5]
