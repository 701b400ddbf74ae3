"""Length and end of bars, of files whose bars change their length too, and with bars missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.market.bar_times import bar_ends, bar_lengths

MINUTE = 60 * 10**9
DAY = 24 * 60


def day(number: int, minutes: int, begin: int = 510, end: int = 900) -> list[int]:
    """Opens of a day's bars in minutes, from 08:30 to 15:00 by default."""
    return [number * DAY + minute for minute in range(begin, end, minutes)]


def lengths(opens: list[int]) -> list[int]:
    return (bar_lengths(np.array(opens, np.int64) * MINUTE) // MINUTE).tolist()


def ends(opens: list[int]) -> list[int]:
    return (bar_ends(np.array(opens, np.int64) * MINUTE) // MINUTE).tolist()


def test_bar_ends_after_missing_bars_are_those_of_the_bars_there() -> None:
    assert ends([0, 5, 10, 25, 30, 50, 70, 75]) == [5, 10, 15, 30, 35, 55, 75, 80]


def test_bar_ends_off_the_grid_are_the_next_open_where_sooner() -> None:
    assert ends([0, 5, 10, 12, 15, 20]) == [5, 10, 12, 15, 20, 25]


@pytest.mark.parametrize("sizes", [(5, 5, 5, 30, 30), (30, 30, 30, 5), (5, 30, 5), (1, 5, 30, 30), (60, 60, 60, 5)])
def test_bar_lengths_of_days_with_other_bars_are_theirs(sizes: tuple[int, ...]) -> None:
    there = [(open_, minutes) for number, minutes in enumerate(sizes) for open_ in day(number, minutes)]
    opens = [open_ for open_, _ in there]

    assert lengths(opens) == [minutes for _, minutes in there]
    assert ends(opens) == [open_ + minutes for open_, minutes in there]


def test_bar_length_that_may_be_of_either_run_is_the_longer() -> None:
    opens = day(0, 30) + [open_ for number in (1, 2, 3) for open_ in day(number, 60)]

    assert lengths(opens) == [30] * 12 + [60] * 22  # the day's last, 18 hours before the next


def test_bar_lengths_that_change_within_a_day_change_there() -> None:
    opens = day(0, 5, end=690) + day(0, 30, begin=690, end=1290)

    assert lengths(opens) == [5] * 36 + [30] * 20


def test_bar_ends_of_long_bars_with_one_missing_are_no_later() -> None:
    opens = day(0, 5) + day(1, 30) + day(2, 30)
    opens.remove(DAY + 600)

    found = dict(zip(opens, ends(opens), strict=True))
    assert (found[DAY + 570], found[DAY + 630], found[895]) == (DAY + 600, DAY + 660, 900)


def test_bar_lengths_of_a_few_longer_steps_are_the_usual_one() -> None:
    opens = day(0, 5) + day(1, 10, end=620) + day(2, 5)  # eleven bars: rather every second one is missing

    assert set(lengths(opens)) == {5}


@pytest.mark.parametrize("opens", [[], [0]])
def test_bar_lengths_of_fewer_than_two_bars_are_refused(opens: list[int]) -> None:
    with pytest.raises(DataError, match="don't say how long one lasts"):
        lengths(opens)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from([1, 5, 30, 60]), st.floats(0.6, 1.0))
def test_bar_ends_of_one_length_whatever_is_missing_are_open_and_length(seed: int, minutes: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    opens = [open_ for number in range(8) for open_ in day(number, minutes) if rng.random() < share]

    assert ends(opens) == [open_ + minutes for open_ in opens]


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.lists(st.sampled_from([1, 5, 30]), min_size=2, max_size=4))
def test_bar_ends_of_changing_lengths_are_each_bars_own(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    opens, expected = [], []
    for number, minutes in enumerate(np.repeat(sizes, 3).tolist()):  # three days each
        there = [open_ for open_ in day(number, minutes) if rng.random() < 0.9]
        opens += there
        expected += [open_ + minutes for open_ in there]

    found = np.array(ends(opens))
    wrong = found != expected
    # What a length's last bar is, where the step to the next is a multiple of a longer one, can't be known; it is
    # taken to end later, never sooner.
    assert wrong.sum() <= len(sizes)
    assert (found >= expected).all()
