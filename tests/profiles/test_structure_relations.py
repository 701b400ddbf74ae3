"""Value area against the session before, and VPOC migration."""

from itertools import product
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument
from pipeline.profiles.relations import ValueAreaRelation, session_relations

MIRROR = {
    "higher": "lower",
    "lower": "higher",
    "overlapping_higher": "overlapping_lower",
    "overlapping_lower": "overlapping_higher",
    "inside": "inside",
    "outside": "outside",
}


def _profiles(es: Instrument, levels: list[tuple[int, int, int]], contracts: str = "") -> pd.DataFrame:
    """Profiles of consecutive days by VAL, VPOC and VAH in ticks."""
    val, vpoc, vah = (es.to_prices(column) for column in zip(*levels, strict=True)) if levels else ([], [], [])
    index = pd.date_range("2024-03-04", periods=len(levels), freq="D", unit="ns", name="session")
    frame = pd.DataFrame({"vpoc": vpoc, "val": val, "vah": vah, "low": val, "high": vah}, index=index, dtype=float)
    frame["volume"] = 1.0
    if contracts:
        frame["contract"] = pd.array(list(contracts), dtype="str")
    return frame


def _relation(es: Instrument, before: tuple[int, int], now: tuple[int, int]) -> str:
    levels = [(low, low, high) for low, high in (before, now)]
    return str(session_relations(_profiles(es, levels), es)["value_area_relation"].iloc[1])


@pytest.mark.parametrize(
    ("now", "relation", "overlap"),
    [
        ((21, 25), "higher", 0.0),
        ((20, 24), "overlapping_higher", 0.2),
        ((12, 22), "overlapping_higher", 9 / 11),
        ((11, 20), "inside", 1.0),
        ((10, 20), "inside", 1.0),
        ((10, 19), "inside", 1.0),
        ((20, 20), "inside", 1.0),
        ((10, 21), "outside", 11 / 12),
        ((9, 20), "outside", 11 / 12),
        ((5, 29), "outside", 11 / 25),
        ((9, 19), "overlapping_lower", 10 / 11),
        ((6, 10), "overlapping_lower", 0.2),
        ((5, 9), "lower", 0.0),
    ],
)
def test_session_relations_against_10_to_20(
    es: Instrument, now: tuple[int, int], relation: str, overlap: float
) -> None:
    found = session_relations(_profiles(es, [(10, 15, 20), (now[0], now[0], now[1])]), es).iloc[1]

    assert (found["value_area_relation"], found["value_area_overlap"]) == (relation, overlap)


def test_session_relations_every_pair_of_areas_has_exactly_one_class(es: Instrument) -> None:
    areas = [(low, high) for low, high in product(range(6), repeat=2) if low <= high]
    seen = set()
    for before, now in product(areas, repeat=2):
        a, b = set(range(now[0], now[1] + 1)), set(range(before[0], before[1] + 1))
        classes = {
            "higher": now[0] > before[1],
            "lower": now[1] < before[0],
            "inside": a <= b,
            "outside": a > b,
            "overlapping_higher": bool(a & b and a - b and b - a) and now[1] > before[1],
            "overlapping_lower": bool(a & b and a - b and b - a) and now[1] < before[1],
        }
        relation = _relation(es, before, now)
        assert [name for name, holds in classes.items() if holds] == [relation]
        seen.add(relation)

    assert seen == set(get_args(ValueAreaRelation))


@settings(deadline=None)
@given(*[st.tuples(st.integers(-50, 50), st.integers(0, 30))] * 2, st.integers(-500, 500))
def test_session_relations_mirrored_and_shifted_areas_mirror_the_class(
    es: Instrument, before: tuple[int, int], now: tuple[int, int], shift: int
) -> None:
    (a, b), (c, d) = (before[0], sum(before)), (now[0], sum(now))

    assert _relation(es, (shift - b, shift - a), (shift - d, shift - c)) == MIRROR[_relation(es, (a, b), (c, d))]


@settings(deadline=None)
@given(*[st.tuples(st.integers(-50, 50), st.integers(0, 30))] * 2)
def test_session_relations_seen_from_the_other_session_pair_up(
    es: Instrument, before: tuple[int, int], now: tuple[int, int]
) -> None:
    a, b = (before[0], sum(before)), (now[0], sum(now))
    back = {**MIRROR, "inside": "outside", "outside": "inside"}

    assert _relation(es, b, a) == ("inside" if a == b else back[_relation(es, a, b)])


def test_session_relations_migration_counts_runs_and_zero_moves_end_them(es: Instrument) -> None:
    vpocs = [10, 12, 15, 15, 14, 13, 13, 20]

    found = session_relations(_profiles(es, [(v - 1, v, v + 1) for v in vpocs]), es)

    assert found["vpoc_migration_ticks"].tolist()[1:] == [2, 3, 0, -1, -1, 0, 7]
    assert found["vpoc_direction"].tolist()[1:] == [1, 1, 0, -1, -1, 0, 1]
    assert found["vpoc_run"].tolist()[1:] == [1, 2, 0, 1, 2, 0, 1]
    assert found.iloc[0].isna().all()


def test_session_relations_roll_is_missing_and_runs_begin_again(es: Instrument) -> None:
    found = session_relations(_profiles(es, [(v, v, v + 3) for v in (1, 2, 3, 90, 91, 92)], "HHHMMM"), es)

    assert found.index[found.isna().all(axis=1)].day.tolist() == [4, 7]
    assert found["vpoc_run"].tolist()[1:3] == [1, 2]
    assert found["vpoc_run"].tolist()[4:] == [1, 2]


def test_session_relations_return_to_a_former_contract_is_a_roll_too(es: Instrument) -> None:
    found = session_relations(_profiles(es, [(1, 1, 1)] * 3, "HMH"), es)

    assert found.isna().all(axis=None)


@pytest.mark.parametrize("count", [0, 1])
def test_session_relations_nothing_to_compare_with_keeps_the_columns(es: Instrument, count: int) -> None:
    found = session_relations(_profiles(es, [(1, 2, 3)] * count), es)

    assert [str(kind) for kind in found.dtypes] == ["float64", "str", "float64", "float64", "float64"]
    assert len(found) == count
    assert found.isna().all(axis=None)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.drop(columns="val"), "profiles lack val"),
        (lambda frame: frame.reset_index(), "not indexed by session"),
        (lambda frame: frame.iloc[::-1], "not in the order"),
        (lambda frame: frame.assign(vpoc=np.nan), "no vpoc in session 2024-03-04"),
        (lambda frame: frame.assign(volume=0.0), "no volume in session 2024-03-04"),
        (lambda frame: frame.assign(contract=pd.array(["H", None], dtype="str")), "no contract in session 2024-03-05"),
        (lambda frame: None, "must be a pandas DataFrame"),
    ],
)
def test_session_relations_unusable_profiles_are_refused(es: Instrument, spoil: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        session_relations(spoil(_profiles(es, [(1, 2, 3), (2, 3, 4)])), es)  # type: ignore[operator]
