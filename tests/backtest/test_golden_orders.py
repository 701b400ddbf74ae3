"""The golden table of other order kinds and managed exits, case by case through the public call."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.market import Instrument
from tests.backtest.frames import DAY, TICK, session_bars
from tests.conftest import ROOT

GOLDEN = json.loads((ROOT / "tests" / "golden" / "orders.json").read_text())
MANAGED = ("trail_ticks", "breakeven_ticks", "give_back_percent", "give_back_from_ticks", "max_bars")


def frame_of(case: dict, times: pd.DatetimeIndex, quantity: int | None) -> pd.DataFrame:
    rows = []
    for given in case["orders"]:
        prices = {name: given.get(name) for name in ("entry", "stop", "target")}
        row = {"session": DAY, "side": given["side"], "type": given.get("type")}
        row |= {name: np.nan if price is None else price * TICK for name, price in prices.items()}
        row |= {name: given.get(name) for name in MANAGED}
        row["live_from"] = times[given["first"]] if given.get("first") is not None else pd.NaT
        row["live_until"] = times[given["last"]] if given.get("last") is not None else pd.NaT
        row["group"] = "pair" if len(case["orders"]) > 1 else None
        row["quantity"] = quantity
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("sized", [False, True], ids=["one contract", "sized"])
def test_simulate_golden_order_ends_as_expected(case: dict, sized: bool, es: Instrument) -> None:
    account = Account(
        10_000_000, slippage_ticks=GOLDEN["slippage_ticks"], trade_through_ticks=GOLDEN["trade_through_ticks"]
    )
    bars = session_bars([tuple(row) for row in case["bars"]])
    times = pd.date_range(bars["timestamp"].iloc[0], periods=60, freq="5min")

    result = simulate(bars, frame_of(case, times, None if sized else 1), es, account)

    bar = pd.Index(bars["timestamp"])
    trades = {trade.order: trade for trade in result.trades.itertuples()}
    for number, expected in enumerate(case["expected"]):
        found = {"status": result.orders["status"][number]}
        if found["status"] == "closed":
            trade = trades[number]
            found |= {
                "entry_bar": bar.get_loc(trade.entry_time),
                "entry_price": trade.entry_price / TICK,
                "exit_bar": bar.get_loc(trade.exit_time),
                "exit_price": trade.exit_price / TICK,
                "exit_reason": trade.exit_reason,
                "ambiguous": trade.ambiguous,
                "ticks": trade.side * (trade.exit_price - trade.entry_price) / TICK,
            }
            assert trade.pnl == pytest.approx((found["ticks"] * 12.5 - 10) * trade.quantity, abs=1e-6)
        elif "reason" in expected:
            found["reason"] = result.orders["reason"][number]
        assert found == expected
    assert len(trades) == sum(expected["status"] == "closed" for expected in case["expected"])
    assert result.equity.iloc[-1] == pytest.approx(account.initial_capital + result.trades["pnl"].sum(), abs=1e-6)
