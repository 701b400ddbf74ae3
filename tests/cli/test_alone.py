"""Two commands that make the same symbol's results in one home."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.home import PROJECT

pytestmark = pytest.mark.slow

HOLDER = """
import sys, time
from pathlib import Path
from cli.alone import symbol_alone
from cli.screen import Console
from pipeline.home import Home
with symbol_alone(Home(Path(sys.argv[1])), sys.argv[2], Console()):
    print("inside", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def started(home: Path, symbol: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(home), symbol, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_second_run_of_a_symbol_says_that_it_waits_and_continues_when_the_first_is_killed(tmp_path: Path) -> None:
    first = started(tmp_path, "ES", 600)
    assert line(first) == "inside\n"
    second, other = started(tmp_path, "ES", 0), started(tmp_path, "NQ", 0)

    assert line(other) == "inside\n"
    message = line(second)
    assert "another run of ES " in message
    assert str(tmp_path) in message
    assert second.poll() is None

    os.kill(first.pid, signal.SIGKILL)

    assert line(second) == "inside\n"
    assert (second.wait(), other.wait(), first.wait()) == (0, 0, -signal.SIGKILL)


def test_waiting_run_is_ended_by_ctrl_c(tmp_path: Path) -> None:
    first = started(tmp_path, "ES-SIM", 600)
    assert line(first) == "inside\n"
    environment = {**os.environ, "VPOC_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from cli import main; main()", "run"]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, stderr=subprocess.PIPE)
    assert "another run of ES-SIM" in line(second)

    time.sleep(0.2)
    second.send_signal(signal.SIGINT)
    _, message = second.communicate(timeout=60)

    assert second.returncode == 130
    assert "Traceback" not in message
    first.kill()
    first.wait()
