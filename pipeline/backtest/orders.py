"""Reading a user's orders: every row checked, prices as ticks, dates as sessions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.account import Account
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument

__all__ = ["OrderBatch", "OrderError", "read_orders"]

_REQUIRED = ("session", "side", "entry", "stop", "target")


class OrderError(DataError):
    """An order that can't be.

    Attributes
    ----------
    row
        Its position among the orders, from 0.
    reason
        What is wrong with it.
    """

    def __init__(self, row: int, label: object, reason: str) -> None:
        super().__init__(f"orders row {label}: {reason}")
        self.row, self.reason = row, reason


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
        Prices in ticks.
    quantity
        Fixed contracts; 0 where the sizing rule decides.
    risk
        Fraction of equity at risk.
    contract
        Contract the order is meant for; None where it names none. None for all if there is no such column.
    """

    session: pd.DatetimeIndex
    side: NDArray[np.int64]
    entry: NDArray[np.int64]
    stop: NDArray[np.int64]
    target: NDArray[np.int64]
    quantity: NDArray[np.int64]
    risk: NDArray[np.float64]
    contract: NDArray[np.object_] | None


def read_orders(orders: pd.DataFrame, instrument: Instrument, account: Account) -> OrderBatch:
    """Check orders and turn them into arrays.

    Parameters
    ----------
    orders
        Columns session (date, text or timestamp), side (+1, −1), entry, stop, target (prices); optional
        quantity (contracts; empty means the sizing rule), contract, and volatility (annualised), which
        ``account.volatility_target`` needs.
    instrument, account
        Whose tick and whose risk.

    Raises
    ------
    DataError
        For a missing column or an impossible value: names the row's label and the value.
    ConfigurationError
        If ``volatility_target`` is set and the orders carry no volatility.
    """
    missing = [name for name in _REQUIRED if name not in orders.columns]
    if missing and len(orders):
        raise DataError(
            f"orders have no column {', '.join(missing)}; they need {', '.join(_REQUIRED)}, and have "
            f"{', '.join(str(name) for name in orders.columns) or 'none'}"
        )
    if missing:
        orders = orders.reindex(columns=list(_REQUIRED))
    side = _numbers(orders, "side")
    _refuse(orders, "side", ~np.isin(side, (1, -1)), "give 1 for a long or -1 for a short")
    long = side > 0
    ticks = {}
    for name in ("entry", "stop", "target"):
        prices = _numbers(orders, name)
        _refuse(orders, name, ~np.isfinite(prices), "give a price")
        off = instrument.off_tick(prices)
        _refuse(orders, name, off, f"round it to {instrument.symbol}'s tick of {instrument.tick_size:g}")
        ticks[name] = instrument.to_ticks(prices)
    entry, stop, target = ticks["entry"], ticks["stop"], ticks["target"]
    wrong = np.where(long, stop >= entry, stop <= entry)
    _refuse(orders, "stop", wrong, "it must be below the entry of a long, above that of a short", beside="entry")
    wrong = np.where(long, target <= entry, target >= entry)
    _refuse(orders, "target", wrong, "it must be above the entry of a long, below that of a short", beside="entry")
    return OrderBatch(
        session=_sessions(orders),
        side=side.astype(np.int64),
        entry=entry,
        stop=stop,
        target=target,
        quantity=_quantities(orders),
        risk=_risk(orders, account),
        contract=_contracts(orders),
    )


def _numbers(orders: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return pd.to_numeric(orders[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _refuse(orders: pd.DataFrame, name: str, wrong: NDArray[np.bool_], advice: str, beside: str | None = None) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    label, value = orders.index[row], orders[name].iloc[row]
    context = f" with {beside} {orders[beside].iloc[row]}" if beside else ""
    raise OrderError(row, label, f"{name} is {value}{context}; {advice}")


def _sessions(orders: pd.DataFrame) -> pd.DatetimeIndex:
    column = orders["session"]
    if column.dtype == object or pd.api.types.is_numeric_dtype(column.dtype):
        # A number would be read as nanoseconds since 1970, and the order would end as one without bars.
        numbers = np.array([isinstance(value, int | float | np.number) for value in column], dtype=bool)
        _refuse(orders, "session", numbers, "give the trade date as a date or text, e.g. 2021-03-15")
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(column))
    except (ValueError, TypeError, OverflowError):
        # Only to find the row: mixed forms, and what is not a date at all.
        dates = pd.DatetimeIndex([_date(value) for value in column])
    if dates.tz is not None:
        dates = dates.tz_localize(None)  # the wall clock's date is the one written
    _refuse(orders, "session", np.asarray(dates.isna()), "give the trade date, e.g. 2021-03-15")
    return dates.normalize().as_unit("ns")


def _date(value: object) -> pd.Timestamp:
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError, OverflowError):
        return pd.NaT
    return stamp.tz_localize(None) if stamp is not pd.NaT else stamp


def _quantities(orders: pd.DataFrame) -> NDArray[np.int64]:
    if "quantity" not in orders.columns:
        return np.zeros(len(orders), np.int64)
    given = orders["quantity"].notna().to_numpy()
    values = _numbers(orders, "quantity")
    whole = np.isfinite(values) & (values >= 1) & (values == np.floor(values)) & (values < 2**31)
    _refuse(orders, "quantity", given & ~whole, "give a whole number of contracts, 1 or more, or leave it empty")
    return np.where(given, values, 0).astype(np.int64)


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
    volatility = _numbers(orders, "volatility")
    wrong = ~(np.isfinite(volatility) & (volatility > 0))
    _refuse(orders, "volatility", wrong, "give an annualised volatility above 0")
    return account.risk_per_trade * np.minimum(1.0, account.volatility_target / volatility)


def _contracts(orders: pd.DataFrame) -> NDArray[np.object_] | None:
    if "contract" not in orders.columns:
        return None
    column = orders["contract"]
    # Names as those of the bars, see require_bars; whole numbers beside an empty cell arrive as floats.
    return column.convert_dtypes().astype("str").astype(object).where(column.notna(), None).to_numpy()
