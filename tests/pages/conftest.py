"""``vpoc ui`` as a user starts it, and what it has started."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, sync_playwright

from pipeline.home import PROJECT

VPOC = "from cli import main; main()"
LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status parentRunId tags { key value } } } } }"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waited_for(what: Callable[[], Any], seconds: float, shown: Callable[[], str] = str) -> Any:
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, shown()
        time.sleep(0.3)
    return found


@dataclass
class Pages:
    """A ``vpoc ui`` and its ports."""

    process: "subprocess.Popen[bytes]"
    home: Path
    dagster: int
    mlflow: int
    output: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """Dagster's answer to a program on this machine."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.dagster}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 (our own)
            return json.load(answer)["data"]

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Ask for a run; its identifier."""
        params = {
            "selector": {"repositoryName": "__repository__", "repositoryLocationName": "vpoc", "jobName": job},
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        return str(self.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"])

    def runs(self) -> dict[str, dict[str, Any]]:
        """Dagster's runs by their identifiers."""
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}

    def servers(self) -> list[psutil.Process]:
        """Everything that it has started, and what that has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Its own way out, so that a failed assertion leaves no server behind."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def command(home: Path, *options: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    """A ``vpoc ui`` and its environment."""
    prefixes = ("VPOC_", "MLFLOW_", "DAGSTER_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    environment |= {"VPOC_HOME": str(home), "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", **variables}
    return [sys.executable, "-c", VPOC, "ui", *options], environment


def started(home: Path, dagster: int, mlflow: int, *options: str, **variables: str) -> Pages:
    """Start ``vpoc ui`` and wait until its pages are there."""
    home.mkdir(exist_ok=True)
    arguments, environment = command(
        home, "--dagster-port", str(dagster), "--mlflow-port", str(mlflow), *options, **variables
    )
    output = home.parent / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=home.parent)
    pages = Pages(process, home, dagster, mlflow, output)
    try:
        waited_for(
            lambda: "Ctrl-C stops both" in output.read_text() or process.poll() is not None, 150, output.read_text
        )
        assert process.poll() is None, output.read_text()
    except BaseException:
        pages.end()
        raise
    return pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own chromium, to which evil.example is this machine."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the pages in a browser")
    options = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=[*options, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        )
        yield opened
        opened.close()
