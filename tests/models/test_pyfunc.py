"""Registered models through mlflow.pyfunc: in a fresh process elsewhere, with other frames, of other versions."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.home import PROJECT
from pipeline.learning.models import TrainingRows, load_model
from pipeline.learning.models.pyfunc import _load_pyfunc
from resources.mlflow_store import Store
from resources.model_upload import upload
from tests.models.conftest import Keep

FRESH = Path(__file__).with_name("fresh.py")
TABLES = ["constant", "logistic", "lightgbm", "mlp"]


def asked_fresh(store: Store, addresses: list[str], frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """The models' answers in a fresh process in another folder, which does not see the project."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(parents=True)
    frame.to_parquet(folder / "rows.parquet")
    (folder / "program.py").write_text(FRESH.read_text())
    done = subprocess.run(
        [
            sys.executable, str(folder / "program.py"), ",".join(addresses), str(folder / "rows.parquet"),
            str(folder / "answer.json"), str(PROJECT),
        ],
        cwd=elsewhere, env={"PATH": "/usr/bin:/bin", "MLFLOW_TRACKING_URI": store.uri, "HOME": str(folder)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads((folder / "answer.json").read_text()))


def test_fresh_process_elsewhere_gives_the_pipelines_bits_and_imports_what_is_required(
    store: Store, keep: Keep, rows: TrainingRows, tmp_path: Path
) -> None:
    records = {family: keep(family=family) for family in TABLES}
    names = {family: upload(store, record.folder).name for family, record in records.items()}
    addresses = {family: f"models:/{name}@challenger" for family, name in names.items()}

    answer = asked_fresh(store, list(addresses.values()), rows.features, tmp_path / "fresh")

    assert not answer["package"].startswith(str(PROJECT))
    distributions = importlib.metadata.packages_distributions()
    before: set[str] = set()
    for family, record in records.items():
        own = answer["models"][addresses[family]]
        expected = [float(score).hex() for score in load_model(record.model).predict_proba(rows.features)]
        assert own["scores"] == expected
        assert own["shuffled"] == expected
        assert own["type"] == "ndarray float64 1"
        assert own["missing"].startswith("DataError: ")
        assert f"{family} model was trained on 12 features, and feature_0 is missing" in own["missing"]
        # The first, a constant, imports what all do; each other only its own.
        imported = {distributions[name][0].lower() for name in own["imported"]} - before
        before |= imported if family != TABLES[0] else set()
        named = {one.partition("==")[0].lower() for one in record.requirements}
        assert imported <= named, family
        if family == TABLES[0]:
            # And nothing that no model imports; scikit-learn comes with the first transform, which a constant has not.
            assert named - {"mlflow", "scikit-learn"} == imported


def test_loaded_model_takes_missing_values_and_refuses_text(
    store: Store, keep: Keep, rows: TrainingRows, tmp_path: Path
) -> None:
    record = keep()
    done = upload(store, record.folder)
    with store.as_default():
        model = mlflow.pyfunc.load_model(f"models:/{done.name}/1")
        empty = rows.features.assign(feature_3=np.nan, feature_11=np.nan)
        expected = load_model(record.model).predict_proba(empty)

        np.testing.assert_array_equal(model.predict(empty), expected)
        np.testing.assert_array_equal(model.predict(empty.astype({"feature_3": object})), expected)
        halves = empty.astype("float32")
        np.testing.assert_array_equal(model.predict(halves), load_model(record.model).predict_proba(halves))
        with pytest.raises(mlflow.exceptions.MlflowException, match="Incompatible input types for column feature_2"):
            model.predict(rows.features.assign(feature_2="high"))
        with pytest.raises(DataError, match="feature_0 and 11 more is missing"):
            model.predict(pd.DataFrame({"other": [1.0]}))
        with pytest.raises(DataError, match="feature feature_2 is infinite in row 0"):
            model.predict(rows.features.assign(feature_2=np.inf))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 99}, DataError, "holds a logistic model of version 99, and this is version 1; train it again, or"),
        ({"family": "forest"}, ConfigurationError, "there is no model family 'forest'"),
    ],
)
def test_model_of_another_version_of_the_code_is_one_sentence(
    keep: Keep, change: dict[str, object], error: type[Exception], message: str
) -> None:
    folder = keep().model
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**manifest, **change}))

    with pytest.raises(error, match=re.escape(message)):
        _load_pyfunc(str(folder))


def test_process_with_the_pipeline_imported_loads_with_its_own_code(
    store: Store, keep: Keep, rows: TrainingRows
) -> None:
    done = upload(store, keep().folder)
    with store.as_default():
        local = Path(mlflow.artifacts.download_artifacts(f"models:/{done.name}/1"))
    # As an older release may have left it: its code would fail.
    (local / "code" / "pipeline" / "learning" / "models" / "pyfunc.py").write_text("raise SystemExit('old')\n")
    before = list(sys.path)
    try:
        model = mlflow.pyfunc.load_model(str(local))
        assert model.predict(rows.features).shape == (200,)
    finally:
        sys.path[:] = before
