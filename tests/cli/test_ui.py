"""Mistakes in calling ``vpoc ui``; the pages themselves are in ``tests/pages``."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.home import PROJECT

VPOC = "from pipeline.cli import main; main()"


def said(home: Path, *options: str) -> str:
    """What it says of wrong use."""
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

        assert said(tmp_path, "--dagster-port", str(port)) == (
            f"Error: port {port} for Dagster's page is taken: name another one with --dagster-port\n"
        )


@pytest.mark.parametrize("name", ["*", "https://research.example.com"])
def test_ui_under_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    assert "give one such as research.example.com" in said(tmp_path, "--host-name", name)
