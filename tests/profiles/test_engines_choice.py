"""Choice of the engine, fallbacks where one is missing or out of memory, and what is imported for it."""

import doctest
import importlib
import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument
from pipeline.profiles import profile_sessions, session_profiles
from pipeline.profiles.engines import CROSSOVERS, choose_device, on_device, profile_sessions_on
from tests.profiles.frames import frame

BARS = frame([(80, 84, 82, 90), (81, 83, 81, 8), (10, 10, 10, 50)])
LOGGER = "pipeline.profiles.engines"

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_on_device_cpu_is_profile_sessions_itself() -> None:
    assert on_device("cpu") is profile_sessions


@pytest.mark.parametrize("device", ["threads", "torch", "torch,torch", "auto", "cpu"])
def test_session_profiles_device_that_is_there_says_nothing(
    es: Instrument, caplog: pytest.LogCaptureFixture, device: str
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        found = session_profiles(BARS, es, device=device)

    pd.testing.assert_frame_equal(found, session_profiles(BARS, es), check_exact=True)
    assert caplog.records == []


@no_gpu
@pytest.mark.parametrize(
    ("device", "absent", "instead"),
    [
        ("cuda", "cuda", "threads"),
        ("cuda:3", "cuda:3", "threads"),
        ("cuda:0,cuda:1", "cuda:0 and cuda:1", "threads"),
        ("torch,cuda:1", "cuda:1", "torch"),
    ],
)
def test_session_profiles_device_not_there_falls_back_and_says_so_once(
    es: Instrument, caplog: pytest.LogCaptureFixture, device: str, absent: str, instead: str
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        found = session_profiles(BARS, es, device=device)

    pd.testing.assert_frame_equal(found, session_profiles(BARS, es), check_exact=True)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"device {absent} is not available, as torch {torch.__version__} sees no CUDA or ROCm device; "
            f"profiles run on {instead} instead, with the same result",
        )
    ]


def test_profile_sessions_on_without_torch_falls_back_and_says_so() -> None:
    shown = _run(
        """
        import logging, sys
        import numpy as np
        logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name == "torch":
                    raise ModuleNotFoundError("No module named 'torch'")

        sys.meta_path.insert(0, Hidden())
        from pipeline.profiles.engines import profile_sessions_on
        low = np.array([5, 5, 6])
        print(profile_sessions_on(low, low, low, np.array([0, 2]), device="torch").vpoc.tolist())
        """
    )

    assert shown.splitlines() == [
        "WARNING device torch needs torch, which can't be imported (No module named 'torch'); "
        "profiles run on threads instead, with the same result",
        "[5, 6]",
    ]


# What a process may map is limited for real, so that torch's own allocator is refused.
LIMITED = """
    import logging, os, resource, sys
    import numpy as np
    import torch
    from pathlib import Path
    from pipeline.profiles.engines import profile_sessions_on
    from pipeline.profiles.engines.torch_engine import torch_profiles
    from pipeline.profiles import profile_sessions

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    sessions, bars, width = {sessions}, 40, {width}
    low = rng.integers(0, width, sessions * bars)
    high = np.minimum(low + rng.integers(0, width, sessions * bars), width)
    steps = rng.integers(0, 1000, sessions * bars)
    arrays = (low, high, steps, np.arange(sessions) * bars)
    expected = profile_sessions(*arrays, expansion_rows={rows})
    for device in ("threads", "torch"):  # compiled and loaded before the limit
        profile_sessions_on(low[:40] % 9, low[:40] % 9 + 1, steps[:40], np.array([0, 20]), device=device)

    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout, level=logging.INFO)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ({room} << 20), resource.RLIM_INFINITY))
    found = {call}
    names = ("vpoc", "val", "vah", "low", "high", "total", "held")
    print("equal", all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in names))
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's memory as Linux does")


@linux
def test_torch_out_of_memory_continues_with_half_and_loses_nothing() -> None:
    call = "torch_profiles(*arrays, max_cells=1 << 21)"

    shown = _run(LIMITED.format(sessions=200, width=8_000, room=30, rows=2, call=call)).splitlines()

    assert re.fullmatch("INFO out of memory .* 2097152 .* 1048576", shown[0])
    assert shown[-1] == "equal True"
    assert all(line.startswith("INFO out of memory with") for line in shown[:-1])


@linux
def test_profile_sessions_on_device_without_room_falls_back_and_says_so() -> None:
    call = "profile_sessions_on(*arrays, device='torch', expansion_rows=1)"

    shown = _run(LIMITED.format(sessions=1, width=5_000_000, room=250, rows=1, call=call)).splitlines()

    assert len(shown) == 2
    assert shown[0].startswith("WARNING device torch is out of memory (")
    assert shown[0].endswith("); profiles run on threads instead, with the same result")
    assert shown[1] == "equal True"


def test_profile_sessions_on_full_device_falls_back_at_first_contact(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A GPU that another process has filled refuses already when it is asked how much is free.
    def full(device: object) -> tuple[int, int]:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    low = np.array([5, 5, 6])

    with caplog.at_level(logging.INFO, LOGGER):
        found = profile_sessions_on(low, low, low, np.array([0, 2]), device="cuda")

    assert found.vpoc.tolist() == [5, 6]
    assert caplog.messages == [
        "device cuda is out of memory (CUDA error: out of memory); "
        "profiles run on threads instead, with the same result"
    ]


@pytest.mark.parametrize(
    "device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu,cpu", "", "threads,cuda:0", "mps", None, 0]
)
def test_on_device_unknown_name_is_refused(device: object) -> None:
    with pytest.raises(ConfigurationError, match=f"device is {device!r}; profiles run on 'cpu', 'threads'"):
        on_device(device)  # type: ignore[arg-type]


def test_profile_sessions_on_unknown_name_is_refused_before_anything_else() -> None:
    with pytest.raises(ConfigurationError, match="device is 'gpu'"):
        profile_sessions_on(np.array([1]), np.array([1]), np.array([1]), np.array([0]), device="gpu")


def test_choose_device_goes_by_the_number_of_bars() -> None:
    threads, cuda = (crossover.bars for crossover in CROSSOVERS)

    def choose(bars: int, threads: int = 8, gpu: bool = True) -> str:
        return choose_device(bars, threads=threads, cuda=lambda: gpu)

    assert [choose(bars) for bars in (0, threads - 1, threads, cuda - 1, cuda)] == [
        "cpu",
        "cpu",
        "threads",
        "threads",
        "cuda",
    ]
    assert (choose(cuda, gpu=False), choose(cuda, threads=1, gpu=False), choose(threads, threads=1)) == (
        "threads",
        "cpu",
        "cpu",
    )


def test_choose_device_below_the_size_of_a_gpu_does_not_ask_for_one() -> None:
    def ask() -> bool:
        raise AssertionError

    assert choose_device(CROSSOVERS[1].bars - 1, threads=2, cuda=ask) == "threads"


def test_crossovers_rise_and_say_where_they_come_from() -> None:
    assert [crossover.device for crossover in CROSSOVERS] == ["threads", "cuda"]
    assert CROSSOVERS[0].bars < CROSSOVERS[1].bars
    assert "measured" in CROSSOVERS[0].source
    assert "estimated" in CROSSOVERS[1].source


def test_engines_without_torch_devices_do_not_import_torch() -> None:
    shown = _run(
        """
        import sys
        import numpy as np
        import pipeline.profiles
        from pipeline.profiles.engines import profile_sessions_on
        low = np.array([5, 5, 6])
        for device in ("cpu", "threads", "auto"):
            profile_sessions_on(low, low, low, np.array([0, 2]), device=device)
        print(sorted({"torch", "dagster", "mlflow", "plotly"} & set(sys.modules)))
        """
    )

    assert shown.strip() == "[]"


@pytest.mark.parametrize("module", ["choice", "torch_engine"])
def test_engine_docstring_examples_print_what_they_say(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"pipeline.profiles.engines.{module}"))

    assert (result.failed, result.attempted > 0) == (0, True)


def test_devices_document_examples_print_what_they_say() -> None:
    result = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "devices.md"), module_relative=False)

    assert (result.failed, result.attempted > 0) == (0, True)
