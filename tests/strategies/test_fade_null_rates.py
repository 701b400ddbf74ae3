import numpy as np
import pandas as pd
import pytest

from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import HistorySettings, Seen
from tests.strategy.market import flat_history

GATES = [
    *("slope_long", "slope_short", "r_squared", "trend_long", "trend_short", "calm", "direction_long"),
    *("direction_short", "confidence_long", "confidence_short", "rule_signal_long", "rule_signal_short"),
]


@pytest.fixture(scope="module")
def rates() -> pd.DataFrame:
    return ValueAreaFade().null_rates(HistorySettings(), seed=0)


def test_null_rates_shape_and_range(rates):
    assert rates.index.tolist() == GATES
    assert rates.index.name == "gate"
    assert rates.columns.tolist() == ["pass_rate", "standard_error", "paths"]
    assert rates["pass_rate"].between(0, 1).all()
    assert (rates["paths"] == 20_000).all()
    p = rates["pass_rate"]
    np.testing.assert_allclose(rates["standard_error"], np.sqrt(p * (1 - p) / 20_000))


def test_null_rates_r_squared_alone_accepts_more_than_a_third_of_random_walks(rates):
    # 36.1 %, with 400,000 walks made and regressed by other code
    assert abs(rates.loc["r_squared", "pass_rate"] - 0.361) < 4 * rates.loc["r_squared", "standard_error"]


def test_null_rates_agree_with_a_plain_simulation(rates):
    rng = np.random.default_rng(99)
    hits = []
    for _ in range(1500):
        y = np.cumsum(rng.normal(size=20))
        slope = np.polyfit(np.arange(20), y, 1)[0]
        hits.append((slope > 0, np.corrcoef(np.arange(20), y)[0, 1] ** 2 > 0.6))
    slope_up, high = np.array(hits).T

    for gate, flags in [("slope_long", slope_up), ("r_squared", high), ("trend_long", slope_up & high)]:
        error = np.sqrt(flags.mean() * (1 - flags.mean()) / len(flags))
        assert abs(rates.loc[gate, "pass_rate"] - flags.mean()) < 4 * error, gate


def test_null_rates_sides_are_alike(rates):
    for gate in ("slope", "trend", "direction", "confidence", "rule_signal"):
        long, short = rates.loc[f"{gate}_long"], rates.loc[f"{gate}_short"]
        assert abs(long["pass_rate"] - short["pass_rate"]) < 5 * long["standard_error"], gate


def test_null_rates_trend_is_slope_and_r_squared(rates):
    assert rates.loc["trend_long", "pass_rate"] + rates.loc["trend_short", "pass_rate"] == pytest.approx(
        rates.loc["r_squared", "pass_rate"]
    )


def test_null_rates_same_seed_same_figures():
    first, again, other = (ValueAreaFade().null_rates(HistorySettings(), paths=500, seed=seed) for seed in (3, 3, 4))

    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_null_rates_follow_the_settings():
    rates = ValueAreaFade({"r_squared_threshold": 0.0, "confidence_threshold": 0.0}).null_rates(
        HistorySettings(), paths=400
    )

    assert rates.loc["r_squared", "pass_rate"] == 1.0
    assert rates.loc["confidence_long", "pass_rate"] == 1.0


def test_null_rates_short_direction_window_leaves_the_trend_its_own():
    rates = ValueAreaFade().null_rates(HistorySettings(direction_window=5), paths=4000)

    assert abs(rates.loc["r_squared", "pass_rate"] - 0.361) < 4 * rates.loc["r_squared", "standard_error"]


def test_pass_rates_count_the_sessions_with_a_trend(es):
    history = flat_history(
        es,
        [8000] * 5,
        slope=[np.nan, 1.0, 1.0, -1.0, 0.0],
        r_squared=[np.nan, 0.9, 0.5, 0.9, 0.0],
        runs_p_value=[np.nan, 0.0, 0.5, 0.0, 1.0],
        calm=[True, True, False, False, True],
    )

    rates = ValueAreaFade().pass_rates(Seen.of(history, es))

    assert rates.index.tolist() == GATES
    assert (rates["decisions"] == 4).all()
    assert (rates["pass_rate"] * 4).tolist() == [2, 1, 2, 1, 1, 2, 0, 0, 2, 2, 1, 0]


def test_pass_rates_of_a_short_history_are_missing(es):
    rates = ValueAreaFade().pass_rates(Seen.of(flat_history(es, [8000], r_squared=np.nan), es))

    assert rates["pass_rate"].isna().all()
    assert (rates["decisions"] == 0).all()
