from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.models import load_model, make_model
from tests.learning.models.made_rows import made_rows, noise

FEATURES = pd.DataFrame({"a": [1.0, 2.0, np.nan, 4.0]})


def test_constant_is_the_posterior_mean_of_the_weighted_share_by_hand() -> None:
    rows = made_rows(FEATURES, np.array([100.0, -50.0, 0.0, 20.0]), weight=np.array([0.5, 1.0, 0.75, 0.25]))

    model = make_model("constant").fit(rows)

    # 0.75 of 2.5 observations above zero: a result of exactly zero is none.
    assert model.predict_proba(FEATURES).tolist() == [(0.75 + 1) / (2.5 + 2)] * 4
    assert model.probabilistic


def test_constant_learns_from_one_class_and_is_never_certain() -> None:
    lost = make_model("constant").fit(made_rows(FEATURES, np.full(4, -10.0)))

    assert lost.predict_proba(FEATURES[:1]).tolist() == [1 / 6]


def test_constant_read_back_says_the_same_bits(tmp_path: Path) -> None:
    model = make_model("constant", seed=3).fit(noise(50))

    model.save(tmp_path)
    back = load_model(tmp_path)

    assert (back.family, back.seed, back.columns) == ("constant", 3, model.columns)
    later = noise(9, seed=1).features
    assert back.predict_proba(later).tobytes() == model.predict_proba(later).tobytes()
    assert back.predict_proba(later[:0]).shape == (0,)


def test_constant_has_no_settings_but_the_common_ones() -> None:
    with pytest.raises(ConfigurationError, match="constant: setting depth is unknown; choose from calibration"):
        make_model("constant", {"depth": 3})


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("family", ["constant", "logistic", "lightgbm", "lightgbm_dollars", "lightgbm_r"])
def test_every_family_refuses_an_invalid_weight(family: str, weight: float) -> None:
    rows = noise(60)
    rows.outcome.loc[7, "weight"] = weight

    message = f"weight is {weight} in training row 7, and it must be a number above zero; leave the row out or make"
    with pytest.raises(DataError, match=message):
        make_model(family).fit(rows)
