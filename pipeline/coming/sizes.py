"""Size of orders that wait: each is traded by the backtest itself on two bars, one at its entry and one at its stop.

So size, margin and loss are the backtest's for every kind of order, account and instrument, and no rule of it is
written twice.
"""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.backtest import Account, simulate
from pipeline.backtest.account import margin_per_session
from pipeline.market import Hours, Instrument, session_schedule
from pipeline.strategy.order_columns import ORDER_COLUMNS, TIME_COLUMNS

__all__ = ["FIXED", "REASONS", "SIZE_COLUMNS", "with_sizes"]

SIZE_COLUMNS = ("quantity", "risk", "margin", "size_reason")
FIXED = "fixed_quantity"
"""Size that the strategy itself asks for; ``quantity`` is what the account allows of it."""
REASONS = {
    "risk_below_one_contract": "the risk allowed is less than one contract loses at the stop",
    "margin_below_one_contract": "the account's margin is less than one contract needs",
    "margin_below_quantity": "the account's margin is less than the fixed size needs",
    "not_reached": "the entry cut-off comes before it may enter",
    "no_bars": "it is never live in the session's hours",
}
_AFTER = pd.Timedelta("1s")
_KINDS = tuple(name for name in ORDER_COLUMNS if name != "quantity")


def with_sizes(
    orders: pd.DataFrame,
    instrument: Instrument,
    account: Account,
    hours: Hours,
    *,
    equity: float | None = None,
    price: float | None = None,
) -> pd.DataFrame:
    """Return orders with the size that the backtest would give them.

    Parameters
    ----------
    orders
        From :func:`~pipeline.coming.coming_orders`, shape (n, ...); rows that are no orders get no size.
    instrument, account, hours
        What trades, with what account, when.
    equity
        Of the account when the order fills; its initial capital by default.
    price
        What the orders fill at before slippage, where that is known: by default each its entry, a market order the
        last price when it was decided.

    Returns
    -------
    DataFrame
        The orders with these columns anew. ``quantity`` in contracts, 0 where the order would be skipped; ``risk``,
        the money lost if it is filled and stopped, with slippage and commission; ``margin`` that it needs;
        ``size_reason``, which of ``REASONS`` makes the size 0.
    """
    funded = account if equity is None else Account(**{**account.model_dump(), "initial_capital": equity})
    sizes = [_size(row, instrument, funded, hours, price) for _, row in orders.iterrows()]
    found = pd.DataFrame(sizes, orders.index, list(SIZE_COLUMNS))
    found = found.astype({"quantity": "Int64", "risk": "float64", "margin": "float64", "size_reason": "str"})
    return orders.assign(**found)


def _size(
    order: pd.Series, instrument: Instrument, account: Account, hours: Hours, price: float | None
) -> tuple[Any, float, float, str]:
    if order["action"] != "order":
        return pd.NA, np.nan, np.nan, ""
    at = price if price is not None else order["reference"] if pd.isna(order["entry"]) else order["entry"]
    traded = simulate(_entry_and_stop(order, at, instrument, hours), _alone(order), instrument, account, hours=hours)
    if traded.trades.empty:
        status, reason = traded.orders[["status", "reason"]].iloc[0]
        return 0, 0.0, 0.0, str(reason) or str(status)
    trade = traded.trades.iloc[0]
    name = "margin_overnight" if account.hold_overnight else "margin_day"
    rate, amount = margin_per_session(getattr(account, name), pd.DatetimeIndex([order["session"]]), name)
    each = amount[0] + rate[0] * abs(trade["entry_price"]) * instrument.point_value
    return int(trade["quantity"]), -float(trade["pnl"]), float(trade["quantity"] * each), ""


def _entry_and_stop(order: pd.Series, price: float, instrument: Instrument, hours: Hours) -> pd.DataFrame:
    """Return two bars of the order's session: one that it fills in at a price, then one at its stop."""
    day = session_schedule(instrument, order["session"], order["session"]).iloc[0]
    first = day["rth_open" if hours == "rth" else "open"]
    if not pd.isna(live := order.get("live_from")):
        first = max(first, live)
    prices = [price, order["stop"]]
    bars = pd.DataFrame(
        {"timestamp": [first, first + _AFTER], **dict.fromkeys(("open", "high", "low", "close"), prices)}
    )
    bars["timestamp"] = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns")
    return bars.assign(volume=1.0, **_contract(order))


def _alone(order: pd.Series) -> pd.DataFrame:
    """Return the order as the backtest takes it."""
    columns = ("session", "side", "entry", "stop", "target", *_KINDS)
    given = {name: order[name] for name in columns if name in order.index}
    if FIXED in order.index:
        given["quantity"] = order[FIXED]
    frame = pd.DataFrame([{**given, **_contract(order)}])
    for name in TIME_COLUMNS:
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def _contract(order: pd.Series) -> dict[str, Any]:
    return {} if pd.isna(order.get("contract")) else {"contract": str(order["contract"])}
