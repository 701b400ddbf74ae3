"""Fitted feature transforms as JSON, exact to the bit, without pickle."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype
from sklearn.pipeline import Pipeline

from pipeline.errors import DataError
from pipeline.learning.feature_frames import FeatureTransform
from pipeline.learning.transforms import DropUninformative, MadScaler, MissingValues, SignedLog, Winsorizer

__all__ = ["transforms_from_json", "transforms_to_json"]


def transforms_to_json(transforms: Pipeline) -> dict[str, Any]:
    """Convert a fitted sequence of this project's transforms to plain JSON values.

    Floats keep their bits: JSON writes the shortest decimal that reads back as the same number, and what JSON has no
    number for (NaN) becomes text. ``fit_index_`` stays behind: which rows were learned from is the training's record.

    Raises
    ------
    DataError
        For a step that is none of this project's transforms, or is not fitted.
    """
    steps = []
    for name, step in transforms.steps:
        if type(step) not in _LEARNED:
            raise DataError(
                f"step {name} is a {type(step).__name__}, and only {', '.join(sorted(_BY_NAME))} can be saved; "
                "use one of these"
            )
        if not hasattr(step, "feature_names_in_"):
            raise DataError(f"step {name} ({type(step).__name__}) is not fitted; fit it before saving")
        learned = {
            key: kind.write(getattr(step, key)) for key, kind in _LEARNED[type(step)].items() if hasattr(step, key)
        }
        steps.append(
            {
                "name": name,
                "transform": type(step).__name__,
                "parameters": step.get_params(),
                "columns": [str(column) for column in step.feature_names_in_],
                "dtypes": [str(dtype) for dtype in step.feature_dtypes_in_.values()],
                "learned": learned,
            }
        )
    return {"steps": steps}


def transforms_from_json(saved: Mapping[str, Any]) -> Pipeline:
    """The sequence :func:`transforms_to_json` was given, fitted; what it makes of a frame is the same to the bit.

    Raises
    ------
    DataError
        For anything else than such a record: names what it lacks.
    """
    try:
        return Pipeline([(str(entry["name"]), _step(entry)) for entry in saved["steps"]])
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the saved transforms are broken ({type(error).__name__}: {' '.join(str(error).split())}); train the "
            "model again"
        ) from error


def _step(entry: Mapping[str, Any]) -> FeatureTransform:
    if (known := _BY_NAME.get(entry["transform"])) is None:
        raise DataError(
            f"the saved transforms hold a {entry['transform']}, which this release does not know; train the model again"
        )
    columns: list[str] = list(entry["columns"])
    step = known(**_parameters(entry["parameters"]))
    step.feature_names_in_ = np.array(columns, dtype=object)
    step.feature_dtypes_in_ = {
        column: pandas_dtype(dtype) for column, dtype in zip(columns, entry["dtypes"], strict=True)
    }
    step.n_features_in_ = len(columns)
    for key, value in entry["learned"].items():
        setattr(step, key, _LEARNED[known][key].read(value, columns))
    return step


def _parameters(saved: Mapping[str, Any]) -> dict[str, Any]:
    # JSON has no tuples, and scikit-learn compares parameters by value.
    return {key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()}


@dataclass(frozen=True)
class _Kind:
    """Conversion of an attribute to JSON and back; reading takes the step's columns."""

    write: Callable[[Any], Any]
    read: Callable[[Any, list[str]], Any]


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _read_series(values: list[float | str], columns: list[str]) -> pd.Series:
    return pd.Series([float(value) for value in values], columns, dtype=np.float64)


_SERIES = _Kind(lambda series: [_number(value) for value in series], _read_series)
_MAPPING = _Kind(dict, lambda saved, columns: dict(saved))
_NAMES = _Kind(list, lambda saved, columns: list(saved))

_LEARNED: dict[type[FeatureTransform], dict[str, _Kind]] = {
    DropUninformative: {"dropped_": _MAPPING},
    MadScaler: {"center_": _SERIES, "scale_": _SERIES},
    MissingValues: {"median_": _SERIES, "known_gaps_": _NAMES, "indicated_": _NAMES},
    SignedLog: {},
    Winsorizer: {"lower_": _SERIES, "upper_": _SERIES},
}
_BY_NAME = {one.__name__: one for one in _LEARNED}
