"""Mistakes in calling ``vpoc ui``; the pages themselves are in ``tests/pages``."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.home import PROJECT

VPOC = "from cli import main; main()"


def message(home: Path, *options: str) -> str:
    """Return the error message of wrong use."""
    environment = {**os.environ, "VPOC_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", VPOC, "ui", *options], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 2
    return done.stderr


def test_ui_on_a_port_that_is_taken_says_which_option_to_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        text = message(tmp_path, "--dagster-port", str(port))
        assert re.fullmatch(rf"Error: port {port} for Dagster's page .*--dagster-port\n", text)


@pytest.mark.parametrize("name", ["*", "https://research.example.com"])
def test_ui_host_name_invalid_is_refused(tmp_path: Path, name: str) -> None:
    assert "give one such as research.example.com" in message(tmp_path, "--host-name", name)
