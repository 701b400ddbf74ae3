import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.learning import average_uniqueness
from tests.learning import oracle

EPOCH = pd.Timestamp("2024-01-01", tz="UTC")


def hours(values: list[int]) -> pd.Series:
    return pd.Series(EPOCH + pd.to_timedelta(values, unit="h"))


def test_average_uniqueness_small_cases_are_exact() -> None:
    # Alone; two of the same life; one over the second half of another.
    starts, ends = hours([0, 10, 10, 20, 22]), hours([4, 14, 14, 24, 26])

    shares = average_uniqueness(starts, ends)

    assert shares.tolist() == [1.0, 0.5, 0.5, 0.75, 0.75]
    assert shares.name == "uniqueness"


def test_average_uniqueness_labels_that_touch_share_no_time() -> None:
    assert average_uniqueness(hours([0, 4]), hours([4, 8])).tolist() == [1.0, 1.0]


def test_average_uniqueness_without_length_takes_the_concurrency_of_its_instant() -> None:
    assert average_uniqueness(hours([2, 0, 2]), hours([2, 4, 2])).tolist() == [1 / 3, 1.0, 1 / 3]


def test_average_uniqueness_on_times_is_the_books_form() -> None:
    # Alive at 0: first; at 1: both; at 2: both; at 3: second. Closed ends: 2 counts for the first.
    starts, ends = hours([0, 1]), hours([2, 3])

    shares = average_uniqueness(starts, ends, times=hours([3, 2, 1, 0, 9]))

    assert shares.tolist() == pytest.approx([(1 + 0.5 + 0.5) / 3] * 2, abs=1e-15)


def test_average_uniqueness_keeps_index_and_order() -> None:
    starts, ends = hours([22, 20, 0]), hours([26, 24, 4])
    starts.index = ends.index = pd.Index(["b", "a", "c"])

    assert average_uniqueness(starts, ends).to_dict() == {"b": 0.75, "a": 0.75, "c": 1.0}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), min_size=1, max_size=40))
def test_average_uniqueness_agrees_with_the_oracle(labels: list[tuple[int, int]]) -> None:
    starts = [start for start, _ in labels]
    ends = [start + length for start, length in labels]

    shares = average_uniqueness(hours(starts), hours(ends))

    np.testing.assert_allclose(shares, oracle.uniqueness(starts, ends), rtol=0, atol=1e-12)
    assert ((shares > 0) & (shares <= 1)).all()


def test_average_uniqueness_does_not_depend_on_history_before_an_idle_time() -> None:
    rng = np.random.default_rng(1)
    late = np.sort(rng.integers(10_000, 20_000, 300))
    starts = hours([*rng.integers(0, 5_000, 500), *late])
    ends = starts + pd.to_timedelta(rng.integers(0, 40, 800), unit="h")

    whole = average_uniqueness(starts, ends)
    alone = average_uniqueness(starts.iloc[500:], ends.iloc[500:])

    assert whole.iloc[500:].equals(alone)


def test_average_uniqueness_hundred_thousand_labels_sum_to_the_time_covered() -> None:
    # Whatever overlaps, shares times lengths add up to the time in which any label lives.
    rng = np.random.default_rng(2)
    start = np.sort(rng.integers(0, 3 * 10**6, 100_000))
    length = rng.integers(1, 500, 100_000)
    minutes = pd.Series(EPOCH + pd.to_timedelta(start, unit="min"))

    shares = average_uniqueness(minutes, minutes + pd.to_timedelta(length, unit="min"))

    reach = np.maximum.accumulate(start + length)
    idle = np.clip(start[1:] - reach[:-1], 0, None).sum()
    assert (shares * length).sum() == pytest.approx(reach[-1] - start[0] - idle, rel=1e-9)


@pytest.mark.parametrize(
    ("starts", "ends", "times", "message"),
    [
        ([0, 1], [2], None, "there are 2 starts and 1 ends; give one of each a label"),
        ([3], [2], None, "row 0 (0) ends at 2024-01-01 02:00:00+00:00, before it starts at"),
        ([0, 5], [2, 6], [1, 9], "none of times lies in the life of the label in row 1 (1); leave times out"),
    ],
)
def test_average_uniqueness_mistakes_are_one_sentence(
    starts: list[int], ends: list[int], times: list[int] | None, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        average_uniqueness(hours(starts), hours(ends), times=None if times is None else hours(times))

    assert str(caught.value).startswith(message)


def test_average_uniqueness_times_without_zone_are_one_sentence() -> None:
    with pytest.raises(DataError, match="times and start must both carry a time zone, or neither"):
        average_uniqueness(hours([0]), hours([1]), times=hours([0]).dt.tz_localize(None))
