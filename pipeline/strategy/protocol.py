"""The protocol of every strategy: what it declares, and one function from what it may see to orders."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from pipeline.frozen_settings import FrozenSettings
from pipeline.search_space import SearchSpace
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.null_market import null_history
from pipeline.strategy.pass_rates import pass_rates_of
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import HistorySettings
from pipeline.strategy.setups import Setups

__all__ = ["Strategy", "StrategyParameters"]


class StrategyParameters(FrozenSettings):
    """Base of each strategy's parameters: frozen, and an unknown name is an error."""

    called: ClassVar[str] = "strategy setting"


class Strategy(ABC):
    """Rules that say, for each session, which orders they want (contract §11).

    A strategy is one file with one class, in ``pipeline/strategies`` or in the user's ``strategies`` folder. Nothing
    else knows which strategy it is.

    Parameters
    ----------
    parameters
        The strategy's own, or a mapping of those that differ from the defaults.

    Attributes
    ----------
    name
        By which settings and commands call it: lower case and underscores.
    title
        Shown in reports.
    description
        One paragraph: what it trades, and why that might work.
    source
        The book or paper it is from.
    Parameters : type
        Model of its parameters.
    space
        What tuning may search: its parameters, names of :class:`~pipeline.strategy.HistorySettings`, and
        ``account.entry_cutoff``.
    gates
        Title of each gate, by its column.
    gate_parameters
        Parameters that only the gates look at: no candidate, feature or label depends on them.
    chance
        What the null pass rates come from, in words.
    baseline
        Name of the backtest of every setup, whatever its gates say.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    source: ClassVar[str]
    Parameters: ClassVar[type[StrategyParameters]]
    space: ClassVar[SearchSpace] = SearchSpace({})
    gates: ClassVar[Mapping[str, str]] = {}
    gate_parameters: ClassVar[frozenset[str]] = frozenset()
    chance: ClassVar[str] = "A simulated market without an edge"
    baseline: ClassVar[str] = "All candidates"

    def __init__(self, parameters: StrategyParameters | Mapping[str, Any] | None = None) -> None:
        own = parameters if isinstance(parameters, StrategyParameters) else self.Parameters(**(parameters or {}))
        self.parameters: Any = own

    def decision_minutes(self) -> tuple[int, ...]:
        """Return when it decides, in minutes after the open of the session's hours, rising; none: before it opens."""
        return ()

    @abstractmethod
    def setups(self, seen: Seen) -> Setups:
        """Return every setup, those that the gates turn away too.

        Parameters
        ----------
        seen
            What may be known; row t at the close of session t. Where the strategy has decision minutes, it is called
            for each of them, with the bars complete by then as ``seen.today``.
        """

    def pass_rates(self, seen: Seen) -> pd.DataFrame:
        """Share of setups that pass each gate, by side, to set beside :meth:`null_rates`.

        Returns
        -------
        DataFrame
            Indexed by ``gate``: ``<gate>_long``, ``<gate>_short``, …, ``rule_signal_long``, ``rule_signal_short``;
            columns ``pass_rate``, ``standard_error`` (binomial, as if setups were independent), ``decisions``.
        """
        return pass_rates_of(checked_setups(self, seen))

    def null_rates(self, settings: HistorySettings, *, seed: int = 0) -> pd.DataFrame:
        """Share of setups that pass each gate where there is nothing to find (contract §5).

        By default on the simulated market without an edge (contract §9), ES's, 2,520 sessions.

        Returns
        -------
        DataFrame
            As :meth:`pass_rates`, with ``paths`` in place of ``decisions``.
        """
        return self.pass_rates(null_history(settings, seed)).rename(columns={"decisions": "paths"})

    def titles(self) -> Mapping[str, str]:
        """Title of each row of :meth:`pass_rates`."""
        names = {**self.gates, "rule_signal": "rule signal"}
        return {f"{name}_{side}": f"{title}, {side}" for name, title in names.items() for side in ("long", "short")}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and type(self) is type(other) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((type(self), self.parameters.model_dump_json()))
