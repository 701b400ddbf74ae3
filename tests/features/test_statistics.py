import numpy as np
import pytest

from pipeline.features import build_features
from tests.features.made_markets import closing_at, hand_inputs, random_rows


def vpocs_at(ticks):
    # Volume is spread alike over five ticks: VPOC is the middle one.
    return [(tick, tick + 2, tick - 2, tick) for tick in ticks]


def test_slope_of_vpocs_rising_by_three_ticks_is_three(es):
    inputs = hand_inputs(es, vpocs_at(range(1000, 1090, 3)))

    table = build_features(inputs, ["vpoc_slope_ticks", "vpoc_slope_atr", "vpoc_r_squared", "longest_run"])

    last = table.iloc[-1]
    assert (last["vpoc_slope_ticks"], last["vpoc_r_squared"], last["longest_run"]) == (3, 1, 19)
    # True range: from the close before, three ticks lower, to two above.
    assert last["vpoc_slope_atr"] == pytest.approx(3 / 5)
    assert table["vpoc_slope_ticks"].isna().sum() == 19


def test_runs_p_value_agrees_with_statsmodels(es):
    from statsmodels.sandbox.stats.runs import runstest_1samp

    inputs = hand_inputs(es, random_rows(60))

    found = build_features(inputs, ["runs_p_value"])["runs_p_value"].iloc[-1]

    moves = np.diff(es.to_ticks(inputs.history["vpoc"].to_numpy()[-20:]))
    signs = (moves[moves != 0] > 0).astype(int)
    assert found == pytest.approx(runstest_1samp(signs, cutoff=0.5, correction=False)[1])


def test_direction_edge_of_a_market_that_only_rises(es):
    table = build_features(hand_inputs(es, vpocs_at(range(1000, 1260))), ["direction_edge"])

    # 252 moves, all up; 251 of them followed one.
    assert table["direction_edge"].iloc[-1] == 252 / 253 - 0.5


def hurst_by_hand(returns):
    variances = []
    for q in (1, 2, 4, 8):
        sums = np.array([returns[k : k + q].sum() for k in range(len(returns) - q + 1)])
        variances.append(np.mean((sums - q * returns.mean()) ** 2))
    return np.polyfit(np.log([1, 2, 4, 8]), np.log(variances), 1)[0] / 2


def test_hurst_is_half_the_slope_of_log_variances(es):
    inputs = hand_inputs(es, random_rows(140))

    found = build_features(inputs, ["hurst_128"])["hurst_128"].iloc[-1]

    assert found == pytest.approx(hurst_by_hand(inputs.history["log_return"].to_numpy()[-128:]), rel=1e-9)


def test_hurst_is_a_half_on_random_walks_less_when_moves_turn_back_more_when_they_go_on(es):
    rng = np.random.default_rng(4)
    shocks = np.rint(rng.normal(0, 400, 600)).astype(int)
    walks = {
        "walk": shocks.cumsum(),
        "back": shocks,
        "on": np.convolve(shocks, np.ones(4, int))[:600].cumsum(),
    }

    found = {
        name: build_features(hand_inputs(es, closing_at(400_000 + path)), ["hurst_128"])["hurst_128"].mean()
        for name, path in walks.items()
    }

    assert found["walk"] == pytest.approx(0.5, abs=0.05)
    assert found["back"] < 0.2
    assert found["on"] > 0.7


def test_hurst_of_a_market_that_stands_still_is_missing(es):
    assert build_features(hand_inputs(es, closing_at([12_000] * 130)), ["hurst_128"]).isna().all(axis=None)


def test_sign_entropy_of_a_market_that_only_rises_is_zero_and_of_equal_pairs_one(es):
    rising = build_features(hand_inputs(es, vpocs_at(range(1000, 1060))), ["sign_entropy_50"])
    # Two up, two down: of 49 pairs 13 or 12 of each kind.
    turning = build_features(hand_inputs(es, vpocs_at(1000 + np.array([0, 1, 2, 1] * 15))), ["sign_entropy_50"])

    assert rising["sign_entropy_50"].iloc[-1] == 0
    shares = np.array([13, 12, 12, 12]) / 49
    assert turning["sign_entropy_50"].iloc[-1] == pytest.approx(-(shares * np.log2(shares)).sum() / 2)


def test_sign_entropy_leaves_zero_moves_out_and_breaks_at_a_roll(es):
    ticks = [1000 + k // 2 for k in range(60)]
    inputs = hand_inputs(es, vpocs_at(ticks), ["A"] * 30 + ["B"] * 30)

    assert build_features(inputs, ["sign_entropy_50"])["sign_entropy_50"].iloc[-1] == 0


def test_sign_entropy_of_few_moves_is_missing(es):
    ticks = [1000] * 45 + list(range(1000, 1010))

    assert np.isnan(build_features(hand_inputs(es, vpocs_at(ticks)), ["sign_entropy_50"])["sign_entropy_50"].iloc[-1])
