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
    cost = 5.0 + 12.5  # a side: commission and one tick
    first = 100_000 + 10 * 50 - 2 * cost  # 4000 to 4010
    assert found.equity.tolist() == [
        100_000 + 5 * 50 - cost,
        first,
        first + 2 * 50 - cost,
        first + 5 * 50 - 2 * cost,
    ]
    assert found.session_equity.tolist() == [first, first + 250 - 2 * cost]
    assert found.daily_returns.tolist() == pytest.approx([465 / 100_000, 215 / 100_465])
    assert (found.quantity, found.rolls, found.costs) == (1, 1, 4 * cost)


def test_buy_and_hold_without_contracts_is_one_position(es):
    found = buy_and_hold(roll(es).drop(columns="contract"), es, Account(slippage_ticks=0))
    assert found.equity.iloc[-1] == 100_000 + 115 * 50 - 2 * 5
    assert found.rolls == 0


def test_buy_and_hold_holds_as_many_contracts_as_the_capital_pays_for(es):
    assert buy_and_hold(roll(es), es, Account(initial_capital=999_999.0)).quantity == 4
    assert buy_and_hold(roll(es), es, Account(initial_capital=1_000_000.0)).quantity == 5


def test_buy_and_hold_without_bars_is_the_capital(es):
    found = buy_and_hold(roll(es).iloc[:0], es, Account())
    assert found.equity.empty
    assert (found.rolls, found.costs) == (0, 0.0)
