"""Requirements of every transform on the frames it is fitted on and applied to."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_complex_dtype, is_numeric_dtype
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from pipeline.errors import DataError

__all__ = ["FeatureTransform", "some_of"]


class FeatureTransform(TransformerMixin, BaseEstimator):
    """Base of the transforms: pandas in, pandas out, the same columns in the same order with the same dtypes.

    Fitting remembers ``feature_names_in_``, ``feature_dtypes_in_`` and ``fit_index_``, the labels of the rows it was
    fitted on, by which an audit can tell that they were training rows only. What comes to be transformed must have
    those columns. Infinite values are refused throughout; missing ones (NaN) pass through unless a transform is about
    them.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Learn from training rows.

        Parameters
        ----------
        X
            Features, numbers or truth values, shape (n, k), n and k 1 or more.
        y
            Ignored.

        Raises
        ------
        DataError
            For anything else than such a frame; for infinite values.
        ConfigurationError
            For an impossible setting.
        """
        values = _values(X)
        if not len(X):
            raise DataError(f"{type(self).__name__} can't be fitted on a frame without rows; give training rows")
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self._columns = X.columns
        self.feature_dtypes_in_ = X.dtypes.to_dict()
        self.n_features_in_ = X.shape[1]
        self.fit_index_ = X.index
        self._learn(pd.DataFrame(values, X.index, X.columns, copy=False))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        """Apply what was learned.

        Returns
        -------
        DataFrame
            float64, index as ``X``, columns as :meth:`get_feature_names_out`.

        Raises
        ------
        DataError
            If columns, their order or their dtypes are not those of the fit; for infinite values.
        """
        if not hasattr(self, "feature_names_in_"):
            raise NotFittedError(f"{type(self).__name__} is not fitted yet; call fit with training rows first")
        self._same_columns(X)
        return self._apply(pd.DataFrame(_values(X), X.index, X.columns, copy=False))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns that come out, shape (columns,)."""
        return self.feature_names_in_

    @property
    def _index(self) -> pd.Index:
        """The columns of the fit; comparing two indexes takes a hundredth of comparing two lists of names."""
        if "_columns" not in self.__dict__:
            self._columns = pd.Index(self.feature_names_in_, dtype="str")
        return self._columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _learn(self, frame: pd.DataFrame) -> None:
        raise NotImplementedError

    def _apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError

    def _same_columns(self, frame: Any) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"{type(self).__name__} takes a pandas DataFrame, not {type(frame).__name__}")
        kinds = frame.dtypes.to_numpy()
        if frame.columns.equals(self._index) and kinds.tolist() == list(self.feature_dtypes_in_.values()):
            return
        expected, found = list(self.feature_names_in_), list(frame.columns)
        who = f"{type(self).__name__} was fitted on"
        if missing := [name for name in expected if name not in found]:
            raise DataError(
                f"{who} the column {some_of(missing)}, which is missing; compute the features as for training"
            )
        if strange := [name for name in found if name not in expected]:
            raise DataError(f"{who} {len(expected)} columns without {some_of(strange)}; leave it out or train again")
        if len(found) != len(expected):
            twice = [name for name in expected if found.count(name) > 1]
            raise DataError(f"{who} the column {some_of(twice)} once, but it comes twice; keep one of them")
        if found != expected:
            at = next(row for row, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1])
            raise DataError(
                f"{who} columns in another order: column {at} is {found[at]} and was {expected[at]}; put them as in "
                "training"
            )
        for name, dtype in frame.dtypes.items():
            if dtype != self.feature_dtypes_in_[name]:
                raise DataError(f"{who} {name} as {self.feature_dtypes_in_[name]}, and it is {dtype} now; convert it")


def _values(frame: Any) -> NDArray[np.float64]:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"features must be a pandas DataFrame with named columns, not {type(frame).__name__}")
    if not frame.shape[1]:
        raise DataError("the features have no columns; give one or more")
    if frame.columns.dtype != "str" and (unnamed := [one for one in frame.columns if not isinstance(one, str)]):
        raise DataError(f"feature columns need names, and {unnamed[0]!r} is none; name them as text")
    if not frame.columns.is_unique:
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise DataError(f"the features have the column {some_of(twice)} more than once; keep one of them")
    kinds = set(frame.dtypes)
    unreal = {dtype for dtype in kinds if not is_numeric_dtype(dtype) or is_complex_dtype(dtype)}
    for name, dtype in frame.dtypes.items() if unreal else ():
        if dtype in unreal:
            raise DataError(f"feature {name} holds {dtype}, not numbers; convert it or leave it out")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    if (infinite := np.isinf(values)).any():
        row, column = (int(place) for place in np.argwhere(infinite)[0])
        raise DataError(
            f"feature {frame.columns[column]} is infinite in row {frame.index[row]}; fix the feature, or make it "
            "missing"
        )
    return values


def some_of(names: list[Any]) -> str:
    """The first three of names, and how many more there are."""
    shown = ", ".join(map(str, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
