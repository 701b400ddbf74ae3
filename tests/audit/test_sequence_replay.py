"""Sequences are held to what was known at the decision, and to what a later beginning of the data gives."""

import numpy as np
import pytest

from pipeline.audit.sequence_replay import check_sequence_replay
from pipeline.features import FeatureInputs
from pipeline.features.sequences import sequence_features
from pipeline.strategy import TradingRules, make_candidates

STEPS = {"sessions": 4, "weeks": 3}


@pytest.fixture(scope="module")
def made(market: tuple):
    bars, instrument = market
    inputs = FeatureInputs.from_bars(bars.iloc[:8000], instrument)
    candidates = make_candidates(inputs.history, instrument, TradingRules(inputs.settings))
    return inputs, candidates, sequence_features(inputs, candidates, **STEPS), np.array([40, 63])


def test_sequences_are_those_of_the_decision(made) -> None:
    inputs, candidates, sequences, places = made

    assert check_sequence_replay(inputs, candidates, sequences, places, places, **STEPS) == []


def test_step_that_knows_the_next_session_is_named(made) -> None:
    inputs, candidates, sequences, places = made
    leaking = sequences.assign(session_00_move=sequences["session_00_move"].shift(-2))

    findings = check_sequence_replay(inputs, candidates, leaking, places, places, **STEPS)

    assert {(each.check, each.feature) for each in findings} == {
        ("truncation", "session_00_move"),
        ("warmup", "session_00_move"),
    }
    assert "a step uses what came after it: data that ends on" in findings[0].likely_cause
