"""Transforms of features, for use inside a model's own pipeline: what they learn comes from training rows only."""

import logging
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.feature_frames import FeatureTransform, some_of

__all__ = [
    "DropUninformative",
    "MadScaler",
    "MissingPolicy",
    "MissingValues",
    "SignedLog",
    "Winsorizer",
    "feature_transforms",
]

_log = logging.getLogger(__name__)

MissingPolicy = Literal["error", "keep", "keep_known", "median", "impute"]

# Policies that put a column's median somewhere.
_FILLING = ("keep_known", "median", "impute")

# Of a normal distribution the standard deviation is 1.4826 times the median absolute deviation, 1.2533 times the mean
# one.
_MEDIAN_TO_SIGMA = 1.482602218505602
_MEAN_TO_SIGMA = 1.2533141373155001


class DropUninformative(FeatureTransform):
    """Leaves out columns that are constant or a copy of an earlier one in the training rows; remembers which.

    Constant is one value throughout, or none at all; a column with one value and gaps stays, for the gaps may tell
    something. A copy is equal in every row, missing values included. The same columns are left out ever after,
    whatever they hold.

    Attributes
    ----------
    dropped_
        Name → ``constant``, ``all missing`` or ``copy of NAME``, in column order.
    """

    def _learn(self, frame: pd.DataFrame) -> None:
        self.dropped_: dict[str, str] = {}
        seen: dict[bytes, str] = {}
        # Column by column in memory. −0.0 and 0.0 are one value, and its bytes should be too.
        columns = np.ascontiguousarray(frame.to_numpy(np.float64).T) + 0.0
        missing = np.isnan(columns)
        columns[missing] = np.nan
        never = np.asarray(missing.all(axis=1))
        constant = np.asarray(~missing.any(axis=1) & (columns == columns[:, :1]).all(axis=1))
        for place, name in enumerate(frame.columns.tolist()):
            if never[place]:
                self.dropped_[name] = "all missing"
            elif constant[place]:
                self.dropped_[name] = "constant"
            elif (key := columns[place].tobytes()) in seen:
                self.dropped_[name] = f"copy of {seen[key]}"
            else:
                seen[key] = name
        if len(self.dropped_) == frame.shape[1]:
            raise DataError(
                f"none of {frame.shape[1]} features varies over the {len(frame)} training rows; give more rows or "
                "other features"
            )

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        kept = [place for place, name in enumerate(self.feature_names_in_) if name not in self.dropped_]
        return frame if len(kept) == frame.shape[1] else frame.iloc[:, kept]

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns kept, in their order."""
        return np.array([name for name in self.feature_names_in_ if name not in self.dropped_], dtype=object)


class Winsorizer(FeatureTransform):
    """Moves values beyond two quantiles of the training rows to those quantiles.

    Parameters
    ----------
    lower, upper
        Quantiles, 0 ≤ lower < upper ≤ 1; interpolated linearly between known training values.

    Attributes
    ----------
    lower_, upper_
        Series, a bound a column; NaN for a column without a known training value, which is left as it is.
    """

    def __init__(self, lower: float = 0.01, upper: float = 0.99) -> None:
        self.lower = lower
        self.upper = upper

    def _learn(self, frame: pd.DataFrame) -> None:
        if not 0 <= self.lower < self.upper <= 1:
            raise ConfigurationError(
                f"Winsorizer has lower {self.lower!r} and upper {self.upper!r}; give 0 ≤ lower < upper ≤ 1, e.g. "
                "0.01 and 0.99"
            )
        ordered = _Ordered(frame.to_numpy(np.float64))
        self.lower_, self.upper_ = (
            pd.Series(ordered.quantile(share), frame.columns, name=share) for share in (self.lower, self.upper)
        )

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        # As frame.clip, which takes a column at a time: a bound that is NaN leaves its column as it is.
        values, lower, upper = frame.to_numpy(), self.lower_.to_numpy(), self.upper_.to_numpy()
        values = np.where(values < lower, lower, values)
        return _like(frame, np.where(values > upper, upper, values))


class SignedLog(FeatureTransform):
    """sign(x) × log(1 + |x|): draws in long tails on both sides, keeps sign and order. Learns columns only."""

    def _learn(self, frame: pd.DataFrame) -> None:
        """Learn nothing but the columns."""

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return np.sign(frame) * np.log1p(frame.abs())


class MadScaler(FeatureTransform):
    """(x − median) / σ of the training rows, σ being 1.4826 × the median absolute deviation from the median.

    Where that is zero, because more than half of the values are one (a count, a flag), σ is 1.2533 × the mean
    absolute deviation from the median; where that is zero too, the column is constant and is centred only. A column
    without a known training value has no centre: all its values become missing.

    Attributes
    ----------
    center_, scale_
        Series, a value a column.
    """

    def _learn(self, frame: pd.DataFrame) -> None:
        self.center_ = _medians(frame)
        distance = (frame - self.center_).abs()
        sigma = _medians(distance) * _MEDIAN_TO_SIGMA
        sigma = sigma.where(sigma != 0, distance.mean() * _MEAN_TO_SIGMA)
        self.scale_ = sigma.where(sigma != 0, 1.0)

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return _like(frame, (frame.to_numpy() - self.center_.to_numpy()) / self.scale_.to_numpy())


class MissingValues(FeatureTransform):
    """Explicit policy for missing values; they never become zero by themselves.

    Parameters
    ----------
    policy
        ``error``: there must be none. ``keep``: they stay, for models that take them. ``median``: they become
        the column's median in the training rows, and a column ``NAME_missing`` (1.0 or 0.0) says where, for every
        column with missing training values. In a column without, a missing value at prediction is an error: the
        model never learned what it means. ``impute`` and ``keep_known``: as ``median`` and ``keep`` in columns with
        missing training values; in the others the median stands in, and a warning says so. They are for models that
        must go on predicting when a feature fails for the first time, ``keep_known`` for those that would take such
        a gap for a number (LightGBM: for zero).

    Attributes
    ----------
    median_
        Series, the columns' medians (not ``error`` and ``keep``); NaN for a column never known (``keep_known``).
    known_gaps_
        Columns with missing training values, in column order (not ``error`` and ``keep``).
    indicated_
        Those of them with an indicator (``median`` and ``impute``).
    """

    def __init__(self, policy: MissingPolicy = "error") -> None:
        self.policy = policy

    def _learn(self, frame: pd.DataFrame) -> None:
        known = get_args(MissingPolicy)
        if self.policy not in known:
            raise ConfigurationError(
                f"the policy for missing values is {self.policy!r}; it must be {', '.join(known[:-1])} or {known[-1]}"
            )
        missing = frame.isna()
        self.indicated_: list[str] = []
        if self.policy == "error":
            self._refuse(missing)
        if self.policy in _FILLING:
            self.median_ = _medians(frame)
            self.known_gaps_ = frame.columns[missing.any()].tolist()
        if self.policy in ("median", "impute"):
            if missing.all().any():
                raise DataError(
                    f"feature {missing.all().idxmax()} is missing in all {len(frame)} training rows and has no "
                    "median; drop it, "
                    "e.g. with DropUninformative"
                )
            self.indicated_ = [*self.known_gaps_]
            names = {f"{name}_missing" for name in self.indicated_}
            if taken := sorted(names & set(frame.columns)):
                raise DataError(f"there is a feature {taken[0]} already, the name of the indicator; rename it")

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.policy == "keep":
            return frame
        missing = frame.isna()
        if self.policy == "error":
            self._refuse(missing)
            return frame
        new = missing.drop(columns=self.known_gaps_)
        if self.policy == "median":
            self._refuse(new)
        elif len(failed := new.columns[new.any()]):
            _log.warning(
                "%s had no missing values in training and now has some (%d in %d rows): the median stands in",
                some_of(list(failed)),
                int(new.to_numpy().sum()),
                len(frame),
            )
        if self.policy == "keep_known":
            left = self.median_.where(~self.median_.index.isin(self.known_gaps_))
            return _filled(frame, missing, left)
        indicators = missing[self.indicated_].astype(np.float64).add_suffix("_missing")
        return pd.concat([_filled(frame, missing, self.median_), indicators], axis="columns", sort=False)

    def _refuse(self, missing: pd.DataFrame) -> None:
        if (rows := missing.sum()).any():
            name = rows.ne(0).idxmax()
            place = missing.index[int(np.argmax(missing[name]))]
            learned, other = (
                ("", "keep, median or impute")
                if self.policy == "error"
                else (", which had no missing values in training", "keep or impute")
            )
            raise DataError(
                f"feature {name}{learned}, is missing in {rows[name]} of {len(missing)} rows, first in {place}; "
                f"leave such rows out, or choose another policy ({other})"
            )

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The features, then the indicators."""
        return np.array([*self.feature_names_in_, *(f"{name}_missing" for name in self.indicated_)], dtype=object)


class _Ordered:
    """Columns in order, all at once: quantiles as NumPy and pandas give them column by column, to the bit."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = np.sort(np.ascontiguousarray(values.T), axis=1)  # missing ones last
        self._known = np.count_nonzero(~np.isnan(self._values), axis=1)

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Quantile of each column's known values, interpolated linearly; NaN where none is known."""
        place = (np.maximum(self._known, 1) - 1) * share
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(self._known, 1) - 1)
        lower, upper = (np.take_along_axis(self._values, at[:, None], axis=1)[:, 0] for at in (below, above))
        weight, step = place - below, upper - lower
        # As NumPy's: from the nearer end.
        return np.where(weight >= 0.5, upper - step * (1 - weight), lower + step * weight)

    def median(self) -> NDArray[np.float64]:
        """Median of each column's known values; NaN where none is known."""
        last = np.maximum(self._known, 1) - 1
        lower, upper = (
            np.take_along_axis(self._values, at[:, None], axis=1)[:, 0] for at in (last // 2, last - last // 2)
        )
        return np.where(lower == upper, lower, (lower + upper) / 2)


def _medians(frame: pd.DataFrame) -> pd.Series:
    return pd.Series(_Ordered(frame.to_numpy(np.float64)).median(), frame.columns)


def _like(frame: pd.DataFrame, values: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(values, frame.index, frame.columns, copy=False)


def _filled(frame: pd.DataFrame, missing: pd.DataFrame, by_column: pd.Series) -> pd.DataFrame:
    """Fill gaps with a value a column, as ``frame.fillna`` does column by column; NaN leaves them."""
    return _like(frame, np.where(missing.to_numpy(), by_column.to_numpy(), frame.to_numpy()))


def feature_transforms(
    missing: MissingPolicy = "keep",
    *,
    winsorize: tuple[float, float] | None = (0.01, 0.99),
    signed_log: bool = False,
    scale: bool = True,
) -> Pipeline:
    """The usual sequence before a model: drop, winsorise, signed log, scale, missing values.

    Put it in front of the model, ``make_pipeline(feature_transforms(), model)``, so that every fit of the model fits
    it too, on the same training rows.

    Parameters
    ----------
    missing
        See :class:`MissingValues`. ``keep_known`` suits models that take NaN (LightGBM), ``impute`` the others.
    winsorize
        The two quantiles; None for none.
    signed_log, scale
        Whether to draw in tails, and whether to scale by :class:`MadScaler`.
    """
    steps: list[tuple[str, FeatureTransform]] = [("drop", DropUninformative())]
    if winsorize is not None:
        steps.append(("winsorize", Winsorizer(*winsorize)))
    if signed_log:
        steps.append(("signed_log", SignedLog()))
    if scale:
        steps.append(("scale", MadScaler()))
    return Pipeline([*steps, ("missing", MissingValues(missing))])
