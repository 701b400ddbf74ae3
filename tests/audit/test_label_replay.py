"""Candidates and labels are held to what was known of them at a cut-off."""

import numpy as np
import pandas as pd
import pytest

from pipeline.audit.label_replay import check_label_replay
from pipeline.backtest import Account
from pipeline.features import FeatureInputs
from pipeline.learning import candidate_labels
from pipeline.market import session_schedule
from pipeline.strategy import TradingRules, make_candidates, make_strategy


@pytest.fixture(scope="module")
def made(market: tuple):
    bars, instrument = market
    inputs = FeatureInputs.from_bars(bars.iloc[:8000], instrument, structure=False, naked=False)
    candidates = make_candidates(inputs.history, instrument, TradingRules(inputs.settings))
    labels = candidate_labels(inputs.bars, candidates, instrument)
    return inputs, candidates, labels, np.array([40, 60])


def test_labels_of_the_backtest_stay_as_they_were(made) -> None:
    inputs, candidates, labels, places = made

    assert check_label_replay(inputs, TradingRules(), candidates, labels, Account(), places) == []


def test_cutoff_before_the_first_candidate_has_nothing_to_compare(made) -> None:
    inputs, *_ = made
    rules = TradingRules(inputs.settings, make_strategy("initial_balance_breakout"))
    candidates = make_candidates(inputs.history, inputs.instrument, rules, inputs.bars)
    labels = candidate_labels(inputs.bars, candidates, inputs.instrument)

    assert len(candidates) > 0
    assert check_label_replay(inputs, rules, candidates, labels, Account(), np.array([5, 40])) == []


def test_label_that_changes_after_its_end_is_named(made) -> None:
    inputs, candidates, labels, places = made
    row = labels.index[labels["filled"]][3]
    other = labels.copy()
    other.loc[row, "r_multiple"] += 0.5

    findings = check_label_replay(inputs, TradingRules(), candidates, other, Account(), places)

    assert [(each.check, each.row) for each in findings] == [("labels", str(row))] * 2
    assert "its end is too early" in findings[0].likely_cause


def test_candidates_that_know_the_next_session_are_named(made) -> None:
    inputs, candidates, labels, places = made
    row = int(np.flatnonzero(candidates["decided_on"] == inputs.sessions[40])[0])
    other = candidates.copy()
    other.loc[row, "target"] += 4.0

    findings = check_label_replay(inputs, TradingRules(), other, labels, Account(), places[:1])

    assert [(each.check, each.row) for each in findings] == [("candidates", str(row))]


def test_decision_in_an_outage_up_to_the_close_is_no_look_ahead(made) -> None:
    inputs, *_ = made
    session, instrument = inputs.sessions[40], inputs.instrument
    day = session_schedule(instrument, session, session).iloc[0]
    # The bars of a session end before the decision an hour after its open.
    opens = inputs.bars["timestamp"]
    out = (opens >= day["rth_open"] + pd.Timedelta("40min")) & (opens < day["close"])
    inputs = FeatureInputs.from_bars(inputs.bars[~out], instrument, structure=False, naked=False)
    rules = TradingRules(inputs.settings, make_strategy("initial_balance_breakout"))
    candidates = make_candidates(inputs.history, instrument, rules, inputs.bars)
    labels = candidate_labels(inputs.bars, candidates, instrument)

    assert (candidates["session"] == session).sum() == 2
    assert check_label_replay(inputs, rules, candidates, labels, Account(), np.array([40])) == []
