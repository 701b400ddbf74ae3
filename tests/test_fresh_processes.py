"""Calls in fresh processes: their answers, their errors, what they know, and that they end with who asked."""

import logging
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.errors import DataError
from pipeline.fresh_processes import FreshProcess, in_fresh_processes, tell
from pipeline.home import PROJECT

REMEMBERED: list[int] = []

ENDLESS = """
from pipeline.fresh_processes import FreshProcess
import time
FreshProcess(time.sleep, 1000).result()
"""


def remembered() -> list[int]:
    return REMEMBERED


def told_and_squared(number: int) -> int:
    for step in range(3):
        tell((number, step))
    logging.getLogger("pipeline.test").warning("squaring %d", number)
    return number**2


def variable(name: str) -> str | None:
    return os.environ.get(name)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nested(numbers: list[int]) -> list[int]:
    return in_fresh_processes(told_and_squared, [(number,) for number in numbers])


def test_in_fresh_processes_answers_stand_in_the_calls_order_with_all_they_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[int, object]] = []

    found = in_fresh_processes(told_and_squared, [(3,), (4,), (5,), (6,)], lambda *told: heard.append(told))

    assert found == [9, 16, 25, 36]
    assert sorted(heard) == [(place, (place + 3, step)) for place in range(4) for step in range(3)]
    assert sorted(caplog.messages) == [f"squaring {number}" for number in (3, 4, 5, 6)]


def test_fresh_process_knows_nothing_of_what_this_one_remembers() -> None:
    REMEMBERED.append(7)

    assert FreshProcess(remembered).result() == []


def test_fresh_process_sees_the_environment_of_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FreshProcess(variable, "VPOC_TEST").result() is None
    monkeypatch.setenv("VPOC_TEST", "here")
    assert FreshProcess(variable, "VPOC_TEST").result() == "here"
    assert FreshProcess(variable, "VPOC_TEST", environment={}).result() is None


def test_in_fresh_processes_error_of_one_is_raised_and_the_others_end() -> None:
    with pytest.raises(ZeroDivisionError):
        in_fresh_processes(operator.truediv, [(1, 1), (1, 0), (2, 1)])


def test_fresh_process_that_is_killed_says_so() -> None:
    with pytest.raises(DataError, match="killed ended without an answer"):
        FreshProcess(killed).result()


def test_in_fresh_processes_within_one_follow_each_other() -> None:
    assert FreshProcess(nested, [2, 3]).result() == [4, 9]


def test_arrays_come_back_to_the_bit() -> None:
    values = np.random.default_rng(0).normal(size=(300, 200))

    np.testing.assert_array_equal(FreshProcess(np.negative, values).result(), -values)


def test_fresh_process_ends_with_the_killed_process_that_asked(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # runs once: it is no part of what the processes import
    script.write_text(ENDLESS, encoding="utf-8")
    starter = subprocess.Popen([sys.executable, script], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    try:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any("forkserver" in " ".join(one.cmdline()) for one in children):
            time.sleep(0.1)
            children = psutil.Process(starter.pid).children(recursive=True)
        (server,) = [one for one in psutil.Process(starter.pid).children() if "forkserver" in " ".join(one.cmdline())]
        while time.monotonic() < deadline and not server.children():
            time.sleep(0.1)
        asked = server.children()
        assert len(asked) == 1
    finally:
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()

    _, alive = psutil.wait_procs([server, *asked], timeout=60)

    assert alive == []
