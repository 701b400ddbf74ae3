import logging
import re

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from pipeline.features import build_features
from pipeline.features.families import volatility
from tests.features.made_markets import closing_at, hand_inputs, random_rows


@pytest.fixture(scope="module")
def inputs(es):
    return hand_inputs(es, random_rows(430))


@pytest.fixture(scope="module")
def table(inputs):
    names = ["parkinson", "garman_klass", "yang_zhang"]
    return build_features(
        inputs,
        [f"{name}_volatility_20" for name in names]
        + [
            "close_volatility_20",
            "ewma_volatility",
            "garch_forecast",
            "volatility_of_volatility_20",
            "calm",
            "calm_ratio",
        ],
    )


def last(inputs):
    return {name: np.log(inputs.history[name].to_numpy()[-20:]) for name in ("open", "high", "low", "close")}


def test_close_volatility_is_the_sample_deviation(inputs, table):
    returns = np.diff(np.log(inputs.history["close"].to_numpy()[-21:]))

    assert table["close_volatility_20"].iloc[-1] == pytest.approx(np.std(returns, ddof=1), rel=1e-12)


def test_parkinson_is_its_formula(inputs, table):
    logs = last(inputs)

    expected = np.sqrt(np.sum((logs["high"] - logs["low"]) ** 2) / (4 * 20 * np.log(2)))
    assert table["parkinson_volatility_20"].iloc[-1] == pytest.approx(expected, rel=1e-12)


def test_garman_klass_is_its_formula(inputs, table):
    logs = last(inputs)

    terms = 0.5 * (logs["high"] - logs["low"]) ** 2 - (2 * np.log(2) - 1) * (logs["close"] - logs["open"]) ** 2
    assert table["garman_klass_volatility_20"].iloc[-1] == pytest.approx(np.sqrt(terms.mean()), rel=1e-12)


def test_yang_zhang_is_its_formula(inputs, table):
    logs = last(inputs)
    before = np.log(inputs.history["close"].to_numpy()[-21:-1])
    up, down = logs["high"] - logs["open"], logs["low"] - logs["open"]
    close = logs["close"] - logs["open"]

    overnight, body = np.var(logs["open"] - before, ddof=1), np.var(close, ddof=1)
    rogers_satchell = np.mean(up * (up - close) + down * (down - close))
    k = 0.34 / (1.34 + 21 / 19)
    expected = np.sqrt(overnight + k * body + (1 - k) * rogers_satchell)
    assert table["yang_zhang_volatility_20"].iloc[-1] == pytest.approx(expected, rel=1e-10)


def test_estimators_find_the_volatility_of_a_random_walk(es):
    rng = np.random.default_rng(0)
    paths = rng.normal(0, 0.01 / np.sqrt(400), (400, 400)).cumsum(axis=1)
    prices = 400_000 * np.exp(paths)
    rows = [(int(p[0]), int(p.max()), int(p.min()), int(p[-1])) for p in prices]
    made = build_features(hand_inputs(es, rows), ["parkinson_volatility_20", "garman_klass_volatility_20"])

    # Extremes of 400 steps fall a little short of a continuous path's.
    assert made["parkinson_volatility_20"].mean() == pytest.approx(0.01, rel=0.06)
    assert made["garman_klass_volatility_20"].mean() == pytest.approx(0.01, rel=0.06)


def test_ewma_is_the_weighted_mean_of_squares_since_the_anchor(inputs, table):
    # 430 sessions from January 2019 end in September 2020: the anchor is the first session of 2020.
    returns = inputs.history["log_return"]
    known = returns[returns.index >= "2020-01-01"].to_numpy()
    weights = 0.94 ** np.arange(len(known))[::-1]

    assert table.index[-1].quarter == 3
    expected = np.sqrt(np.sum(weights * known**2) / weights.sum())
    assert table["ewma_volatility"].iloc[-1] == pytest.approx(expected, rel=1e-12)


def clustered(es, sessions=430, omega=0.02, alpha=0.1, beta=0.85):
    rng = np.random.default_rng(1)
    variance, closes, price = omega / (1 - alpha - beta), [], 400_000.0
    for _ in range(sessions):
        move = np.sqrt(variance) * rng.normal()
        variance = omega + alpha * move**2 + beta * variance
        price *= np.exp(move / 100)
        closes.append(round(price))
    return hand_inputs(es, closing_at(closes))


def test_garch_forecast_is_that_of_arch_with_the_parameters_of_the_past_year(es):
    from arch import arch_model

    inputs = clustered(es)
    forecast = build_features(inputs, ["garch_forecast"])["garch_forecast"]
    returns = inputs.history["log_return"] * 100
    past = returns["2019-07-01":"2020-06-30"].dropna()
    fitted = arch_model(past, mean="Zero", rescale=False).fit(disp="off").params

    assert fitted["alpha[1]"] > 0.01
    variance = (past**2).mean()
    for value in returns["2019-07-01":]:
        variance = fitted["omega"] + fitted["alpha[1]"] * value**2 + fitted["beta[1]"] * variance
    assert forecast.iloc[-1] == pytest.approx(np.sqrt(variance) / 100, rel=1e-3)


def test_garch_forecast_is_the_same_in_every_run(es):
    first, second = (build_features(clustered(es), ["garch_forecast"]) for _ in range(2))

    assert first.equals(second)


def test_garch_estimate_does_not_hang_on_the_number_of_threads():
    returns = np.random.default_rng(0).normal(0, 1, (12, 250))
    sessions = pd.bdate_range("2019-01-01", periods=250)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append([volatility._estimate(row, "ES", sessions) for row in returns])

    assert found[0] == found[1]


def test_garch_without_a_moving_price_falls_back_to_ewma(es):
    table = build_features(hand_inputs(es, closing_at([12_000] * 400)), ["garch_forecast"])

    assert (table["garch_forecast"].iloc[329:] == 0).all()


def test_garch_estimate_of_shocks_that_last_is_taken(caplog):
    caplog.set_level(logging.INFO)
    # The likelihood is greatest at alpha + beta = 1.
    rng, variance, returns = np.random.default_rng(0), 1.0, np.empty(260)
    for row in range(260):
        returns[row] = np.sqrt(variance) * rng.normal()
        variance = 0.05 + 0.5 * returns[row] ** 2 + 0.5 * variance

    found = volatility._estimate(returns, "ES", pd.bdate_range("2019-01-01", periods=260))

    assert found.alpha + found.beta == pytest.approx(1, abs=0.05)
    assert found.alpha == pytest.approx(0.5, abs=0.2)
    assert caplog.text == ""


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_garch_estimate_does_not_depend_on_the_size_of_returns(scale):
    returns = np.random.default_rng(0).normal(0, 1, 250)
    sessions = pd.bdate_range("2019-01-01", periods=250)

    found, unscaled = (
        volatility._estimate(returns * scale, "ES", sessions),
        volatility._estimate(returns, "ES", sessions),
    )

    assert (found.alpha, found.beta) == pytest.approx((unscaled.alpha, unscaled.beta), abs=1e-4)
    assert found.omega == pytest.approx(unscaled.omega * scale**2, rel=1e-3)


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        ((0.1, 0.1, 0.8, 4), r"did not converge \(flag 4\)"),
        ((0.1, np.nan, 0.8, 0), "make no variance"),
        ((0.0, 0.0, 0.0, 0), "make no variance"),
        ((0.1, 0.3, 0.8, 0), "make no variance"),
    ],
)
def test_garch_estimate_that_is_unusable_says_why(estimate, message):
    assert re.search(message, volatility._problem(*estimate))
    assert volatility._problem(0.0, 0.3, 0.7, 0) is None


def test_garch_that_fails_is_reported_and_replaced_by_ewma(caplog):
    caplog.set_level(logging.DEBUG)
    sessions = pd.bdate_range("2019-01-01", periods=200)

    found = volatility._estimate(np.zeros(200), "ES", sessions)

    assert (found.omega, found.alpha, found.beta) == (0.0, pytest.approx(0.06), 0.94)
    assert f"ES: no GARCH estimate after {sessions[-1].date()}: 200 returns, mean square 0" in caplog.text
    assert "EWMA's parameters stand in" in caplog.text


@pytest.mark.parametrize("returns", [np.empty(0), np.full(300, np.nan), np.ones(149)])
def test_garch_estimate_of_too_few_returns_is_ewma(returns):
    found = volatility._estimate(returns, "ES", pd.bdate_range("2019-01-01", periods=len(returns)))

    assert (found.omega, found.beta) == (0.0, 0.94)


def test_garch_variance_moves_on_by_its_expectation_across_a_roll():
    garch = volatility._Garch(omega=0.1, alpha=0.2, beta=0.7, first=2.0)

    found = volatility._filtered(pd.DataFrame({"r": [1.0, np.nan, 0.0]}), garch)

    variances = [0.1 + 0.2 + 1.4, 0.1 + 0.9 * 1.7, 0.1 + 0.7 * 1.63]
    np.testing.assert_allclose(found, np.sqrt(variances), rtol=1e-12)


def test_volatility_of_volatility_is_the_deviation_of_log_ranges(inputs, table):
    logs = last(inputs)

    expected = np.std(np.log(logs["high"] - logs["low"]), ddof=1)
    assert table["volatility_of_volatility_20"].iloc[-1] == pytest.approx(expected, rel=1e-9)


def test_volatility_of_volatility_is_missing_where_sessions_have_no_range(es):
    table = build_features(hand_inputs(es, [(100, 100, 100, 100)] * 25), ["volatility_of_volatility_20"])

    assert table["volatility_of_volatility_20"].isna().all()


def test_calm_is_the_gate_of_the_strategy_and_missing_where_unknown(inputs, table):
    warm = table["calm"].iloc[20:]

    assert warm.astype(bool).tolist() == inputs.history["calm"].iloc[20:].tolist()
    assert ((table["calm_ratio"] < 1) == (table["calm"] == 1)).all()
    assert table["calm"].iloc[:20].isna().all()
