import numpy as np
import pandas as pd
import pytest

from pipeline.features import build_features
from pipeline.features.families.calendar import _expiry
from pipeline.market import load_instruments
from tests.features.made_markets import hand_inputs, random_rows

NAMES = [
    "weekday",
    "days_to_session",
    "session_of_month",
    "sessions_left_in_month",
    "month_turn",
    "days_to_holiday",
    "days_after_holiday",
    "early_close",
]


@pytest.fixture(scope="module")
def table(es):
    return build_features(hand_inputs(es, random_rows(60), first="2021-10-04"), NAMES)


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        # Friday, 29 October: Monday, 1 November comes.
        ("2021-10-29", [0, 3, 1, 21, 1, 10, 10, 0]),
        # Tuesday before Thanksgiving: Wednesday comes, the holiday is a day after it.
        ("2021-11-23", [2, 1, 18, 4 - 0, 0, 1, 10, 0]),
        # Wednesday: Thanksgiving itself comes, CME closes at noon.
        ("2021-11-24", [3, 1, 19, 3, 0, 0, 10, 1]),
        # Thanksgiving: the half day after it.
        ("2021-11-25", [4, 1, 20, 2, 0, 0, 1, 1]),
        # Monday, 29 November: the month's last session comes.
        ("2021-11-29", [1, 1, 22, 0, 1, 10, 4, 0]),
        # Thursday, 23 December: Monday comes, Friday was Christmas observed.
        ("2021-12-23", [0, 4, 18, 4, 0, 10, 3, 0]),
    ],
)
def test_calendar_of_the_coming_session(table, session, expected):
    assert table.loc[session, NAMES].tolist() == expected


def test_calendar_without_holidays_has_none_near():
    bitcoin = load_instruments()["BTCUSDT"]
    rows = [(6_000_000 + k, 6_000_010 + k, 6_000_000, 6_000_001) for k in range(12)]

    table = build_features(hand_inputs(bitcoin, rows, first="2021-12-20"), NAMES)

    assert set(table["days_to_holiday"]) == set(table["days_after_holiday"]) == {10.0}
    assert set(table["days_to_session"]) == {1.0}
    assert table.loc["2021-12-31", ["weekday", "session_of_month", "sessions_left_in_month"]].tolist() == [5, 1, 30]


def test_day_of_mourning_is_not_a_holiday_before_it_was_known(es):
    # 2018-12-05 was decreed on the first of December.
    table = build_features(hand_inputs(es, random_rows(10), first="2018-11-26"), NAMES)

    assert table.loc["2018-11-29", "days_to_holiday"] == 10
    assert table.loc["2018-12-04", "days_after_holiday"] == 10


def test_days_to_expiry_count_to_the_third_friday(es):
    contracts = ["ESH19"] * 48 + ["ESM19"] * 12
    inputs = hand_inputs(es, random_rows(60), contracts)

    days = build_features(inputs, ["days_to_expiry"])["days_to_expiry"]

    # 2 January: from the third to 15 March.
    assert days.iloc[0] == 71
    first = inputs.sessions[48]
    assert days.iloc[48] == (pd.Timestamp("2019-06-21") - first).days - 1


@pytest.mark.parametrize(
    ("code", "session", "expected"),
    [
        ("ESH25", "2024-12-16", "2025-03-21"),
        ("ESH5", "2024-12-16", "2025-03-21"),
        ("ESH2025", "2024-12-16", "2025-03-21"),
        ("ESZ9", "2019-12-20", "2019-12-20"),
        ("ESZ9", "2019-12-23", "2029-12-21"),
        ("MNQU24", "2024-07-01", "2024-09-20"),
        ("M2KZ24", "2024-07-01", "2024-12-20"),
        # Good Friday 2008 and Juneteenth 2026 are third Fridays.
        ("ESH08", "2008-01-02", "2008-03-20"),
        ("ESM26", "2026-05-01", "2026-06-18"),
    ],
)
def test_expiry_follows_from_the_contract_code(code, session, expected):
    assert _expiry(code, pd.Timestamp(session)) == np.datetime64(expected)


@pytest.mark.parametrize("code", ["CLH25", "ESF25", "front", "", "202503", "ESH"])
def test_expiry_of_other_codes_is_missing(code):
    assert np.isnat(_expiry(code, pd.Timestamp("2024-12-16")))


def test_expiry_days_of_bars_without_contracts_are_absent(es):
    assert build_features(hand_inputs(es, random_rows(3)), ["days_to_expiry", "weekday"]).columns.tolist() == [
        "weekday"
    ]
