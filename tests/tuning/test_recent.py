"""Cache of recent results: the last few, and nothing that failed."""

import pytest

from pipeline.tuning.recent import Recent


def test_recent_makes_again_what_was_unused_for_longest() -> None:
    made: list[str] = []
    recent: Recent[str] = Recent(2)

    def ask(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key)  # type: ignore[func-returns-value]

    assert [ask(key) for key in "abacab"] == list("abacab")
    assert made == ["a", "b", "c", "b"]
    assert len(recent) == 2


def test_recent_keeps_nothing_that_failed() -> None:
    recent: Recent[float] = Recent(2)

    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 / 0)
    assert recent.get("a", lambda: 2.0) == 2.0
