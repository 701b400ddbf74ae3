"""Sizes by hand: what the account allows of an order, what it loses at its stop, the margin that it needs."""

from typing import Any

import pandas as pd
import pytest

from pipeline.backtest import Account
from pipeline.coming import with_sizes
from pipeline.market import find_instrument

ES = find_instrument("ES")


def sized(account: Account | None = None, *, hours: Any = "rth", symbol: str = "ES", **order: Any) -> tuple[Any, ...]:
    """Quantity, loss, margin and reason of one order: by default a long from 4,000 to 3,990."""
    instrument = find_instrument(symbol)
    options = {name: order.pop(name) for name in ("equity", "price") if name in order}
    row = {
        **{"session": pd.Timestamp("2024-01-04"), "action": "order", "side": 1, "type": "limit"},
        **{"entry": 4000.0, "stop": 3990.0, "target": 4020.0, "contract": "ESH24", "reference": 4000.0},
    }
    found = with_sizes(pd.DataFrame([{**row, **order}]), instrument, account or Account(), hours, **options)
    return tuple(found[["quantity", "risk", "margin", "size_reason"]].iloc[0])


def test_size_is_what_the_risk_allows():
    # $1,000 over 10 points of $50 and $10: 1. Stopped, it loses a tick of slippage more.
    assert sized() == (1, 522.5, 20_000.0, "")


def test_size_grows_with_the_equity_until_the_margin_ends_it():
    assert sized(equity=1_000_000) == (19, 19 * 522.5, 380_000.0, "")
    # $10,000 of risk is 79 contracts a point and a half away; $1,000,000 of margin is 50.
    assert sized(equity=1_000_000, stop=3997.5) == (50, 50 * (11 * 12.5 + 10), 1_000_000.0, "")


@pytest.mark.parametrize(
    ("account", "order", "reason"),
    [
        (Account(), {"stop": 3900.0}, "risk_below_one_contract"),
        (Account(initial_capital=15_000, risk_per_trade=0.5), {}, "margin_below_one_contract"),
        (Account(), {"fixed_quantity": 6}, "margin_below_quantity"),
        (Account(entry_cutoff="08:30"), {}, "not_reached"),
        (Account(), {"live_until": pd.Timestamp("2024-01-04 10:00Z")}, "no_bars"),
    ],
)
def test_size_is_0_with_the_reason(account: Account, order: dict[str, Any], reason: str):
    assert sized(account, **order) == (0, 0.0, 0.0, reason)


def test_fixed_size_is_kept():
    assert sized(fixed_quantity=3)[0] == 3


def test_short_is_sized_as_the_long():
    assert sized(side=-1, stop=4010.0, target=3980.0) == (1, 522.5, 20_000.0, "")


def test_stop_order_pays_slippage_at_its_entry_too():
    assert sized(type="stop") == (1, 535.0, 20_001.25, "")


def test_market_order_is_sized_from_the_last_price_or_the_one_given():
    order = {"type": "market", "entry": float("nan"), "reference": 3995.0}
    # In at 3,995.25, 5.25 points above the stop: $262.50 and $10.
    assert sized(**order) == (3, 3 * 285.0, 3 * 19_976.25, "")
    assert sized(**order, price=4000.0)[0] == int(1000 / (10.25 * 50 + 10))


def test_positions_held_overnight_need_the_margin_for_that():
    assert sized(Account(hold_overnight=True))[2] == 30_000.0


def test_margin_of_a_dated_table_is_that_of_the_session():
    account = Account(margin_day={"2023-01-01": 5_000.0, "2024-01-04": 12_000.0, "2025-01-01": 1.0})
    assert sized(account, equity=1_000_000)[2] == 19 * 12_000.0


def test_coin_of_a_market_without_contracts_is_sized():
    order = {"entry": 50_000.0, "stop": 49_000.0, "target": 52_000.0, "contract": "", "symbol": "BTCUSDT"}
    quantity, risk, margin, reason = sized(hours="eth", equity=10_000_000, **order)
    assert reason == ""
    assert quantity > 0
    assert 99_000 < risk < 100_000
    assert margin > 0


def test_rows_that_are_no_orders_have_no_size():
    quantity, *_ = sized(action="none")
    assert quantity is pd.NA
