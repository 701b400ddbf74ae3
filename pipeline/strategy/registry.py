"""The strategies there are: those in the box, and the user's own in ``$VPOC_HOME/strategies``."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigurationError, did_you_mean
from pipeline.home import vpoc_home
from pipeline.plugins import Fault, Plugins, find_plugins
from pipeline.strategy.order_columns import CANDIDATE_COLUMNS
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import HistorySettings
from pipeline.strategy.setups import Setups

__all__ = [
    "UnusableStrategy",
    "find_strategy",
    "make_strategy",
    "strategies",
    "strategy_code",
    "strategy_faults",
    "strategy_place",
    "why_unusable",
]

_PACKAGE = "pipeline.strategies"
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
# Columns of candidates, orders and signals that no gate may be called.
_TAKEN = CANDIDATE_COLUMNS | {
    *("model_signal", "score", "threshold", "fold", "origin", "status", "reason", "order"),
    *("label", "weight", "start", "end", "net", "r_multiple"),
}


class UnusableStrategy(Strategy):
    """Place of a strategy whose file can't be used: settings that name it load, and whatever needs it says why.

    So a faulty file stops the books that trade it, and neither bars nor profiles nor other books.
    """

    def __init__(self, name: str, why: str) -> None:
        self.__dict__ |= {"name": name, "why": why}

    def __getattribute__(self, attribute: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if attribute in own or attribute.startswith("__"):
            return object.__getattribute__(self, attribute)
        raise ConfigurationError(own["why"])

    def setups(self, seen: Seen) -> Setups:
        """Raise the ConfigurationError that says why there are none."""
        raise ConfigurationError(self.why)


def require_name(name: Any) -> None:
    """Raise a ConfigurationError for a name that no strategy can have."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"a strategy can't have the name {name!r}: give 2 to 40 small letters, digits and underscores, a letter "
            "first"
        )


def strategies() -> Mapping[str, type[Strategy]]:
    """Every strategy that can be used, by name, sorted."""
    return _plugins().by_name


def strategy_faults() -> tuple[Fault, ...]:
    """The user's files of strategies that can't be used, and why."""
    return _plugins().faults


def strategy_place(name: str) -> str:
    """Return the user's file that a strategy is in; empty for one in the box."""
    place = _plugins().places.get(name)
    return "" if place is None else str(place)


def strategy_code(name: str) -> str:
    """Return a hash of the user's file that a strategy is in; empty for one in the box."""
    place = _plugins().places.get(name)
    return "" if place is None else hashlib.sha256(place.read_bytes()).hexdigest()[:12]


def why_unusable(name: str) -> str:
    """Say what is wrong with the user's file that should hold a strategy; empty where there is no such fault."""
    found = (fault for fault in strategy_faults() if fault.path.stem == name)
    return next((f"the strategy {name} can't be used: {fault.sentence}" for fault in found), "")


def find_strategy(name: str) -> Strategy:
    """Return the strategy of a name, with its default parameters.

    Raises
    ------
    ConfigurationError
        For none: lists those there are, and the fault of the file that should hold it.
    """
    return make_strategy(name)


def make_strategy(name: str, parameters: Mapping[str, Any] | StrategyParameters | None = None) -> Strategy:
    """Return the strategy of a name, with these parameters.

    Raises
    ------
    ConfigurationError
        As :func:`find_strategy`, and for an unknown or impossible parameter.
    """
    known = strategies()
    if name not in known:
        if why := why_unusable(name):
            raise ConfigurationError(why)
        raise ConfigurationError(
            f"there is no strategy {name!r}; choose from {', '.join(known)}{did_you_mean(name, known)}"
        )
    return known[name](parameters)


def _plugins() -> Plugins[Strategy]:
    return find_plugins(Strategy, _PACKAGE, vpoc_home().strategies, _check_declaration)  # type: ignore[type-abstract]


def _check_declaration(strategy: type[Strategy]) -> None:
    require_name(strategy.name)
    for what in ("title", "description", "source"):
        text = getattr(strategy, what, None)
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"{strategy.__name__} has no {what}; give it a text")
    parameters = getattr(strategy, "Parameters", None)
    if not (isinstance(parameters, type) and issubclass(parameters, StrategyParameters)):
        raise ConfigurationError(f"{strategy.__name__} has no Parameters; make it a subclass of StrategyParameters")
    own = set(parameters.model_fields)
    if shared := sorted(own & {*HistorySettings.model_fields, "name"}):
        raise ConfigurationError(
            f"the parameter {shared[0]} of {strategy.__name__} has the name of a setting of the history; rename it"
        )
    parameters()  # every parameter has a default
    known = {*own, *HistorySettings.model_fields, "account.entry_cutoff"}
    if strange := [each for each in strategy.space if each not in known]:
        raise ConfigurationError(
            f"the search space of {strategy.__name__} names {strange[0]}, which is no parameter; "
            f"choose from {', '.join(sorted(own)) or 'none'}{did_you_mean(strange[0], known)}"
        )
    if strange := [each for each in strategy.gate_parameters if each not in known]:
        raise ConfigurationError(
            f"gate_parameters of {strategy.__name__} names {strange[0]}, which is no parameter; "
            f"choose from {', '.join(sorted(own)) or 'none'}"
        )
    if bad := [gate for gate in strategy.gates if gate in _TAKEN or not gate.isidentifier()]:
        raise ConfigurationError(f"the gate {bad[0]!r} of {strategy.__name__} has the name of a column; rename it")
