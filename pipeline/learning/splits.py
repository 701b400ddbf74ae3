"""Splits by label times (contract §8): walk-forward and combinatorial, purged, with an embargo."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.fold_settings import Duration, check_walk_forward, whole_number, window_rows
from pipeline.learning.folds import EMBARGOED, PURGED, ROLES, TEST, TRAIN, UNUSED, around_fold, fold_numbers
from pipeline.learning.intervals import Intervals, duration, read_intervals

__all__ = ["CombinatorialPurged", "PurgedSplitter", "PurgedWalkForward"]

Positions = NDArray[np.int64]


class PurgedSplitter(BaseCrossValidator):
    """Base of both splitters: scikit-learn's protocol over frames with ``start`` and ``end``."""

    # Where scikit-learn routes metadata, groups come here without being asked for.
    __metadata_request__split: ClassVar = {"groups": True}

    def split(
        self,
        X: Any,  # noqa: N803 (scikit-learn's name)
        y: Any = None,
        groups: pd.DataFrame | None = None,
    ) -> Iterator[tuple[Positions, Positions]]:
        """Positions of training and test rows, split by split.

        Parameters
        ----------
        X
            Frame with ``start`` and ``end`` of each label, shape (n, ...), in any order. With ``groups`` anything of
            n rows.
        y
            Ignored.
        groups
            The frame with ``start`` and ``end``, where ``X`` holds features only, as in
            ``cross_validate(model, X, y, groups=labels[["start", "end"]], cv=...)``.

        Yields
        ------
        train, test
            Rising positions (int64), disjoint.

        Raises
        ------
        DataError
            For a frame that can't be split (see :func:`~pipeline.learning.intervals.read_intervals`), too few rows, or
            a split without a training row: names the split.
        """
        roles = self._checked_roles(_labels(X, groups))
        return ((np.flatnonzero(row == TRAIN), np.flatnonzero(row == TEST)) for row in roles)

    def roles(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the role of each row in each split.

        Returns
        -------
        DataFrame
            Index as ``frame``, a column a split (its number): ``train``, ``test``, ``purged`` (its label interval
            meets a test interval), ``embargoed`` or ``unused`` (walk-forward: outside the training window).
        """
        names = np.array(ROLES, dtype=object)
        splits = self._checked_roles(read_intervals(frame))
        columns = {number: pd.array(names[row], dtype="str") for number, row in enumerate(splits)}
        return pd.DataFrame(columns, index=frame.index)

    def _checked_roles(self, intervals: Intervals) -> Iterator[NDArray[np.int8]]:
        # What is wrong with the frame shows at once, not when the first split is asked for.
        folds = self._folds(intervals)

        def checked() -> Iterator[NDArray[np.int8]]:
            for number, (row, name) in enumerate(self._roles(intervals, folds)):
                if not (row == TRAIN).any():
                    raise DataError(
                        f"split {number} ({name}) has no training row left: {int((row == PURGED).sum())} are purged "
                        "and "
                        f"{int((row == EMBARGOED).sum())} embargoed; use fewer folds, a shorter embargo or more rows"
                    )
                yield row

        return checked()

    def _folds(self, intervals: Intervals) -> Positions:
        raise NotImplementedError

    def _roles(self, intervals: Intervals, folds: Positions) -> Iterator[tuple[NDArray[np.int8], str]]:
        raise NotImplementedError


class PurgedWalkForward(PurgedSplitter):
    """Train on the past, test on what follows, again and again.

    Rows in order of ``start`` are cut into a first block, which is never tested, and ``n_splits`` test blocks of about
    as many rows, each tested once, by a model of the rows before it. All of a test block is tested, from its first
    ``start`` on. A row is learned from only if its label was known **before** that first start, by more
    than the embargo; one known at that very instant is purged.

    Nothing after the test is learned from, so the embargo lies where it can matter here: between the last
    training label's end and the first test start. That is stricter than López de Prado (2018, 7.4.2), who needs none
    there; ``"0D"`` is his.

    Parameters
    ----------
    n_splits
        Test blocks.
    embargo
        Duration, see above.
    test_size
        Rows a test block; by default all rows over ``n_splits + 1``. Blocks lie at the end; what is left goes to the
        first.
    train_size
        None for an expanding training window. Else it rolls: a duration before the first test start, in which
        training rows must start, or a number of rows, the newest of those left after purging.

    Raises
    ------
    ConfigurationError
        For an impossible setting.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=6)
    >>> frame = pd.DataFrame({"start": days, "end": days + pd.Timedelta("1D")})
    >>> [(train.tolist(), test.tolist()) for train, test in PurgedWalkForward(2).split(frame)]
    [([0], [2, 3]), ([0, 1, 2], [4, 5])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        embargo: Duration = "0D",
        test_size: int | None = None,
        train_size: int | Duration | None = None,
    ) -> None:
        check_walk_forward(n_splits, embargo, train_size)
        self.n_splits = int(n_splits)
        self.embargo = embargo
        self.test_size = None if test_size is None else whole_number(test_size, "test_size", 1)
        self.train_size = train_size

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        """Number of splits."""
        return self.n_splits

    def _folds(self, intervals: Intervals) -> Positions:
        size = self.test_size or len(intervals) // (self.n_splits + 1)
        first = len(intervals) - self.n_splits * size
        if size < 1 or first < 1:
            raise DataError(
                f"{len(intervals)} rows are too few for {self.n_splits} test blocks"
                f"{f' of {self.test_size} rows' if self.test_size else ''} and a row before them; "
                "ask for fewer or give more rows"
            )
        return fold_numbers(intervals, [first + size * number for number in range(self.n_splits)])

    def _roles(self, intervals: Intervals, folds: Positions) -> Iterator[tuple[NDArray[np.int8], str]]:
        for number in range(1, self.n_splits + 1):
            test = folds == number
            opens = intervals.start[test].min()
            row = self._before(intervals, int(opens))
            row[test] = TEST
            yield row, f"test block {number} of {self.n_splits}, from {pd.Timestamp(opens)}"

    def known_before(self, frame: pd.DataFrame, opens: pd.Timestamp | None = None) -> Positions:
        """Rows that a model of decisions from ``opens`` on learns from: those of a test block that begins there.

        Parameters
        ----------
        frame
            With ``start`` and ``end`` of each label, shape (n, ...).
        opens
            The first decision, with a zone where the frame's times have one; None for one that comes as soon as every
            label has been known for longer than the embargo.

        Returns
        -------
        ndarray of int64
            Rising positions.
        """
        intervals = read_intervals(frame)
        if opens is None:
            first = int(intervals.end.max()) + duration(self.embargo, "embargo") + 1
        else:
            first = opens.as_unit("ns").value
        return np.flatnonzero(self._before(intervals, first) == TRAIN)

    def _before(self, intervals: Intervals, opens: int) -> NDArray[np.int8]:
        """Return the role of each row for a model whose first decision is at ``opens``."""
        embargo, rows = duration(self.embargo, "embargo"), window_rows(self.train_size)
        before = intervals.start < opens
        known = opens - intervals.end  # for how long the label had been known
        row = np.full(len(intervals), UNUSED, np.int8)
        row[before] = TRAIN
        row[before & (known <= embargo)] = EMBARGOED
        row[before & (known <= 0)] = PURGED
        if rows is not None:
            train = np.flatnonzero(row == TRAIN)
            oldest_first = train[np.lexsort((train, intervals.end[train], intervals.start[train]))]
            row[oldest_first[:-rows]] = UNUSED
        elif self.train_size is not None:
            row[before & (opens - intervals.start > duration(self.train_size, "train_size"))] = UNUSED
        return row


class CombinatorialPurged(PurgedSplitter):
    """Every choice of ``n_test_folds`` test folds out of ``n_folds`` (López de Prado 2018, chapter 12).

    Rows in order of ``start`` are cut into ``n_folds`` folds of about as many rows. A split tests some of them and
    learns from the others, purged around **each** test fold: rows whose label interval meets a test interval,
    touching included, and rows that start within the embargo after a test interval's end. What lies between two test
    folds and is clear of both is learned from.

    Each row is tested in ``n_paths`` splits, so the splits' predictions make that many whole backtest paths.

    Parameters
    ----------
    n_folds, n_test_folds
        How many folds, and how many of them a split tests, fewer than all.
    embargo
        Duration after each test interval's end in which no training row may start.

    Raises
    ------
    ConfigurationError
        For an impossible setting.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=8)
    >>> frame = pd.DataFrame({"start": days, "end": days + pd.Timedelta("12h")})
    >>> splitter = CombinatorialPurged(4, 2, embargo="1D")
    >>> [(train.tolist(), test.tolist()) for train, test in splitter.split(frame)][1]
    ([3, 7], [0, 1, 4, 5])
    >>> splitter.get_n_splits(), splitter.n_paths
    (6, 3)
    """

    def __init__(self, n_folds: int = 6, n_test_folds: int = 2, *, embargo: Duration = "0D") -> None:
        self.n_folds = whole_number(n_folds, "n_folds", 2)
        self.n_test_folds = whole_number(n_test_folds, "n_test_folds", 1)
        self.embargo = embargo
        if self.n_test_folds >= self.n_folds:
            raise ConfigurationError(
                f"n_test_folds is {n_test_folds} of {n_folds} folds; test fewer than all, so that some are left to "
                "learn from"
            )
        duration(embargo, "embargo")

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        """Number of splits: the ways to choose the test folds."""
        return comb(self.n_folds, self.n_test_folds)

    @property
    def n_paths(self) -> int:
        """Number of backtest paths: in how many splits each fold is tested."""
        return comb(self.n_folds - 1, self.n_test_folds - 1)

    @property
    def test_folds(self) -> list[tuple[int, ...]]:
        """Per split, the numbers of the folds it tests."""
        return list(combinations(range(self.n_folds), self.n_test_folds))

    def paths(self) -> NDArray[np.int64]:
        """Return the split that each path takes each fold from.

        Returns
        -------
        ndarray of int64
            Split numbers, shape (n_paths, n_folds): path p takes fold f from the p-th split that tests f. Every pair
            of split and test fold is used exactly once.
        """
        splits = [
            [number for number, held in enumerate(self.test_folds) if fold in held] for fold in range(self.n_folds)
        ]
        return np.array(splits, dtype=np.int64).T

    def assemble_paths(self, frame: pd.DataFrame, predictions: Sequence[Any]) -> pd.DataFrame:
        """Backtest paths from the splits' predictions.

        Parameters
        ----------
        frame
            The frame that was split, shape (n, ...).
        predictions
            Per split, in the order of :meth:`split`, a value for each of its test rows, in the order of the positions.

        Returns
        -------
        DataFrame
            Index as ``frame``, columns 0 to ``n_paths`` − 1, float64: every row once a path.

        Raises
        ------
        DataError
            If the predictions don't fit the splits.
        """
        folds = self._folds(read_intervals(frame))
        if len(predictions) != self.get_n_splits():
            raise DataError(
                f"there are predictions of {len(predictions)} splits, but {self.get_n_splits()} splits; give one "
                "set a split"
            )
        by_split = np.full((len(predictions), len(frame)), np.nan)
        for number, (held, values) in enumerate(zip(self.test_folds, predictions, strict=True)):
            test = np.flatnonzero(np.isin(folds, held))
            given = np.asarray(values, dtype=np.float64)
            if given.shape != test.shape:
                raise DataError(
                    f"split {number} tests {len(test)} rows, but its predictions have the shape {given.shape}; "
                    "give one number per test row, in the order of the positions"
                )
            by_split[number, test] = given
        rows = np.arange(len(frame))
        return pd.DataFrame(
            {path: by_split[splits[folds], rows] for path, splits in enumerate(self.paths())}, frame.index
        )

    def _folds(self, intervals: Intervals) -> Positions:
        sizes = [len(part) for part in np.array_split(np.empty(len(intervals)), self.n_folds)]
        return fold_numbers(intervals, np.cumsum(sizes)[:-1].tolist())

    def _roles(self, intervals: Intervals, folds: Positions) -> Iterator[tuple[NDArray[np.int8], str]]:
        embargo = duration(self.embargo, "embargo")
        around = [around_fold(intervals, folds == fold, embargo) for fold in range(self.n_folds)]
        for held in self.test_folds:
            row = np.full(len(intervals), TRAIN, np.int8)
            for fold in held:
                row[around[fold][1]] = EMBARGOED
            for fold in held:
                row[around[fold][0]] = PURGED
            row[np.isin(folds, held)] = TEST
            yield row, f"test fold{'s' * (len(held) > 1)} {' and '.join(map(str, held))}"


def _labels(features: Any, groups: pd.DataFrame | None) -> Intervals:
    if groups is None:
        if isinstance(features, pd.DataFrame) and not {"start", "end"} <= set(features.columns):
            found = ", ".join(map(str, features.columns[:12])) or "none"
            raise DataError(
                f"the frame has no columns start and end (columns found: {found}); "
                "add them, or hand the frame that holds them over as groups"
            )
        return read_intervals(features)
    intervals = read_intervals(groups)
    if features is not None and len(features) != len(intervals):
        raise DataError(
            f"groups hold start and end of {len(intervals)} rows, but there are {len(features)} rows to split"
        )
    return intervals
