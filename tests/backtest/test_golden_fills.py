"""The golden table of fills, case by case through the public call."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.market import Instrument
from tests.backtest.frames import DAY, TICK, book, order, session_bars
from tests.conftest import ROOT

GOLDEN = json.loads((ROOT / "tests" / "golden" / "fills.json").read_text())


def outcome(case: dict, es: Instrument, account: Account, **more: object) -> tuple[dict, int]:
    bars = session_bars([tuple(row) for row in case["bars"]])
    given = case["order"]
    orders = book(order(given["side"], given["entry"], given["stop"], given["target"], **more))
    result = simulate(bars, orders, es, account)
    found = {"status": result.orders["status"].iloc[0]}
    if len(result.trades) == 0:
        assert result.equity.eq(account.initial_capital).all()
        return found, 0
    trade = result.trades.iloc[0]
    bar = pd.Index(bars["timestamp"])
    found |= {
        "entry_bar": bar.get_loc(trade["entry_time"]),
        "entry_price": trade["entry_price"] / TICK,
        "exit_bar": bar.get_loc(trade["exit_time"]),
        "exit_price": trade["exit_price"] / TICK,
        "exit_reason": trade["exit_reason"],
        "ambiguous": trade["ambiguous"],
        "ticks": trade["side"] * (trade["exit_price"] - trade["entry_price"]) / TICK,
    }
    quantity = int(trade["quantity"])
    assert trade["pnl"] == pytest.approx(found["ticks"] * 12.5 * quantity - 10 * quantity, abs=1e-9)
    assert result.equity.iloc[-1] == pytest.approx(account.initial_capital + trade["pnl"], abs=1e-9)
    return found, quantity


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("sized", [False, True], ids=["one contract", "sized"])
def test_simulate_golden_case_ends_as_expected(case: dict, sized: bool, es: Instrument) -> None:
    account = Account(
        slippage_ticks=GOLDEN["slippage_ticks"],
        trade_through_ticks=GOLDEN["trade_through_ticks"],
    )
    expected = dict(case["expected"])
    gapped_in = expected.pop("bar", None)

    found, quantity = outcome(case, es, account, **({} if sized else {"quantity": 1}))

    assert found == expected
    risk = abs(case["order"]["entry"] - case["order"]["stop"]) * 12.5 + 10
    if found["status"] == "closed":
        assert quantity == (np.floor(1000 / risk) if sized else 1)
    if gapped_in is not None:  # without that bar the order is still waiting
        earlier = {**case, "bars": case["bars"][:gapped_in]}
        if earlier["bars"]:
            assert outcome(earlier, es, account, quantity=1)[0]["status"] == "not_reached"


def test_golden_case_session_is_a_trading_day(es: Instrument) -> None:
    bars = session_bars([(100, 100, 100, 100)])

    result = simulate(bars, book(order(1, 90, 80, 120)), es, Account())

    assert result.daily_returns.index.tolist() == [pd.Timestamp(DAY)]
