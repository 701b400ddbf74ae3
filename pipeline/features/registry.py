"""The registry of features: a decorator, and everything that was declared with it.

A feature is a function from the inputs to one value per session, known at that session's close. Adding one is
writing it into a file of ``families/``; nothing else is touched.
"""

import hashlib
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.errors import ConfigurationError
from pipeline.home import vpoc_home
from pipeline.market import Instrument
from pipeline.plugins import Fault, user_modules
from pipeline.strategy import HistorySettings

if TYPE_CHECKING:
    from pipeline.features.inputs import FeatureInputs

__all__ = [
    "CANDIDATE_COLUMNS",
    "RESERVED_NAMES",
    "Feature",
    "FeatureRegistry",
    "feature",
    "feature_code",
    "feature_faults",
    "find_feature",
    "registered",
]

Compute = Callable[..., "pd.Series | np.ndarray"]
Warmup = int | Callable[..., int]

# What candidate_features adds for each candidate.
CANDIDATE_COLUMNS = ("candidate_reward_risk", "candidate_stop_ticks", "candidate_target_ticks")

_FAMILIES = "pipeline.features.families"
# The files that come with the program; a feature in any other is its user's.
_BUILT_IN = frozenset({"calendar", "market", "price", "profile", "statistics", "technical", "volatility", "volume"})

# Columns of candidates, orders, labels and training sets: a feature named like one would become it, or be taken for it.
RESERVED_NAMES = frozenset(
    {
        *("session", "decided_on", "side", "entry", "stop", "target", "contract", "quantity", "order", "timestamp"),
        *("stop_ticks", "target_ticks", "label", "start", "end", "weight", "sample_weight", "uniqueness", "horizon"),
        *("filled", "r_multiple", "net", "pnl", "status", "reason", "entry_time", "entry_price", "exit_time"),
        *("exit_price", "exit_reason", "commission", "ambiguous", "bars_held", "rule_signal", "fold", "score"),
        *("probability", "prediction", "symbol", "month"),
        *CANDIDATE_COLUMNS,
    }
)


@dataclass(frozen=True)
class Feature:
    """One column: a function with its arguments, and what is known about it.

    Attributes
    ----------
    name
        The column's: the function's name and the values of ``arguments``.
    family
        The chapter of the data dictionary.
    description
        One sentence: what, its unit, and what happens at a roll.
    compute_with
        The function; called with the inputs and the arguments.
    arguments
        Of this column, from ``over``.
    signed
        Whether its sign is a direction of the market: its side-aware form is then value × side.
    mirror
        The column that takes its place for a short, itself where there is none of its own.
    needs
        Inputs without which the feature is absent.
    """

    name: str
    family: str
    description: str
    compute_with: Compute
    arguments: Mapping[str, object]
    warmup: Warmup
    signed: bool
    mirror: str
    needs: tuple[str, ...]

    def __reduce__(self) -> Any:
        # Another process finds it in its own registry: a user's file is no module that it could import.
        if registered().get(self.name) is self:
            return find_feature, (self.name,)
        return super().__reduce__()

    @property
    def built_in(self) -> bool:
        """Return True if it comes with the program, rather than from a user's own file."""
        package, _, module = self.compute_with.__module__.rpartition(".")
        return package == _FAMILIES and module in _BUILT_IN

    @property
    def place(self) -> str:
        """Module and name of its function; of a user's own, file and line."""
        code = getattr(inspect.unwrap(self.compute_with), "__code__", None)
        if self.built_in or code is None:
            return f"{self.compute_with.__module__}.{self.compute_with.__name__}"
        return f"{code.co_filename}:{code.co_firstlineno}"

    def compute(self, inputs: "FeatureInputs") -> "pd.Series | np.ndarray":
        """The raw values, one a session of the inputs, before any check."""
        return self.compute_with(inputs, **self.arguments)

    def sessions_needed(self, instrument: Instrument, settings: HistorySettings | None = None) -> int:
        """Sessions of history, the current one included, from which on a value doesn't depend on where it starts."""
        if not callable(self.warmup):
            return self.warmup
        given = {**self.arguments, "instrument": instrument, "settings": settings or HistorySettings()}
        return self.warmup(**{name: given[name] for name in inspect.signature(self.warmup).parameters if name in given})


@dataclass
class FeatureRegistry:
    """Features by name. The project's own fills itself from ``families/``; tests make theirs."""

    features: dict[str, Feature] = field(default_factory=dict)

    def feature(
        self,
        *,
        family: str,
        warmup: Warmup,
        description: str,
        over: Mapping[str, Iterable[object]] | None = None,
        signed: bool = False,
        mirror: str | None = None,
        needs: Iterable[str] = (),
    ) -> Callable[[Compute], Compute]:
        """Register the function below as a feature, one column for each combination of ``over``.

        Parameters
        ----------
        family
            The chapter of the data dictionary; the file's name.
        warmup
            Sessions of history, the current one included, from which on the value no longer depends on where history
            starts; earlier rows are missing in the table. A number, or a function of any of: the names in
            ``over``, ``instrument``, ``settings``.
        description
            One sentence with unit and what happens at a roll; ``{name}`` stands for an argument of ``over``.
        over
            Argument -> the values it takes: ``{"sessions": (5, 10)}`` makes ``momentum_5`` and ``momentum_10``.
        signed
            Its sign is a direction of the market (positive: up), so that the side-aware form is value × side.
        mirror
            The function whose column takes its place for a short (``close_to_val`` and ``close_to_vah`` mirror each
            other); the other has to name this one.
        needs
            Inputs that may be absent: ``structure``, ``naked``, a column of the bars (``bid_volume``), or
            an external series (``vix``). Without one of them the feature is absent.

        Returns
        -------
        The decorator; the function it returns is the one it was given.

        Raises
        ------
        ConfigurationError
            For a name registered twice or one that a label or a candidate column has.
        """

        def register(function: Compute) -> Compute:
            base = function.__name__
            arguments = {name: tuple(values) for name, values in (over or {}).items()}
            for combination in itertools.product(*arguments.values()):
                name = "_".join([base, *map(str, combination)])
                chosen = dict(zip(arguments, combination, strict=True))
                self._check_name(name, function)
                self.features[name] = Feature(
                    name=name,
                    family=family,
                    description=description.format(**chosen),
                    compute_with=function,
                    arguments=chosen,
                    warmup=warmup,
                    signed=signed,
                    mirror="_".join([mirror or base, *map(str, combination)]),
                    needs=tuple(needs),
                )
            return function

        return register

    def _check_name(self, name: str, function: Compute) -> None:
        place = f"{function.__module__}.{function.__name__}"
        if name in RESERVED_NAMES:
            raise ConfigurationError(
                f"feature {name} ({place}) has the name of a label or candidate column; give it another name"
            )
        if name in self.features:
            known = self.features[name].compute_with
            raise ConfigurationError(
                f"feature {name} is registered twice, in {known.__module__} and {function.__module__}; rename one"
            )

    def registered(self) -> Mapping[str, Feature]:
        """Every feature by column name, sorted.

        Raises
        ------
        ConfigurationError
            For a mirror that is missing, or that doesn't mirror back.
        """
        for one in self.features.values():
            other = self.features.get(one.mirror)
            if other is None or other.mirror != one.name or other.signed != one.signed:
                raise ConfigurationError(
                    f"feature {one.name} names {one.mirror} as its mirror, which has to be a feature with the mirror "
                    f"{one.name} and the same sign rule; correct one of them"
                )
        return {name: self.features[name] for name in sorted(self.features)}


_FEATURES = FeatureRegistry()
# What the file that is imported now declares goes here.
_open: list[FeatureRegistry] = [_FEATURES]
_OWN = "__features__"


def feature(**declared: Any) -> Callable[[Compute], Compute]:
    """Register the function below; as :meth:`FeatureRegistry.feature`."""
    return _open[-1].feature(**declared)


def registered() -> Mapping[str, Feature]:
    """Every feature by column name, sorted: those in ``families/``, and the user's own in ``$VPOC_HOME/features``."""
    return _found()[0]


def feature_faults() -> tuple[Fault, ...]:
    """The user's files of features that can't be used, and why: none of their features is there."""
    return _found()[1]


def feature_code() -> str:
    """Return a hash of the user's files of features; empty where there are none."""
    files = sorted(vpoc_home().features.glob("[!_.]*.py"))
    texts = b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(texts).hexdigest()[:12] if files else ""


def find_feature(name: str) -> Feature:
    """Return the registered feature of a column."""
    return registered()[name]


def _found() -> tuple[Mapping[str, Feature], tuple[Fault, ...]]:
    families = importlib.import_module(_FAMILIES)
    for name in sorted(found.name for found in pkgutil.iter_modules(families.__path__)):
        importlib.import_module(f"{families.__name__}.{name}")
    # Asked for at every feature: nothing is put together again while no file changes.
    return _put_together(tuple(user_modules(vpoc_home().features, _collecting)))


@lru_cache(maxsize=4)
def _put_together(
    own_files: tuple[tuple[Path, ModuleType | Fault], ...],
) -> tuple[Mapping[str, Feature], tuple[Fault, ...]]:
    found: dict[str, Feature] = dict(_FEATURES.registered())
    faults: list[Fault] = []
    for path, module in own_files:
        if isinstance(module, Fault):
            faults.append(module)
            continue
        own: FeatureRegistry = getattr(module, _OWN)
        try:
            if shared := sorted(set(own.features) & set(found)):
                raise ConfigurationError(f"feature {shared[0]} is registered already; rename it")
            found |= own.registered()
        except ConfigurationError as error:
            faults.append(Fault(path, None, str(error)))
    return {name: found[name] for name in sorted(found)}, tuple(faults)


def _collecting(run: Callable[[], None], module: ModuleType) -> None:
    own = FeatureRegistry()
    setattr(module, _OWN, own)
    _open.append(own)
    try:
        run()
    finally:
        _open.pop()
