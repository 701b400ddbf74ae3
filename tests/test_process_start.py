"""Identity of a process behind its number, whatever the clock shows."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.process_start import process_start


def test_start_of_the_same_process_stays_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before, by_calendar = process_start(os.getpid()), psutil.Process().create_time()
    boot_time = psutil.boot_time()
    monkeypatch.setattr(
        "psutil._pslinux.boot_time", lambda: boot_time + 600
    )  # as /proc/stat says after ten minutes' step

    assert process_start(os.getpid()) == before
    assert psutil.Process().create_time() == pytest.approx(by_calendar + 600, abs=2)


def test_start_is_that_of_the_kernel_also_under_an_odd_name(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to("/bin/sleep")
    process = subprocess.Popen([odd, "60"])
    try:
        ticks = Path(f"/proc/{process.pid}/stat").read_text().split(") ")[-1].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert process_start(process.pid) == f"{boot}/{ticks}"
    finally:
        process.kill()
        process.wait()


def test_start_of_a_process_that_has_ended_is_none_also_as_a_zombie() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None

    process.wait()

    assert process_start(process.pid) is None
