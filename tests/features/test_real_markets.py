import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.features import FeatureInputs, build_features, candidate_features, registered, require_history
from pipeline.market import load_instruments
from pipeline.strategy import TradingRules, make_candidates


@pytest.fixture(scope="module")
def es_inputs(real_data, es):
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:130_000]
    return FeatureInputs.from_bars(bars, es, vix=pd.read_parquet(real_data / "vix_daily.parquet"))


@pytest.fixture(scope="module")
def es_table(es_inputs):
    return build_features(es_inputs)


def test_real_es_has_every_feature_but_the_missing_series(es_table, es_inputs):
    absent = {name for name, one in registered().items() if not all(map(es_inputs.has, one.needs))}

    assert set(registered()) - set(es_table.columns) == absent
    assert es_table.iloc[340:].notna().any().all()


def test_real_es_cut_off_is_the_same_to_the_bit(es_table, es_inputs):
    for cut in (200, 371):
        known = build_features(es_inputs.until(es_inputs.sessions[cut]))
        assert known.equals(es_table.loc[known.index])


def test_real_es_volatility_estimates_agree_with_each_other(es_table):
    daily = es_table[["close_volatility_20", "ewma_volatility", "garch_forecast", "yang_zhang_volatility_20"]].dropna()

    assert len(daily) > 100
    assert daily.corr().min(axis=None) > 0.5
    assert np.exp(np.log(daily).mean()).between(0.003, 0.02).all()


def test_real_vix_moves_against_returns_a_day_late(es_table):
    known = es_table["vix_change_1"]

    assert known.corr(es_table["log_return_1"].shift(1)) < -0.6
    assert abs(known.corr(es_table["log_return_1"])) < 0.3


def test_real_candidates_get_a_row_each(es_table, es_inputs, es):
    candidates = make_candidates(es_inputs.history, es, TradingRules(es_inputs.settings))

    rows = candidate_features(candidates, es_table)

    assert rows.shape == (len(candidates), es_table.shape[1] + 3)
    assert np.isfinite(rows.filter(like="candidate_")).all(axis=None)


@pytest.mark.parametrize(("file", "symbol"), [("btc_usdt_1m_2021_04", "BTCUSDT"), ("spy_1m_lean", "SPY")])
def test_real_market_of_few_sessions_gives_what_they_allow(real_data, file, symbol):
    inputs = FeatureInputs.from_bars(pd.read_parquet(real_data / f"{file}.parquet"), load_instruments()[symbol])

    table = build_features(inputs)

    assert table["weekday"].notna().all()
    assert table["range_position_1"].notna().any()
    assert table["garch_forecast"].isna().all()
    with pytest.raises(DataError, match=f"{symbol} has {len(inputs.sessions)} sessions; .* are needed"):
        require_history(inputs)
