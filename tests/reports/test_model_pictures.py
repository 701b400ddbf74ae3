import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.performance import compare_models, judge_model
from pipeline.pictures.png_files import picture_markdown
from pipeline.reports.model_pictures import differences_picture, model_pictures
from tests.performance.scored import simulated
from tests.reports.chain import importances
from tests.reports.test_pictures import image

ALL = ["calibration.png", "thresholds.png", "folds.png", "scores.png", "importance.png", "training.png"]


def _logs() -> dict[str, pd.DataFrame]:
    steps = pd.RangeIndex(1, 21, name="step")
    log = pd.DataFrame({"train_loss": np.linspace(0.7, 0.5, 20), "learning_rate": 0.01}, index=steps)
    log["validation_loss"] = log["train_loss"].where(steps <= 15)
    return {"fold_1": log, "final": log}


def test_model_pictures_are_png_files_and_the_same_bytes_twice():
    judgement = judge_model(simulated(300, edge=0.5, threshold=0.4))
    first = model_pictures(judgement, "ES mlp", importance=importances(), logs=_logs())
    assert list(first) == ALL
    for picture in first.values():
        assert Image.open(io.BytesIO(picture)).format == "PNG"
        assert Image.open(io.BytesIO(picture)).width > 500
    assert model_pictures(judgement, "ES mlp", importance=importances(), logs=_logs()) == first


def test_model_pictures_of_scores_that_are_not_probabilities_have_no_calibration():
    judgement = judge_model(simulated(300), probabilistic=False)
    assert "calibration.png" not in model_pictures(judgement, "ES lightgbm_r")


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
@pytest.mark.parametrize("rows", [0, 1, 29])
def test_model_pictures_of_few_trades_are_whole(rows):
    drawn = model_pictures(judge_model(simulated(300).iloc[:rows]), "ES mlp")
    assert list(drawn) == (ALL[:4] if rows else [])


def test_model_pictures_of_nothing_that_matters_or_no_losses_leave_those_out():
    zero = importances().assign(value=0.0)
    logs = {"final": pd.DataFrame({"learning_rate": [0.1]}), "fold_1": pd.DataFrame()}
    drawn = model_pictures(judge_model(simulated(300)), "ES mlp", importance=zero, logs=logs)
    assert list(drawn) == ALL[:4]


def test_differences_picture_draws_what_was_compared_and_nothing_else():
    rows = simulated(300, edge=0.5)
    differences = compare_models({"mlp": rows, "constant": rows.assign(score=0.4)})
    picture = differences_picture(differences, "ES: models less the baselines")
    assert picture is not None
    assert image(picture_markdown(picture, "differences")).width > 500
    assert differences_picture(compare_models({"mlp": rows}), "ES") is None
