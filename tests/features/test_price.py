import numpy as np
import pytest

from pipeline.features import build_features
from tests.features.made_markets import closing_at, hand_inputs, random_rows


def test_log_return_is_the_sum_of_known_returns(es):
    closes = [12_000, 12_100, 12_040, 12_200, 12_180, 12_260]
    inputs = hand_inputs(es, closing_at(closes))

    table = build_features(inputs, ["log_return_1", "log_return_5"])

    assert table["log_return_5"].iloc[-1] == pytest.approx(np.log(12_260 / 12_000), rel=1e-12)
    assert table["log_return_1"].iloc[-1] == pytest.approx(np.log(12_260 / 12_180), rel=1e-12)
    assert np.isnan(table["log_return_1"].iloc[0])


def test_log_return_leaves_the_step_between_contracts_out(es):
    closes = [12_000, 12_100, 12_040, 13_000, 13_020, 13_050]
    inputs = hand_inputs(es, closing_at(closes), ["ESH19"] * 3 + ["ESM19"] * 3)

    table = build_features(inputs, ["log_return_1", "log_return_5", "momentum_5"])

    assert np.isnan(table["log_return_1"].iloc[3])
    inside = np.log([12_100 / 12_000, 12_040 / 12_100, 13_020 / 13_000, 13_050 / 13_020])
    assert table["log_return_5"].iloc[-1] == pytest.approx(inside.sum(), rel=1e-12)
    assert table["momentum_5"].iloc[-1] == pytest.approx(inside.sum() / (inside.std(ddof=1) * np.sqrt(5)), rel=1e-12)


def test_momentum_without_any_move_is_missing(es):
    table = build_features(hand_inputs(es, closing_at([12_000] * 7)), ["momentum_5"])

    assert table["momentum_5"].isna().all()


def test_distances_to_levels_are_ticks_and_atr_multiples(es):
    rows = [(100, 120, 100, 118)] * 20
    table = build_features(
        hand_inputs(es, rows),
        [f"close_to_{level}_{unit}" for level in ("val", "vah", "vpoc") for unit in ("ticks", "atr")],
    )
    inputs = hand_inputs(es, rows)

    levels = {name: int(es.to_ticks(inputs.history[name].iloc[-1])) for name in ("val", "vah", "vpoc")}
    # A bar's volume is spread alike over its 21 ticks, what is left over to the lowest ones: those weigh a little more.
    assert levels == {"vpoc": 109, "val": 101, "vah": 115}
    last = table.iloc[-1]
    assert {name: last[f"close_to_{name}_ticks"] for name in levels} == {
        name: 118 - tick for name, tick in levels.items()
    }
    # Every true range is 20 ticks: 118 lies within the next bar.
    assert last["close_to_vpoc_atr"] == 9 / 20
    assert table["close_to_vpoc_atr"].isna().sum() == 14


def test_gap_is_missing_across_a_roll(es):
    rows = [(100, 110, 100, 105), (108, 112, 101, 111), (300, 310, 290, 300), (295, 300, 280, 290)]
    inputs = hand_inputs(es, rows, ["A", "A", "B", "B"])

    table = build_features(inputs, ["gap_ticks", "body_ticks"])

    np.testing.assert_array_equal(table["gap_ticks"], [np.nan, 3, np.nan, -5])
    np.testing.assert_array_equal(table["body_ticks"], [np.nan, 3, 0, -5])


def test_range_position_runs_from_low_to_high(es):
    inputs = hand_inputs(es, [(100, 110, 100, 100), (100, 110, 100, 110), (100, 110, 100, 105), (100, 100, 100, 100)])

    position = build_features(inputs, ["range_position_1"])["range_position_1"]

    np.testing.assert_array_equal(position, [-0.5, 0.5, 0.0, np.nan])


def test_range_position_joins_contracts_end_to_end(es):
    # The new contract is 200 ticks higher; joined, its open is the old one's close, 104.
    rows = [
        (100, 110, 100, 104),
        (304, 312, 302, 310),
        (310, 316, 308, 316),
        (316, 317, 315, 316),
        (316, 320, 316, 317),
    ]
    inputs = hand_inputs(es, rows, ["A", "B", "B", "B", "B"])

    position = build_features(inputs, ["range_position_5"])["range_position_5"]

    assert position.iloc[-1] == (117 - 100) / (120 - 100) - 0.5


def test_momentum_agrees_with_pandas_where_no_contract_changes(es):
    inputs = hand_inputs(es, random_rows(120))
    returns = np.log(inputs.history["close"]).diff()

    table = build_features(inputs, ["momentum_20"])

    expected = returns.rolling(20).sum() / (returns.rolling(20).std() * np.sqrt(20))
    np.testing.assert_allclose(table["momentum_20"], expected, rtol=1e-9)
