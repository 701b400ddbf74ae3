"""Search spaces: what they refuse, what they suggest, and that every family accepts every point of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.learning.models import families, make_model
from pipeline.search_space import Choice, Dimension, Real, SearchSpace, Whole

TUNED = sorted(name for name, family in families().items() if family.space)


class _Drawn:
    """A trial whose suggestions hypothesis chooses, the ends of each range among them."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.params[name] = self.draw(st.floats(low, high) | st.sampled_from([low, high]))
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.params[name] = low + step * self.draw(st.integers(0, (high - low) // step))
        return self.params[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.params[name] = self.draw(st.sampled_from(list(choices)))
        return self.params[name]


SPACE = SearchSpace(
    {
        "rate": Real(1e-3, 1.0, log=True),
        "leaves": Whole(2, 10, step=2),
        "layers": Choice([None, (128, 64), (32,)]),
        "hours": Choice(["rth", "eth"]),
    }
)


@pytest.mark.parametrize("family", TUNED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_space_of_a_family_any_point_makes_a_valid_model(family: str, data: st.DataObject) -> None:
    space = families()[family].space
    trial = _Drawn(data.draw)
    params = space.suggest(trial)
    model = make_model(family, params)
    # Nothing is rounded or drawn in by the settings: what a trial was judged by is what it asked for.
    assert {name: getattr(model.settings, name) for name in space} == params
    assert space.contains(params)
    assert space.read(trial.params) == params
    assert space.written(params) == trial.params


@pytest.mark.parametrize("family", TUNED)
def test_space_of_a_family_defaults_lie_in_it(family: str) -> None:
    defaults = make_model(family).settings.model_dump()
    space = families()[family].space
    assert space.chosen_from(defaults) == {name: defaults[name] for name in space}


def test_space_of_the_constant_is_empty_and_refuses() -> None:
    space = families()["constant"].space
    assert len(space) == 0
    with pytest.raises(ConfigurationError, match="constant has nothing to tune: its search space is empty"):
        space.require("constant")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Real(2.0, 1.0), "from 2.0 to 1.0 is empty"),
        (lambda: Real(0.0, 1.0, log=True), "from 0.0 on a logarithmic scale must start above 0"),
        (lambda: Real(0.0, float("inf")), "has no bounds"),
        (lambda: Real("low", 1.0), "low is 'low'"),  # type: ignore[arg-type]
        (lambda: Whole(3, 2), "from 3 to 2 is empty"),
        (lambda: Whole(0, 2, log=True), "from 0 on a logarithmic scale"),
        (lambda: Whole(1, 4, step=2), "can't go in steps of 2"),
        (lambda: Whole(1, 4, step=0), "can't go in steps of 0"),
        (lambda: Whole(1, 5, step=2, log=True), "on a logarithmic scale"),
        (lambda: Choice([]), "at least one option"),
        (lambda: Choice("rth"), "give a list"),
        (lambda: Choice([1, True]), "the option True more than once"),
        (lambda: Choice([(1, 2), "[1, 2]"]), "more than once"),
        (lambda: Choice([{}]), r"the option \{\}"),
        (lambda: SearchSpace({"": Real(0, 1)}), "give a name"),
        (lambda: SearchSpace({"a": 3}), "a in a search space is 3"),  # type: ignore[dict-item]
    ],
)
def test_space_that_is_impossible_is_refused_in_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_fingerprint_is_that_of_names_kinds_and_bounds_alone() -> None:
    turned = SearchSpace({name: SPACE[name] for name in reversed(list(SPACE))})
    assert SPACE.fingerprint() == turned.fingerprint() == "1951e3e6f82be263"
    others: list[dict[str, Dimension]] = [
        {"rate": Real(1e-3, 1.0)},
        {"rate": Real(1e-3, 2.0, log=True)},
        {"leaves": Whole(2, 10)},
        {"hours": Choice(["eth", "rth"])},
        {"more": Real(0, 1)},
    ]
    prints = {SearchSpace({**SPACE, **other}).fingerprint() for other in others}
    assert len(prints | {SPACE.fingerprint()}) == len(others) + 1


def test_contains_asks_for_every_name_and_a_possible_value() -> None:
    inside = {"rate": 1.0, "leaves": 4, "layers": [128, 64], "hours": "eth"}
    assert SPACE.contains(inside)
    for change in ({"rate": 1.1}, {"rate": True}, {"leaves": 5}, {"leaves": 4.5}, {"layers": (64,)}, {"more": 1}):
        assert not SPACE.contains({**inside, **change})
    assert not SPACE.contains({"rate": 1.0})


def test_narrowed_keeps_order_and_what_was_not_named() -> None:
    narrow = SPACE.narrowed(
        {"rate": {"high": 0.5}, "leaves": {"low": 4, "step": 6}, "layers": [128, 64], "hours": ["eth"]}
    )
    assert dict(narrow) == {
        "rate": Real(1e-3, 0.5, log=True),
        "leaves": Whole(4, 10, step=6),
        "layers": Choice([(128, 64)]),
        "hours": Choice(["eth"]),
    }
    assert list(narrow) == list(SPACE)
    assert dict(SPACE.narrowed({"rate": None, "layers": [None], "hours": "rth", "leaves": [2, 4]})) == {
        "leaves": Choice([2, 4]),
        "layers": Choice([None]),
        "hours": Choice(["rth"]),
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"depth": 3}, "no setting 'depth' to narrow; it has rate, leaves, layers, hours"),
        ({"rate": {"high": 2.0}}, "that is not within 0.001 to 1.0"),
        ({"rate": {"low": 0.6, "high": 0.5}}, "is empty"),
        ({"rate": {"lo": 0.6}}, "has no 'lo'; it has low, high, log"),
        ({"leaves": 3}, "not within 2 to 10 in steps of 2"),
        ({"leaves": {"step": 4, "low": 2, "high": 10, "log": True}}, "steps of 4 on a logarithmic scale"),
        ({"leaves": {"step": 1}}, "not within 2 to 10 in steps of 2"),
        ({"leaves": []}, "at least one option"),
        ({"hours": {"low": 1}}, "searched among options"),
        ({"hours": "all"}, "not within 'rth', 'eth'"),
    ],
)
def test_narrowed_to_what_is_not_within_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SPACE.narrowed(overrides)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_narrowed_space_suggests_only_what_the_whole_contains(data: st.DataObject) -> None:
    low = data.draw(st.floats(1e-3, 1.0))
    narrow = SPACE.narrowed({"rate": {"low": low}, "layers": [[32], None]})
    assert SPACE.contains(narrow.suggest(_Drawn(data.draw)))


def test_joined_spaces_part_again() -> None:
    both = SearchSpace.joined(
        model=SearchSpace({"rate": SPACE["rate"]}), strategy=SearchSpace({"hours": SPACE["hours"]})
    )
    assert list(both) == ["model.rate", "strategy.hours"]
    params = {"model.rate": 0.1, "strategy.hours": "rth"}
    assert both.contains(params)
    assert SearchSpace.parted(params) == {"model": {"rate": 0.1}, "strategy": {"hours": "rth"}}
    assert SearchSpace.parted({"rate": 0.1, "account.risk": 1}) == {"": {"rate": 0.1}, "account": {"risk": 1}}


def test_numeric_is_a_space_without_options() -> None:
    assert SearchSpace({"rate": SPACE["rate"], "leaves": SPACE["leaves"]}).numeric
    assert not SPACE.numeric


def test_optuna_is_not_imported_by_models() -> None:
    import subprocess
    import sys

    code = "import sys, pipeline.learning.models as m; m.families(); print('optuna' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
