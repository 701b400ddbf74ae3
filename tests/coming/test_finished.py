"""A session is finished at its close, or where its bars end as they usually do."""

import numpy as np
import pandas as pd
import pytest

from pipeline.coming.finished import is_finished
from pipeline.market import Hours, find_instrument
from pipeline.market.bar_times import bar_ends
from tests.strategies.market import calendar, flat, made_bars

ES = find_instrument("ES")


def finished(*lengths: int, hours: Hours = "rth", more: pd.DataFrame | None = None) -> bool:
    """Whether the last of some sessions is finished; each has so many of its 13 half-hour bars."""
    parts = [made_bars(number, flat(16_000, length)) for number, length in enumerate(lengths)]
    bars = pd.concat([*parts, *([] if more is None else [more])], ignore_index=True)
    opens = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    return is_finished(calendar().index[len(lengths) - 1], opens, bar_ends(opens), ES, hours)


def test_session_is_finished_at_its_close():
    assert finished(13, 13)
    assert not finished(13, 12)
    assert not finished(*[13] * 10, 4)


def test_bars_after_the_close_finish_a_session_without_its_last_bar():
    assert finished(13, 12, more=made_bars(1, flat(16_000, 1), first=14))


def test_file_of_regular_hours_finishes_trade_dates_as_it_always_does():
    assert finished(*[13] * 10, hours="eth")
    assert not finished(*[13] * 10, 12, hours="eth")


@pytest.mark.parametrize(("last", "expected"), [(13, True), (12, True), (11, False), (6, False)])
def test_last_bar_may_be_missing_where_it_often_is_and_one_outage_counts_for_nothing(last: int, expected: bool):
    assert finished(13, 12, 13, 12, 12, 4, 13, 12, 13, 12, 13, 12, 13, 12, last) == expected


def test_young_history_has_nothing_usual():
    assert not finished(12, 12, 12)
    assert finished(*np.full(7, 12))
