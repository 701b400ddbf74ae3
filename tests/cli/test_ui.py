"""Both pages together, in a real browser, stopped by one Ctrl-C."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from pipeline.home import PROJECT

VPOC = "from pipeline.cli import main; main()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The machine's own chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the pages in a browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


def members(session: int) -> list[str]:
    """Command lines of the living processes in a process session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except (OSError, IndexError):
                continue
    return found


def test_ui_shows_both_pages_and_one_interrupt_stops_all(tmp_path: Path, browser: Browser) -> None:
    dagster_port, mlflow_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VPOC_", "MLFLOW_"))}
    environment |= {"VPOC_HOME": str(tmp_path / "home"), "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    environment.pop("DAGSTER_HOME", None)
    said = tmp_path / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", VPOC, "ui", "--dagster-port", str(dagster_port), "--mlflow-port", str(mlflow_port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=tmp_path,
        )
    try:
        deadline = time.monotonic() + 150
        while "Ctrl-C stops both" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.5)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 3
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{dagster_port}/assets/volume_profiles")
        expect(page.get_by_text("VPOC, value area, range and volume of each session").first).to_be_visible(
            timeout=60_000
        )
        page.goto(f"http://127.0.0.1:{mlflow_port}")
        expect(page).to_have_title(re.compile("MLflow"), timeout=60_000)

        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=60) == 0
        assert [command for child in children for command in members(int(child))] == []
    finally:
        # Its own way out, so that a failed assertion leaves no server behind.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


def test_ui_on_a_port_that_is_taken_says_which_option_to_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {**os.environ, "VPOC_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}

        done = subprocess.run(
            [sys.executable, "-c", VPOC, "ui", "--dagster-port", str(port)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )

    assert done.returncode == 2
    assert done.stderr == f"Error: port {port} for Dagster's page is taken: name another one with --dagster-port\n"
