"""Every case of golden/volume_profiles.json, made by an independent brute-force program."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.market.instruments import Instrument
from pipeline.profiles import MICRO_LOTS, AreaRule, profile_rows, session_profiles, value_area
from tests.profiles.frames import TICK, frame

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "volume_profiles.json").read_text())
CASES = [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"] if case["expected"]]
EMPTY = [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"] if not case["expected"]]


def _bars(case: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    return [(bar["low"], bar["high"], bar["close"], bar["volume"]) for bar in case["bars"]]


def test_golden_units_are_the_projects() -> None:
    assert GOLDEN["units_per_volume_step"] == MICRO_LOTS


@pytest.mark.parametrize("case", CASES)
def test_profile_rows_golden_case_equals_every_tick(case: dict[str, Any], es: Instrument) -> None:
    lowest, rows = profile_rows(frame(_bars(case)), es, allocation=case["allocation"])

    assert rows.dtype == np.int64
    assert rows.tolist() == [int(text) for text in case["expected"]["micro_lots"]]
    assert (lowest, lowest + len(rows) - 1) == (case["expected"]["low"], case["expected"]["high"])


@pytest.mark.parametrize("case", EMPTY)
def test_golden_case_without_volume_gives_no_profile(case: dict[str, Any], es: Instrument) -> None:
    lowest, rows = profile_rows(frame(_bars(case)), es, allocation=case["allocation"])

    assert (lowest, rows.tolist(), rows.dtype) == (0, [], np.int64)
    assert session_profiles(frame(_bars(case)), es, allocation=case["allocation"]).empty


@pytest.mark.parametrize("case", CASES)
def test_session_profiles_golden_case_equals_every_level(case: dict[str, Any], es: Instrument) -> None:
    expected = case["expected"]
    profiles = session_profiles(
        frame(_bars(case)),
        es,
        allocation=case["allocation"],
        value_area_basis_points=case["value_area_basis_points"],
        expansion_rows=case["expansion_rows"],
    )

    assert profiles.index.astype(str).tolist() == ["2024-03-05"]
    row = profiles.iloc[0]
    for name in ("vpoc", "val", "vah", "low", "high"):
        assert row[name] == expected[name] * TICK, name
    assert row["value_area_volume"] == int(expected["value_area_micro_lots"]) / MICRO_LOTS
    assert row["volume"] == sum(int(text) for text in expected["micro_lots"]) / MICRO_LOTS


@pytest.mark.parametrize("case", CASES)
def test_value_area_golden_case_equals_every_level(case: dict[str, Any]) -> None:
    expected = case["expected"]

    area = value_area(
        np.array([int(text) for text in expected["micro_lots"]]),
        AreaRule(case["value_area_basis_points"], case["expansion_rows"]),
        lowest=expected["low"],
    )

    assert (area.vpoc, area.val, area.vah) == (expected["vpoc"], expected["val"], expected["vah"])
    assert area.held == int(expected["value_area_micro_lots"])
