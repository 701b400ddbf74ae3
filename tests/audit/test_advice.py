"""A finding tells a defect of the program from a mistake of its user's."""

import dataclasses

import pytest

from pipeline.audit import audit
from pipeline.audit.report import Finding, defect_sentence
from pipeline.features import FeatureRegistry, registered
from pipeline.features.selection import FeatureSelection
from pipeline.market import simulate_market


def leaking(inputs, sessions=1):
    return inputs.history["volume"].shift(-1)


@pytest.fixture(scope="module")
def bars(es):
    return simulate_market(es, "2021-01-04", 30, 5, bar="60min")


def test_finding_on_a_users_feature_says_what_to_look_for(es, bars):
    mine = FeatureRegistry()
    mine.feature(family="mine", warmup=1, description="Volume.")(leaking)

    finding = audit(bars, es, features=mine.registered(), cutoffs=2).findings[0]

    assert not finding.is_defect
    assert finding.advice == finding.likely_cause
    assert "shift(-1)" in finding.advice


def test_finding_on_a_built_in_feature_says_it_is_a_defect_and_how_to_go_on(es, bars, monkeypatch):
    monkeypatch.setattr(leaking, "__module__", "pipeline.features.families.price")
    planted = dataclasses.replace(registered()["log_return_1"], compute_with=leaking)

    finding = audit(bars, es, features={"log_return_1": planted}, cutoffs=2).findings[0]

    assert finding.is_defect
    assert finding.built_in == "pipeline.features.families.price.leaking"
    assert "a defect of the program" in finding.advice
    assert "features: {leave_out: [log_return_1]}" in finding.advice
    assert "shift(-1)" not in finding.advice


def test_defects_of_several_columns_are_one_sentence_and_warnings_are_none():
    one, other = (Finding("truncation", name, "2021-01-04", 1.0, 2.0, "x", built_in="a.b") for name in ("p", "q"))
    assert defect_sentence([one, other, one]).startswith("p, q come with this program (a.b)")
    assert not dataclasses.replace(one, severity="warning").is_defect


def test_features_of_the_programs_own_families_are_built_in():
    own = {name: one.built_in for name, one in registered().items() if one.family in ("technical", "profile", "market")}
    assert len(own) > 100
    assert all(own.values())


def test_features_left_out_go_with_their_mirrors_and_unknown_names_are_refused():
    chosen = FeatureSelection(leave_out=("hvn_above", "rsi_15m")).chosen()
    assert set(registered()) - set(chosen) == {"hvn_above", "hvn_below", "rsi_15m"}
    assert list(FeatureSelection().chosen()) == list(registered())
    without = FeatureSelection(leave_out=("technical", "weekday")).chosen()
    assert {one.family for one in registered().values()} - {one.family for one in without.values()} == {"technical"}
    assert "weekday" not in without
    with pytest.raises(ValueError, match="rsi_7m"):
        FeatureSelection(leave_out=("rsi_7m",))
