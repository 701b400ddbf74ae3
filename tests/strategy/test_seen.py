import numpy as np
import pytest

from pipeline.errors import ConfigurationError
from pipeline.strategy import HistorySettings, Seen
from pipeline.strategy.distances import rounded_down, rounded_up
from tests.strategies.market import ES, calendar, made_history, seen_of


def test_seen_columns_in_prices_ticks_and_by_their_short_names() -> None:
    seen = seen_of(made_history({"vpoc": 16_004, "atr": 50.0}, {"vpoc": 16_010}))

    assert seen["vpoc"].tolist() == [4001.0, 4002.5]
    assert seen.ticks("vpoc").tolist() == [16_004, 16_010]
    assert seen["atr"].tolist() == seen["atr_14"].tolist() == [12.5, 25.0]
    assert seen.upcoming.tolist() == calendar().index[1:3].tolist()
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("atr", "factor", "up", "down"),
    [(100.0, 0.5, 50, 50), (101.0, 0.5, 51, 50), (110.0, 1.1, 121, 121), (100.0, 0.29, 29, 29), (np.nan, 1.0, 0, 0)],
)
def test_range_ticks_are_rounded_as_asked_and_float_noise_adds_none(atr, factor, up, down) -> None:
    seen = seen_of(made_history({"atr": atr}))

    assert seen.range_ticks(factor).tolist() == [up]
    assert seen.range_ticks(factor, down=True).tolist() == [down]


def test_rounded_distances() -> None:
    assert rounded_up([1.1 * 10, 11.1, -0.5, 0.29 * 100]).tolist() == [11, 12, 0, 29]
    assert rounded_down([1.1 * 10, 11.9, -0.5, 0.29 * 100]).tolist() == [11, 11, -1, 29]


def test_column_made_with_other_windows_is_refused() -> None:
    seen = Seen.of(made_history({}), ES, HistorySettings(atr_window=10))

    with pytest.raises(ConfigurationError, match=r"no atr_10 .* same settings"):
        seen.range_ticks(1.0)


def test_what_a_strategy_writes_into_the_history_stays_with_it() -> None:
    history = made_history({})
    seen = seen_of(history)

    seen.history["close"] = 1.0

    assert seen["close"].tolist() == history["close"].tolist() == [4000.0]


def test_today_at_two_times_of_one_session_differ_and_the_history_is_shared() -> None:
    seen = seen_of(made_history({}))

    assert (seen.minute, seen.at(30).minute, seen.at(60).minute) == (None, 30, 60)
    assert seen.at(30).columns is seen.columns
