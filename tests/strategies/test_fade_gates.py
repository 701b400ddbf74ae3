"""The fade's gates and its confidence, by hand."""

import numpy as np
import pytest

from pipeline.strategies.value_area_fade import FadeParameters, GateValues, pass_gates

NAN = np.nan


def values(**given_values: float) -> GateValues:
    defaults = {"slope": 1.0, "r_squared": 0.7, "runs_p_value": 0.2, "direction_probability": 0.6, "calm": True}
    return GateValues(**{name: np.array([value]) for name, value in {**defaults, **given_values}.items()})


def test_pass_gates_long_by_hand():
    gates = pass_gates(values(), 1, FadeParameters())

    # 40 * 0.7 + 30 * 0.6 + 15 + 15 * 0.8
    assert gates["confidence"][0] == pytest.approx(73.0)
    assert gates["rule_signal"].tolist() == [True]


def test_pass_gates_short_uses_the_complement():
    gates = pass_gates(values(slope=-2.0, direction_probability=0.3, calm=False), -1, FadeParameters())

    # 40 * 0.7 + 30 * 0.7 + 0 + 15 * 0.8
    assert gates["confidence"][0] == pytest.approx(61.0)
    assert gates["direction"].tolist() == [True]
    assert gates["rule_signal"].tolist() == [True]


@pytest.mark.parametrize(
    ("changed", "shut"),
    [
        ({"slope": 0.0}, "trend"),
        ({"slope": -1.0}, "trend"),
        ({"r_squared": 0.6}, "r_squared_high"),
        ({"calm": False, "direction_probability": 0.53}, "direction"),
        ({"r_squared": 0.61, "direction_probability": 0.0, "runs_p_value": 0.0}, "confidence_high"),
        ({"r_squared": NAN}, "r_squared_high"),
        ({"slope": NAN}, "slope"),
        ({"runs_p_value": NAN}, "confidence_high"),
    ],
)
def test_pass_gates_one_gate_shut_stops_the_signal(changed, shut):
    gates = pass_gates(values(**changed), 1, FadeParameters())

    assert gates[shut].tolist() == [False]
    assert gates["rule_signal"].tolist() == [False]


def test_pass_gates_confidence_at_its_threshold_is_shut():
    at_threshold = values(r_squared=1.0, direction_probability=0.0, calm=False, runs_p_value=0.0)
    settings = FadeParameters(confidence_threshold=55.0)

    gates = pass_gates(at_threshold, 1, settings)

    assert gates["confidence"].tolist() == [55.0]
    assert gates["confidence_high"].tolist() == [False]


def test_pass_gates_calm_replaces_direction():
    settings = FadeParameters()

    for calm, p_up, expected in [(True, 0.5, True), (False, 0.54, True), (False, 0.5, False)]:
        found = pass_gates(values(r_squared=1.0, runs_p_value=0.0, calm=calm, direction_probability=p_up), 1, settings)
        assert found["rule_signal"].tolist() == [expected]
