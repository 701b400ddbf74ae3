"""Rare days are always among the cut-offs, and leaks that act on them alone are caught whatever the seed."""

import pandas as pd
import pytest

from pipeline.audit.cutoffs import choose_cutoffs, rare_days
from pipeline.audit.replay import check_truncation
from pipeline.audit.tables import raw_table
from pipeline.features import FeatureInputs
from pipeline.market import load_instruments, simulate_market
from tests.audit.planted import RARE


@pytest.fixture(scope="module")
def inputs(market: tuple) -> FeatureInputs:
    return FeatureInputs.from_bars(*market, structure=False, naked=False)


def _days(inputs: FeatureInputs, seed: int) -> dict[str, list[str]]:
    chosen = rare_days(inputs.history, inputs.instrument, seed)
    return {kind: [f"{inputs.sessions[place]:%F}" for place in places] for kind, places in chosen.items()}


def test_rare_days_hold_one_of_each_kind_and_the_session_before_some(inputs: FeatureInputs) -> None:
    drawn = [_days(inputs, seed) for seed in range(30)]

    assert {tuple(found) for found in drawn} == {
        (
            "early close",
            "roll",
            "clock change",
            "third Wednesday",
            "third Friday",
            "largest fall",
            "largest rise",
            "widest range",
            "greatest volume",
        )
    }
    ever = {kind: {tuple(found[kind]) for found in drawn} for kind in drawn[0]}
    assert ever["clock change"] == {("2019-03-11",), ("2019-11-04",), ("2020-03-09",)}
    assert ("2019-06-12", "2019-06-13") in ever["roll"]
    assert ("2019-11-29",) in ever["early close"]  # the Friday after Thanksgiving
    assert ("2019-05-15",) in ever["third Wednesday"]
    assert ("2019-04-18",) in ever["third Friday"]  # the third Friday of that month is Good Friday
    assert len(ever["largest fall"]) == 1
    (worst,) = ever["largest fall"]
    assert worst[1] == f"{inputs.history['log_return'].iloc[1:-1].idxmin():%F}"


def test_cutoffs_are_the_rare_days_and_as_many_more_as_asked_for(inputs: FeatureInputs) -> None:
    rare = {int(place) for places in rare_days(inputs.history, inputs.instrument, 3).values() for place in places}

    few, more = (set(choose_cutoffs(inputs, count, 3).tolist()) for count in (1, 8))

    assert rare <= few <= more
    assert len(few - rare) <= 1
    assert len(more) <= len(rare) + 8
    assert len(inputs.sessions) - 1 not in more


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_leaks_on_rare_days_alone_are_caught(inputs: FeatureInputs, seed: int) -> None:
    features = RARE.registered()

    found = check_truncation(
        inputs, features, raw_table(inputs, features), choose_cutoffs(inputs, 1, seed), {}, lambda step: None
    )

    assert {finding.feature for finding in found} == set(features)


def test_rare_days_of_two_sessions_are_none_and_of_a_market_without_contracts_have_no_roll() -> None:
    bitcoin = load_instruments()["BTCUSDT"]
    bars = simulate_market(bitcoin, "2021-02-01", 70, 1, bar="60min")
    history = FeatureInputs.from_bars(bars, bitcoin, structure=False, naked=False).history

    assert rare_days(history.iloc[:1], bitcoin, 0) == {}
    found = rare_days(history, bitcoin, 0)
    assert "roll" not in found
    assert "early close" not in found
    assert history.index[found["clock change"][0]] == pd.Timestamp("2021-03-14")  # New York's
