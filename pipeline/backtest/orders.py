"""Reading a user's orders: every row checked, prices as ticks, dates as sessions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.account import Account
from pipeline.backtest.order_columns import OrderError, numbers, refuse, session_dates, words
from pipeline.backtest.order_kinds import KIND_COLUMNS, OrderKinds, read_kinds, read_quantity, read_types
from pipeline.backtest.replayed import MARKET, NO_TARGET
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument
from pipeline.strategy.order_columns import MOST_TICKS, Fault, price_faults, type_faults
from pipeline.strategy.setups import NO_PRICE

__all__ = ["ORDER_COLUMNS", "OrderBatch", "OrderError", "read_orders", "refuse_repeated"]

_REQUIRED = ("session", "side", "entry", "stop")
ORDER_COLUMNS = (*_REQUIRED, "target", "quantity", "contract", "volatility", *KIND_COLUMNS)


@dataclass(frozen=True)
class OrderBatch:
    """Checked orders as arrays, in the order given, shape (m,) each.

    Attributes
    ----------
    session
        Sessions, midnight without a zone.
    side
        +1 long, −1 short.
    entry, stop, target
        Prices in ticks; entry is 0 for a market order, target ``side × NO_TARGET`` where there is none.
    quantity
        Fixed contracts; 0 where the sizing rule decides.
    risk
        Fraction of equity at risk.
    contract
        Contract the order is meant for; None where it names none. None for all if there is no such column.
    kinds
        What the columns of §6a say; None where all are brackets.
    """

    session: pd.DatetimeIndex
    side: NDArray[np.int64]
    entry: NDArray[np.int64]
    stop: NDArray[np.int64]
    target: NDArray[np.int64]
    quantity: NDArray[np.int64]
    risk: NDArray[np.float64]
    contract: NDArray[np.object_] | None
    kinds: OrderKinds | None = None


def read_orders(orders: pd.DataFrame, instrument: Instrument, account: Account) -> OrderBatch:
    """Check orders and turn them into arrays.

    Parameters
    ----------
    orders
        Columns session (date, text or timestamp), side (+1, −1), entry (empty for a market order), stop (prices);
        optional target (price), quantity (contracts; empty means the sizing rule), contract, volatility (annualised),
        which ``account.volatility_target`` needs, and those of the contract's §6a (``docs/fills.md``).
    instrument, account
        Whose tick and whose risk.

    Raises
    ------
    DataError
        For a missing column or an impossible value: names the row's label and the value.
    ConfigurationError
        If ``volatility_target`` is set and the orders carry no volatility.
    """
    orders = _with_columns(orders)
    types, prices = read_types(orders), {name: numbers(orders, name) for name in ("entry", "stop", "target")}
    for fault in type_faults(types, ~np.isnan(prices["entry"])):
        refuse(orders, fault)
    side = numbers(orders, "side")
    entry, stop, target = (_ticks(orders, name, values, instrument) for name, values in prices.items())
    for fault in price_faults(side, entry, stop, target):
        refuse(orders, fault)
    sessions, sides = session_dates(orders), side.astype(np.int64)
    return OrderBatch(
        session=sessions,
        side=sides,
        entry=np.where(entry == NO_PRICE, 0, entry),
        stop=stop,
        target=np.where(target == NO_PRICE, sides * NO_TARGET, target),
        quantity=read_quantity(orders),
        risk=_risk(orders, account),
        contract=_contracts(orders),
        kinds=read_kinds(orders, types, sessions, instrument),
    )


def _with_columns(orders: pd.DataFrame) -> pd.DataFrame:
    """Orders with every column that all orders have; what only some need may be missing."""
    if not orders.columns.is_unique:
        for name in orders.columns[orders.columns.duplicated() & orders.columns.isin(ORDER_COLUMNS)]:
            raise DataError(f"orders have two columns {name}; leave one of them out")
    if not len(orders):
        return orders.reindex(columns=[*orders.columns.union([*_REQUIRED, "target"], sort=False)])
    missing = [name for name in _REQUIRED if name not in orders.columns]
    if missing == ["entry"] and (read_types(orders) == MARKET).all():
        missing = []
    if missing:
        raise DataError(
            f"orders have no column {', '.join(missing)}; they need {', '.join(_REQUIRED)} and may have more, and have "
            f"{', '.join(str(name) for name in orders.columns) or 'none'}"
        )
    absent = {name: np.nan for name in ("entry", "target") if name not in orders.columns}
    return orders.assign(**absent) if absent else orders


def _ticks(orders: pd.DataFrame, name: str, prices: NDArray[np.float64], instrument: Instrument) -> NDArray[np.int64]:
    """Prices in ticks, ``NO_PRICE`` where a cell is empty."""
    empty = np.isnan(prices)
    known = np.where(empty, 0.0, prices)
    refuse(orders, Fault(name, np.abs(known) > MOST_TICKS * instrument.tick_size, "give a price"))
    ticks = instrument.to_ticks(known)
    if not np.array_equal(instrument.to_prices(ticks), known):
        advice = f"round it to {instrument.symbol}'s tick of {instrument.tick_size:g}"
        refuse(orders, Fault(name, instrument.off_tick(known), advice))
    return np.where(empty, NO_PRICE, ticks)


def _risk(orders: pd.DataFrame, account: Account) -> NDArray[np.float64]:
    if account.volatility_target is None:
        return np.full(len(orders), account.risk_per_trade)
    if "volatility" not in orders.columns and len(orders):
        raise ConfigurationError(
            f"account setting volatility_target is {account.volatility_target:g}, but the orders have no column "
            "volatility; add it (annualised, 0.15 is 15 %) or leave the setting out"
        )
    if not len(orders):
        return np.empty(0)
    volatility = numbers(orders, "volatility")
    wrong = ~(np.isfinite(volatility) & (volatility > 0))
    refuse(orders, Fault("volatility", wrong, "give an annualised volatility above 0"))
    return account.risk_per_trade * np.minimum(1.0, account.volatility_target / volatility)


def _contracts(orders: pd.DataFrame) -> NDArray[np.object_] | None:
    if "contract" not in orders.columns:
        return None
    codes, names = words(orders, "contract")
    # Names as those of the bars, see require_bars; whole numbers beside an empty cell arrive as floats.
    return np.array([*pd.Series(names, dtype=object).convert_dtypes().astype("str"), None], object)[codes]


def refuse_repeated(orders: pd.DataFrame) -> None:
    """Raise OrderError for an order that stands there twice: pasted or made twice, for a larger one has a quantity."""
    repeated = orders[[name for name in orders.columns if name in ORDER_COLUMNS]].duplicated().to_numpy()
    advice = "the same order stands in an earlier row; leave it out, or give a quantity"
    refuse(orders, Fault("session", repeated, advice))
