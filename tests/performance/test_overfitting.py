import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from pipeline.errors import ConfigurationError, DataError
from pipeline.performance import probability_of_backtest_overfitting
from pipeline.performance.overfitting import overfitting_logits


def _noise(periods: int = 240, trials: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((periods, trials)) * 0.01


def _oracle(returns: np.ndarray, blocks: int) -> np.ndarray:
    """CSCV as the paper writes it, split by split, from the returns themselves."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    logits = []
    for held in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in held])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in held])
        sharpe_in = returns[inside].mean(axis=0) / returns[inside].std(axis=0, ddof=1)
        sharpe_out = returns[outside].mean(axis=0) / returns[outside].std(axis=0, ddof=1)
        relative = rankdata(sharpe_out)[sharpe_in.argmax()] / (returns.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
    return np.array(logits)


@pytest.mark.parametrize(("periods", "blocks"), [(60, 2), (60, 4), (61, 6), (67, 8)])
def test_overfitting_logits_match_the_slow_oracle(periods, blocks):
    returns = _noise(periods, 7) + 0.003
    np.testing.assert_allclose(overfitting_logits(returns, blocks=blocks), _oracle(returns, blocks), rtol=1e-12)


def test_overfitting_probability_of_noise_is_about_half():
    found = [probability_of_backtest_overfitting(_noise(seed=seed), blocks=8) for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_overfitting_probability_with_a_truly_better_trial_is_about_zero():
    returns = _noise(1000, 100)
    returns[:, 42] += 0.003
    assert probability_of_backtest_overfitting(returns) < 0.01


def test_overfitting_probability_where_the_best_half_is_the_worst_half_is_one():
    returns = _noise(200, 6) * 0.01
    trend = np.linspace(-0.01, 0.01, 6)
    returns[:100] += trend
    returns[100:] -= trend
    assert probability_of_backtest_overfitting(returns, blocks=2) == 1.0


def test_overfitting_probability_of_the_default_blocks_has_12870_splits():
    assert len(overfitting_logits(_noise(160, 3))) == 12_870


def test_overfitting_probability_does_not_depend_on_trial_order_or_scale():
    returns = _noise() + 0.001
    value = probability_of_backtest_overfitting(returns, blocks=6)
    assert probability_of_backtest_overfitting(pd.DataFrame(returns[:, ::-1]), blocks=6) == value
    assert probability_of_backtest_overfitting(8 * returns, blocks=6) == value


def test_overfitting_logits_of_an_idle_trial_rank_it_at_zero():
    returns = _noise(80, 3) - 0.02
    returns[:, 1] = 0.0
    assert (overfitting_logits(returns, blocks=4) == math.log(3)).all()  # best in, best out: rank 3 of 3


@pytest.mark.parametrize("blocks", [3, 0, 22])
def test_overfitting_probability_with_impossible_blocks_is_refused(blocks):
    with pytest.raises(ConfigurationError, match=f"blocks is {blocks}"):
        probability_of_backtest_overfitting(_noise(), blocks=blocks)


def test_overfitting_probability_of_bad_returns_says_what_is_wrong():
    with pytest.raises(DataError, match=r"shape \(240, 1\)"):
        probability_of_backtest_overfitting(_noise(trials=1))
    with pytest.raises(DataError, match="16 blocks need at least 32"):
        probability_of_backtest_overfitting(_noise(20))
    broken = _noise()
    broken[5, 3] = np.nan
    with pytest.raises(DataError, match="period 5 of trial 3"):
        probability_of_backtest_overfitting(broken)
