"""The comparison of simulated and real bars: its numbers on small markets, its figure, and the real file."""

from pathlib import Path

import numpy as np
import pandas as pd

from bench.market_realism import comparison_figure, market_statistics, simulated_statistics
from pipeline.market.instruments import Instrument
from pipeline.market.simulator import simulate_market


def test_market_statistics_same_bars_in_other_units_are_the_same(es: Instrument) -> None:
    bars = simulate_market(es, "2020-01-02", 70, 1)
    other = bars.assign(timestamp=bars["timestamp"].astype("datetime64[ms, UTC]"), volume=bars["volume"].astype(int))

    ours, theirs = market_statistics(bars, es), market_statistics(other, es)

    assert ours.figures == theirs.figures
    np.testing.assert_array_equal(ours.tail, theirs.tail)
    assert ours.tail[0] < 0.62  # the normal distribution's share beyond half a standard deviation
    assert len(ours.volatility_by_time) == 276


def test_comparison_figure_draws_band_median_and_real_in_each_panel(es: Instrument) -> None:
    markets = simulated_statistics(es, "2020-01-02", 70, [1, 2, 3])

    figure = comparison_figure(markets[0], markets[1:], "title")

    assert len(figure.data) == 6 * 3 + 1
    assert all(np.isfinite(np.asarray(trace.y, dtype=float)).any() for trace in figure.data)


def test_market_statistics_simulated_and_real_agree(es: Instrument, real_data: Path) -> None:
    real = market_statistics(pd.read_parquet(real_data / "es_5m_2015_2021.parquet"), es)
    simulated = simulated_statistics(es, "2014-12-24", 1_800, [0, 1, 2])

    middle = {name: float(np.median([market.figures[name] for market in simulated])) for name in real.figures}

    for name, least, most in (
        ("Median session range, %", 0.8, 1.25),
        ("Session range, 10th percentile, %", 0.8, 1.25),
        ("Session range, 90th percentile, %", 0.8, 1.25),
        ("Spread of its logarithm", 0.85, 1.15),
        ("The same without time of day and session level", 0.6, 1.6),
        ("Squared range to squared return", 0.85, 1.15),
        ("Correlation of log volume and log range, regular hours", 0.8, 1.25),
    ):
        assert least < middle[name] / real.figures[name] < most, name
    by_time = np.median([market.volatility_by_time for market in simulated], axis=0)
    assert np.corrcoef(by_time, real.volatility_by_time)[0, 1] > 0.9
    memory = np.median([market.session_memory for market in simulated], axis=0)
    assert np.abs(memory - real.session_memory).max() < 0.15
