"""Raw feature values for replays: nothing hidden by a warm-up, and one broken feature never stops the others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.features import Feature, FeatureInputs, build_features

__all__ = ["RawTable", "available", "differing", "differs", "plain", "raw_table"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RawTable:
    """Values before any warm-up is taken off.

    Attributes
    ----------
    frame
        Indexed by session, a column a feature that could be computed; infinite values are missing here.
    infinite
        Feature -> sessions in which it is infinite.
    failed
        Feature -> what it raised, in one sentence.
    """

    frame: pd.DataFrame
    infinite: Mapping[str, pd.DatetimeIndex]
    failed: Mapping[str, str]

    def column(self, name: str) -> Floats:
        """Values of one feature, shape (sessions,)."""
        return self.frame[name].to_numpy(np.float64)


def available(inputs: FeatureInputs, features: Mapping[str, Feature]) -> dict[str, Feature]:
    """The features whose inputs are there, sorted by name."""
    return {name: features[name] for name in sorted(features) if all(map(inputs.has, features[name].needs))}


def raw_table(inputs: FeatureInputs, features: Mapping[str, Feature]) -> RawTable:
    """Compute features as :func:`pipeline.features.build_features` does, but from the first row on."""
    infinite: dict[str, pd.DatetimeIndex] = {}
    failed: dict[str, str] = {}
    probes = {name: _probe(one, infinite) for name, one in features.items()}
    try:
        frame = build_features(inputs, features=probes)
    except DataError:
        # One at a time, to learn which.
        parts = []
        for name, probe in probes.items():
            try:
                parts.append(build_features(inputs, features={name: probe}))
            except DataError as error:
                failed[name] = str(error)
        frame = pd.concat(parts, axis="columns") if parts else pd.DataFrame(index=inputs.sessions)
    return RawTable(frame, infinite, failed)


def differing(expected: Floats, got: Floats) -> Bools:
    """Mark the rows in which two columns differ in any bit; missing equals missing."""
    one, other = (np.ascontiguousarray(values, np.float64) for values in (expected, got))
    return (one.view(np.int64) != other.view(np.int64)) & ~(np.isnan(one) & np.isnan(other))


def differs(one: pd.Series, other: pd.Series) -> Bools:
    """Mark the rows in which two columns of any kind differ, numbers in any bit; missing equals missing."""
    if pd.api.types.is_float_dtype(one.dtype) and pd.api.types.is_float_dtype(other.dtype):
        return differing(one.to_numpy(np.float64), other.to_numpy(np.float64))
    if one.dtype == other.dtype and isinstance(one.dtype, np.dtype) and one.dtype.kind in "biu":
        return np.asarray(one.to_numpy() != other.to_numpy(), np.bool_)
    if one.dtype == other.dtype and pd.api.types.is_datetime64_any_dtype(one.dtype):
        return np.asarray(pd.DatetimeIndex(one).asi8 != pd.DatetimeIndex(other).asi8, np.bool_)
    both_missing = one.isna().to_numpy() & other.isna().to_numpy()
    return np.asarray(one.to_numpy(object) != other.to_numpy(object), np.bool_) & ~both_missing


def plain(value: object) -> float | str:
    """A value as a finding shows it."""
    return float(value) if isinstance(value, float) else str(value)


def _probe(one: Feature, infinite: dict[str, pd.DatetimeIndex]) -> Feature:
    def compute(inputs: FeatureInputs, **arguments: Any) -> Any:
        raw = one.compute_with(inputs, **arguments)
        values = np.array(raw, dtype=np.float64)
        wrong = np.isinf(values)
        if not wrong.any() or values.shape != (len(inputs.sessions),):
            return raw
        infinite[one.name] = inputs.sessions[wrong]
        values[wrong] = np.nan
        return pd.Series(values, index=raw.index) if isinstance(raw, pd.Series) else values

    return replace(one, compute_with=compute, warmup=1)
