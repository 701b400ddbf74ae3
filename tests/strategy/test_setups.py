import numpy as np
import pandas as pd
import pytest

from pipeline.strategy import Setups
from pipeline.strategy.pass_rates import pass_rates_of, rates


def some(row: list[int], *, first: int = 0, **parts) -> Setups:
    """Setups whose entries count from ``first``."""
    entry = np.arange(first, first + len(row))
    usual = {"side": np.ones(len(row), np.int64), "stop": entry - 10, "target": entry + 10}
    return Setups(np.array(row, np.int64), entry=entry, **{**usual, **parts})


def test_joined_puts_times_of_a_session_in_their_order() -> None:
    times = {"decided_at": np.array([1, 2, 3]), "last": np.array([7, 8, 9])}
    first = some([0, 2, 2], gates={"open": np.array([True, False, True])}, **times)
    second = some([0, 1, 2], first=10, gates={"open": np.array([False, True, True])}, **times)

    joined = Setups.joined([first, second])

    assert joined.row.tolist() == [0, 0, 1, 2, 2, 2]
    assert joined.entry.tolist() == [0, 10, 11, 1, 2, 12]
    assert joined.stop.tolist() == [-10, 0, 1, -9, -8, 2]
    assert joined.rule_signal.tolist() == [True, False, True, False, True, True]
    assert joined.decided_at is not None
    assert joined.decided_at.tolist() == [1, 1, 2, 2, 3, 3]
    assert joined.last is not None
    assert joined.last.tolist() == [7, 7, 8, 8, 9, 9]


def test_rule_signal_is_every_gate_together_or_what_the_strategy_takes() -> None:
    gates = {"a": np.array([True, True, False]), "b": np.array([True, False, True]), "measure": np.zeros(3)}

    assert some([0, 0, 0], gates=gates).rule_signal.tolist() == [True, False, False]
    assert some([0, 0, 0], gates=gates, taken=np.array([False, True, True])).rule_signal.tolist() == [False, True, True]
    assert some([0]).rule_signal.tolist() == [True]
    assert Setups.none().rule_signal.tolist() == []


def test_pass_rates_of_by_hand() -> None:
    setups = some(
        [0, 0, 1, 1, 2],
        side=np.array([1, -1, 1, -1, 1]),
        gates={
            "a": np.array([True, True, False, False, True]),
            "measure": np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
            "b": np.array([True, False, True, False, True]),
        },
    )

    found = pass_rates_of(setups)

    assert found.index.name == "gate"
    assert found.index.tolist() == ["a_long", "a_short", "b_long", "b_short", "rule_signal_long", "rule_signal_short"]
    assert found["decisions"].tolist() == [3, 2, 3, 2, 3, 2]
    assert found["pass_rate"].tolist() == [2 / 3, 1 / 2, 1.0, 0.0, 2 / 3, 0.0]
    assert found["standard_error"].tolist() == pytest.approx([(2 / 27) ** 0.5, 0.125**0.5, 0, 0, (2 / 27) ** 0.5, 0])


def test_pass_rates_of_a_side_without_setups_are_missing() -> None:
    found = pass_rates_of(some([0, 1], gates={"a": np.array([True, False])}))

    assert found["decisions"].tolist() == [2, 0, 2, 0]
    assert found["pass_rate"].isna().tolist() == [False, True, False, True]
    assert pass_rates_of(Setups.none())["pass_rate"].isna().all()


def test_rates_of_counts() -> None:
    expected = pd.DataFrame(
        {"pass_rate": [0.25, 0.5], "standard_error": [(0.1875 / 4) ** 0.5, 0.25], "decisions": [4, 4]},
        index=pd.Index(["a", "b"], name="gate", dtype="str"),
    )

    pd.testing.assert_frame_equal(rates({"a": 1, "b": 2}, 4), expected)
