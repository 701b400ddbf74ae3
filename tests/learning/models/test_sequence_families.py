"""Invariants of both families that read sequences: gaps, order of columns, seeds, saved form, a pattern found."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.errors import DataError
from pipeline.features import FeatureInputs
from pipeline.features.sequences import sequence_features
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Model, TrainingRows, find_family, load_model, make_model
from pipeline.learning.models.networks import NetworkSpec, build
from pipeline.learning.models.sequence_model import step_layouts
from pipeline.market import Instrument, simulate_market
from pipeline.strategy import make_candidates
from tests.learning.models.sequence_rows import SETTINGS, planted_rows

FAMILIES = ("lstm", "attention")
ONE_THREAD = FitOptions(compute=Compute(threads=1))
BRIEF = SETTINGS | {"epochs": 2}

SPECS = {
    "lstm": NetworkSpec("lstm", {"channels": [3, 2], "width": 32, "layers": 2, "dropout": 0.2}),
    "attention": NetworkSpec(
        "attention", {"channels": [3, 2], "steps": [9, 4], "width": 32, "heads": 4, "blocks": 2, "dropout": 0.2}
    ),
}


@cache
def learned(family: str) -> Model:
    return make_model(family, SETTINGS, seed=1).fit(planted_rows(800, seed=0), ONE_THREAD)


@cache
def brief(family: str) -> Model:
    return make_model(family, BRIEF, seed=1).fit(planted_rows(150, seed=0), ONE_THREAD)


def weights(model: Model) -> dict[str, torch.Tensor]:
    return model._module.state_dict()  # type: ignore[attr-defined]


def network(family: str) -> torch.nn.Module:
    torch.manual_seed(3)
    made = build(SPECS[family])
    torch.nn.init.normal_(made.head.weight)
    return made.eval()


def tensors(rows: int, seed: int = 0) -> list[torch.Tensor]:
    """Values and what is known of them: holes, old missing steps, rows without a whole timeframe."""
    drawn = torch.Generator().manual_seed(seed)
    made = []
    for steps, channels in ((9, 3), (4, 2)):
        known = torch.rand((rows, steps, channels), generator=drawn) > 0.2
        known[: rows // 2, : steps // 2] = False
        known[:2] = False
        made += [torch.randn((rows, steps, channels), generator=drawn), known]
    return made


# The networks.


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_a_missing_value_holds_changes_nothing(family: str) -> None:
    given = tensors(40)
    made = network(family)

    expected = made(*given)
    for wrong in (1e6, -3.0, float("nan"), float("inf")):
        spoiled = [
            torch.where(given[place + 1], each, torch.full_like(each, wrong)) if place % 2 == 0 else each
            for place, each in enumerate(given)
        ]
        assert torch.equal(made(*spoiled), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_values_have_no_gradient_and_those_of_the_weights_are_finite(family: str) -> None:
    given = tensors(40)
    made = network(family)
    for values in given[::2]:
        values.requires_grad_()

    made(*given).square().sum().backward()

    for values, known in zip(given[::2], given[1::2], strict=True):
        assert (values.grad[~known] == 0).all()
        assert (values.grad[known] != 0).float().mean() > 0.99
    assert all(torch.isfinite(each.grad).all() for each in made.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_row_without_a_step_depends_on_the_other_timeframe_alone(family: str) -> None:
    values, known, other, other_known = tensors(6)
    known[:] = False
    made = network(family)

    whole = made(values, known, other, other_known)

    assert torch.isfinite(whole).all()
    assert torch.equal(made(torch.randn_like(values), known, other, other_known), whole)
    assert not torch.equal(made(values, known, other + 1, other_known)[2:], whole[2:])


@pytest.mark.parametrize("family", FAMILIES)
def test_order_of_steps_matters_to_the_network(family: str) -> None:
    values, _, other, other_known = tensors(6)
    known = torch.ones_like(values, dtype=torch.bool)
    made = network(family)

    forward, backward = (made(each, known, other, other_known) for each in (values, values.flip(1)))

    assert (forward - backward).abs().min() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_near_float32(family: str) -> None:
    given = tensors(40)
    made = network(family)

    with torch.autocast("cpu", torch.bfloat16):
        rough = made(*given)

    assert (rough.float() - made(*given)).abs().max() < 0.05


# The families.


@pytest.mark.parametrize("family", FAMILIES)
def test_planted_order_of_steps_is_learned(family: str) -> None:
    rows = planted_rows(600, seed=9)

    score = learned(family).predict_proba(rows.features)

    assert roc_auc_score(rows.label, score) > 0.95
    assert log_loss(rows.label, score) < 0.35  # a constant has ln 2 = 0.69


def test_planted_order_of_steps_is_hidden_from_a_weighted_sum() -> None:
    rows, new = planted_rows(800, seed=0), planted_rows(600, seed=9)

    linear = LogisticRegression().fit(rows.features.fillna(0.0), rows.label)

    assert roc_auc_score(new.label, linear.predict_proba(new.features.fillna(0.0))[:, 1]) < 0.56


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_gives_the_same_weights_and_another_seed_others(family: str) -> None:
    rows = planted_rows(150, seed=0)
    again, other = (make_model(family, BRIEF, seed=seed).fit(rows, ONE_THREAD) for seed in (1, 2))

    assert all(torch.equal(each, weights(again)[name]) for name, each in weights(brief(family)).items())
    assert not all(torch.equal(each, weights(other)[name]) for name, each in weights(again).items())


@pytest.mark.parametrize("family", FAMILIES)
def test_order_of_columns_changes_neither_weights_nor_scores(family: str) -> None:
    rows = planted_rows(150, seed=0)
    mixed = rows.features.sample(frac=1, axis="columns", random_state=7)
    other = make_model(family, BRIEF, seed=1).fit(TrainingRows(mixed, rows.outcome), ONE_THREAD)

    expected = brief(family).predict_proba(rows.features)

    assert list(mixed) != list(rows.features)
    assert all(torch.equal(each, weights(other)[name]) for name, each in weights(brief(family)).items())
    assert np.array_equal(other.predict_proba(rows.features), expected)
    assert np.array_equal(brief(family).predict_proba(mixed.assign(other=1.0)), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_loaded_model_scores_to_the_bit_as_before(family: str, tmp_path: Path) -> None:
    features = planted_rows(300, seed=2).features
    expected = learned(family).predict_proba(features)

    learned(family).save(tmp_path)

    assert np.array_equal(load_model(tmp_path).predict_proba(features), expected)
    # Row by row too: which rows come together changes nothing.
    assert np.array_equal(load_model(tmp_path).predict_proba(features.iloc[5:6]), expected[5:6])


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_is_not_the_middle_of_the_channel(family: str) -> None:
    features = planted_rows(300, seed=2).features
    without = features.assign(session_00_move=np.nan)

    scores = [learned(family).predict_proba(each) for each in (without, without.fillna(0.0), features)]

    assert all(np.isfinite(each).all() for each in scores)
    assert np.abs(scores[0] - scores[1]).max() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_column_without_a_value_in_training_says_nothing_later(family: str) -> None:
    rows = planted_rows(150, seed=0)
    absent = rows.features.assign(bar30_00_volume=np.nan, bar30_01_volume=np.nan, bar30_02_volume=np.nan)
    model = make_model(family, BRIEF).fit(TrainingRows(absent, rows.outcome), ONE_THREAD)

    assert np.array_equal(model.predict_proba(rows.features), model.predict_proba(absent))


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_that_are_not_a_sequence_are_one_sentence(family: str) -> None:
    rows = planted_rows(150, seed=0)
    model = make_model(family, BRIEF)

    with pytest.raises(DataError, match=f"{family} reads sequences, and momentum_5 is not a column of one"):
        model.fit(TrainingRows(rows.features.assign(momentum_5=1.0), rows.outcome))
    with pytest.raises(DataError, match=r"session_03_range is missing among its columns"):
        model.fit(TrainingRows(rows.features.drop(columns="session_03_range"), rows.outcome))
    with pytest.raises(DataError, match=r"was trained on 15 features, and bar30_02_volume is missing"):
        brief(family).predict_proba(rows.features.drop(columns="bar30_02_volume"))


@pytest.mark.parametrize("family", FAMILIES)
def test_family_reads_sequences_of_a_market(family: str, es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(simulate_market(es, "2020-01-02", 80, 3), es, structure=False, naked=False)
    candidates = make_candidates(inputs.history, es)
    features = sequence_features(inputs, candidates, sessions=5, weeks=3)
    outcome = planted_rows(len(features), seed=1).outcome.set_index(features.index)

    model = make_model(family, {"epochs": 2}).fit(TrainingRows(features, outcome), ONE_THREAD)
    scores = model.predict_proba(features)

    assert find_family(family).inputs == "sequences"
    assert scores.shape == (len(candidates),)
    assert ((scores > 0) & (scores < 1)).all()


def test_layout_is_by_name_the_oldest_step_first() -> None:
    columns = ["week_00_move", "session_01_b_c", "session_00_a", "session_01_a", "session_00_b_c"]

    session, week = step_layouts(columns, "lstm")

    assert (session.name, session.channels, session.steps) == ("session", ("a", "b_c"), 2)
    assert session.places.tolist() == [[3, 1], [2, 4]]
    assert (week.name, week.places.tolist()) == ("week", [[0]])


def test_layout_of_the_sequences_is_that_of_their_timeframes(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(simulate_market(es, "2020-01-02", 5, 3), es, structure=False, naked=False)
    decided = pd.DataFrame({"decided_on": inputs.sessions, "side": 1})

    layouts = step_layouts(list(sequence_features(inputs, decided)), "lstm")

    assert [(one.name, one.steps, len(one.channels)) for one in layouts] == [
        ("bar30", 26, 6),
        ("session", 20, 13),
        ("week", 8, 8),
    ]
