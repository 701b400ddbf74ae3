import math

import numpy as np

from pipeline.strategy import TradingRules, make_candidates, make_signals
from tests.strategy.market import flat_history, toy_bars, toy_history


def test_make_signals_add_their_columns_to_the_candidates(es):
    history = flat_history(es, [8000, 8010])
    candidates = make_candidates(history, es)

    signals = make_signals(history, es)

    assert signals.columns.tolist() == [
        *candidates.columns,
        *("trend", "r_squared_high", "calm", "direction", "confidence", "confidence_high", "rule_signal"),
    ]
    assert signals[candidates.columns.tolist()].equals(candidates)
    assert set(signals[["trend", "r_squared_high", "calm", "direction", "rule_signal"]].dtypes) == {np.dtype(bool)}


def test_make_signals_by_hand(es):
    history = flat_history(
        es,
        [8000] * 4,
        slope=[2.0, -2.0, 2.0, -2.0],
        r_squared=[0.8, 0.8, 0.55, 0.7],
        runs_p_value=[0.1, 0.1, 0.0, 0.9],
        direction_probability=[0.6, 0.4, 0.9, 0.4],
        calm=[True, False, True, False],
    )

    signals = make_signals(history, es).set_index(["decided_on", "side"])

    long, short = signals.xs(1, level="side"), signals.xs(-1, level="side")
    assert long["trend"].tolist() == [True, False, False, False]
    assert short["trend"].tolist() == [False, True, False, True]
    assert long["direction"].tolist() == [True, False, True, False]
    assert short["direction"].tolist() == [False, True, False, True]
    assert long["r_squared_high"].tolist() == short["r_squared_high"].tolist() == [True, True, False, True]
    np.testing.assert_allclose(long["confidence"], [78.5, 57.5, 79.0, 41.5], rtol=1e-12)
    np.testing.assert_allclose(short["confidence"], [72.5, 63.5, 55.0, 47.5], rtol=1e-12)
    assert long["rule_signal"].tolist() == [True, False, False, False]
    assert short["rule_signal"].tolist() == [False, True, False, False]


def test_make_signals_missing_values_shut_the_gates(es):
    history = flat_history(es, [8000], slope=math.nan, r_squared=math.nan, runs_p_value=math.nan, calm=False)

    signals = make_signals(history, es)

    gates = ["trend", "r_squared_high", "calm", "direction", "confidence_high", "rule_signal"]
    assert not signals[gates].any(axis=None)
    assert signals["confidence"].isna().all()


def test_make_signals_thresholds_come_from_the_settings(es):
    history = flat_history(es, [8000], r_squared=0.5, direction_probability=0.52, calm=False)
    loosened = TradingRules.of(r_squared_threshold=0.4, direction_long=0.51, confidence_threshold=30.0)

    strict, loose = make_signals(history, es), make_signals(history, es, loosened)

    assert strict["rule_signal"].tolist() == [False, False]
    assert loose["rule_signal"].tolist() == [True, False]


def test_make_signals_mirrored_history_mirrors_the_sides(es):
    bars = toy_bars(es, sessions=320)
    mirrored = bars.assign(
        open=10_000 - bars["open"], close=10_000 - bars["close"], high=10_000 - bars["low"], low=10_000 - bars["high"]
    )
    upright, flipped = toy_history(bars, es), toy_history(mirrored, es)
    # Log returns don't mirror: the calm gate is handed over.
    flipped["calm"] = upright["calm"]

    left = make_signals(upright, es)
    right = make_signals(flipped, es)

    right = right.assign(side=-right["side"]).sort_values(["session", "side"], ascending=[True, False])
    right = right.reset_index(drop=True)
    assert left["rule_signal"].any()
    for column in ("session", "side", "trend", "r_squared_high", "direction", "confidence_high", "rule_signal"):
        assert left[column].tolist() == right[column].tolist(), column
    np.testing.assert_allclose(left["confidence"], right["confidence"], rtol=1e-9)
    assert left["entry"].tolist() == (10_000 - right["entry"]).tolist()
