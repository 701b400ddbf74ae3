import math

import numpy as np
import pandas as pd
import pytest

from pipeline.tuning.importances import finished_trials, parameter_importances


def table(params: list[dict], values: list[float], states: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": range(len(params)),
            "state": states or ["complete"] * len(params),
            "values": [(value,) for value in values],
            "params": params,
            "seconds": 0.1,
        }
    )


def test_finished_trials_leave_out_what_has_no_finite_value_and_keep_what_is_absent():
    trials = table([{"a": 1}, {"a": 2}, {"b": "x"}, {"a": 4}], [1.0, 2.0, 3.0, math.inf])
    trials["state"] = ["complete", "pruned", "complete", "complete"]
    frame, values = finished_trials(trials.iloc[::-1])
    assert values.to_dict() == {0: 1.0, 2: 3.0}
    assert frame["a"].tolist() == [1, None]
    assert frame["b"].tolist() == [None, "x"]


def test_importances_of_independent_parts_are_their_shares_of_the_variance():
    # Two equal choices of ranks: a doubles the step of b, so of the variance 4/5 goes through a and 1/5 through b.
    rng = np.random.default_rng(0)
    params = [{"a": float(rng.integers(2)), "b": bool(rng.integers(2)), "noise": rng.random()} for _ in range(400)]
    found = parameter_importances(table(params, [2 * each["a"] + each["b"] + 0.01 * rng.random() for each in params]))
    assert list(found.index) == ["a", "b", "noise"]
    assert found["importance"].tolist() == pytest.approx([0.8, 0.2, 0.0], abs=0.07)
    assert found.attrs["explained"] == pytest.approx(0.94, abs=0.05)  # within the four levels ranks are noise


def test_importances_of_noise_are_about_zero():
    rng = np.random.default_rng(1)
    params = [{name: rng.random() for name in "abcdef"} for _ in range(300)]
    found = parameter_importances(table(params, list(rng.random(300))))
    assert found["importance"].abs().max() < 0.06
    assert found.attrs["explained"] < 0.05


def test_importances_are_the_same_twice_and_no_disaster_outweighs_them():
    rng = np.random.default_rng(2)
    params = [{"a": rng.random(), "b": rng.random()} for _ in range(100)]
    values = [each["a"] for each in params]
    first = parameter_importances(table(params, values))
    pd.testing.assert_frame_equal(first, parameter_importances(table(params, values)))
    worst = int(np.argmax(values))
    disaster = parameter_importances(table(params, [1e9 if k == worst else value for k, value in enumerate(values)]))
    pd.testing.assert_frame_equal(first, disaster)


def test_importances_see_a_parameter_that_some_trials_do_not_have():
    rng = np.random.default_rng(3)
    params = [{"a": rng.random(), "same": 1} | ({"b": rng.random()} if rng.random() < 0.5 else {}) for _ in range(200)]
    found = parameter_importances(table(params, [float("b" in each) + 0.01 * rng.random() for each in params]))
    assert found.index.tolist()[0] == "b"
    assert found["importance"].iloc[0] > 0.5
    assert "same" not in found.index


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ([], []),
        ([{"a": k} for k in range(19)], list(range(19))),
        ([{"a": k} for k in range(30)], [1.0] * 30),
        ([{"a": 1}] * 30, list(range(30))),
        ([{}] * 30, list(range(30))),
    ],
)
def test_importances_of_too_little_are_empty(params, values):
    found = parameter_importances(table(params, values))
    assert found.empty
    assert list(found.columns) == ["importance", "deviation"]
