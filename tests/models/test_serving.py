"""``mlflow models serve`` with a registered model, on this machine alone."""

import json
import math
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.learning.models import TrainingRows, load_model
from resources.mlflow_store import Store
from resources.model_upload import upload
from tests.models.conftest import Keep, free_port, started, stop, wait_for


def asked(address: str, body: str, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(address, body.encode(), {"Content-Type": kind})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def in_json(frame: pd.DataFrame) -> str:
    """Rows as JSON, missing values as null."""
    rows = [[None if math.isnan(value) else value for value in row] for row in frame.to_numpy().tolist()]
    return json.dumps({"dataframe_split": {"columns": list(frame.columns), "data": rows}})


@pytest.fixture
def rows_and_scores(keep: Keep, store: Store, rows: TrainingRows) -> tuple[pd.DataFrame, list[float]]:
    record = keep()
    upload(store, record.folder)
    frame = rows.features.assign(feature_5=1.0).head(50)
    return frame, load_model(record.model).predict_proba(frame).tolist()


def test_served_model_answers_with_the_pipelines_numbers(
    store: Store, rows_and_scores: tuple[pd.DataFrame, list[float]], tmp_path: Path
) -> None:
    frame, expected = rows_and_scores
    port = free_port()
    log = tmp_path / "serve.log"
    (tmp_path / "elsewhere").mkdir()
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/vpoc-ES-logistic@challenger",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    process = started(command, log, tmp_path / "elsewhere", MLFLOW_TRACKING_URI=store.uri)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, log)
        address = f"http://127.0.0.1:{port}/invocations"

        assert asked(address, in_json(frame)) == (200, {"predictions": expected})
        # NaN as Python writes it, whole numbers, other columns, another order; no value known at all.
        mixed = frame[frame.columns[::-1]].assign(feature_5=1, more="x")
        records = json.dumps({"dataframe_records": mixed.to_dict(orient="records")})
        assert asked(address, records) == (200, {"predictions": expected})
        assert asked(address, frame.to_csv(index=False), "text/csv") == (200, {"predictions": expected})
        status, unknown = asked(address, in_json(frame.assign(feature_11=math.nan)))
        assert (status, len(unknown["predictions"])) == (200, 50)
        # A column that is not there is the model's own sentence.
        status, refused = asked(address, in_json(frame.drop(columns="feature_3")))
        assert status == 400
        assert "feature_3 is missing" in json.dumps(refused)
    finally:
        stop(process)
