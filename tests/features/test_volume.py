"""Volume features: by hand on a few bars, slow oracles on a simulated market, memory, rolls, absent columns."""

import numpy as np
import pandas as pd
import pytest

from pipeline.features import FeatureInputs, build_features
from pipeline.features.families import volume as family
from pipeline.features.families.volume import relative_to_median
from pipeline.market import Instrument, simulate_market
from pipeline.strategy import HistorySettings
from tests.features.small_market import (
    bars_by_session,
    family_of,
    memory_differences,
    raw_values,
    truncation_differences,
)

SPLIT = ("bid_volume", "ask_volume")


def two_sessions(es: Instrument) -> pd.DataFrame:
    """Session 1: up on 300, down on 100, unchanged on 100. Session 2: down on 200."""
    bars = bars_by_session(
        es,
        [
            [(100, 110, 100, 108, 300), (108, 108, 102, 104, 100), (104, 106, 104, 104, 100)],
            [(104, 105, 100, 101, 200)],
        ],
    )
    return bars.assign(bid_volume=[100, 60, 50, 150], ask_volume=[200.0, 40, 50, 50], num_trades=[100, 50, 50, 25])


def test_up_down_volume_of_two_sessions_is_by_hand(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(two_sessions(es), es)

    assert family.up_down_volume(inputs, 1).tolist() == [(300 - 100) / 500, -1.0]
    features = family_of("volume")
    # Five sessions, of which there are two: less than three quarters.
    assert features["up_down_volume_5"].compute(inputs).isna().all()


def test_delta_share_of_two_sessions_is_by_hand(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(two_sessions(es), es)

    assert family.delta_share(inputs, 1).tolist() == [(290 - 210) / 500, (50 - 150) / 200]


def test_delta_share_with_a_bar_that_has_no_split_is_missing(es: Instrument) -> None:
    bars = two_sessions(es)
    bars.loc[1, "bid_volume"] = np.nan

    assert np.isnan(family.delta_share(FeatureInputs.from_bars(bars, es), 1).iloc[0])


def test_trade_size_of_two_sessions_is_by_hand(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(two_sessions(es), es)

    assert family.trade_size(inputs).tolist() == [2.5, 8.0]


def test_trade_size_without_any_trade_counted_is_missing(es: Instrument) -> None:
    bars = two_sessions(es)
    bars["num_trades"] = [100.0, np.nan, 50, 0]

    assert family.trade_size(FeatureInputs.from_bars(bars, es)).isna().all()


def test_last_hour_volume_share_counts_bars_from_an_hour_before_the_close(es: Instrument) -> None:
    # Regular hours of 390 minutes in bars of 30: the last two open an hour or less before the close.
    rows = [(100, 101, 99, 100, volume) for volume in (10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 40, 20, 40)]
    inputs = FeatureInputs.from_bars(bars_by_session(es, [rows], minutes=30), es)

    assert family.last_hour_volume_share(inputs).tolist() == [0.3]


def test_last_hour_volume_share_of_longer_bars_is_missing(es: Instrument) -> None:
    rows = [(100, 101, 99, 100, 10)] * 3
    inputs = FeatureInputs.from_bars(bars_by_session(es, [rows, rows], minutes=120), es)

    assert family.last_hour_volume_share(inputs).isna().all()


def test_close_to_vwap_is_in_true_ranges(es: Instrument) -> None:
    # Typical prices 102 and 109 ticks with volumes 300 and 100: VWAP 103.75, close 110; every range is 10 or 12.
    session = [(100, 104, 100, 102, 300), (102, 110, 107, 110, 100)]
    inputs = FeatureInputs.from_bars(bars_by_session(es, [session] * 15), es)

    found = family.close_to_vwap(inputs)

    atr_ticks = inputs.atr / es.tick_size
    assert found.iloc[:13].isna().all()
    assert found.iloc[-1] == pytest.approx((110 - 103.75) / atr_ticks[-1], abs=1e-12)


def test_relative_to_median_leaves_out_the_value_itself() -> None:
    values = np.array([2.0, 4.0, 9.0, 8.0, 8.0])

    np.testing.assert_array_equal(relative_to_median(values, 3), [np.nan, np.nan, np.nan, 2.0, 1.0])


def test_relative_to_median_of_zeros_or_with_too_few_known_is_missing() -> None:
    zeros = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    few = np.array([1.0, np.nan, np.nan, 3.0, 1.0])
    enough = np.array([1.0, np.nan, 3.0, 3.0, 1.5])

    assert np.isnan(relative_to_median(zeros, 4)[-1])
    assert np.isnan(relative_to_median(few, 4)[-1])
    assert relative_to_median(enough, 4)[-1] == 0.5


def test_volume_trend_of_doubling_volume_is_the_logarithm_of_two(es: Instrument) -> None:
    sessions = [[(100, 102, 99, 101, 2**number)] for number in range(1, 13)]
    inputs = FeatureInputs.from_bars(bars_by_session(es, sessions), es)

    found = family.volume_trend(inputs, 10)

    assert found.iloc[:9].isna().all()
    np.testing.assert_allclose(found.iloc[9:], np.log(2), rtol=1e-12)


def test_delta_and_trade_features_without_their_columns_are_absent(es: Instrument) -> None:
    bars = bars_by_session(es, [[(100, 102, 99, 101, 50)]] * 60)

    with_none = build_features(FeatureInputs.from_bars(bars, es), features=family_of("volume"))
    with_trades = build_features(
        FeatureInputs.from_bars(bars.assign(num_trades=10.0), es), features=family_of("volume")
    )

    assert not any(name.startswith(("delta", "trade", "relative_trade")) for name in with_none)
    assert {"trade_size", "relative_trade_size_20"} <= set(with_trades)
    assert with_trades["trade_size"].eq(5).all()


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2020-01-02", sessions=130, seed=4)


@pytest.fixture(scope="module")
def inputs(bars: pd.DataFrame, es: Instrument) -> FeatureInputs:
    return FeatureInputs.from_bars(bars, es)


def test_volume_features_of_a_market_equal_slow_ones(inputs: FeatureInputs) -> None:
    found = raw_values(inputs, family_of("volume"))
    by_session = [group for _, group in inputs.hour_bars.groupby("session")]
    volume = [group["volume"].sum() for group in by_session]
    delta = [group["ask_volume"].sum() - group["bid_volume"].sum() for group in by_session]
    both = [group["ask_volume"].sum() + group["bid_volume"].sum() for group in by_session]
    size = [group["volume"].sum() / group["num_trades"].sum() for group in by_session]
    per_tick = [group["volume"].sum() / ((group["high"].max() - group["low"].min()) / 0.25 + 1) for group in by_session]
    closes = [group["close"].iloc[-1] for group in by_session]

    for t in range(60, 130):
        row = found.iloc[t]
        expected = {
            "relative_volume_20": volume[t] / np.median(volume[t - 20 : t]),
            "relative_volume_50": volume[t] / np.median(volume[t - 50 : t]),
            "relative_volume_per_tick": per_tick[t] / np.median(per_tick[t - 20 : t]),
            "volume_trend_20": np.polyfit(range(20), np.log(volume[t - 19 : t + 1]), 1)[0],
            "delta_share_5": sum(delta[t - 4 : t + 1]) / sum(both[t - 4 : t + 1]),
            "relative_trade_size_20": size[t] / np.median(size[t - 20 : t]),
        }
        moves = [(np.sign(closes[k] - closes[k - 1]), volume[k]) for k in range(t - 9, t + 1) if not inputs.rolled[k]]
        expected["up_down_sessions_10"] = sum(s * v for s, v in moves) / sum(v for _, v in moves)
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-9), (name, t)
    assert inputs.rolled[60:].any()


def test_volume_features_do_not_see_the_step_between_contracts(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument
) -> None:
    changed = bars.copy()
    changed.loc[changed["contract"] == "ESM20", ["open", "high", "low", "close"]] += 80.0

    before, after = (
        build_features(each, features=family_of("volume")) for each in (inputs, FeatureInputs.from_bars(changed, es))
    )

    assert changed["contract"].eq("ESM20").any()
    pd.testing.assert_frame_equal(before, after, check_exact=True)


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_volume_features_on_data_cut_off_or_begun_later_are_the_same_to_the_last_bit(
    bars: pd.DataFrame, es: Instrument, hours: str
) -> None:
    inputs = FeatureInputs.from_bars(bars, es, HistorySettings(hours=hours))

    assert truncation_differences(inputs, family_of("volume"), [55, 80, 128]) == set()
    assert memory_differences(inputs, family_of("volume"), [1, 40]) == set()


def test_volume_features_on_real_es_are_what_a_trader_expects(real_data, es: Instrument) -> None:  # type: ignore[no-untyped-def]
    bars = pd.read_parquet(
        real_data / "es_5m_2015_2021.parquet", filters=[("timestamp", ">=", pd.Timestamp("2021-01-01", tz="UTC"))]
    )
    inputs = FeatureInputs.from_bars(bars, es)

    table = build_features(inputs, features=family_of("volume"))

    assert table.iloc[60:].notna().mean().min() > 0.99
    assert table["relative_volume_20"].median() == pytest.approx(1, abs=0.1)
    assert table["delta_share_20"].abs().max() < 0.05
    # Volume rises into the close: the last of six and a half hours holds a fifth of it.
    assert table["last_hour_volume_share"].median() == pytest.approx(0.2, abs=0.05)
    # A session whose buyers lift offers closes above its open.
    gained = inputs.history["close"] - inputs.history["open"]
    assert table["delta_share_1"].corr(gained) > 0.3
    assert table["up_down_volume_1"].corr(gained) > 0.3
    assert truncation_differences(inputs, family_of("volume"), [100, 180]) == set()
