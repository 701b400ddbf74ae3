"""Profiles of trades: exact prices, sides, every row accounted for, foreign frames, golden cases."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.trades import TRADE_REASONS, clean_trades
from pipeline.profiles import MICRO_LOTS, session_profiles
from pipeline.profiles.trades import profile_levels, trade_levels, trade_profiles
from tests.profiles.frames import TICK, frame
from tests.profiles.oracle import slow_value_area
from tests.profiles.trade_frames import Trade, slow_levels, trades_frame, with_fault

ES = load_instruments()["ES"]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "volume_profiles.json").read_text())
CLOSE = [pytest.param(c, id=c["name"]) for c in GOLDEN["cases"] if c["allocation"] == "close" and c["expected"]]
TRADES = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(18_000, 18_020), st.integers(0, 50), st.sampled_from([-1, 0, 1])),
    max_size=40,
)
DAY = pd.Timestamp("2024-03-05")
EXAMPLE: list[Trade] = [(0, 400, 3, 1), (0, 401, 2, -1), (60, 401, 4, 1), (61, 403, 1, 0)]


@pytest.mark.parametrize("case", CLOSE)
def test_trade_profiles_golden_close_case_equals_every_level(case: dict[str, Any]) -> None:
    trades = trades_frame([(i, bar["close"], bar["volume"], 0) for i, bar in enumerate(case["bars"])], side=False)

    profile = trade_profiles(
        trades,
        ES,
        value_area_basis_points=case["value_area_basis_points"],
        expansion_rows=case["expansion_rows"],
    ).loc[DAY]
    levels = trade_levels(trades, ES)

    expected = case["expected"]
    for name in ("vpoc", "val", "vah", "low", "high"):
        assert profile[name] == expected[name] * TICK, name
    assert profile["value_area_volume"] * MICRO_LOTS == int(expected["value_area_micro_lots"])
    assert (levels["volume"] * MICRO_LOTS).tolist() == [int(text) for text in expected["micro_lots"]]


def test_trade_profiles_example_equals_hand_count() -> None:
    profile = trade_profiles(trades_frame(EXAMPLE), ES).loc[DAY]

    # 3, 6, 0, 1: the VPOC is 401; above 0 + 1, below 3, so down first: 9 of 10.
    assert profile[["vpoc", "val", "vah", "low", "high"]].tolist() == [100.25, 100.0, 100.25, 100.0, 100.75]
    assert profile[["volume", "value_area_volume", "buy_volume", "sell_volume", "delta"]].tolist() == [10, 9, 7, 2, 5]


def test_trade_levels_example_has_every_tick_and_unknown_where_nobody_tells() -> None:
    levels = trade_levels(trades_frame(EXAMPLE), ES).loc[DAY]

    assert levels.index.tolist() == [100.0, 100.25, 100.5, 100.75]
    assert levels["volume"].tolist() == [3, 6, 0, 1]
    np.testing.assert_array_equal(levels["buy_volume"], [3, 4, 0, np.nan])
    np.testing.assert_array_equal(levels["sell_volume"], [0, 2, 0, np.nan])
    np.testing.assert_array_equal(levels["delta"], [3, 2, 0, np.nan])


def test_trade_profiles_without_side_has_unknown_delta() -> None:
    profile = trade_profiles(trades_frame(EXAMPLE, side=False), ES).loc[DAY]

    assert profile["volume"] == 10
    assert profile[["buy_volume", "sell_volume", "delta"]].isna().all()


@given(TRADES)
def test_trade_levels_any_trades_equal_slow_count(trades: list[Trade]) -> None:
    levels = trade_levels(trades_frame(trades), ES)
    profiles = trade_profiles(trades_frame(trades), ES)

    expected = slow_levels(trades)
    assert [price / TICK for price in levels.index.get_level_values("price")] == list(expected)
    for place, name in enumerate(("volume", "buy_volume", "sell_volume")):
        told = [each[place] if place == 0 or not each[0] or each[1] + each[2] else np.nan for each in expected.values()]
        np.testing.assert_array_equal(levels[name], told)
    assert len(profiles) == bool(expected)
    if expected:
        vpoc, val, vah, held = slow_value_area([each[0] for each in expected.values()])
        row = profiles.iloc[0]
        lowest = min(expected)
        assert (row[["vpoc", "val", "vah"]] / TICK).tolist() == [lowest + vpoc, lowest + val, lowest + vah]
        assert row["value_area_volume"] == held


@given(TRADES.filter(lambda trades: len({each[0] for each in trades}) == len(trades)))
def test_trade_profiles_distinct_times_equal_bars_allocated_to_their_close(trades: list[Trade]) -> None:
    ordered = sorted(trades)
    bars = frame([(tick, tick, tick, volume) for _, tick, volume, _ in ordered])
    bars["timestamp"] = trades_frame(ordered)["timestamp"]

    profiles = trade_profiles(trades_frame(trades), ES)

    expected = session_profiles(bars, ES, allocation="close")
    pd.testing.assert_frame_equal(profiles[expected.columns.tolist()], expected, check_freq=False)


@pytest.mark.parametrize(
    ("columns", "delta"),
    [
        ({"side": ["Buy", "SELL", "b", None]}, 5.0),
        ({"side": pd.Categorical(["buy", "sell", "buy", "none"])}, 5.0),
        ({"aggressor": [1.0, -1.0, 1.0, np.nan]}, 5.0),
        ({"is_buyer_maker": [False, True, False, True]}, 4.0),
        ({"is_buyer_maker": ["false", "true", "False", None]}, 5.0),
        ({"bid_volume": [0, 2, 0, 0], "ask_volume": [3, 0, 4, 0]}, 5.0),
        ({"bid_volume": [1, 2, 0, 0], "ask_volume": [1, 0, 4, 0]}, 2.0),
    ],
)
def test_trade_profiles_side_in_any_form_gives_delta(columns: dict[str, Any], delta: float) -> None:
    trades = trades_frame(EXAMPLE, side=False).assign(**columns)

    assert trade_profiles(trades, ES).loc[DAY, "delta"] == delta


@pytest.mark.parametrize("word", ["A", "ask", "up", 2, True])
def test_trade_profiles_side_of_two_meanings_is_refused(word: object) -> None:
    trades = trades_frame(EXAMPLE).assign(side=["buy", word, "sell", "sell"])

    with pytest.raises(DataError, match=rf"column side holds '?{word}'? at row 1; it must be buy, sell"):
        trade_profiles(trades, ES)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"price": np.nan}, "missing_value"),
        ({"volume": np.nan}, "missing_value"),
        ({"volume": np.inf}, "missing_value"),
        ({"timestamp": pd.NaT}, "missing_value"),
        ({"price": 1e300}, "missing_value"),
        ({"price": 0.0}, "bad_price"),
        ({"price": -5.0}, "bad_price"),
        ({"price": 0.1}, "bad_price"),
        ({"volume": -1.0}, "negative_volume"),
        ({"timestamp": pd.Timestamp("2024-03-09 12:00Z")}, "outside_session"),
        ({"timestamp": pd.Timestamp("1850-01-01", tz="UTC")}, "outside_session"),
    ],
)
def test_trade_profiles_bad_row_is_refused_with_its_reason(fault: dict[str, Any], reason: str) -> None:
    trades = with_fault(trades_frame(EXAMPLE), 1, **fault)

    profiles = trade_profiles(trades, ES)

    assert profiles.loc[DAY, ["volume", "delta"]].tolist() == [8.0, 7.0]
    assert profiles.attrs["rows_refused"] == {reason: 1}
    assert (profiles.attrs["rows_in"], profiles.attrs["rows_used"]) == (4, 3)


def test_trade_profiles_impossible_split_is_refused() -> None:
    trades = trades_frame(EXAMPLE, side=False).assign(bid_volume=[0, 2, 0, 0], ask_volume=[3, 0.25, 4, -1])

    # 2 + 0.25 of 2 is within the rounding of a step; a negative part is not.
    assert trade_profiles(trades, ES).attrs["rows_refused"] == {"negative_volume": 1}
    trades.loc[1, "ask_volume"] = 1.0
    assert trade_profiles(trades, ES).attrs["rows_refused"] == {"negative_volume": 1, "bad_split": 1}


def test_trade_profiles_off_tick_price_is_snapped_and_counted_or_rejected() -> None:
    trades = with_fault(trades_frame(EXAMPLE), 1, price=100.3)

    snapped = trade_profiles(trades, ES)
    rejected = trade_profiles(trades, ES, off_tick="reject")

    assert (snapped.loc[DAY, "volume"], snapped.attrs["prices_rounded"]) == (10, 1)
    assert snapped.attrs["rows_refused"] == {}
    assert (rejected.loc[DAY, "volume"], rejected.attrs["rows_refused"]) == (8, {"off_tick": 1})
    assert rejected.attrs["prices_rounded"] == 0


def test_trade_profiles_volume_below_the_step_is_rounded_and_counted() -> None:
    trades = with_fault(trades_frame(EXAMPLE), 1, volume=0.25)

    profiles = trade_profiles(trades, ES)

    assert (profiles.loc[DAY, "volume"], profiles.attrs["volume_rounded"]) == (8, 1)


def test_trade_profiles_negative_prices_count_where_the_instrument_allows_them() -> None:
    spread = ES.model_copy(update={"allow_negative_prices": True})

    profile = trade_profiles(trades_frame([(0, -3, 2, 1), (1, 1, 1, -1)]), spread).loc[DAY]

    assert profile[["vpoc", "low", "high", "volume"]].tolist() == [-0.75, -0.75, 0.25, 3]


def test_trade_profiles_side_of_booleans_is_refused() -> None:
    with pytest.raises(DataError, match="column side holds True at row 0"):
        trade_profiles(trades_frame(EXAMPLE).assign(side=[True, False, True, True]), ES)


def test_trade_profiles_hours_leave_out_the_others_and_count_them() -> None:
    trades = trades_frame([*EXAMPLE, (-3600, 500, 7, 1)])

    rth, eth = trade_profiles(trades, ES), trade_profiles(trades, ES, hours="eth")

    assert (rth.loc[DAY, "volume"], rth.attrs["rows_other_hours"]) == (10, 1)
    assert (eth.loc[DAY, "volume"], eth.attrs["rows_other_hours"]) == (17, 0)


def test_trade_profiles_two_contracts_only_the_busier_counts() -> None:
    trades = trades_frame(EXAMPLE).assign(contract=["ESH24", "ESM24", "ESM24", "ESH24"])

    profiles = trade_profiles(trades, ES)

    assert profiles.loc[DAY, ["volume", "contract"]].tolist() == [6, "ESM24"]
    assert profiles.attrs["rows_other_contract"] == 2


def test_trade_profiles_equal_contracts_the_later_counts() -> None:
    trades = trades_frame([(0, 400, 3, 1), (60, 401, 3, 1)]).assign(contract=["ESM24", "ESH24"])

    assert trade_profiles(trades, ES).loc[DAY, "contract"] == "ESH24"
    assert trade_profiles(trades.assign(timestamp=trades["timestamp"][0]), ES).loc[DAY, "contract"] == "ESM24"


def test_trade_profiles_trade_without_contract_is_refused() -> None:
    trades = trades_frame(EXAMPLE).assign(contract=["ESH24", None, "ESH24", ""])

    assert trade_profiles(trades, ES).attrs["rows_refused"] == {"missing_value": 2}


def test_trade_profiles_volume_past_the_limit_is_refused_by_name() -> None:
    trades = trades_frame([(0, 400, 2**41, 1), (1, 400, 2**41, 1), (2, 400, 1, 1)])

    with pytest.raises(DataError, match=r"session 2024-03-05 of ES: volume passes 2\*\*62 micro-lots"):
        trade_profiles(trades, ES)
    assert trade_profiles(trades.iloc[:2], ES).loc[DAY, "volume"] == 2**42


def test_trade_profiles_prices_too_far_apart_are_refused_by_name() -> None:
    trades = trades_frame([(0, 400, 1, 1), (1, 400 + 2**24, 1, 1)])

    with pytest.raises(DataError, match="session 2024-03-05 of ES: prices span more than 16,777,216 ticks"):
        trade_profiles(trades, ES)
    assert trade_profiles(with_fault(trades, 1, volume=0.0), ES).loc[DAY, "volume"] == 1


@pytest.mark.parametrize("trades", [trades_frame([]), with_fault(trades_frame(EXAMPLE[:1]), 0, volume=0.0)])
def test_trade_profiles_nothing_traded_gives_an_empty_frame(trades: pd.DataFrame) -> None:
    profiles, levels = trade_profiles(trades, ES), trade_levels(trades, ES)

    assert (len(profiles), len(levels)) == (0, 0)
    assert profiles.columns.tolist() == [
        "vpoc", "val", "vah", "low", "high", "volume", "value_area_volume", "buy_volume", "sell_volume", "delta",
    ]  # fmt: skip
    assert set(profiles.dtypes) == {np.dtype("float64")}
    assert levels.columns.tolist() == ["volume", "buy_volume", "sell_volume", "delta"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns="price"), "trades have no column price"),
        (lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize(None)), "carry no time zone"),
        (lambda f: f.assign(timestamp=range(4)), "timestamps are int64, not times"),
        (lambda f: f.assign(price=["a", "b", "c", "d"]), "column price holds str, not numbers"),
        (lambda f: f.to_dict(), "must be a pandas DataFrame"),
        (lambda f: pd.concat([f, f[["price"]]], axis=1), "column price more than once"),
    ],
)
def test_trade_profiles_not_trades_is_one_sentence(change: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        trade_profiles(change(trades_frame(EXAMPLE)), ES)


def test_trade_profiles_wrong_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="off_tick is 'drop'"):
        trade_profiles(trades_frame(EXAMPLE), ES, off_tick="drop")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="hours is 'all'"):
        trade_profiles(trades_frame(EXAMPLE), ES, hours="all")  # type: ignore[arg-type]


def test_trade_profiles_foreign_frame_gives_the_same() -> None:
    trades = trades_frame(EXAMPLE)
    foreign = trades.assign(
        timestamp=trades["timestamp"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ms"),
        volume=trades["volume"].astype("int32"),
        price=trades["price"].astype("float32"),
    )[["side", "volume", "price", "timestamp"]].sample(frac=1, random_state=3)

    pd.testing.assert_frame_equal(trade_profiles(foreign, ES), trade_profiles(trades, ES))
    pd.testing.assert_frame_equal(trade_profiles(foreign.set_index("timestamp"), ES), trade_profiles(trades, ES))


def test_trade_profiles_frame_given_stays_as_it_is() -> None:
    trades = with_fault(trades_frame(EXAMPLE), 1, price=np.nan)
    before = trades.copy()

    trade_profiles(trades, ES)

    pd.testing.assert_frame_equal(trades, before)


def test_trade_profiles_crypto_steps_add_up_to_the_decimal() -> None:
    btc = load_instruments()["BTCUSDT"]
    trades = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2024-03-05 00:00Z"] * 3),
            "price": [60_000.01, 60_000.02, 60_000.02],
            "volume": [0.1, 0.2, 0.000001],
            "side": ["sell", "buy", "buy"],
        }
    )

    profile = trade_profiles(trades, btc).loc[DAY]

    assert profile[["vpoc", "volume", "buy_volume", "delta"]].tolist() == [60_000.02, 0.300001, 0.200001, 0.100001]


def test_clean_trades_orders_by_time_then_seq_and_keeps_every_row() -> None:
    trades = trades_frame([(5, 400, 1, 1), (0, 401, 2, -1), (0, 402, 3, 0), (0, 403, -1, 0)]).assign(seq=[9, 2, 1, 0])

    clean = clean_trades(trades, ES)

    assert clean.trades["seq"].tolist() == [1, 2, 9]
    assert clean.trades["ask_volume"].tolist() == [0, 0, 1]
    assert clean.trades["bid_volume"].tolist() == [0, 2, 0]
    assert clean.quarantine[["seq", "reason"]].to_numpy().tolist() == [[0, "negative_volume"]]
    assert (clean.report.rows_in, clean.report.kept, clean.report.out_of_order) == (4, 3, 2)
    assert tuple(clean.report.quarantined) == TRADE_REASONS
    again = clean_trades(clean.trades, ES)
    pd.testing.assert_frame_equal(again.trades, clean.trades)


def test_clean_trades_without_seq_keeps_the_order_of_one_time() -> None:
    trades = trades_frame([(0, 402, 1, 0), (0, 400, 1, 0), (0, 401, 1, 0)], side=False)

    assert clean_trades(trades, ES).trades["price"].tolist() == [100.5, 100.0, 100.25]


def test_trade_profiles_of_clean_trades_equal_those_of_the_given() -> None:
    trades = with_fault(trades_frame([*EXAMPLE, (-90_000, 405, 2, 1)]), 0, price=np.nan)

    pd.testing.assert_frame_equal(trade_profiles(clean_trades(trades, ES).trades, ES), trade_profiles(trades, ES))


def test_trade_profiles_real_labor_day_follow_the_calendar(es: Instrument, real_data: Path) -> None:
    trades = pd.read_parquet(real_data / "es_ticks_2013_09.parquet")

    eth = trade_profiles(trades, es, hours="eth")
    levels = trade_levels(trades, es, hours="eth")

    # Labor Day is a trade date of its own that stops at noon of Chicago; trading goes on at 17:00 for Tuesday.
    monday = trades["timestamp"] < pd.Timestamp("2013-09-02 22:00Z")
    assert not trades["timestamp"].between("2013-09-02 17:00Z", "2013-09-02 22:00Z", inclusive="left").any()
    assert eth.index.astype(str).tolist() == ["2013-09-02", "2013-09-03"]
    assert eth["volume"].tolist() == [trades[monday]["volume"].sum(), trades[~monday]["volume"].sum()]
    assert eth["volume"].tolist() == [188_609, 1_655_449]
    expected = trades.groupby([~monday, "price"])["volume"].sum()
    assert levels.loc[levels["volume"] > 0, "volume"].tolist() == expected.tolist()
    assert eth.attrs["rows_used"] == 500_000


def test_profile_levels_bars_hold_every_ticks_volume() -> None:
    bars = frame([(400, 403, 401, 8), (401, 402, 401, 6), (405, 405, 405, 1)])

    levels = profile_levels(bars, ES).loc[DAY, "volume"]
    on_close = profile_levels(bars, ES, allocation="close").loc[DAY, "volume"]

    assert levels.tolist() == [2, 5, 5, 2, 0, 1]
    assert on_close.to_dict() == {100.25: 14, 100.5: 0, 100.75: 0, 101.0: 0, 101.25: 1}
