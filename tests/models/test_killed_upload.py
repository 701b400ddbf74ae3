"""Uploads whose process was killed: the next training of the family finishes them."""

import datetime as dt
import logging
import signal
import subprocess
import sys

import numpy as np
import pytest

from pipeline.home import PROJECT, Home
from pipeline.learning.models import TrainingRows, make_model
from pipeline.learning.record import TrainingIdentity, pending_records
from resources.mlflow_store import Store
from resources.mlflow_tracking import TrackedTraining
from tests.models.conftest import Keep, result_of

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, sys
from pathlib import Path
from pipeline.home import vpoc_home
from resources.mlflow_store import open_store
from resources.model_upload import upload
store = open_store(vpoc_home())
setattr(store.client, sys.argv[2], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
upload(store, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("killed_in", ["finalize_logged_model", "create_model_version", "set_terminated"])
def test_upload_killed_at_any_step_is_finished_with_the_next_training(
    store: Store, home: Home, keep: Keep, rows: TrainingRows, killed_in: str
) -> None:
    first = keep("first")
    command = [sys.executable, "-c", SCRIPT, str(first.folder), killed_in]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -signal.SIGKILL
    assert pending_records(home) == [first.folder]
    identity = TrainingIdentity("ES", "logistic", "second", dt.datetime.now(tz=dt.UTC), {"dagster.run_id": "second"})
    taken = rows.take(np.arange(199))

    training = TrackedTraining(identity, home, logging.getLogger("test"))
    training.keep(result_of(make_model("logistic", seed=1).fit(taken), taken))

    assert pending_records(home) == []
    experiment = store.experiment("ES")
    assert {str(one.status) for one in store.client.search_logged_models([experiment])} == {"READY"}
    assert [run.info.status for run in store.client.search_runs([experiment])] == ["FINISHED", "FINISHED"]
    found = store.client.get_registered_model("vpoc-ES-logistic")
    assert {alias: int(version) for alias, version in found.aliases.items()} == {"challenger": 2}
    versions = store.client.search_model_versions("name = 'vpoc-ES-logistic'")
    assert sorted(int(one.version) for one in versions) == [1, 2]
