import math

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from scipy import stats

from pipeline.errors import ConfigurationError, DataError
from pipeline.performance import (
    bootstrap_interval,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    kernels,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)
from pipeline.performance.sharpe import long_run_variance, sharpe_probability, variance_inflation
from pipeline.performance.uncertainty import (
    block_length,
    covering_level,
    quantile_interval,
    regime_block_length,
    resampled_intervals,
    resampling_positions,
)

# Bailey & López de Prado (2014), section "A numerical example": annual Sharpe ratio 2.5 over 1,250 daily returns,
# 250 a year, variance of the trials' annual Sharpe ratios 1/2.
DAILY = 2.5 / math.sqrt(250)
DAILY_VARIANCE = 0.5 / 250


def _noise(count: int = 400, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count) * 0.01


def test_expected_maximum_sharpe_of_the_published_example_is_reproduced():
    assert expected_maximum_sharpe(trials=100, sharpe_variance=DAILY_VARIANCE) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "published"), [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)]
)
def test_deflated_sharpe_of_the_published_example_is_reproduced(trials, skewness, kurtosis, published):
    benchmark = expected_maximum_sharpe(trials=trials, sharpe_variance=DAILY_VARIANCE)
    probability = sharpe_probability(DAILY, periods=1250, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark)
    assert probability == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize(("skewness", "kurtosis", "published"), [(0, 3, 0.982), (-2.448, 10.164, 0.913)])
def test_probabilistic_sharpe_of_the_published_hedge_fund_is_reproduced(skewness, kurtosis, published):
    # Bailey & López de Prado (2012): 24 months, mean 0.036, standard deviation 0.079 (rounded in print).
    probability = sharpe_probability(0.036 / 0.079, periods=24, skewness=skewness, kurtosis=kurtosis, benchmark=0)
    assert probability == pytest.approx(published, abs=1e-3)


def test_probabilistic_sharpe_uses_raw_kurtosis_and_per_period_sharpe():
    returns = np.random.default_rng(3).standard_t(5, 500) * 0.01 + 0.0005
    sharpe = returns.mean() / returns.std(ddof=1)
    variance = 1 - stats.skew(returns) * sharpe + (stats.kurtosis(returns, fisher=False) - 1) / 4 * sharpe**2
    expected = stats.norm.cdf((sharpe - 0.01) * math.sqrt(499 / variance))
    assert probabilistic_sharpe_ratio(returns, benchmark=0.01) == pytest.approx(expected, rel=1e-12)


def test_probabilistic_sharpe_of_symmetric_returns_about_zero_is_half():
    assert probabilistic_sharpe_ratio([-0.02, -0.01, 0.01, 0.02]) == 0.5


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01], np.zeros(30)])
def test_probabilistic_sharpe_without_variance_is_nan(returns):
    assert math.isnan(probabilistic_sharpe_ratio(returns))
    assert math.isnan(deflated_sharpe_ratio(returns, trials=5, sharpe_variance=0.001))


def test_deflated_sharpe_of_one_trial_is_the_probabilistic_one():
    returns = _noise() + 0.001
    assert deflated_sharpe_ratio(returns, trials=1, sharpe_variance=0.01) == probabilistic_sharpe_ratio(returns)


def test_deflated_sharpe_falls_with_trials_and_with_their_variance():
    returns = _noise() + 0.001
    by_trials = [deflated_sharpe_ratio(returns, trials=n, sharpe_variance=0.001) for n in (1, 1.5, 2, 10, 100)]
    by_variance = [deflated_sharpe_ratio(returns, trials=10, sharpe_variance=v) for v in (0, 0.001, 0.01)]
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_variance == sorted(by_variance, reverse=True)


def test_expected_maximum_sharpe_is_near_the_mean_of_the_best_of_simulated_trials():
    best = np.random.default_rng(0).standard_normal((20_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(trials=50, sharpe_variance=1.0) == pytest.approx(best, abs=0.03)


@pytest.mark.parametrize(("trials", "variance", "named"), [(0, 0.1, "trials"), (5, -0.1, "sharpe_variance")])
def test_deflated_sharpe_with_impossible_settings_names_them(trials, variance, named):
    with pytest.raises(ConfigurationError, match=named):
        deflated_sharpe_ratio(_noise(), trials=trials, sharpe_variance=variance)


def test_bootstrap_interval_equals_arch_with_the_same_seed():
    returns = _noise()
    length = float(optimal_block_length(returns)["stationary"].iloc[0])
    drawn = StationaryBootstrap(max(1.0, length), returns, seed=7).apply(np.mean, 500).ravel()
    drawn.sort()
    interval = bootstrap_interval(returns, np.mean, replications=500, seed=7)
    assert interval == pytest.approx((drawn[12], drawn[487]), rel=1e-12)  # ranks 12.475 down, 486.525 up


def test_bootstrap_interval_vectorized_equals_one_at_a_time():
    returns = _noise()
    single = bootstrap_interval(returns, sharpe_ratio, replications=300)
    batched = bootstrap_interval(returns, lambda r: kernels.sharpe(r, 252), replications=300, vectorized=True)
    assert batched == pytest.approx(single, rel=1e-12)


def test_bootstrap_interval_of_a_frame_draws_rows_together():
    frame = pd.DataFrame({"a": _noise(60), "b": -_noise(60)})
    low, high = bootstrap_interval(frame, lambda f: f["a"].sum() + f["b"].sum(), replications=50)
    assert (low, high) == (0.0, 0.0)


def test_bootstrap_interval_of_a_series_gives_the_statistic_a_series():
    series = pd.Series(_noise(40), index=pd.date_range("2024-01-01", periods=40))
    assert bootstrap_interval(series, lambda s: s.index[-1], replications=5) == (39.0, 39.0)


def test_bootstrap_interval_with_the_same_seed_repeats_and_with_another_differs():
    returns = _noise()
    first, again, other = (bootstrap_interval(returns, np.mean, replications=200, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_bootstrap_interval_of_scaled_values_scales():
    returns = _noise()
    interval = bootstrap_interval(returns, np.mean, replications=200)
    assert bootstrap_interval(4 * returns, np.mean, replications=200) == pytest.approx(4 * np.array(interval))


def test_bootstrap_interval_widens_with_the_level():
    returns = _noise()
    narrow = bootstrap_interval(returns, np.mean, level=0.5, replications=400)
    wide = bootstrap_interval(returns, np.mean, level=0.99, replications=400)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[], [0.01]])
def test_bootstrap_interval_of_fewer_than_two_values_is_nan(values):
    assert all(math.isnan(end) for end in bootstrap_interval(values, np.mean))


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"level": 1.0}, "level"), ({"replications": 0}, "replications"), ({"mean_block": 0}, "mean_block")],
)
def test_bootstrap_interval_with_impossible_settings_names_them(settings, named):
    with pytest.raises(ConfigurationError, match=named):
        bootstrap_interval(_noise(), np.mean, **settings)


def test_bootstrap_interval_of_values_with_three_dimensions_is_refused():
    with pytest.raises(DataError, match=r"\(2, 2, 2\)"):
        bootstrap_interval(np.ones((2, 2, 2)), np.mean)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.1], 2 ** (1 / 3)), (np.zeros(64), 4.0), ([], 1.0), (np.r_[np.zeros(29), 1.0], None)],
)
def test_block_length_of_degenerate_values_falls_back_without_warnings(values, expected):
    length = block_length(values)
    assert length >= 1
    if expected is not None:
        assert length == pytest.approx(expected, abs=1e-6)


def test_block_length_grows_with_dependence():
    shocks = _noise(2000)
    persistent = np.zeros(2000)
    for i in range(1, 2000):
        persistent[i] = 0.9 * persistent[i - 1] + shocks[i]
    assert block_length(shocks) < 5 < block_length(persistent)


def test_resampling_positions_hold_all_replications_in_batches_and_stay_inside():
    batches = list(resampling_positions(1_500_000, 10.0, 5, seed=0))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert min(batch.min() for batch in batches) >= 0
    assert max(batch.max() for batch in batches) < 1_500_000


def test_quantile_interval_keeps_infinite_values_and_leaves_out_undefined_ones():
    assert quantile_interval(np.array([1.0, 2.0, np.inf, np.nan]), 0.9) == (1.0, np.inf)
    assert math.isnan(quantile_interval(np.array([1.0, np.nan, np.nan]), 0.9).low)


@pytest.mark.parametrize(
    ("statistic", "truth"),
    [(lambda r: r.mean(axis=-1), 0.0005), (lambda r: kernels.sharpe(r, 252), 0.05 * math.sqrt(252))],
    ids=["mean", "sharpe"],
)
def test_bootstrap_interval_of_seeded_samples_covers_the_truth_as_often_as_it_says(statistic, truth):
    random = np.random.default_rng(20)
    hits = 0
    for seed in range(200):
        sample = random.standard_normal(300) * 0.01 + 0.0005
        low, high = bootstrap_interval(sample, statistic, replications=400, seed=seed, vectorized=True)
        hits += low <= truth <= high
    lower, upper = stats.binom.ppf([0.0005, 0.9995], 200, 0.95)
    assert lower <= hits <= upper


def test_covering_level_of_blocks_of_one_value_is_students():
    level = covering_level(0.95, count=30, mean_block=1)
    # Resamples of the mean have the deviation s √(n − 1)/n, where Student's interval has s/√n.
    student = stats.t.ppf(0.975, 29) * math.sqrt(30 / 29)
    assert level == pytest.approx(1 - 2 * stats.norm.sf(student), rel=1e-12)


def test_covering_level_grows_with_the_blocks_and_covers_where_they_are_long():
    levels = [covering_level(0.95, count=200, mean_block=length) for length in (1, 5, 25, 100)]
    assert levels == sorted(levels)
    # An independent computation: the bootstrap's variance of the mean of normal noise, from its autocovariances.
    random, count, length = np.random.default_rng(0), 200, 25
    lag = np.arange(1, count)
    weights = (1 - lag / count) * (1 - 1 / length) ** lag
    allowed = stats.norm.isf((1 - levels[2]) / 2)
    noise = random.standard_normal((2000, count))
    centred = noise - noise.mean(axis=1, keepdims=True)
    around = np.stack([(centred * np.roll(centred, -k, axis=1)).mean(axis=1) for k in lag])
    variance = (np.square(centred).mean(axis=1) + 2 * weights @ around) / count
    hits = (np.abs(noise.mean(axis=1)) <= allowed * np.sqrt(variance)).sum()
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


def test_regime_block_length_is_an_eighth_of_the_series_or_what_its_autocorrelations_ask_for():
    assert regime_block_length(_noise(400)) == 50.0
    persistent = np.repeat(_noise(40), 20)
    assert regime_block_length(persistent) == max(100.0, block_length(persistent))


def test_resampled_intervals_of_results_that_drift_for_months_are_wider_than_single_trades_ask_for():
    chance = np.where(np.arange(600) // 75 % 2, 0.43, 0.23)  # eight regimes of 75 trades
    results = np.where(np.random.default_rng(1).random(600) < chance, 2.0, -1.0)
    plain = bootstrap_interval(results, kernels.mean, vectorized=True)
    ours = resampled_intervals({"mean": (results, kernels.mean)}, results, seed=0)["mean"]
    assert block_length(results) < 75 == regime_block_length(results)
    assert ours.high - ours.low > 1.2 * (plain.high - plain.low)
    assert ours == resampled_intervals({"mean": (results, kernels.mean)}, results, seed=0)["mean"]


def test_resampled_intervals_of_fewer_than_two_values_are_nan():
    found = resampled_intervals({"mean": (np.ones(1), kernels.mean)}, np.ones(1), seed=0)
    assert all(math.isnan(end) for end in found["mean"])


def _autoregression(slope: float, count: int = 60_000) -> np.ndarray:
    shocks = np.random.default_rng(5).standard_normal(count)
    for place in range(1, count):
        shocks[place] += slope * shocks[place - 1]
    return shocks


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.3, 0.6])
def test_variance_inflation_of_an_autoregression_is_its_long_run_variance(slope):
    assert variance_inflation(_autoregression(slope)) == pytest.approx((1 + slope) / (1 - slope), rel=0.04)


@pytest.mark.parametrize("count", [20, 251, 1800])
@pytest.mark.parametrize("bandwidth", [0.0, 0.4, 7.3, 120.0])
def test_long_run_variance_is_that_of_arch(count, bandwidth):
    from arch.covariance.kernel import QuadraticSpectral

    values = _autoregression(0.6, count) + 3.0
    expected = QuadraticSpectral(values[:, None], bandwidth=bandwidth).cov.long_run.item()
    assert long_run_variance(values, bandwidth) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("returns", [[], [0.1], np.zeros(50), np.arange(19.0)])
def test_variance_inflation_of_too_little_is_one(returns):
    assert variance_inflation(returns) == 1.0


def test_probabilistic_and_deflated_sharpe_of_dependent_returns_take_the_inflation_as_variance():
    returns = _autoregression(0.3, 500) * 0.01 + 0.0006
    plain, ours = (probabilistic_sharpe_ratio(returns, dependent=dependent) for dependent in (False, True))
    assert 0.5 < ours < plain
    quantile = stats.norm.ppf(plain) / math.sqrt(variance_inflation(returns))
    assert ours == pytest.approx(stats.norm.cdf(quantile), rel=1e-9)
    best = deflated_sharpe_ratio(returns, trials=20, sharpe_variance=0.001, dependent=True)
    assert best == probabilistic_sharpe_ratio(
        returns, benchmark=expected_maximum_sharpe(trials=20, sharpe_variance=0.001), dependent=True
    )
