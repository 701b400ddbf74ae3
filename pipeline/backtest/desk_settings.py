"""Settings of a desk, an account that trades several books at once, and the books it is given."""

from dataclasses import dataclass
from typing import ClassVar, Self

import pandas as pd
from pydantic import Field, model_validator

from pipeline.backtest.account import Account, ClockTime, MarginRule
from pipeline.backtest.prepared import PreparedBars
from pipeline.frozen_settings import FrozenSettings
from pipeline.market import Hours, Instrument

__all__ = ["BookOrders", "Desk", "DeskGroup"]

_MANY = 1_000_000_000


class DeskGroup(FrozenSettings):
    """Books that tend to win and lose together, and what they may hold at once.

    Parameters
    ----------
    books
        Names of its books; a book may be in several groups.
    max_positions
        Positions its books hold at once; None for no cap.
    max_risk
        Fraction of equity its open positions may put at risk, counted as ``Desk.total_risk``; None for no cap.
    """

    called: ClassVar[str] = "group setting"

    books: tuple[str, ...] = Field(min_length=1)
    max_positions: int | None = Field(default=None, ge=1, le=_MANY)
    max_risk: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if len(set(self.books)) < len(self.books):
            raise ValueError(f"books of a group has a name twice: {', '.join(self.books)}; leave one of them out")
        if self.max_positions is None and self.max_risk is None:
            raise ValueError(
                f"the group of {', '.join(self.books)} has no limit; give it max_positions or max_risk, or leave it out"
            )
        return self


class Desk(FrozenSettings):
    """Settings of a desk; frozen and validated (contract §6b).

    Parameters
    ----------
    initial_capital, risk_per_trade, volatility_target
        As of :class:`~pipeline.backtest.account.Account`.
    slippage_ticks, trade_through_ticks, hold_overnight, entry_cutoff
        As of ``Account``. The cut-off is a clock time in the zone of each instrument.
    margin_day, margin_overnight
        As of ``Account``, for all books; None for each instrument's own rates. A table of dollars per contract
        suits one instrument only; give it with the book.
    currency
        Of the account. All books' instruments are quoted in it.
    max_positions
        Positions held at once, by all books together; None for what the books allow.
    max_contracts
        Contracts held at once, by all books together; None for no cap. The sizing rule is cut to what is left;
        an order's own quantity is taken whole or not at all.
    total_risk
        Fraction of equity that all open positions together may put at risk; None for no cap. A position's risk is what
        it loses at its stop as it lies now, by the prices its size was planned with, commissions included, and never
        less than zero.
    groups
        Caps on correlated books, by name.

    Raises
    ------
    ConfigurationError
        For an impossible or unknown setting, and for limits that contradict each other.
    """

    called: ClassVar[str] = "desk setting"

    initial_capital: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    risk_per_trade: float = Field(default=0.01, gt=0, le=1)
    slippage_ticks: int = Field(default=1, ge=0, le=_MANY)
    trade_through_ticks: int = Field(default=1, ge=0, le=_MANY)
    hold_overnight: bool = False
    entry_cutoff: ClockTime = None
    volatility_target: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    margin_day: MarginRule | None = None
    margin_overnight: MarginRule | None = None
    currency: str = Field(default="$", min_length=1)
    max_positions: int | None = Field(default=None, ge=1, le=_MANY)
    max_contracts: int | None = Field(default=None, ge=1, le=_MANY)
    total_risk: float | None = Field(default=None, gt=0, le=1)
    groups: dict[str, DeskGroup] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.total_risk is not None and self.total_risk < self.risk_per_trade:
            raise ValueError(
                f"total_risk is {self.total_risk:g}, less than the {self.risk_per_trade:g} that risk_per_trade puts on "
                "one position; raise it or lower risk_per_trade"
            )
        for name, group in self.groups.items():
            for setting, limit, own in (
                ("max_positions", self.max_positions, group.max_positions),
                ("total_risk", self.total_risk, group.max_risk),
            ):
                if limit is not None and own is not None and own > limit:
                    raise ValueError(
                        f"group {name} allows {own:g}, more than the {limit:g} that {setting} allows the whole desk; "
                        "lower the one or raise the other"
                    )
            if group.max_risk is not None and group.max_risk < self.risk_per_trade:
                raise ValueError(
                    f"max_risk of group {name} is {group.max_risk:g}, less than the {self.risk_per_trade:g} that "
                    "risk_per_trade puts on one position; raise it or lower risk_per_trade"
                )
        return self

    def account_of(self, book: "BookOrders") -> Account:
        """Return the account that ``simulate`` runs the book on to give what a desk of this book alone gives."""
        own, rule = book.instrument, self.margin_day if book.margin_day is None else book.margin_day
        night = self.margin_overnight if book.margin_overnight is None else book.margin_overnight
        return Account(
            initial_capital=self.initial_capital,
            risk_per_trade=self.risk_per_trade,
            max_contracts=book.max_contracts,
            max_positions=book.max_positions,
            slippage_ticks=self.slippage_ticks,
            trade_through_ticks=self.trade_through_ticks,
            hold_overnight=self.hold_overnight,
            entry_cutoff=self.entry_cutoff,
            margin_day=own.margin_day if rule is None else rule,
            margin_overnight=own.margin_overnight if night is None else night,
            volatility_target=self.volatility_target,
        )


@dataclass(frozen=True)
class BookOrders:
    """The orders of one book and the bars they trade on.

    Attributes
    ----------
    name
        Of the book.
    instrument, bars, orders, hours, intrabar_bars
        As of :func:`~pipeline.backtest.engine.simulate`.
    max_positions
        Positions the book holds at once. With 1, no new entry of the book works while it holds a position; with more,
        one side's target may be the other side's entry.
    max_contracts
        Cap on the size the sizing rule gives a position; None for no cap. An order's own quantity is not capped.
    margin_day, margin_overnight
        As of ``Account``, for this book; None for the desk's.
    """

    name: str
    instrument: Instrument
    bars: pd.DataFrame | PreparedBars
    orders: pd.DataFrame
    hours: Hours = "rth"
    max_positions: int = 1
    max_contracts: int | None = None
    margin_day: MarginRule | None = None
    margin_overnight: MarginRule | None = None
    intrabar_bars: pd.DataFrame | None = None
