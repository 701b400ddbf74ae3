import doctest
import importlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import leaking_rows
from pipeline.learning.validation import validation_slice


def outcomes(starts: list[int], hours: list[int]) -> pd.DataFrame:
    start = pd.to_datetime("2024-01-01", utc=True) + pd.to_timedelta(starts, "D")
    return pd.DataFrame({"start": start, "end": start + pd.to_timedelta(hours, "h")})


def test_validation_slice_is_the_newest_rows_and_purges_those_known_too_late() -> None:
    # The slice starts on day 8; labels known at that very instant or later are purged.
    frame = outcomes(list(range(10)), [30, 30, 30, 30, 30, 30, 48, 30, 30, 30])

    train, validation = validation_slice(frame, 0.2)

    assert validation.tolist() == [8, 9]
    assert train.tolist() == [0, 1, 2, 3, 4, 5]


def test_validation_slice_rows_of_one_start_stay_together() -> None:
    frame = outcomes([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], [1] * 10)

    train, validation = validation_slice(frame, 0.3)

    assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7, 8, 9])


@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 100)), min_size=8, max_size=60),
    share=st.floats(0.05, 0.6),
)
def test_validation_slice_no_training_label_reaches_the_slice_and_all_others_stay(
    rows: list[tuple[int, int]], share: float
) -> None:
    frame = outcomes([day for day, _ in rows], [hours for _, hours in rows])
    try:
        train, validation = validation_slice(frame, share)
    except DataError:
        return

    opens = frame["start"].iloc[validation].min()
    assert validation.tolist() == np.flatnonzero(frame["start"] >= opens).tolist()
    assert train.tolist() == np.flatnonzero(frame["end"] < opens).tolist()
    assert not len(leaking_rows(frame, train, validation))
    # As near the share as rows of one start allow.
    largest = frame["start"].value_counts().max()
    assert abs(len(validation) - share * len(frame)) <= largest + 0.5


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), True, "0.2"])
def test_validation_slice_impossible_share_is_one_sentence(share: object) -> None:
    with pytest.raises(ConfigurationError, match=r"the validation share is .*; give a number between 0 and 1"):
        validation_slice(outcomes([0, 1], [1, 1]), share)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "frame",
    [outcomes([0], [1]), outcomes([0, 0, 0], [1, 1, 1]), outcomes([0, 1, 2], [200, 200, 1])],
    ids=["one row", "one start", "all purged"],
)
def test_validation_slice_nothing_left_to_learn_from_is_one_sentence(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"\d training rows are too few to hold 20% of them back for validation and"):
        validation_slice(frame, 0.2)


def test_validation_slice_example_runs_as_written() -> None:
    result = doctest.testmod(importlib.import_module("pipeline.learning.validation"))

    assert (result.failed, result.attempted) == (0, 3)
