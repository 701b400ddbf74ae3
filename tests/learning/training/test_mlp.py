import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows, load_model, make_model
from pipeline.learning.models.families.mlp import Perceptron
from pipeline.learning.training.__main__ import main

QUICK = {"layers": [32], "epochs": 8, "batch_size": 64}


def table(count: int, columns: int = 12, strength: float = 1.5, seed: int = 0) -> TrainingRows:
    """Rows whose first two columns tell of the label, with gaps in the third and none in the others."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((count, columns))
    chance = 1 / (1 + np.exp(-strength * (values[:, 0] - values[:, 1]) + 0.8))
    values[draw.random(count) < 0.2, 2] = np.nan
    label = (draw.random(count) < chance).astype(np.float64)
    start = pd.date_range("2018-01-01", periods=count, freq="12h", tz="UTC")
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta("20h"),
            "label": label,
            "r_multiple": 2 * label - 1,
            "net": 100 * label - 50,
            "weight": draw.uniform(0.3, 1.0, count),
        }
    )
    return TrainingRows(pd.DataFrame(values, columns=[f"feature_{number}" for number in range(columns)]), outcome)


@pytest.fixture(scope="module")
def fitted() -> Model:
    return make_model("mlp", QUICK).fit(table(300))


def test_settings_raise_widths_to_multiples_of_32() -> None:
    settings = make_model("mlp", {"layers": [100, 64, 1]}).settings

    assert settings.model_dump()["layers"] == (128, 64, 32)
    assert make_model("mlp").settings.model_dump()["layers"] == (128, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [0]}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"layer": [32]}, "layer is unknown"),
    ],
)
def test_settings_impossible_name_family_and_setting(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_model("mlp", settings)

    assert "mlp" in str(caught.value)


def test_fit_pads_inputs_to_a_multiple_of_32(fitted: Model) -> None:
    assert isinstance(fitted, Perceptron)
    assert fitted.network_spec is not None
    assert fitted.network_spec.arguments["width"] == 32


def test_fit_finds_a_planted_edge_and_scores_are_probabilities() -> None:
    scored = table(2000, columns=60, seed=5)

    scores = make_model("mlp").fit(table(1000, columns=60)).predict_proba(scored.features)

    base = np.full(len(scored), scored.label.mean())
    assert roc_auc_score(scored.label, scores) > 0.8
    assert log_loss(scored.label, scores) < log_loss(scored.label, base) - 0.1
    assert abs(scores.mean() - scored.label.mean()) < 0.05


def test_fit_on_noise_stays_near_the_base_rate() -> None:
    scored = table(2000, columns=60, strength=0.0, seed=5)

    scores = make_model("mlp").fit(table(1000, columns=60, strength=0.0)).predict_proba(scored.features)

    base = np.full(len(scored), scored.label.mean())
    assert log_loss(scored.label, scores) < log_loss(scored.label, base) + 0.01
    assert abs(roc_auc_score(scored.label, scores) - 0.5) < 0.04


def test_fit_twice_gives_the_same_scores_to_the_bit(fitted: Model) -> None:
    rows = table(300)

    again = make_model("mlp", QUICK).fit(rows).predict_proba(rows.features)

    assert (again == fitted.predict_proba(rows.features)).all()
    assert (make_model("mlp", QUICK, seed=1).fit(rows).predict_proba(rows.features) != again).any()


def test_predict_proba_of_a_row_does_not_depend_on_the_others(fitted: Model) -> None:
    features = table(700, seed=3).features
    whole = fitted.predict_proba(features)
    shuffled = np.random.default_rng(0).permutation(len(features))

    assert (fitted.predict_proba(features.iloc[shuffled]) == whole[shuffled]).all()
    assert (fitted.predict_proba(features.iloc[[300]]) == whole[300]).all()
    assert (fitted.predict_proba(features.assign(other=1.0)[["other", *features.columns[::-1]]]) == whole).all()


def test_predict_proba_with_a_gap_where_training_had_none_takes_the_median(
    fitted: Model, caplog: pytest.LogCaptureFixture
) -> None:
    features = table(20, seed=3).features
    features.loc[4, "feature_0"] = np.nan

    with caplog.at_level(logging.WARNING):
        scores = fitted.predict_proba(features)

    assert np.isfinite(scores).all()
    assert "feature_0 had no missing values in training and now has some" in caplog.text


def test_fit_with_a_column_that_is_missing_throughout_leaves_it_out() -> None:
    rows = table(200)
    rows.features["feature_5"] = np.nan

    model = make_model("mlp", QUICK).fit(rows)

    known = rows.features.assign(feature_5=1.0)
    assert (model.predict_proba(known) == model.predict_proba(rows.features)).all()


def test_load_gives_the_same_scores_to_the_bit(fitted: Model, tmp_path: Path) -> None:
    features = table(500, seed=3).features
    fitted.save(tmp_path)

    loaded = load_model(tmp_path)

    assert (loaded.predict_proba(features) == fitted.predict_proba(features)).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "network.pt", "transforms.json"]


@pytest.mark.parametrize("file", ["network.pt", "transforms.json"])
@pytest.mark.parametrize("harm", ["gone", "cut off", "byte changed"])
def test_load_of_a_broken_file_says_so(file: str, harm: str, fitted: Model, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    content = bytearray((tmp_path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / file).write_bytes(bytes(content) if harm == "byte changed" else bytes(content[:-50]))
    if harm == "gone":
        (tmp_path / file).unlink()

    with pytest.raises(DataError, match=r"is broken .* train it again"):
        load_model(tmp_path)


def test_fit_tells_its_progress_and_logs_both_stages() -> None:
    told: list[Progress] = []

    model = make_model("mlp", QUICK).fit(table(300), FitOptions(observe=told.append))

    log = model.training_log
    assert [progress.step for progress in told] == log.index.tolist() == list(range(1, len(log) + 1))
    assert all(progress.step <= progress.steps for progress in told)
    assert isinstance(model, Perceptron)
    facts = model.training_facts
    assert facts["epochs"] == facts["search_best_epoch"]
    assert len(log) == facts["search_epochs"] + facts["epochs"]
    # The second stage has no rows held back; its schedule is that of the first.
    assert log["validation_loss"].notna().sum() == facts["search_epochs"]
    assert facts["search_best_epoch"] == log["validation_loss"].idxmin()
    assert facts["samples_per_second"] > 0
    assert facts["peak_memory_bytes"] > 1e6


def test_fit_without_refit_keeps_the_weights_that_never_saw_the_newest_rows() -> None:
    rows = table(300)
    changed = table(300)
    changed.features.iloc[-30:] *= -3.0
    settings = {**QUICK, "refit": False, "epochs": 1}

    one, other = (make_model("mlp", settings).fit(each) for each in (rows, changed))

    assert (one.predict_proba(rows.features) == other.predict_proba(rows.features)).all()
    assert len(one.training_log) == 1


def test_fit_without_validation_trains_all_epochs_on_all_rows() -> None:
    model = make_model("mlp", {**QUICK, "validation_share": 0.0, "epochs": 3}).fit(table(300))

    assert model.training_log.index.tolist() == [1, 2, 3]
    assert "validation_loss" not in model.training_log


def test_fit_of_too_few_rows_says_so() -> None:
    rows = table(300)
    both = np.array([int(np.argmax(rows.label)), int(np.argmin(rows.label))])
    rows.outcome["end"] = rows.outcome["start"].max() + pd.Timedelta("1D")

    with pytest.raises(DataError, match="2 training rows are too few to hold 20% of them back"):
        make_model("mlp", QUICK).fit(rows.take(both))


def test_fit_stopped_in_either_stage_continues_by_its_checkpoint(tmp_path: Path) -> None:
    rows, settings = table(300), {**QUICK, "checkpoint_every": 1, "patience": 3}
    straight = make_model("mlp", settings).fit(rows)
    assert isinstance(straight, Perceptron)
    stages = straight.training_facts["search_epochs"]

    class StoppedError(Exception):
        pass

    for last in (2, stages + 1):

        def stop(progress: Progress, last: int = last) -> None:
            if progress.step == last:
                raise StoppedError

        with pytest.raises(StoppedError):
            make_model("mlp", settings).fit(rows, FitOptions(observe=stop, checkpoint=tmp_path / "fold"))
    told: list[int] = []
    resumed = make_model("mlp", settings).fit(
        rows, FitOptions(observe=lambda progress: told.append(progress.step), checkpoint=tmp_path / "fold")
    )

    assert (resumed.predict_proba(rows.features) == straight.predict_proba(rows.features)).all()
    assert told == list(range(stages + 2, len(straight.training_log) + 1))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fold", "fold.search"]


def test_fit_in_bfloat16_on_the_processor_predicts_in_float32(tmp_path: Path) -> None:
    rows = table(300)

    model = make_model("mlp", QUICK).fit(rows, FitOptions(Compute(precision="bf16")))

    model.save(tmp_path)
    assert (load_model(tmp_path).predict_proba(rows.features) == model.predict_proba(rows.features)).all()


def test_command_trains_from_a_file_and_saves_the_same_model(tmp_path: Path) -> None:
    rows, file = table(200), tmp_path / "rows.parquet"
    pd.concat([rows.features, rows.outcome], axis="columns").to_parquet(file)
    given = ["--rows", str(file), "--save", str(tmp_path / "model")]

    main([*given, "--settings", '{"layers": [32], "epochs": 2}'])

    here = make_model("mlp", {"layers": [32], "epochs": 2}).fit(rows)
    assert (load_model(tmp_path / "model").predict_proba(rows.features) == here.predict_proba(rows.features)).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--settings", '{"layer": 1}'], "mlp: setting layer is unknown"),
        (["--rows", "nowhere.parquet"], r"nowhere.parquet can't be read \(FileNotFoundError\)"),
        (["--rows", __file__], r"can't be read \(ArrowInvalid\)"),
        (["--device", "gpu"], "device is 'gpu'"),
    ],
)
def test_command_given_what_is_wrong_ends_with_one_sentence(wrong: list[str], message: str, tmp_path: Path) -> None:
    rows = table(20)
    pd.concat([rows.features, rows.outcome], axis="columns").to_parquet(tmp_path / "rows.parquet")

    with pytest.raises(SystemExit, match=message) as caught:
        main(["--rows", str(tmp_path / "rows.parquet"), "--save", str(tmp_path / "model"), *wrong])

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("settings", ["{", "[1]"])
def test_command_given_settings_that_are_not_a_json_object_says_so(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--rows", "x", "--save", "y", "--settings", settings])

    assert "argument --settings:" in capsys.readouterr().err
