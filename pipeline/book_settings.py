"""Settings of books, and of the desk that trades several of them on one account (contract §6b)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from pipeline.backtest import Desk, DeskGroup
from pipeline.backtest.account import MarginRule
from pipeline.frozen_settings import FrozenSettings, SettingError
from pipeline.strategy import HistorySettings, TradingRules

__all__ = ["DESK", "BookSettings", "DeskSettings"]

DESK = "desk"
"""How the desk's results are called among those of books."""


class BookSettings(FrozenSettings):
    """A book: a name for a symbol, a strategy with its settings, and, or not, a model that filters it (contract §6b).

    Attributes
    ----------
    symbol
        Key of its bars, ``ES`` or ``ES-SIM``.
    strategy
        Name and parameters, or what differs from the settings' ``strategy`` where no other is named.
    model
        Family whose signals it trades; it is trained for the book. None for the rule signals alone.
    max_positions, max_contracts, margin_day, margin_overnight
        Of the book on a desk; by default the account's. See :class:`pipeline.backtest.Desk`.
    """

    called: ClassVar[str] = "book setting"

    symbol: str = Field(min_length=1)
    strategy: dict[str, Any] = Field(default_factory=dict)
    model: str | None = None
    max_positions: int | None = Field(default=None, ge=1)
    max_contracts: int | None = Field(default=None, ge=1)
    margin_day: MarginRule | None = None
    margin_overnight: MarginRule | None = None

    @field_validator("strategy", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if given is not None and not isinstance(given, Mapping):
            raise SettingError("", (), f"is {given!r}; ", "give its name, or a mapping of name and parameters")
        return given or {}

    @field_validator("strategy")
    @classmethod
    def _of_the_book(cls, given: dict[str, Any]) -> dict[str, Any]:
        if shared := sorted(set(given) & set(HistorySettings.model_fields)):
            raise SettingError(
                "", (shared[0],), "is a setting of the history, ", "which all books of a symbol share; set it there"
            )
        return given

    @property
    def names_strategy(self) -> bool:
        """Return True if it names a strategy of its own."""
        return "name" in self.strategy

    def rules(self, rules: TradingRules) -> TradingRules:
        """Return these rules with the book's strategy; a SettingError for one, or a parameter, that there is not."""
        return rules.changed(self.strategy, history=False)


class DeskSettings(FrozenSettings):
    """Settings of the desk: an account that trades several books at once; money and risk are the account's.

    Attributes
    ----------
    books
        Names of books, in the order in which they enter at one instant; by default all of the settings' ``books``. A
        symbol's own book may stand here too.
    max_positions, max_contracts, total_risk, groups
        As of :class:`pipeline.backtest.Desk`.
    """

    called: ClassVar[str] = "desk setting"

    books: tuple[str, ...] = ()
    max_positions: int | None = Field(default=None, ge=1)
    max_contracts: int | None = Field(default=None, ge=1)
    total_risk: float | None = Field(default=None, gt=0, le=1)
    groups: dict[str, DeskGroup] = Field(default_factory=dict)

    @field_validator("books")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"books of the desk repeats a name: {', '.join(names)}; list each once")
        return names

    def desk(self, account: Mapping[str, Any], currency: str) -> Desk:
        """Return the desk under the settings of an account, those of one instrument's margin left to each book.

        Raises
        ------
        ConfigurationError
            For limits that contradict each other.
        """
        limits = {name: getattr(self, name) for name in ("max_positions", "max_contracts", "total_risk", "groups")}
        shared = {name: value for name, value in account.items() if name in Desk.model_fields and name not in limits}
        return Desk(**{**shared, **limits, "currency": currency})
