import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.reports.study_pictures import (
    history_picture,
    pareto_front,
    pareto_picture,
    slices_picture,
    study_pictures,
)

ONE = {"log_loss": "minimize"}
TWO = {"net": "maximize", "drawdown": "minimize"}


def table(count: int, objectives: dict[str, str] = ONE, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        params = {
            "model.learning_rate": float(10 ** rng.uniform(-3, -0.5)),
            "model.num_leaves": int(rng.integers(4, 128)),
            "strategy.hours": str(rng.choice(["rth", "eth"])),
            "strategy.require_rules": bool(rng.integers(2)),
        }
        if rng.random() < 0.5:
            params["model.linear_lambda"] = float(rng.random())
        state = "complete" if number % 5 else ("pruned" if number % 2 else "failed")
        loss = 0.7 + 0.02 * (np.log10(params["model.learning_rate"]) + 2) ** 2 + 0.002 * rng.normal()
        values = tuple((loss * 1000 * (k + 1) + rng.normal()) if k else loss for k in range(len(objectives)))
        rows.append((number, state, values if state == "complete" else None, params, 0.1))
    return pd.DataFrame(rows, columns=["number", "state", "values", "params", "seconds"])


def size(picture: bytes | None) -> tuple[int, int]:
    assert picture is not None
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert len(np.unique(np.asarray(image.convert("L")))) > 3
    return image.size


def test_study_pictures_are_png_files_and_the_same_bytes_twice():
    trials = table(60)
    drawn = study_pictures(trials, ONE, "ES lightgbm")
    assert list(drawn) == ["history.png", "importances.png", "slices.png"]
    assert all(size(picture)[0] > 500 for picture in drawn.values())
    assert study_pictures(trials, ONE, "ES lightgbm") == drawn


def test_study_pictures_of_several_objectives_have_a_front_and_files_by_objective():
    drawn = study_pictures(table(40, TWO), TWO, "ES strategy")
    own = [f"{kind}_{name}.png" for name in TWO for kind in ("importances", "slices")]
    assert list(drawn) == ["history.png", "pareto.png", *own]


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
@pytest.mark.parametrize("count", [0, 2, 3, 7])
@pytest.mark.parametrize("objectives", [ONE, TWO], ids=["one", "two"])
def test_study_pictures_of_few_trials_are_whole_without_importances(count, objectives):
    drawn = study_pictures(table(count, objectives), objectives, "ES mlp")
    assert ("history.png" in drawn) == (count > 1)  # the first trial of the table failed
    assert not [file for file in drawn if file.startswith("importances")]
    for picture in drawn.values():
        size(picture)


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
def test_study_pictures_of_equal_values_and_disasters_are_whole():
    same = table(30).assign(values=lambda rows: [(0.7,) if state == "complete" else None for state in rows["state"]])
    assert list(study_pictures(same, ONE, "ES mlp")) == ["history.png", "slices.png"]
    disaster = table(30)
    disaster.loc[[1], "values"] = pd.Series([(1e12,)], index=[1])
    disaster.loc[[2], "values"] = pd.Series([(float("nan"),)], index=[2])
    assert len(study_pictures(disaster, ONE, "ES mlp")) == 3


def test_pictures_of_parameters_that_never_varied_are_left_out():
    fixed = table(10).assign(params=[{"model.depth": 3}] * 10)
    options = {"objective": 0, "label": "log_loss", "name": "ES"}
    assert slices_picture(fixed, "minimize", **options) is None
    one = table(10).assign(params=[{"model.depth": depth} for depth in range(10)])
    assert slices_picture(one, "minimize", **options) is not None
    assert history_picture(fixed, ONE, "ES") is not None
    assert pareto_picture(fixed, ONE, "ES") is None


def test_slices_picture_of_many_choices_and_missing_values_is_drawn():
    trials = table(60).assign(
        params=[{"choice": f"option {k % 20}", "none": None if k % 3 else "x"} for k in range(60)]
    )
    size(slices_picture(trials, "minimize", objective=0, label="log_loss", name="ES"))


def test_pareto_front_holds_what_none_beats_and_of_equal_trials_all():
    values = np.array([[1.0, 1.0], [2.0, 2.0], [2.0, 1.0], [0.5, 0.5], [2.0, 1.0], [3.0, 9.0]])
    assert pareto_front(values, ["maximize", "minimize"]).tolist() == [False, False, True, True, True, True]
    assert pareto_front(values, ["minimize", "minimize"]).tolist() == [False, False, False, True, False, False]
    assert pareto_front(values[:, :1], ["maximize"]).tolist() == [False] * 5 + [True]


def test_pareto_picture_of_three_objectives_draws_every_pair():
    three = {"net": "maximize", "drawdown": "minimize", "trades": "maximize"}
    two_wide, three_wide = (size(pareto_picture(table(30, of), of, "ES"))[0] for of in (TWO, three))
    assert three_wide > 1.8 * two_wide
