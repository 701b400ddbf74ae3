"""A training's record in the home."""

import datetime as dt
import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.home import PROJECT, Home
from pipeline.learning.models import TrainingRows, load_model, make_model
from pipeline.learning.provenance import code_version, data_version, environment
from pipeline.learning.record import (
    Step,
    TrainingIdentity,
    Upload,
    drop_older_uploads,
    flat_summary,
    mark_uploaded,
    pending_records,
    read_record,
    write_record,
)
from tests.models.conftest import Keep, result_of

UPLOAD = Upload("sqlite:///x", "run", "vpoc-ES-logistic", "3", dt.datetime(2026, 1, 2, tzinfo=dt.UTC))


def test_record_read_back_tells_everything(home: Home, keep: Keep, rows: TrainingRows) -> None:
    record = keep()

    assert record.folder == home.models / "ES" / "logistic" / "first"
    assert record == read_record(record.folder)
    assert record.identity.tags == {"dagster.run_id": "first"}
    assert record.parameters["splits"] == "2"
    assert {"model.strength", "seed"} <= set(record.parameters)
    assert record.metrics == {"auc": 0.61, "auc.low": 0.52}
    assert record.steps == (
        Step("fold.auc", 0.58, 1),
        Step("fold.auc", 0.64, 2),
        Step("fold.train_rows", 100.0, 1),
        Step("fold.train_rows", 150.0, 2),
        Step("final.loss", 0.7, 1),
        Step("final.loss", 0.65, 2),
        Step("final.loss", 0.6, 3),
    )
    assert record.columns == tuple(rows.features.columns)
    assert record.upload is None
    assert (record.folder / "plots" / "calibration.png").read_bytes() == b"\x89PNG..."
    assert (record.folder / "tables" / "importance.csv").read_text().splitlines()[1] == "feature_0,2.0"
    pd.testing.assert_frame_equal(record.example, rows.features.tail(5))


def test_model_of_a_record_predicts_the_bits_of_the_trained_one(home: Home, rows: TrainingRows) -> None:
    model = make_model("logistic").fit(rows)
    identity = TrainingIdentity("ES", "logistic", "first", dt.datetime.now(tz=dt.UTC))

    record = write_record(home, identity, result_of(model, rows))

    expected = model.predict_proba(rows.features)
    np.testing.assert_array_equal(load_model(record.model).predict_proba(rows.features), expected)


def test_training_tried_again_replaces_its_record_and_leaves_nothing_else(home: Home, keep: Keep) -> None:
    first = keep("same")
    second = keep("same", seed=3)

    assert second.folder == first.folder
    assert second.fingerprint != first.fingerprint
    assert [path.name for path in first.folder.parent.iterdir()] == ["same"]


def test_training_whose_record_fails_half_way_leaves_the_earlier_one(
    home: Home, keep: Keep, rows: TrainingRows
) -> None:
    first = keep("same")
    broken = result_of(make_model("logistic").fit(rows), rows, tables={"no/such/folder": rows.features})

    with pytest.raises(DataError, match=r"same: .*; make room"):
        write_record(home, first.identity, broken)

    assert read_record(first.folder) == first
    assert [path.name for path in first.folder.parent.iterdir()] == ["same"]


def test_same_training_again_has_the_same_fingerprint(keep: Keep) -> None:
    assert keep("one").fingerprint == keep("two").fingerprint


def test_pending_records_are_those_not_uploaded(home: Home, keep: Keep) -> None:
    one, two, three = keep("one"), keep("two"), keep("three", family="constant")
    mark_uploaded(two.folder, UPLOAD)

    assert pending_records(home) == [one.folder, three.folder]
    assert read_record(two.folder).upload == UPLOAD


def test_home_without_models_has_no_pending_records(home: Home) -> None:
    assert pending_records(home) == []


def test_older_uploads_are_dropped_and_waiting_ones_stay(home: Home, keep: Keep) -> None:
    one, two, three = keep("one"), keep("two"), keep("three")
    for record in (one, three):
        mark_uploaded(record.folder, UPLOAD)

    drop_older_uploads(three.folder)

    assert sorted(path.name for path in three.folder.parent.iterdir()) == ["three", "two"]
    drop_older_uploads(two.folder)  # three ended later
    assert three.folder.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read .JSONDecodeError"),
        ('{"format": 1}', "can't be read .KeyError"),
        ('"text"', "can't be read .AttributeError"),
        ("[" * 100_000, "can't be read .RecursionError"),
        ('{"format": 1, "identity": 5, "trained": "x"}', "can't be read .TypeError"),
        ('{"format": 99}', "another version of this project"),
    ],
)
def test_broken_record_is_one_sentence(keep: Keep, text: str, message: str) -> None:
    folder = keep().folder
    (folder / "record.json").write_text(text)

    with pytest.raises(DataError, match=message):
        read_record(folder)


def test_flat_summary_names_value_and_ends() -> None:
    summary = pd.DataFrame({"value": [0.6], "low": [0.5], "high": [0.7], "unit": ["ratio"]}, index=["auc"])

    assert flat_summary(summary, "ml.") == {"ml.auc": 0.6, "ml.auc.low": 0.5, "ml.auc.high": 0.7}


def test_data_version_is_the_frames_and_its_sources_content(rows: TrainingRows) -> None:
    frame = rows.features.assign(side=1, when=rows.outcome["start"])
    own = data_version(frame, "bars.csv")
    one_value = frame.copy()
    one_value.loc[17, "feature_4"] = np.nextafter(one_value.loc[17, "feature_4"], np.inf)
    others = [
        data_version(one_value, "bars.csv"),
        data_version(frame, "other.csv"),
        data_version(frame.rename(columns={"feature_1": "feature_x"}), "bars.csv"),
        data_version(frame.iloc[::-1], "bars.csv"),
        data_version(frame.astype({"side": "int32"}), "bars.csv"),
        data_version(frame.set_axis(frame.index + 1), "bars.csv"),
    ]

    assert own == data_version(frame.copy(), "bars.csv")
    assert len({own, *others}) == 7
    assert len(own) == 32


def test_code_that_travels_is_the_package_alone(keep: Keep) -> None:
    shipped = keep().shipped
    suffixes = {path.suffix for path in shipped.rglob("*") if path.is_file()}

    assert suffixes == {".py", ".yaml"}
    assert [path.name for path in shipped.parent.iterdir()] == ["pipeline"]
    assert not {"audit", "bench", "cli", "performance", "reports"} & {path.name for path in shipped.iterdir()}
    assert (shipped / "learning" / "models" / "pyfunc.py").exists()
    assert (shipped / "market" / "instruments.yaml").read_bytes() == (
        PROJECT / "pipeline" / "market" / "instruments.yaml"
    ).read_bytes()


def test_code_version_is_gits_commit_and_the_files_content(tmp_path: Path) -> None:
    package = tmp_path / "pipeline"
    package.mkdir()
    (package / "one.py").write_text("A = 1\n")
    alone = code_version(tmp_path)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True
        )
    committed = code_version(tmp_path)
    (package / "one.py").write_text("A = 2\n")
    changed = code_version(tmp_path)

    assert (alone.commit, alone.changed) == (None, False)
    assert len(committed.commit or "") == 40
    assert (committed.content, committed.changed) == (alone.content, False)
    assert (changed.commit, changed.changed) == (committed.commit, True)
    assert changed.content != committed.content


def test_code_version_without_git_names_the_package_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert code_version().commit is None


def test_environment_names_python_and_every_package() -> None:
    found = environment()

    assert found["python"].startswith("3.")
    assert found["package numpy"] == np.__version__


def test_record_says_how_it_was_made_as_plain_json(keep: Keep) -> None:
    raw = json.loads((keep().folder / "record.json").read_text())

    assert raw["format"] == 1
    assert "NaN" not in json.dumps(raw)
    assert any(line.startswith("lightgbm") for line in raw["requirements"]) is False
    assert oct(keep().folder.stat().st_mode & 0o777) == "0o755"
