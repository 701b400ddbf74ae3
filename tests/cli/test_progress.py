"""Progress on the screen, by a clock that the test sets."""

import io
import re
import time
from collections.abc import Callable

import pytest

from cli.progress import duration_text, shown_while
from cli.screen import Console
from jobs.progress import StepEvent

PLAN = StepEvent("", "planned", plan={"market_data": 10.0, "features": 30.0, "models mlp": 60.0})


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass."""
    now = 1000.0

    def later(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return later


def shown(run: Callable[[Callable[[StepEvent], None]], None], *, terminal: bool) -> str:
    output = io.StringIO()
    shown_while(Console(file=output, width=80, force_terminal=terminal, color_system=None), run)
    return output.getvalue()


def test_without_a_terminal_each_step_is_a_line_with_share_and_time_left(wait: Callable[[float], None]) -> None:
    def run(observe: Callable[[StepEvent], None]) -> None:
        observe(PLAN)
        observe(StepEvent("market_data", "started"))
        wait(20)  # twice what was expected
        observe(StepEvent("market_data", "finished"))
        observe(StepEvent("market_data", "told", "10 rows in = 10 kept"))
        observe(StepEvent("features", "started"))
        wait(60)
        observe(StepEvent("features", "finished"))
        observe(StepEvent("models mlp", "started"))
        wait(6)
        observe(StepEvent("models mlp", "going", "fold 1: 3 of at most 60"))  # too soon after the last line
        wait(12)
        observe(StepEvent("models mlp", "going", "fold 1: 9 of at most 60"))
        observe(StepEvent("models mlp", "warned", "slow"))

    lines = shown(run, terminal=False).splitlines()

    assert lines == [
        "  0% preparing",
        "  0% [1 of 3] market data",
        "  10 rows in = 10 kept",
        " 10% [2 of 3] features, 2 min 00 s left",  # 90 expected seconds at (20 + 20) / (10 + 20) of the pace
        " 40% [3 of 3] models mlp, 1 min 40 s left",
        " 58% [3 of 3] models mlp: fold 1: 9 of at most 60, 1 min 10 s left",
        "  note slow",
    ]


def test_on_a_terminal_no_line_is_wider_than_the_window_or_broken(wait: Callable[[float], None]) -> None:
    def run(observe: Callable[[StepEvent], None]) -> None:
        observe(PLAN)
        for step in PLAN.plan:
            observe(StepEvent(step, "started"))
            wait(125)
            observe(StepEvent(step, "going", "fold 3 of 5 and a very long text " * 5))
            observe(StepEvent(step, "finished"))

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(run, terminal=True)).replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.startswith("✓")]

    assert max(len(line) for line in text.splitlines()) <= 80

    assert [line.split()[1:] for line in lines] == [
        ["market", "data", "2", "min", "05", "s"],
        ["features", "2", "min", "05", "s"],
        ["models", "mlp", "2", "min", "05", "s"],
    ]
    assert {len(line) for line in lines} == {70}


def test_a_later_plan_takes_the_place_of_the_first(wait: Callable[[float], None]) -> None:
    def run(observe: Callable[[StepEvent], None]) -> None:
        observe(PLAN)
        observe(StepEvent("market_data", "started"))
        wait(10)
        observe(StepEvent("market_data", "finished"))
        observe(StepEvent("", "planned", plan={"market_data": 10.0, "report": 10.0}))
        observe(StepEvent("report", "started"))

    assert shown(run, terminal=False).splitlines()[-1] == " 50% [2 of 2] report, 10 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "<1 s"), (7, "7 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3600, "1 h 00 min"), (4350, "1 h 12 min")],
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
