"""Splits by label times: exact positions in small cases, the oracle's in hundreds of random ones."""

import datetime as dt
import pickle
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import CombinatorialPurged, PurgedSplitter, PurgedWalkForward, leaking_rows
from tests.learning import oracle

DAY = pd.Timedelta("1D")
EPOCH = pd.Timestamp("2024-01-01")


def days(starts: list[float], ends: list[float], zone: str | None = "UTC", unit: str = "ns") -> pd.DataFrame:
    frame = pd.DataFrame({"start": EPOCH + np.array(starts) * DAY, "end": EPOCH + np.array(ends) * DAY})
    frame = frame.apply(lambda column: pd.Series(pd.DatetimeIndex(column).as_unit(unit)))
    return frame if zone is None else frame.apply(lambda column: column.dt.tz_localize(zone))


def listed(splitter: PurgedSplitter, frame: pd.DataFrame) -> list[tuple[list[int], list[int]]]:
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(frame)]


@st.composite
def interval_sets(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Starts with ties, unsorted; labels short, long, without length, a few over everything."""
    count = draw(st.integers(8, 60))
    span = draw(st.sampled_from([12, 40, 200]))
    starts = draw(st.lists(st.integers(0, span), min_size=count, max_size=count))
    longest = draw(st.sampled_from([0, 1, 3, 10, 60]))
    lengths = draw(st.lists(st.integers(0, longest), min_size=count, max_size=count))
    return starts, [start + length for start, length in zip(starts, lengths, strict=True)]


# --- walk-forward


def test_walk_forward_labels_of_a_day_gives_exact_positions() -> None:
    frame = days([0, 1, 2, 3, 4, 5, 6, 7], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5])

    assert listed(PurgedWalkForward(3), frame) == [
        ([0, 1], [2, 3]),
        ([0, 1, 2, 3], [4, 5]),
        ([0, 1, 2, 3, 4, 5], [6, 7]),
    ]


def test_walk_forward_label_that_touches_the_test_start_is_purged() -> None:
    frame = days([0, 1, 2, 3, 4, 5], [0.5, 2, 3, 4, 5, 6])

    assert listed(PurgedWalkForward(2), frame) == [([0], [2, 3]), ([0, 1, 2], [4, 5])]


def test_walk_forward_test_begins_at_its_first_start_and_not_at_its_first_end() -> None:
    # The first test label lasts until day 9; rows 0 and 1 end within it and must not be learned from.
    frame = days([0, 1, 2, 3, 4, 5, 6, 7], [0.5, 4.5, 5, 6, 9, 5.5, 6.5, 7.5])

    ((train, test),) = listed(PurgedWalkForward(1, test_size=4), frame)

    assert test == [4, 5, 6, 7]
    assert train == [0]


def test_walk_forward_embargo_is_a_gap_before_the_test() -> None:
    frame = days([0, 1, 2, 3, 4, 5], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5])

    assert listed(PurgedWalkForward(1, test_size=2, embargo="12h"), frame) == [([0, 1, 2], [4, 5])]
    assert listed(PurgedWalkForward(1, test_size=2, embargo="11h"), frame) == [([0, 1, 2, 3], [4, 5])]


def test_walk_forward_rolling_window_in_time_and_in_rows() -> None:
    frame = days([0, 1, 2, 3, 4, 5, 6, 7], [0.5, 1.5, 2.5, 3.5, 4.5, 6, 6.5, 7.5])

    by_time = listed(PurgedWalkForward(3, train_size="3D"), frame)
    by_rows = listed(PurgedWalkForward(3, train_size=3), frame)

    assert [train for train, _ in by_time] == [[0, 1], [1, 2, 3], [3, 4]]
    assert [train for train, _ in by_rows] == [[0, 1], [1, 2, 3], [2, 3, 4]]


def test_walk_forward_unsorted_rows_come_as_rising_positions() -> None:
    frame = days([5, 0, 3, 1, 4, 2], [5.5, 0.5, 3.5, 1.5, 4.5, 2.5])

    assert listed(PurgedWalkForward(2), frame) == [([1, 3], [2, 5]), ([1, 2, 3, 5], [0, 4])]


def test_walk_forward_long_and_short_of_a_session_stay_together() -> None:
    starts = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]

    tests = [test for _, test in listed(PurgedWalkForward(2), days(starts, [s + 0.5 for s in starts]))]

    assert tests == [[4, 5], [6, 7, 8, 9]]


def test_walk_forward_first_block_is_never_tested_and_the_rest_once() -> None:
    frame = days(list(range(23)), [s + 0.5 for s in range(23)])

    tested = np.concatenate([test for _, test in PurgedWalkForward(5).split(frame)])

    assert tested.tolist() == list(range(8, 23))


@settings(max_examples=250, deadline=None)
@given(
    interval_sets(),
    st.integers(1, 5),
    st.sampled_from([0, 1, 5]),
    st.sampled_from([None, 4, "8D", "40D"]),
    st.sampled_from([None, "UTC", "America/Chicago"]),
)
def test_walk_forward_random_intervals_agree_with_the_oracle(
    intervals: tuple[list[int], list[int]], n_splits: int, embargo: int, train_size: int | str | None, zone: str | None
) -> None:
    starts, ends = intervals
    assume(len(set(starts)) > n_splits)
    frame = days(starts, ends, zone, "s")
    if zone == "America/Chicago":  # wall-clock days are not all of 24 hours; hold it in instants
        frame = days(starts, ends, "UTC", "us").apply(lambda column: column.dt.tz_convert(zone))
    splitter = PurgedWalkForward(n_splits, embargo=f"{embargo}D", train_size=train_size)
    roles = splitter._roles(*_folded(splitter, frame))
    tested: list[int] = []
    for row, _ in roles:
        train, test = np.flatnonzero(row == 1).tolist(), np.flatnonzero(row == 2).tolist()
        expected = oracle.walk_forward_train(starts, ends, test, embargo)
        opens = min(starts[t] for t in test)
        if train_size == 4:
            newest = sorted(expected, key=lambda r: (starts[r], ends[r], r))[-4:]
            expected = sorted(newest)
        elif train_size is not None:
            expected = [r for r in expected if starts[r] >= opens - int(str(train_size)[:-1])]
        assert train == expected
        assert leaking_rows(frame, train, test).tolist() == []
        assert not tested or max(starts[t] for t in tested) < opens
        tested += test
    assert len(tested) == len(set(tested))
    never = set(range(len(starts))) - set(tested)
    assert max(starts[row] for row in never) < min(starts[row] for row in tested)


def _folded(splitter: PurgedSplitter, frame: pd.DataFrame) -> tuple:
    # Splits without a training row are an error to a user; the oracle is asked about them all the same.
    from pipeline.learning.intervals import read_intervals

    intervals = read_intervals(frame)
    return intervals, splitter._folds(intervals)


# --- combinatorial


def test_combinatorial_gives_exact_positions() -> None:
    frame = days(list(range(8)), [s + 0.5 for s in range(8)])

    assert listed(CombinatorialPurged(4, 2), frame) == [
        ([4, 5, 6, 7], [0, 1, 2, 3]),
        ([2, 3, 6, 7], [0, 1, 4, 5]),
        ([2, 3, 4, 5], [0, 1, 6, 7]),
        ([0, 1, 6, 7], [2, 3, 4, 5]),
        ([0, 1, 4, 5], [2, 3, 6, 7]),
        ([0, 1, 2, 3], [4, 5, 6, 7]),
    ]


def test_combinatorial_purges_around_each_test_fold_and_keeps_what_is_clear_between_them() -> None:
    # Folds of three; tests 0 and 2. Row 5 reaches into fold 2; row 3 begins in the life of row 2; row 4 is clear.
    starts = list(range(12))
    ends = [s + 0.5 for s in starts]
    ends[2], ends[5], ends[8] = 3.2, 6.0, 10.0

    train, test = listed(CombinatorialPurged(4, 2), days(starts, ends))[1]

    assert test == [0, 1, 2, 6, 7, 8]
    assert train == [4, 11]


def test_combinatorial_long_label_of_an_early_test_row_reaches_over_later_folds() -> None:
    starts = list(range(12))
    ends = [s + 0.5 for s in starts]
    ends[0] = 7.0

    train, _ = listed(CombinatorialPurged(4, 1), days(starts, ends))[0]

    assert train == [8, 9, 10, 11]


def test_combinatorial_embargo_follows_every_test_fold_and_none_precedes_it() -> None:
    starts = list(range(12))
    frame = days(starts, [s + 0.5 for s in starts])

    splits = listed(CombinatorialPurged(4, 2, embargo="36h"), frame)

    assert splits[1] == ([5, 11], [0, 1, 2, 6, 7, 8])  # 3.0 and 4.0 lie up to 1.5 days after 2.5, and 5.0 does not


def test_combinatorial_embargo_counts_from_the_latest_end() -> None:
    frame = days([0, 1, 2, 3, 4, 5], [3.5, 1.5, 2.5, 3.6, 4.5, 5.5])

    train, _ = listed(CombinatorialPurged(3, 1, embargo="1D"), frame)[0]

    assert train == [5]


@settings(max_examples=250, deadline=None)
@given(interval_sets(), st.integers(2, 6), st.integers(1, 3), st.sampled_from([0, 1, 7]))
def test_combinatorial_random_intervals_agree_with_the_oracle(
    intervals: tuple[list[int], list[int]], n_folds: int, n_test_folds: int, embargo: int
) -> None:
    starts, ends = intervals
    assume(n_test_folds < n_folds <= len(set(starts)))
    frame = days(starts, ends, "UTC", "s")
    splitter = CombinatorialPurged(n_folds, n_test_folds, embargo=f"{embargo}D")

    times_tested = np.zeros(len(starts), int)
    splits = list(splitter._roles(*_folded(splitter, frame)))
    for row, _ in splits:
        train, test = np.flatnonzero(row == 1).tolist(), np.flatnonzero(row == 2).tolist()
        times_tested[test] += 1
        assert train == oracle.combinatorial_train(starts, ends, test, embargo)
        assert leaking_rows(frame, train, test, embargo=f"{embargo}D").tolist() == []
    assert len(splits) == splitter.get_n_splits() == comb(n_folds, n_test_folds)
    assert (times_tested == splitter.n_paths).all()
    assert splitter.n_paths == comb(n_folds - 1, n_test_folds - 1)


@settings(max_examples=150, deadline=None)
@given(interval_sets(), st.data(), st.sampled_from([0, 1, 7]))
def test_leaking_rows_of_any_positions_agrees_with_the_oracle(
    intervals: tuple[list[int], list[int]], data: st.DataObject, embargo: int
) -> None:
    starts, ends = intervals
    rows = st.lists(st.integers(0, len(starts) - 1), unique=True)
    train, test = data.draw(rows), data.draw(rows)

    clean = set(oracle.combinatorial_train(starts, ends, test, embargo))

    leaks = leaking_rows(days(starts, ends), train, test, embargo=f"{embargo}D")
    assert leaks.tolist() == sorted(set(train) - clean)


def test_leaking_rows_sees_the_window_that_starts_at_the_first_test_end() -> None:
    # How the mlfinlab family purges: training labels are compared with [first test end, last test end].
    starts = list(range(20))
    frame = days(starts, [s + 3 for s in starts])
    test = list(range(10, 15))
    window = frame["end"].iloc[10], frame["end"].iloc[14]
    train = [row for row in starts if frame["end"][row] < window[0] or frame["start"][row] > window[1]]

    assert leaking_rows(frame, train, test).tolist() == [7, 8, 9]


# --- paths


def test_paths_use_each_split_and_test_fold_once_and_visit_every_row() -> None:
    splitter = CombinatorialPurged(6, 2)

    paths = splitter.paths()

    assert paths.shape == (5, 6)
    assert splitter.n_paths == 5
    used = {(int(split), fold) for path in paths for fold, split in enumerate(path)}
    assert used == {(split, fold) for split, held in enumerate(combinations(range(6), 2)) for fold in held}
    assert paths[0].tolist() == [0, 0, 1, 2, 3, 4]
    assert paths[4].tolist() == [4, 8, 11, 13, 14, 14]


def test_assemble_paths_puts_every_split_where_the_paths_say() -> None:
    frame = days([3, 0, 2, 1], [3.5, 0.5, 2.5, 1.5])
    splitter = CombinatorialPurged(4, 2)
    # Split number and position, readable in the value.
    predictions = [100 * number + test for number, (_, test) in enumerate(splitter.split(frame))]

    paths = splitter.assemble_paths(frame, predictions)

    assert paths.index.equals(frame.index)
    assert paths.to_numpy().tolist() == [[200, 400, 500], [1, 101, 201], [102, 302, 502], [3, 303, 403]]


def test_assemble_paths_wrong_predictions_are_one_sentence() -> None:
    frame = days([0, 1, 2, 3], [0.5, 1.5, 2.5, 3.5])
    splitter = CombinatorialPurged(4, 2)

    with pytest.raises(DataError, match="predictions of 1 splits, but 6 splits"):
        splitter.assemble_paths(frame, [np.zeros(2)])
    with pytest.raises(DataError, match=r"split 0 tests 2 rows, but its predictions have the shape \(3,\)"):
        splitter.assemble_paths(frame, [np.zeros(3)] * 6)


# --- forms


@pytest.mark.parametrize("splitter", [PurgedWalkForward(3, embargo="1D"), CombinatorialPurged(4, 2, embargo="1D")])
def test_split_same_instants_in_any_form_give_the_same_positions(splitter: PurgedSplitter) -> None:
    starts, ends = list(range(12)), [s + 1.5 for s in range(12)]
    expected = listed(splitter, days(starts, ends, None))

    forms = [days(starts, ends, "UTC", unit) for unit in ("s", "ms", "us", "ns")]
    forms.append(days(starts, ends).apply(lambda column: column.dt.tz_convert("Asia/Tokyo")))
    forms.append(days(starts, ends).astype(object))
    forms.append(days(starts, ends)[["end", "start"]].assign(more="x").set_index(pd.Index(list("abcdefghijkl"))))

    assert all(listed(splitter, form) == expected for form in forms)


@pytest.mark.parametrize("embargo", ["2D", pd.Timedelta("2D"), dt.timedelta(days=2), np.timedelta64(48, "h")])
def test_split_embargo_in_any_form_is_the_same(embargo: object) -> None:
    frame = days(list(range(12)), [s + 0.5 for s in range(12)])

    splits = listed(CombinatorialPurged(4, 1, embargo=embargo), frame)

    assert splits[0] == ([5, 6, 7, 8, 9, 10, 11], [0, 1, 2])


def test_split_positions_are_rising_disjoint_int64() -> None:
    rng = np.random.default_rng(3)
    starts = rng.integers(0, 500, 300)
    frame = days(starts.tolist(), (starts + rng.integers(0, 20, 300)).tolist())

    for splitter in (PurgedWalkForward(), CombinatorialPurged()):
        splits = list(splitter.split(frame))
        assert len(splits) == splitter.get_n_splits(frame)
        for train, test in splits:
            assert train.dtype == test.dtype == np.int64
            assert (np.diff(train) > 0).all()
            assert (np.diff(test) > 0).all()
            assert not np.intersect1d(train, test).size


def test_roles_say_what_became_of_every_row() -> None:
    frame = days([0, 1, 2, 3, 4, 5], [0.5, 2.0, 2.5, 3.5, 4.5, 5.5]).set_index(pd.Index(list("abcdef")))

    combinatorial = CombinatorialPurged(3, 1, embargo="12h").roles(frame)
    forward = PurgedWalkForward(2, train_size="2D").roles(frame)

    assert combinatorial.index.tolist() == list("abcdef")
    assert combinatorial[1].tolist() == ["train", "purged", "test", "test", "embargoed", "train"]
    assert forward[0].tolist() == ["train", "purged", "test", "test", "unused", "unused"]
    assert forward[1].tolist() == ["unused", "unused", "train", "train", "test", "test"]


def test_cross_validate_takes_the_frame_itself_or_labels_as_groups() -> None:
    rng = np.random.default_rng(0)
    starts = list(range(120))
    labels = days(starts, [s + 2.5 for s in starts])
    features = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc"))
    target = (features["a"] + rng.normal(size=120) > 0).astype(int)
    splitter = PurgedWalkForward(4, embargo="1D")

    by_groups = cross_validate(LogisticRegression(), features, target, groups=labels, cv=splitter)
    by_positions = cross_validate(LogisticRegression(), features, target, cv=list(splitter.split(labels)))
    whole = pd.concat([features, labels], axis=1)
    blind = make_pipeline(FunctionTransformer(lambda frame: frame[["a", "b", "c"]]), LogisticRegression())
    by_frame = cross_validate(blind, whole, target, cv=splitter)
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(LogisticRegression(), features, target, params={"groups": labels}, cv=splitter)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=CombinatorialPurged(4, 2))
    search.fit(features, target, groups=labels)

    assert by_groups["test_score"].tolist() == by_positions["test_score"].tolist()
    assert by_frame["test_score"].tolist() == routed["test_score"].tolist() == by_groups["test_score"].tolist()
    assert len(by_groups["test_score"]) == 4
    assert search.n_splits_ == 6


def test_splitters_show_and_keep_their_settings() -> None:
    splitter = PurgedWalkForward(3, embargo="5D", train_size=100)

    assert repr(splitter) == "PurgedWalkForward(embargo='5D', n_splits=3, test_size=None, train_size=100)"
    assert repr(pickle.loads(pickle.dumps(splitter))) == repr(splitter)  # noqa: S301
    assert repr(CombinatorialPurged()) == "CombinatorialPurged(embargo='0D', n_folds=6, n_test_folds=2)"


# --- mistakes


@pytest.mark.parametrize("embargo", ["-1D", "5", 5, "1M", "soon", "nan", None, 1.5])
def test_splitters_impossible_embargo_is_one_sentence(embargo: object) -> None:
    for kind in (PurgedWalkForward, CombinatorialPurged):
        with pytest.raises(ConfigurationError, match=r"^embargo is .*; give a duration such as '5D' or '12h'"):
            kind(embargo=embargo)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PurgedWalkForward(0), "n_splits is 0; give a whole number, 1 or more"),
        (lambda: PurgedWalkForward(2.0), "n_splits is 2.0; give a whole number, 1 or more"),
        (lambda: PurgedWalkForward(test_size=0), "test_size is 0; give a whole number, 1 or more"),
        (lambda: PurgedWalkForward(train_size=0), "train_size is 0; give a whole number, 1 or more"),
        (lambda: PurgedWalkForward(train_size="0D"), "train_size is '0D'; give a duration above zero, or rows"),
        (lambda: PurgedWalkForward(train_size="ten"), "train_size is 'ten'; give a duration such as '5D'"),
        (lambda: CombinatorialPurged(1), "n_folds is 1; give a whole number, 2 or more"),
        (lambda: CombinatorialPurged(4, 4), "n_test_folds is 4 of 4 folds; test fewer than all"),
        (lambda: CombinatorialPurged(4, True), "n_test_folds is True; give a whole number, 1 or more"),
    ],
)
def test_splitters_impossible_setting_is_one_sentence(make: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert str(caught.value).startswith(message)


def _mixed_zones(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(end=frame["end"].dt.tz_localize(None))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: f.drop(columns="end"),
            "the frame has no columns start and end (columns found: start); add them, or",
        ),
        (lambda f: f.to_numpy(), "splits and weights need a pandas DataFrame with start and end, not ndarray"),
        (
            lambda f: f.assign(end=f["end"].where(f.index != 3)),
            "row 3 (3) has no end; leave out rows whose label is not",
        ),
        (
            lambda f: f.assign(end=f["end"].where(f.index != 3, EPOCH.tz_localize("UTC"))),
            "row 3 (3) ends at 2024-01-01",
        ),
        (_mixed_zones, "column end carries no time zone and the other one does; localize it"),
        (lambda f: f.assign(start=range(12)), "column start holds int64, not times; convert it"),
        (lambda f: f.assign(start=f["start"].astype(str)), "column start holds str, not times; convert it"),
        (lambda f: f.iloc[:2], "2 rows"),
        (lambda f: f.iloc[:0], "0 rows"),
        (lambda f: f.assign(start=f["start"].iloc[0]), "12 rows with 1 different start times are too few for 4 folds"),
        (lambda f: f.set_axis(["start", "start"], axis=1).assign(end=f["end"]), "the frame has the column start more"),
    ],
)
@pytest.mark.parametrize("splitter", [PurgedWalkForward(3), CombinatorialPurged(4)])
def test_split_unusable_frame_is_one_sentence_at_once(splitter: PurgedSplitter, spoil: object, message: str) -> None:
    frame = spoil(days(list(range(12)), [s + 0.5 for s in range(12)]))

    with pytest.raises(DataError) as caught:
        splitter.split(frame)

    assert str(caught.value).startswith(message)


def test_split_without_a_training_row_names_the_split() -> None:
    frame = days(list(range(12)), [20] * 12)

    with pytest.raises(
        DataError, match=r"^split 0 \(test block 1 of 5, from 2024-01-03 00:00:00\) has no training row"
    ):
        list(PurgedWalkForward(5).split(frame))
    with pytest.raises(
        DataError, match=r"^split 0 \(test folds 0 and 1\) has no training row left: 8 are purged and 0"
    ):
        list(CombinatorialPurged(6).split(frame))


def test_split_groups_of_other_length_are_one_sentence() -> None:
    frame = days(list(range(12)), [s + 0.5 for s in range(12)])

    with pytest.raises(DataError, match="groups hold start and end of 12 rows, but there are 3 rows to split"):
        PurgedWalkForward(2).split(np.zeros((3, 1)), groups=frame)


def test_folds_are_as_even_as_ties_allow() -> None:
    starts = list(range(20))
    tests = [test for _, test in listed(CombinatorialPurged(6, 1), days(starts, [s + 0.5 for s in starts]))]

    assert [len(test) for test in tests] == [4, 4, 3, 3, 3, 3]
    tied = [0] * 10 + [1, 2, 3]
    sizes = [len(test) for _, test in listed(CombinatorialPurged(4, 1), days(tied, [s + 0.5 for s in tied]))]
    assert sizes == [10, 1, 1, 1]
