"""From start to end: by Ctrl-C, by SIGKILL, and after a night whose runs were killed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.pages.servers import HOME_VARIABLE, end_leftovers
from jobs.processes import PROCESS_TAG
from pipeline.home import Home
from pipeline.locks import take_lock
from schedules.nightly import RETRY_TAGS
from tests.pages.conftest import Pages, free_port, started, waited_for

pytestmark = pytest.mark.slow

MARKET = "simulator: {start: 2021-01-04, sessions: 60, seed: 3, bar: 15min}\nmodels: {families: []}\n"
NIGHT = {
    "dagster/asset_partition_range_start": "2021-01|ES-SIM",
    "dagster/asset_partition_range_end": "2021-03|ES-SIM",
    "dagster/run_key": "ES-SIM 2021-03-31",
    "vpoc/symbol": "ES-SIM",
    "vpoc/then": "research",
    **RETRY_TAGS,
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Pages]]:
    """Each ``vpoc ui`` that a test starts, ended after it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.yaml").write_text(MARKET)
    all_of_them: list[Pages] = []
    yield all_of_them
    for pages in all_of_them:
        pages.end()
    end_leftovers(Home(tmp_path / "home"))


def of_job(pages: Pages, job: str) -> list[dict[str, Any]]:
    return [run for run in pages.runs().values() if run["jobName"] == job]


def test_ui_that_is_killed_with_its_runs_leaves_nothing_and_the_next_one_makes_up_for_the_night(
    tmp_path: Path, opened: list[Pages]
) -> None:
    ports = free_port(), free_port()
    first = started(tmp_path / "home", *ports)
    opened.append(first)
    killed = first.launch("ingest", NIGHT)

    def process_of_the_run() -> list[int]:
        # The page hides the tag.
        with sqlite3.connect(tmp_path / "home" / "dagster" / "history" / "runs.db") as runs:
            asked = runs.execute("SELECT value FROM run_tags WHERE run_id = ? AND key = ?", (killed, PROCESS_TAG))
            return [int(value.split(":")[1]) for (value,) in asked]

    (number,) = waited_for(process_of_the_run, 120, lambda: str(first.runs()))
    os.kill(number, signal.SIGSTOP)  # it has begun, and would be done in no time
    servers = first.servers()
    daemon = next(process for process in servers if "daemon" in process.cmdline())
    # That this server can't end itself any more is the next one's to see to.
    os.kill(daemon.pid, signal.SIGSTOP)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    os.kill(number, signal.SIGKILL)

    second = started(tmp_path / "home", *ports)
    opened.append(second)

    assert "ended" in second.output.read_text()
    assert not [process for process in servers if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert second.runs()[killed]["status"] == "FAILURE"
    waited_for(lambda: [run for run in of_job(second, "research") if run["status"] == "SUCCESS"], 240)
    retried = [run for run in of_job(second, "ingest") if run["runId"] != killed]
    assert [(run["parentRunId"], run["status"]) for run in retried] == [(killed, "SUCCESS")]

    # And by Ctrl-C: everything ends, at once.
    servers = second.servers()
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(timeout=60) == 0
    assert not [process for process in servers if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_servers_of_a_killed_ui_end_by_themselves_and_another_mlflow_is_only_named(
    tmp_path: Path, opened: list[Pages]
) -> None:
    elsewhere = "http://me:secret@127.0.0.1:9"
    pages = started(tmp_path / "home", free_port(), free_port(), MLFLOW_TRACKING_URI=elsewhere)
    opened.append(pages)
    servers = pages.servers()
    assert len([process for process in servers if "cli.pages.server" in process.cmdline()]) == 2
    assert "MLflow     http://127.0.0.1:9/" in pages.output.read_text()
    assert "secret" not in pages.output.read_text()

    os.kill(pages.process.pid, signal.SIGKILL)

    assert psutil.wait_procs(servers, timeout=60)[1] == []


def test_leftovers_are_those_of_this_home_alone(tmp_path: Path) -> None:
    homes = {name: Home(tmp_path / name) for name in ("own", "another")}
    variables = [{HOME_VARIABLE: str(homes["own"].root)}, {HOME_VARIABLE: str(homes["another"].root)}, {}]
    own, another, foreign = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, **each})
        for each in variables
    )
    try:
        assert end_leftovers(homes["own"]) == 1

        own.wait(timeout=10)
        assert (another.poll(), foreign.poll()) == (None, None)
    finally:
        for process in (own, another, foreign):
            process.kill()
            process.wait()


def test_lock_is_free_again_once_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "ui.lock"
    code = (
        "import sys, time; from pathlib import Path; from pipeline.locks import take_lock; "
        "lock = take_lock(Path(sys.argv[1]), 'here'); import subprocess; "
        "subprocess.Popen(['sleep', '600']); print('taken', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "taken\n"
    children = psutil.Process(holder.pid).children()
    try:
        assert take_lock(path, "there") is None
        assert path.read_text() == "here"

        holder.kill()
        holder.wait()

        lock = take_lock(path, "there")  # what it started has no part in its lock
        assert lock is not None
        assert path.read_text() == "there"
        lock.close()
    finally:
        holder.kill()
        for child in children:
            child.kill()
