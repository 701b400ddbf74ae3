import pandas as pd
import pytest

from pipeline.backtest import Account
from pipeline.performance import buy_and_hold


def roll(es):
    """Two sessions of two bars; the second trades another contract, 100 points higher."""
    times = ["2024-01-02 15:00", "2024-01-02 16:00", "2024-01-03 15:00", "2024-01-03 16:00"]
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(times, tz="UTC"),
            "open": [4000.0, 4005.0, 4110.0, 4112.0],
            "high": [4010.0, 4012.0, 4115.0, 4120.0],
            "low": [3990.0, 4000.0, 4100.0, 4110.0],
            "close": [4005.0, 4010.0, 4112.0, 4115.0],
            "volume": 100.0,
            "contract": ["ESH24", "ESH24", "ESM24", "ESM24"],
        }
    )


def test_buy_and_hold_over_a_roll_earns_nothing_of_its_gap(es):
    found = buy_and_hold(roll(es), es, Account())
    side = 5.0 + 12.5  # commission and one tick, of one contract
    first, second = 4000.0 * 50, 4110.0 * 50
    capital = 100_000.0
    rolled = capital * (1 + (10 * 50 - 2 * side) / first)
    assert found.equity.tolist() == pytest.approx(
        [
            capital * (1 + (5 * 50 - side) / first),
            rolled,
            rolled * (1 + (2 * 50 - side) / second),
            rolled * (1 + (5 * 50 - 2 * side) / second),
        ]
    )
    assert found.session_equity.tolist() == found.equity.iloc[[1, 3]].tolist()
    assert found.daily_returns.tolist() == pytest.approx([465 / first, 215 / second])
    assert (found.one_contract, found.rolls) == (465 + 215, 1)


def test_buy_and_hold_without_contracts_is_one_position(es):
    found = buy_and_hold(roll(es).drop(columns="contract"), es, Account(slippage_ticks=0))
    assert found.equity.iloc[-1] == pytest.approx(100_000 * (1 + (115 * 50 - 10) / 200_000))
    assert (found.one_contract, found.rolls) == (115 * 50 - 10, 0)


def test_buy_and_hold_without_bars_earns_nothing(es):
    found = buy_and_hold(roll(es).iloc[:0], es, Account())
    assert found.equity.empty
    assert (found.one_contract, found.rolls) == (0.0, 0)
