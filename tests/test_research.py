"""run_research goes through the replays; the assets make the same frames one by one."""

from typing import Any

import pandas as pd
import pytest

from pipeline.backtest import simulate
from pipeline.market import Instrument, simulate_market
from pipeline.research import make_profiles, orders_of, run_research
from pipeline.settings import Settings
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import make_signals, session_history


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", 200, 5)


@pytest.mark.parametrize("with_contracts", [True, False])
@pytest.mark.parametrize(
    "strategy",
    [
        {},
        {"hours": "eth", "allocation": "tpo", "confidence_threshold": 20.0},
        {"allocation": "close", "ticks_per_row": 3, "value_area_basis_points": 6100, "expansion_rows": 1},
        {"trend_window": 190, "atr_window": 5},
    ],
)
def test_run_research_of_any_settings_equals_the_frames_of_the_assets(
    bars: pd.DataFrame, es: Instrument, strategy: dict[str, Any], with_contracts: bool
) -> None:
    bars = bars if with_contracts else bars[bars["contract"] == bars["contract"].iloc[-1]].drop(columns="contract")
    settings = Settings(strategy={"r_squared_threshold": 0.2, **strategy}, account={"risk_per_trade": 0.02})

    found = run_research(bars, es, settings)

    chosen, account = settings.history, settings.account_for(es)
    profiles = make_profiles(bars, es, chosen)
    history = session_history(bars, profiles, es, chosen)
    signals = make_signals(history, es, settings.rules)
    pd.testing.assert_frame_equal(found.profiles, profiles, check_exact=True)
    pd.testing.assert_frame_equal(found.history, history, check_exact=True)
    pd.testing.assert_frame_equal(found.signals, signals, check_exact=True)
    assert found.profiles.attrs == profiles.attrs
    for name, orders in orders_of(signals, ValueAreaFade()).items():
        expected = simulate(bars, orders, es, account, hours=chosen.hours)
        pd.testing.assert_frame_equal(found.results[name].orders, expected.orders, check_exact=True)
        pd.testing.assert_frame_equal(found.results[name].trades, expected.trades, check_exact=True)
        pd.testing.assert_series_equal(found.results[name].equity, expected.equity, check_exact=True)
