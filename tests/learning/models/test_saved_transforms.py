import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.errors import DataError
from pipeline.learning import DropUninformative, MissingValues, SignedLog, feature_transforms
from pipeline.learning.models.saved_transforms import transforms_from_json, transforms_to_json
from tests.learning.models.made_rows import random_features

POLICIES = ("keep", "keep_known", "median", "impute")


def read_back(transforms: Pipeline) -> Pipeline:
    return transforms_from_json(json.loads(json.dumps(transforms_to_json(transforms), allow_nan=False)))


def same_bits(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return (
        one.columns.tolist() == other.columns.tolist()
        and one.index.equals(other.index)
        and one.to_numpy(np.float64).tobytes() == other.to_numpy(np.float64).tobytes()
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("signed_log", [False, True])
def test_transforms_read_back_make_the_same_bits(policy: str, signed_log: bool) -> None:
    train = random_features(80).assign(one=1.0, none=np.nan, copy=lambda f: f["f01"], whole=range(80))
    later = random_features(30, seed=1).assign(one=2.0, none=3.0, copy=4.0, whole=range(30))
    transforms = feature_transforms(policy, signed_log=signed_log).fit(train)

    back = read_back(transforms)

    assert same_bits(back.transform(later), transforms.transform(later))
    assert back[0].dropped_ == {"one": "constant", "none": "all missing", "copy": "copy of f01"}
    assert transforms_to_json(back) == transforms_to_json(transforms)
    assert [step.get_params() for _, step in back.steps] == [step.get_params() for _, step in transforms.steps]


@given(
    values=arrays(
        np.float64,
        st.tuples(st.integers(3, 12), st.integers(1, 4)),
        elements=st.one_of(
            st.just(float("nan")), st.just(-0.0), st.floats(-1e300, 1e300), st.sampled_from([5e-324, 0.1, 1 / 3])
        ),
    ),
    policy=st.sampled_from(POLICIES),
    signed_log=st.booleans(),
)
def test_transforms_of_any_numbers_read_back_make_the_same_bits(
    values: np.ndarray, policy: str, signed_log: bool
) -> None:
    frame = pd.DataFrame(values, columns=[f"c{number}" for number in range(values.shape[1])])
    with np.errstate(all="ignore"):
        try:
            transforms = feature_transforms(policy, signed_log=signed_log).fit(frame)
            expected = transforms.transform(frame)
        except DataError:  # nothing tells the rows apart, or numbers so large that their distance is infinite
            return

        assert same_bits(read_back(transforms).transform(frame), expected)


def test_transforms_read_back_still_refuse_other_columns() -> None:
    back = read_back(feature_transforms("impute").fit(random_features(50)))

    with pytest.raises(DataError, match="was fitted on the column f03, which is missing"):
        back.transform(random_features(5).drop(columns="f03"))
    with pytest.raises(DataError, match="was fitted on f02 as float64, and it is float32 now"):
        back.transform(random_features(5).astype({"f02": "float32"}))


def test_transforms_json_has_numbers_no_reader_rounds() -> None:
    saved = transforms_to_json(feature_transforms("impute").fit(random_features(50)))

    (scale,) = [step for step in saved["steps"] if step["name"] == "scale"]
    assert scale["transform"] == "MadScaler"
    assert scale["columns"][:2] == ["f00", "f01"]
    assert scale["dtypes"][0] == "float64"
    assert all(float(repr(value)) == value for value in scale["learned"]["center_"])


def test_transforms_with_a_foreign_or_unfitted_step_are_one_sentence() -> None:
    with pytest.raises(DataError, match="step scale is a StandardScaler, and only DropUninformative, MadScaler,"):
        transforms_to_json(Pipeline([("scale", StandardScaler())]))
    with pytest.raises(DataError, match=r"step log \(SignedLog\) is not fitted; fit it before saving"):
        transforms_to_json(Pipeline([("log", SignedLog())]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda saved: saved.pop("steps"), r"the saved transforms are broken \(KeyError: 'steps'\); train the model"),
        (lambda saved: saved["steps"][0].update(transform="Whiten"), "hold a Whiten, which this release does not know"),
        (lambda saved: saved["steps"][0].pop("columns"), "the saved transforms are broken"),
        (lambda saved: saved["steps"][1]["learned"]["median_"].pop(), "the saved transforms are broken"),
        (lambda saved: saved["steps"][1]["parameters"].update(strength=1), "the saved transforms are broken"),
        (lambda saved: saved["steps"][1]["learned"].update(secret=[1.0]), "the saved transforms are broken"),
        (lambda saved: saved["steps"][0]["dtypes"].pop(), "the saved transforms are broken"),
    ],
)
def test_transforms_from_broken_json_are_one_sentence(spoil: object, message: str) -> None:
    fitted = Pipeline([("drop", DropUninformative()), ("missing", MissingValues("median"))]).fit(random_features(20))
    saved = json.loads(json.dumps(transforms_to_json(fitted)))
    spoil(saved)  # type: ignore[operator]

    with pytest.raises(DataError, match=message):
        transforms_from_json(saved)
