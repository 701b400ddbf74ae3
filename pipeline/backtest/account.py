"""The account: capital, risk, position limits, margin and the assumptions fills are made under."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import FrozenSettings
from pipeline.market import Instrument

__all__ = ["Account", "ClockTime", "MarginRule", "margin_per_session"]

_MANY = 1_000_000_000  # beyond any sense, and far from the end of 64 bits

MarginTable = dict[dt.date, float]


def _margin(value: object) -> object:
    # One reading for both forms, so that a mistake gives one message and not one per form.
    if isinstance(value, Mapping):
        table = {_date(day): _amount(amount) for day, amount in value.items()}
        if not table:
            raise ValueError("a dated margin table needs at least one date")
        return dict(sorted(table.items()))
    rate = _amount(value)
    if rate > 1:
        raise ValueError("a margin rate is a fraction of notional, at most 1; dollars per contract go in a dated table")
    return rate


def _date(value: object) -> dt.date:
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{value!r} is not a date") from error
    if stamp is pd.NaT:
        raise ValueError(f"{value!r} is not a date")
    return stamp.date()


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError("give a fraction of notional, or a table {date: dollars per contract}")
    if not 0 < value < float("inf"):
        raise ValueError("a margin must be positive and finite")
    return float(value)


def _clock(value: object) -> object:
    if value is not None and not isinstance(value, str | dt.time):
        raise ValueError("give a local clock time such as '14:00'")
    return value


def _without_zone(value: dt.time | None) -> dt.time | None:
    if value is not None and value.tzinfo is not None:
        raise ValueError("give the clock time without a zone; the instrument's zone is meant")
    return value


MarginRule = Annotated[float | MarginTable, BeforeValidator(_margin)]
ClockTime = Annotated[dt.time | None, BeforeValidator(_clock), AfterValidator(_without_zone)]


class Account(FrozenSettings):
    """Settings of a backtest's account; frozen and validated (contract §6 and §10).

    Parameters
    ----------
    initial_capital
        Money at the start, in the instrument's quote currency.
    risk_per_trade
        Fraction of equity lost if the stop is hit, which sets the size.
    max_contracts
        Cap on the size the sizing rule gives; None for no cap. A fixed ``quantity`` is not capped.
    max_positions
        Positions held at once.
    slippage_ticks
        Ticks against the trader on stops, closes and liquidations; limit fills pay none.
    trade_through_ticks
        Ticks the price must go beyond a limit (entry and target alike) inside a bar; 0 fills on a touch.
    hold_overnight
        Whether positions are carried past the session's last bar, with stop and target live.
    entry_cutoff
        Local clock time in the instrument's zone ("HH:MM" or ``datetime.time``); bars opening at or after it
        can't enter.
    margin_day, margin_overnight
        Fraction of notional, or a table ``{date: dollars per contract}``, each amount from its date on.
        It is the margin a position needs to be opened (overnight, where positions are held overnight) and
        the maintenance margin it needs to stay.
    volatility_target
        Annualised volatility (0.15 is 15 %) above which the risk is scaled down by ``target / volatility``;
        needs the column ``volatility`` in the orders. None for no scaling.

    Raises
    ------
    ConfigurationError
        For an impossible or unknown setting: names it and its value.
    """

    called: ClassVar[str] = "account setting"

    initial_capital: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    risk_per_trade: float = Field(default=0.01, gt=0, le=1)
    max_contracts: int | None = Field(default=None, ge=1, le=_MANY)
    max_positions: int = Field(default=1, ge=1, le=_MANY)
    slippage_ticks: int = Field(default=1, ge=0, le=_MANY)
    trade_through_ticks: int = Field(default=1, ge=0, le=_MANY)
    hold_overnight: bool = False
    entry_cutoff: ClockTime = None
    margin_day: MarginRule = 0.10
    margin_overnight: MarginRule = 0.15
    volatility_target: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    def __init__(
        self,
        /,
        initial_capital: float = 100_000.0,
        risk_per_trade: float = 0.01,
        max_contracts: int | None = None,
        max_positions: int = 1,
        slippage_ticks: int = 1,
        trade_through_ticks: int = 1,
        hold_overnight: bool = False,
        entry_cutoff: dt.time | str | None = None,
        margin_day: float | Mapping[Any, float] = 0.10,
        margin_overnight: float | Mapping[Any, float] = 0.15,
        *,
        volatility_target: float | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            initial_capital=initial_capital,
            risk_per_trade=risk_per_trade,
            max_contracts=max_contracts,
            max_positions=max_positions,
            slippage_ticks=slippage_ticks,
            trade_through_ticks=trade_through_ticks,
            hold_overnight=hold_overnight,
            entry_cutoff=entry_cutoff,
            margin_day=margin_day,
            margin_overnight=margin_overnight,
            volatility_target=volatility_target,
            **unknown,
        )

    @classmethod
    def for_instrument(cls, instrument: Instrument, **settings: Any) -> Self:
        """Account whose margin rates are the instrument's own, where ``settings`` say nothing else."""
        own = {"margin_day": instrument.margin_day, "margin_overnight": instrument.margin_overnight}
        return cls(**{**own, **settings})


def margin_per_session(
    rule: float | MarginTable, sessions: pd.DatetimeIndex, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A margin rule as numbers per session: a position of q contracts needs ``q × (amount + rate × notional)``.

    Parameters
    ----------
    rule
        Fraction of notional, or dollars per contract by date.
    sessions
        Ascending sessions, shape (n,).
    name
        The setting's name, for the error.

    Returns
    -------
    rate, amount
        Shape (n,) each; one of the two is zero throughout.

    Raises
    ------
    ConfigurationError
        If a session lies before the table's first date.
    """
    if not isinstance(rule, dict):
        return np.full(len(sessions), rule), np.zeros(len(sessions))
    dates = pd.DatetimeIndex(list(rule)).as_unit("ns")
    row = np.searchsorted(dates.asi8, sessions.as_unit("ns").asi8, side="right") - 1
    if len(row) and row[0] < 0:
        raise ConfigurationError(
            f"account setting {name} is a table that starts on {dates[0].date()}, after session {sessions[0].date()}; "
            "add the margin from an earlier date"
        )
    return np.zeros(len(sessions)), np.array(list(rule.values()))[row]
