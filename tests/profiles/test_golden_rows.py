"""Every case of golden/profile_rows.json: rows wider than a tick, and TPO, from an independent brute-force program."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.market.instruments import Instrument
from pipeline.profiles import (
    MICRO_LOTS,
    AreaRule,
    RowRule,
    StreamedProfiles,
    developing_levels,
    profile_rows,
    session_profiles,
    value_area,
)
from tests.profiles.frames import TICK, frame

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "profile_rows.json").read_text())
MINUTES = GOLDEN["tpo_minutes"]
CASES = [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"]]


def _frame(case: dict[str, Any]) -> pd.DataFrame:
    """The case's bars, each minute of its bracket one, from the open of regular hours on."""
    bars = frame([tuple(bar[:4]) for bar in case["bars"]])
    inside: Counter[int] = Counter()
    for place, (*_, bracket) in enumerate(case["bars"]):
        minutes = MINUTES * bracket + inside[bracket]
        bars.loc[place, "timestamp"] = pd.Timestamp("2024-03-05 14:30Z") + pd.Timedelta(minutes=minutes)
        inside[bracket] += 1
    return bars


def _chosen(case: dict[str, Any]) -> dict[str, Any]:
    return {"allocation": case["allocation"], "ticks_per_row": case["ticks_per_row"], "tpo_minutes": MINUTES}


def _unit(case: dict[str, Any]) -> int:
    return 1 if case["allocation"] == "tpo" else MICRO_LOTS


def _assert_levels(row: pd.Series, case: dict[str, Any]) -> None:
    expected = case["expected"]
    for name in ("vpoc", "val", "vah", "low", "high"):
        assert row[name] == expected[name] * TICK, name
    assert row["value_area_volume"] == int(expected["held"]) / _unit(case)
    assert row["volume"] == sum(map(int, expected["rows"])) / _unit(case)


@pytest.mark.parametrize("case", CASES)
def test_profile_rows_golden_case_equals_every_row(case: dict[str, Any], es: Instrument) -> None:
    lowest, rows = profile_rows(_frame(case), es, **_chosen(case))

    assert lowest == case["expected"]["first_row"]
    assert rows.tolist() == [int(text) for text in case["expected"]["rows"]]
    area = value_area(rows, AreaRule(case["value_area_basis_points"]), lowest=lowest)
    area = area.in_ticks(RowRule(ticks_per_row=case["ticks_per_row"]))
    assert (area.vpoc, area.val, area.vah) == tuple(case["expected"][name] for name in ("vpoc", "val", "vah"))


@pytest.mark.parametrize("device", ["cpu", "threads", "torch"])
@pytest.mark.parametrize("case", CASES)
def test_session_profiles_golden_case_equals_every_level(case: dict[str, Any], device: str, es: Instrument) -> None:
    profiles = session_profiles(
        _frame(case), es, value_area_basis_points=case["value_area_basis_points"], device=device, **_chosen(case)
    )

    assert len(profiles) == 1
    _assert_levels(profiles.iloc[0], case)


@pytest.mark.parametrize("case", CASES)
def test_streamed_and_developing_golden_case_end_with_every_level(case: dict[str, Any], es: Instrument) -> None:
    bars, share = _frame(case), case["value_area_basis_points"]

    stream = StreamedProfiles(es, value_area_basis_points=share, **_chosen(case))
    for place in range(len(bars)):
        stream.add(bars.iloc[place : place + 1])

    _assert_levels(stream.result().iloc[0], case)
    _assert_levels(developing_levels(bars, es, value_area_basis_points=share, **_chosen(case)).iloc[-1], case)
