"""Profile features: against slow oracles and the tables they come from, memory, rolls, and the market upside down."""

import numpy as np
import pandas as pd
import pytest

from pipeline.features import FeatureInputs, build_features
from pipeline.features.families import profile as family
from pipeline.features.registry import registered
from pipeline.market import Instrument, simulate_market
from pipeline.profiles import naked_at_close
from pipeline.strategy import HistorySettings
from tests.features.small_market import (
    bars_by_session,
    family_of,
    memory_differences,
    raw_values,
    truncation_differences,
)

FEATURES = registered()


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2020-01-02", sessions=230, seed=4)


@pytest.fixture(scope="module")
def inputs(bars: pd.DataFrame, es: Instrument) -> FeatureInputs:
    return FeatureInputs.from_bars(bars, es)


@pytest.fixture(scope="module")
def found(inputs: FeatureInputs) -> pd.DataFrame:
    return raw_values(inputs, family_of("profile"))


def at_price(es: Instrument, closes: list[int]) -> pd.DataFrame:
    """One bar per session, all of it at one price but for a tick either side."""
    return bars_by_session(es, [[(close, close + 1, close - 1, close, 300)] for close in closes])


def test_vpoc_migration_sums_the_moves_within_contracts(inputs: FeatureInputs, found: pd.DataFrame) -> None:
    vpoc = inputs.history["vpoc"].to_numpy()
    rolled = 0
    for t in range(60, len(vpoc)):
        for sessions in (5, 10, 20, 50):
            steps = [k for k in range(t - sessions + 1, t + 1) if not inputs.rolled[k]]
            rolled += len(steps) < sessions
            expected = sum(vpoc[k] - vpoc[k - 1] for k in steps) / inputs.atr[t]
            assert found[f"vpoc_migration_{sessions}"].iloc[t] == pytest.approx(expected, abs=1e-12)
    assert rolled > 0


def test_vpoc_run_is_that_of_the_structure_up_to_twenty(inputs: FeatureInputs, found: pd.DataFrame) -> None:
    structure = inputs.structure
    assert structure is not None
    expected = (structure["vpoc_run"].clip(upper=20) * structure["vpoc_direction"]).astype(float)

    pd.testing.assert_series_equal(found["vpoc_run"], expected, check_names=False)
    assert expected.abs().max() >= 4


def test_vpoc_run_of_a_long_trend_stops_counting_at_twenty(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(at_price(es, [1000 + 10 * k for k in range(30)]), es)

    runs = family.vpoc_run(inputs)

    assert runs.iloc[1:].tolist() == [min(k, 20) for k in range(1, 30)]


def test_profile_placements_of_one_session_are_by_hand(es: Instrument) -> None:
    # Ticks 0 to 9 with volume 10 each, and 100 more at 2: VPOC 2, value area 140 of 200 up and down from it.
    inputs = FeatureInputs.from_bars(bars_by_session(es, [[(0, 9, 0, 5, 100), (2, 2, 2, 2, 100)]]), es)
    profile = inputs.profiles.iloc[0]
    val, vah = es.to_ticks(profile["val"]), es.to_ticks(profile["vah"])

    assert es.to_ticks(profile["vpoc"]) == 2
    assert family.vpoc_position(inputs).tolist() == [(2 - 4.5) / 10]
    assert family.value_area_width_ticks(inputs).tolist() == [vah - val + 1]
    assert family.value_area_skew(inputs).tolist() == [((vah - 2) - (2 - val)) / (vah - val + 1)]


@pytest.mark.parametrize(
    ("first", "second", "rank", "nesting"),
    [
        ((100, 110), (120, 130), 2, 0),
        ((100, 110), (105, 115), 1, 0),
        ((100, 120), (105, 115), 0, -1),
        ((105, 115), (100, 120), 0, 1),
        ((105, 115), (100, 110), -1, 0),
        ((120, 130), (100, 110), -2, 0),
    ],
)
def test_value_area_relation_of_two_sessions_is_an_order(es: Instrument, first, second, rank, nesting) -> None:  # type: ignore[no-untyped-def]
    rows = [[(low, high, low, high, 1000)] for low, high in (first, second)]
    inputs = FeatureInputs.from_bars(bars_by_session(es, rows), es)

    relation, nested = FEATURES["value_area_relation"].compute(inputs), FEATURES["value_area_nesting"].compute(inputs)

    assert np.isnan(relation.iloc[0])
    assert np.isnan(nested.iloc[0])
    assert (relation.iloc[1], nested.iloc[1]) == (rank, nesting)


def slow_naked(inputs: FeatureInputs, es: Instrument, t: int) -> dict[str, float]:
    """Naked VPOCs at the close of session t, from the bars alone."""
    history, bars = inputs.history, inputs.bars
    close = history["close"].iloc[t]
    contract = history["contract"].iloc[t]
    held = []
    for k in range(max(0, t - 100), t):
        if history["contract"].iloc[k] != contract:
            continue
        later = bars[
            (bars["timestamp"] >= inputs.closes[k])
            & (bars["timestamp"] < inputs.closes[t])
            & (bars["contract"] == contract)
            & (bars["volume"] > 0)
        ]
        price = history["vpoc"].iloc[k]
        if not ((later["low"] <= price) & (price <= later["high"])).any():
            held.append((price, t - k))
    above = min(((p - close, age) for p, age in held if p >= close), default=(np.nan, np.nan))
    below = min(((close - p, age) for p, age in held if p <= close), default=(np.nan, np.nan))
    return {
        "naked_count": len(held),
        "naked_above": above[0] / inputs.atr[t],
        "naked_below": below[0] / inputs.atr[t],
        "naked_above_age": above[1],
        "naked_below_age": below[1],
    }


def test_naked_vpocs_equal_a_search_through_all_bars(
    inputs: FeatureInputs, found: pd.DataFrame, es: Instrument
) -> None:
    seen = 0
    for t in range(100, 230, 7):
        expected = slow_naked(inputs, es, t)
        seen += expected["naked_count"]
        for name, value in expected.items():
            assert found[name].iloc[t] == pytest.approx(value, nan_ok=True, abs=1e-12), (name, t)
    assert seen > 10


def test_naked_vpocs_over_all_hours_are_those_at_the_close_of_the_trade_date(es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(
        simulate_market(es, "2020-01-02", sessions=90, seed=9), es, HistorySettings(hours="eth")
    )

    found = raw_values(inputs, {name: one for name, one in family_of("profile").items() if "naked" in name})

    table = naked_at_close(inputs.profiles, inputs.bars, es, hours="eth")
    assert found["naked_count"].tolist() == table["naked_count"].tolist()
    ticks = inputs.atr / es.tick_size
    np.testing.assert_allclose(found["naked_above"] * ticks, table["naked_above_ticks"].where(inputs.atr > 0))
    np.testing.assert_allclose(found["naked_below"] * ticks, table["naked_below_ticks"].where(inputs.atr > 0))


def test_naked_vpoc_older_than_a_hundred_sessions_is_given_up(es: Instrument) -> None:
    # The first session trades at 1000 and nobody ever returns.
    inputs = FeatureInputs.from_bars(at_price(es, [1000] + [1100] * 103), es)

    found = raw_values(inputs, family_of("profile"))

    assert found["naked_below_age"].iloc[15:101].tolist() == list(range(15, 101))
    assert found["naked_below_age"].iloc[101:].isna().all()
    assert found["naked_count"].iloc[99:103].tolist() == [1, 1, 0, 0]


def test_naked_vpoc_tested_after_the_close_is_naked_until_the_next_session(es: Instrument) -> None:
    # Session 1 trades around 1000; session 2 around 1100, and after its regular hours someone trades at 1000 again.
    bars = at_price(es, [1000, 1100, 1100])
    evening = bars.iloc[[1]].assign(timestamp=lambda one: one["timestamp"] + pd.Timedelta(hours=7))
    evening[["open", "high", "low", "close"]] = es.to_prices(np.array([1000, 1000, 1000, 1000]))
    bars = pd.concat([bars.iloc[:2], evening, bars.iloc[2:]], ignore_index=True)
    inputs = FeatureInputs.from_bars(bars, es)

    assert FEATURES["naked_count"].compute(inputs).tolist() == [0, 1, 0]


def test_node_and_auction_features_are_the_structure_in_true_ranges(inputs: FeatureInputs, found: pd.DataFrame) -> None:
    structure = inputs.structure
    assert structure is not None
    close = inputs.history["close"]
    for side, sign in (("above", 1), ("below", -1)):
        for node in ("hvn", "lvn"):
            expected = sign * (structure[f"{node}_{side}"] - close) / inputs.atr
            pd.testing.assert_series_equal(found[f"{node}_{side}"], expected, check_names=False, rtol=1e-12)
            assert expected.min() >= 0
    for name, column in (
        ("initial_balance_atr", "ib_range_ticks"),
        ("extension_up", "ib_extension_up_ticks"),
        ("extension_down", "ib_extension_down_ticks"),
        ("selling_tail", "selling_tail_ticks"),
        ("buying_tail", "buying_tail_ticks"),
    ):
        expected = structure[column] * 0.25 / inputs.atr
        pd.testing.assert_series_equal(found[name], expected, check_names=False, rtol=1e-12)
    assert found["poor_high"].tolist() == structure["poor_high"].astype(float).tolist()
    assert found["double_distribution"].tolist() == (structure["shape"] == "B").astype(float).tolist()
    leaning = structure["shape"].map({"P": 1.0, "b": -1.0}).fillna(0.0).tolist()
    assert found["shape_lean"].tolist() == leaning
    height = (inputs.profiles["high"] - inputs.profiles["low"]) / 0.25 + 1
    np.testing.assert_allclose(found["single_print_share"], structure["single_print_ticks"] / height)


def test_relative_widths_are_against_the_twenty_sessions_before(inputs: FeatureInputs, found: pd.DataFrame) -> None:
    width = ((inputs.profiles["vah"] - inputs.profiles["val"]) / 0.25 + 1).to_numpy()
    for t in range(20, len(width)):
        expected = width[t] / np.median(width[t - 20 : t])
        assert found["relative_value_area_width"].iloc[t] == pytest.approx(expected)
    assert found["relative_value_area_width"].iloc[:20].isna().all()


def test_structure_features_without_structure_are_absent(bars: pd.DataFrame, es: Instrument) -> None:
    inputs = FeatureInputs.from_bars(bars, es, structure=False)

    table = build_features(inputs, features=family_of("profile"))

    assert "shape_lean" not in table
    assert "vpoc_migration_5" in table


def turned(bars: pd.DataFrame) -> pd.DataFrame:
    down = bars.assign(open=10_000 - bars["open"], close=10_000 - bars["close"])
    return down.assign(high=10_000 - bars["low"], low=10_000 - bars["high"])


def assert_mirrored(up: pd.DataFrame, down: pd.DataFrame, features: dict) -> None:
    for name in up:
        one = features[name]
        other = up[one.mirror]
        np.testing.assert_allclose(down[name], -other if one.signed else other, rtol=1e-9, atol=1e-12, err_msg=name)


def test_auction_features_of_a_market_upside_down_change_places(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument
) -> None:
    # What rests on the VPOC is left out: the tick that a bar's volume leaves over goes to the low, and decides ties.
    names = (
        *("extension_up", "extension_down", "selling_tail", "buying_tail", "poor_high", "poor_low"),
        *("initial_balance_atr", "relative_initial_balance", "single_print_share"),
    )
    features = {name: one for name, one in family_of("profile").items() if name in names}

    up, down = (raw_values(each, features) for each in (inputs, FeatureInputs.from_bars(turned(bars), es)))

    assert_mirrored(up, down, features)


def test_value_features_of_a_market_upside_down_change_sign_or_places(es: Instrument) -> None:
    # Three ticks a session with the same volume each: the VPOC is the middle one, whichever way is up.
    closes = 1000 + np.cumsum(np.random.default_rng(3).integers(-6, 7, 150))
    bars = at_price(es, closes.tolist())
    features = {
        name: one
        for name, one in family_of("profile").items()
        if name.startswith(
            ("naked", "vpoc", "value_area_relation", "value_area_overlap", "value_area_nesting", "shape")
        )
    }

    up, down = (raw_values(FeatureInputs.from_bars(each, es), features) for each in (bars, turned(bars)))

    assert_mirrored(up, down, features)
    assert up["naked_above"].notna().sum() > 20
    assert set(up["value_area_relation"].dropna()) == {-2, -1, 0, 1, 2}


def test_profile_features_do_not_see_the_step_between_contracts(
    bars: pd.DataFrame, inputs: FeatureInputs, es: Instrument
) -> None:
    changed = bars.copy()
    changed.loc[changed["contract"] == "ESM20", ["open", "high", "low", "close"]] += 80.0
    features = family_of("profile")

    before, after = (build_features(each, features=features) for each in (inputs, FeatureInputs.from_bars(changed, es)))

    assert changed["contract"].eq("ESM20").any()
    assert changed["contract"].eq("ESU20").any()
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_profile_features_in_the_first_session_of_a_contract_compare_nothing(
    inputs: FeatureInputs, found: pd.DataFrame
) -> None:
    first = found[inputs.rolled].iloc[1:]

    assert len(first) >= 3
    compared = ["value_area_overlap", "value_area_relation", "value_area_nesting", "vpoc_run", "naked_above"]
    assert first[compared].isna().all(axis=None)
    assert first["naked_count"].eq(0).all()


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_profile_features_on_data_cut_off_or_begun_later_are_the_same_to_the_last_bit(
    bars: pd.DataFrame, es: Instrument, hours: str
) -> None:
    inputs = FeatureInputs.from_bars(bars, es, HistorySettings(hours=hours))

    assert truncation_differences(inputs, family_of("profile"), [120, 150, 228]) == set()
    assert memory_differences(inputs, family_of("profile"), [1, 60, 110]) == set()


def test_profile_features_on_real_es_are_what_is_known_of_it(real_data, es: Instrument) -> None:  # type: ignore[no-untyped-def]
    bars = pd.read_parquet(
        real_data / "es_5m_2015_2021.parquet", filters=[("timestamp", ">=", pd.Timestamp("2021-01-01", tz="UTC"))]
    )
    inputs = FeatureInputs.from_bars(bars, es)
    features = family_of("profile")

    table = build_features(inputs, features=features)

    known = table.iloc[101:]
    assert known["vpoc_migration_20"].notna().all()
    # The index rose that year, and so did value.
    assert known["vpoc_migration_20"].mean() > 0.5
    assert known["naked_count"].between(0, 12).all()
    assert (known["naked_below"].notna().mean(), known["naked_above"].notna().mean()) > (0.5, 0.1)
    assert known[["naked_above", "naked_below", "extension_up", "hvn_above"]].min().min() >= 0
    assert set(table["value_area_relation"].dropna()) == {-2, -1, 0, 1, 2}
    assert truncation_differences(inputs, features, [130, 200]) == set()
