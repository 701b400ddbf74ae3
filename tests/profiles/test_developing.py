"""Developing levels: after every bar what session_profiles gives for the bars so far."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import MICRO_LOTS, session_profiles
from pipeline.profiles.developing import developing_levels
from tests.profiles.frames import TICK, frame

ES = load_instruments()["ES"]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "volume_profiles.json").read_text())
CASES = [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"] if case["expected"]]
COLUMNS = ["vpoc", "val", "vah", "low", "high", "volume", "value_area_volume"]
BARS = st.lists(
    st.tuples(st.integers(18_000, 18_030), st.integers(0, 8), st.integers(0, 6), st.booleans()), max_size=12
)


def _replayed(bars: pd.DataFrame, sessions: pd.Series, **chosen: object) -> pd.DataFrame:
    """Of every beginning of the bars, the profile of its last bar's session."""
    rows: list[dict] = []
    for count in range(1, len(bars) + 1):
        profiles = session_profiles(bars.iloc[:count], ES, **chosen)  # type: ignore[arg-type]
        session = sessions.iloc[count - 1]
        rows.append(profiles.loc[session].to_dict() if session in profiles.index else {})
    return pd.DataFrame(rows)


@settings(max_examples=40, deadline=None)
@given(
    BARS.filter(len),
    st.booleans(),
    st.sampled_from(["uniform", "close", "tpo"]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 4]),
)
def test_developing_levels_any_bars_equal_session_profiles_so_far(
    bars: list[tuple[int, int, int, bool]], contracts: bool, allocation: str, rows: int, height: int
) -> None:
    # Eight bars a session, all within its whole trade date.
    whole = frame([(low, low + width, low + width // 2, volume) for low, width, volume, _ in bars], minutes=150)
    inside = len(whole) == 0 or ~whole["timestamp"].dt.hour.isin([21, 22])
    whole = whole[inside].reset_index(drop=True)
    if contracts:
        whole["contract"] = pd.array(["ESM24" if later else "ESH24" for *_, later in bars], dtype="str")[inside]
    chosen = {"allocation": allocation, "expansion_rows": rows, "hours": "eth", "ticks_per_row": height}
    chosen["tpo_minutes"] = 400  # two or three bars

    levels = developing_levels(whole, ES, **chosen)  # type: ignore[arg-type]

    expected = _replayed(whole, levels["session"], **chosen)
    assert len(levels) == len(whole)
    traded = levels["volume"].to_numpy() > 0
    for name in COLUMNS if traded.any() else []:
        np.testing.assert_array_equal(levels.loc[traded, name], expected.loc[traded, name])
    assert levels.loc[~traded, ["vpoc", "val", "vah", "low", "high"]].isna().all(axis=None)
    if contracts and traded.any():
        assert levels.loc[traded, "contract"].tolist() == expected.loc[traded, "contract"].tolist()


@pytest.mark.parametrize("case", CASES)
def test_developing_levels_golden_case_ends_at_every_level(case: dict[str, Any]) -> None:
    bars = frame([(bar["low"], bar["high"], bar["close"], bar["volume"]) for bar in case["bars"]])

    last = developing_levels(
        bars,
        ES,
        allocation=case["allocation"],
        value_area_basis_points=case["value_area_basis_points"],
        expansion_rows=case["expansion_rows"],
    ).iloc[-1]

    for name in ("vpoc", "val", "vah", "low", "high"):
        assert last[name] == case["expected"][name] * TICK, name
    assert last["value_area_volume"] * MICRO_LOTS == int(case["expected"]["value_area_micro_lots"])


def test_developing_levels_bar_wider_than_its_micro_lots_equals_its_profile() -> None:
    bars = frame([(2, 2**21 + 1, 5, 1), (1, 2**21, 5, 1), (3, 5, 5, 0), (2**21, 2**21 + 2, 5, 1)])

    levels = developing_levels(bars, ES)

    for count in (1, 2, 4):
        expected = session_profiles(bars.iloc[:count], ES).iloc[0]
        assert levels.iloc[count - 1][COLUMNS].tolist() == expected.tolist()


def test_developing_levels_example_equals_hand_count() -> None:
    bars = frame([(400, 401, 400, 4), (401, 403, 402, 9), (410, 412, 411, 0), (399, 399, 399, 8)])

    levels = developing_levels(bars, ES)

    # 2 2 | 2 5 3 3 | unchanged | 8 2 5 3 3: the range is 399 to 403.
    assert (levels["vpoc"] * 4).tolist() == [400, 401, 401, 399]
    assert (levels["val"] * 4).tolist() == [400, 401, 401, 399]
    assert (levels["vah"] * 4).tolist() == [401, 403, 403, 401]
    assert (levels["low"] * 4).tolist() == [400, 400, 400, 399]
    assert levels["volume"].tolist() == [4, 13, 13, 21]
    assert levels["value_area_volume"].tolist() == [4, 11, 11, 15]


def test_developing_levels_frame_has_its_columns_and_types() -> None:
    bars = frame([(400, 401, 400, 0), (401, 403, 402, 9)])
    bars["timestamp"] = pd.to_datetime(["2024-03-05 14:00Z", "2024-03-05 14:30Z"])

    levels = developing_levels(bars, ES)
    whole = developing_levels(bars, ES, hours="eth")

    assert levels.columns.tolist() == ["session", *COLUMNS]
    assert (levels.index.name, str(levels.index.dtype)) == ("timestamp", "datetime64[ns, UTC]")
    assert str(levels["session"].dtype) == "datetime64[ns]"
    assert len(levels) == 1
    assert (whole["vpoc"].isna().tolist(), whole["volume"].tolist()) == ([True, False], [0, 9])


def test_developing_levels_no_bar_gives_an_empty_frame() -> None:
    levels = developing_levels(frame([]), ES)

    assert (len(levels), levels.columns.tolist()) == (0, ["session", *COLUMNS])
    assert "contract" in developing_levels(frame([]).assign(contract=pd.Series(dtype="str")), ES)


def test_developing_levels_second_contract_takes_over_when_it_leads() -> None:
    bars = frame([(400, 400, 400, 5), (440, 440, 440, 5), (441, 441, 441, 1), (400, 400, 400, 2)])
    bars["contract"] = ["ESH24", "ESM24", "ESM24", "ESH24"]

    levels = developing_levels(bars, ES)

    assert levels["contract"].tolist() == ["ESH24", "ESM24", "ESM24", "ESH24"]
    assert levels["volume"].tolist() == [5, 5, 6, 7]
    assert (levels["vpoc"] * 4).tolist() == [400, 440, 440, 400]


@pytest.mark.parametrize(("hours", "rows"), [("rth", 1_782), ("eth", 1_813)])
def test_developing_levels_real_sessions_end_at_their_profile(
    es: Instrument, real_data: Path, hours: str, rows: int
) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")

    levels = developing_levels(bars, es, hours=hours)  # type: ignore[arg-type]

    profiles = session_profiles(bars, es, hours=hours)  # type: ignore[arg-type]
    last = levels[levels["volume"] > 0].groupby("session").tail(1).set_index("session")
    assert len(profiles) == rows
    pd.testing.assert_frame_equal(last, profiles, check_exact=True, check_freq=False)


def test_developing_levels_real_bars_cut_anywhere_do_not_change(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    roll = int(np.flatnonzero(bars["contract"].ne(bars["contract"].shift()))[5])
    bars = bars.iloc[roll - 300 : roll + 300]
    full = developing_levels(bars, es, hours="eth")

    for cut in range(1, len(bars), 7):
        known = developing_levels(bars.iloc[:cut], es, hours="eth")
        pd.testing.assert_frame_equal(known, full.iloc[: len(known)], check_exact=True, check_freq=False)


def test_developing_levels_volume_past_the_limit_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="session 2024-03-05 of ES: volume passes"):
        developing_levels(frame([(400, 400, 400, 2**42), (400, 400, 400, 1)]), ES)
    with pytest.raises(DataError, match="session 2024-03-05 of ES: prices span"):
        developing_levels(frame([(400, 400, 400, 1), (2**25, 2**25, 2**25, 1)]), ES)


def test_developing_levels_wrong_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="allocation is 'trades'"):
        developing_levels(frame([]), ES, allocation="trades")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="hours is 'all'"):
        developing_levels(frame([]), ES, hours="all")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no column low"):
        developing_levels(frame([]).drop(columns="low"), ES)
