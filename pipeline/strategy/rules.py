"""Trading rules: a strategy with its parameters, and the session history it is run on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pipeline.errors import ConfigurationError, DataError, did_you_mean
from pipeline.frozen_settings import SettingError
from pipeline.search_space import Real, SearchSpace
from pipeline.strategy.protocol import Strategy
from pipeline.strategy.registry import find_strategy, make_strategy, strategies, strategy_code, strategy_place
from pipeline.strategy.settings import HistorySettings

__all__ = ["DEFAULT_STRATEGY", "SCORE_SPACE", "TradingRules"]

DEFAULT_STRATEGY = "value_area_fade"
SCORE_SPACE = SearchSpace({"models.threshold": Real(0.3, 0.6)})
"""What comes on top where a model's scores say which candidates are traded."""

_NAME = "name"


@dataclass(frozen=True)
class TradingRules:
    """Everything that decides the candidates and signals of a symbol's bars.

    Attributes
    ----------
    history
        Settings of profiles and session history.
    strategy
        With its parameters.
    """

    history: HistorySettings = field(default_factory=HistorySettings)
    strategy: Strategy = field(default_factory=lambda: find_strategy(DEFAULT_STRATEGY))

    def __reduce__(self) -> Any:
        # Another process finds the strategy in its own registry: a user's file is no module that it could import.
        name = self.strategy.name
        if strategies().get(name) is type(self.strategy):
            return _found_again, (self.history, name, self.strategy.parameters.model_dump())
        if place := strategy_place(name):
            raise DataError(f"{place} has changed since this began: run it again")
        return super().__reduce__()

    @classmethod
    def of(cls, name: str = DEFAULT_STRATEGY, /, **values: Any) -> Self:
        """Take settings of the history and parameters of the strategy, each by its own name."""
        return cls(strategy=find_strategy(name)).changed(values)

    def changed(self, values: Mapping[str, Any], *, history: bool = True) -> Self:
        """Return the rules with some settings of the history or parameters of the strategy changed.

        ``name`` is the strategy; where it is another one, all its parameters are its defaults or given here.

        Parameters
        ----------
        values
            By name.
        history
            Whether settings of the history may be among them.

        Raises
        ------
        SettingError
            For an unknown or impossible setting: names it.
        """
        if not values:
            return self
        name = values.get(_NAME, self.strategy.name)
        try:
            known = find_strategy(name).Parameters.model_fields
        except ConfigurationError as error:
            raise SettingError("", (_NAME,), "", str(error)) from error
        kept = self.strategy.parameters.model_dump() if name == self.strategy.name else {}
        names = [*known, *(HistorySettings.model_fields if history else ())]
        for given in values:
            if given not in names and given != _NAME:
                choices = f"choose from {', '.join(names)}{did_you_mean(given, names)}"
                raise SettingError("strategy setting", (given,), "is unknown; ", choices)
        shared = {each: value for each, value in values.items() if each in HistorySettings.model_fields}
        own = {each: value for each, value in values.items() if each in known}
        return replace(
            self,
            history=HistorySettings(**{**self.history.model_dump(), **shared}) if shared else self.history,
            strategy=make_strategy(name, {**kept, **own}) if own or name != self.strategy.name else self.strategy,
        )

    @property
    def flat(self) -> dict[str, Any]:
        """Every setting by its name, as JSON has it; a strategy that is not the default one with name and code."""
        own = self.strategy.parameters.model_dump(mode="json")
        found = {**self.history.model_dump(mode="json"), **own}
        if self.strategy.name != DEFAULT_STRATEGY:
            found[_NAME] = self.strategy.name
            if code := strategy_code(self.strategy.name):
                found["code"] = code
        return found

    @property
    def candidate_settings(self) -> dict[str, Any]:
        """Those of :attr:`flat` that candidates depend on: all but what only the gates look at."""
        return {name: value for name, value in self.flat.items() if name not in self.strategy.gate_parameters}

    def scored_space(self, *, require_rules: bool = False) -> SearchSpace:
        """Return the strategy's space and the threshold where scores decide; the gates' only where these count."""
        space, gates = self.strategy.space, self.strategy.gate_parameters
        own = {name: space[name] for name in space if require_rules or name not in gates}
        return SearchSpace({**own, **SCORE_SPACE})


def _found_again(history: HistorySettings, name: str, parameters: Mapping[str, Any]) -> TradingRules:
    return TradingRules(history, make_strategy(name, parameters))
