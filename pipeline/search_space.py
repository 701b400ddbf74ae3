"""Search spaces: which settings tuning may change, and between which values.

A space is declared beside the settings it belongs to and bears their names. Nothing here knows the library that
searches: :meth:`SearchSpace.suggest` takes anything with its ``suggest_float``, ``suggest_int`` and
``suggest_categorical``.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from pydantic import StrictBool

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import FrozenSettings

__all__ = ["Choice", "Dimension", "Real", "SearchSpace", "Trial", "Whole"]


class Trial(Protocol):
    """Suggestions that a trial must offer; Optuna's trials do."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number from low to high, both possible."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from low to high, both possible."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


class _Dimension(FrozenSettings):
    called: ClassVar[str] = "dimension of a search space:"

    def __init__(self, /, **values: Any) -> None:
        super().__init__(**values)

    def suggest(self, name: str, trial: Trial) -> Any:
        raise NotImplementedError

    def contains(self, value: Any) -> bool:
        raise NotImplementedError

    @property
    def in_words(self) -> str:
        """The range or the options, such as ``0.5 to 3.0``."""
        told = self.model_dump(mode="json")
        if "options" in told:
            return " | ".join("none" if option is None else str(option) for option in told["options"])
        step = f" in steps of {told['step']}" if told.get("step", 1) > 1 else ""
        return f"{told['low']} to {told['high']}{step}{', logarithmic' if told['log'] else ''}"

    def written(self, value: Any) -> Any:
        """The value as the searching library stores it."""
        return value

    def read(self, stored: Any) -> Any:
        """Return what :meth:`written` had been given."""
        return stored


class Real(_Dimension):
    """A number from ``low`` to ``high``, both possible.

    Attributes
    ----------
    low, high
        Finite; ``low`` not above ``high``.
    log
        Whether ratios count and not differences; ``low`` is above 0 then.

    Raises
    ------
    ConfigurationError
        For bounds that are impossible.
    """

    low: float
    high: float
    log: StrictBool = False

    def __init__(self, low: float, high: float, log: bool = False) -> None:
        super().__init__(low=low, high=high, log=log)
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigurationError(f"a search from {low} to {high} has no bounds; give two finite numbers")
        _check_bounds(self.low, self.high, self.log)

    def suggest(self, name: str, trial: Trial) -> float:
        """A value that a trial asks for."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def contains(self, value: Any) -> bool:
        """Return True if this value may be suggested."""
        return _is_number(value) and self.low <= value <= self.high


class Whole(_Dimension):
    """A whole number from ``low`` to ``high`` in steps, both possible.

    Attributes
    ----------
    low, high
        ``low`` not above ``high``, which is some steps from it.
    step
        1 or more; 1 where ``log``.
    log
        Whether ratios count and not differences; ``low`` is 1 or more then.

    Raises
    ------
    ConfigurationError
        For bounds that are impossible.
    """

    low: int
    high: int
    step: int = 1
    log: StrictBool = False

    def __init__(self, low: int, high: int, step: int = 1, log: bool = False) -> None:
        super().__init__(low=low, high=high, step=step, log=log)
        _check_bounds(self.low, self.high, self.log)
        if self.step < 1 or (self.high - self.low) % self.step or (self.log and self.step != 1):
            raise ConfigurationError(
                f"a search of whole numbers from {low} to {high} can't go in steps of {step}"
                f"{' on a logarithmic scale' if self.log else ''}; give a step that leads from one to the other"
                f"{', 1' if self.log else ''}"
            )

    def suggest(self, name: str, trial: Trial) -> int:
        """A value that a trial asks for."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Return True if this value may be suggested."""
        if not _is_number(value) or value != int(value):
            return False
        return self.low <= value <= self.high and (int(value) - self.low) % self.step == 0


class Choice(_Dimension):
    """One of some options, in no order.

    Attributes
    ----------
    options
        One or more, all different: text, numbers, true, false, None, or sequences of them. The searching library
        stores a sequence as its JSON text; see :meth:`SearchSpace.read`.

    Raises
    ------
    ConfigurationError
        For no option, one that comes twice, or one that is not such a value.
    """

    options: tuple[Any, ...]

    def __init__(self, options: Sequence[Any]) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise ConfigurationError(f"the options of a search are {options!r}; give a list of them")
        super().__init__(options=tuple(_frozen(option) for option in options))
        if not self.options:
            raise ConfigurationError("a search among options needs at least one option")
        labels = [self.written(option) for option in self.options]
        for number, option in enumerate(self.options):
            # True is 1 to Python and to the library that searches.
            if option in self.options[:number] or labels[number] in labels[:number]:
                raise ConfigurationError(f"a search has the option {option!r} more than once; give each once")

    def suggest(self, name: str, trial: Trial) -> Any:
        """A value that a trial asks for."""
        return self.read(trial.suggest_categorical(name, [self.written(option) for option in self.options]))

    def contains(self, value: Any) -> bool:
        """Return True if this value may be suggested."""
        return _sequences_as_tuples(value) in self.options

    def written(self, value: Any) -> Any:
        """The option as the searching library stores it: a sequence as JSON text."""
        return json.dumps(value) if isinstance(value, tuple | list) else value

    def read(self, stored: Any) -> Any:
        """The option that is stored so.

        Raises
        ------
        ConfigurationError
            For none of them.
        """
        for option in self.options:
            if self.written(option) == stored:
                return option
        raise ConfigurationError(f"{stored!r} is not one of the options {', '.join(map(repr, self.options))}")


Dimension = Real | Whole | Choice


class SearchSpace(Mapping[str, Dimension]):
    """Settings by name, and what each may be; a mapping, in the order given, that does not change.

    A name is a setting's own, or, where several things are tuned at once, bears before a dot whose it is:
    ``model.num_leaves``, ``strategy.stop_atr_factor`` (:meth:`joined`, :meth:`parted`).

    Raises
    ------
    ConfigurationError
        For a name that is not text, or something that is not a dimension.
    """

    def __init__(self, dimensions: Mapping[str, Dimension] | None = None) -> None:
        self._dimensions = dict(dimensions or {})
        for name, dimension in self._dimensions.items():
            if not isinstance(name, str) or not name:
                raise ConfigurationError(f"a setting in a search space has the name {name!r}; give a name")
            if not isinstance(dimension, Real | Whole | Choice):
                raise ConfigurationError(f"{name} in a search space is {dimension!r}; give a Real, a Whole or a Choice")

    def __getitem__(self, name: str) -> Dimension:
        return self._dimensions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dimensions)

    def __len__(self) -> int:
        return len(self._dimensions)

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        return f"SearchSpace({self._dimensions!r})"

    @classmethod
    def joined(cls, **spaces: "SearchSpace") -> Self:
        """Several spaces as one, the names of each after its keyword and a dot."""
        return cls({f"{part}.{name}": space[name] for part, space in spaces.items() for name in space})

    @staticmethod
    def parted(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Parameters of a joined space by part, each with its settings' own names; those without a dot under ``""``."""
        parts: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            part, dot, own = name.partition(".")
            parts.setdefault(part if dot else "", {})[own if dot else name] = value
        return parts

    @property
    def numeric(self) -> bool:
        """Return True if all are ordered numbers, as CMA-ES needs."""
        return not any(isinstance(dimension, Choice) for dimension in self.values())

    def fingerprint(self) -> str:
        """Hash of names, kinds and bounds, whatever their order: 16 hexadecimal digits, the same everywhere."""
        ranges = {
            name: [type(dimension).__name__, dimension.model_dump(mode="json")] for name, dimension in self.items()
        }
        return hashlib.sha256(json.dumps(ranges, sort_keys=True).encode()).hexdigest()[:16]

    def require(self, who: str) -> Self:
        """The space itself, if there is something in it.

        Raises
        ------
        ConfigurationError
            Where it is empty: names whose it is.
        """
        if not self._dimensions:
            raise ConfigurationError(f"{who} has nothing to tune: its search space is empty; declare a setting in it")
        return self

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A value of each setting, in order, that a trial asks for."""
        return {name: dimension.suggest(name, trial) for name, dimension in self.items()}

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Return True if these could have been suggested: exactly these names, each with a possible value."""
        return params.keys() == self.keys() and all(self[name].contains(value) for name, value in params.items())

    def chosen_from(self, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The point of this space that settings hold, to start a search from; None where they lie outside it."""
        point = {name: settings[name] for name in self if name in settings}
        return self.read(self.written(point)) if self.contains(point) else None

    def written(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as the searching library stores and enqueues them."""
        return {name: self[name].written(value) for name, value in params.items()}

    def read(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters that the searching library stored: what :meth:`suggest` had handed out, in this space's order."""
        return {name: self[name].read(stored[name]) for name in self if name in stored}

    def narrowed(self, overrides: Mapping[str, Any]) -> Self:
        """A smaller space.

        Parameters
        ----------
        overrides
            By name: ``{low: …, high: …}`` with one or both (``step`` and ``log`` too); a list of options; one value to
            keep it at; null to leave the setting as it is.

        Raises
        ------
        ConfigurationError
            For an unknown name, or what does not lie within this space.
        """
        dimensions = dict(self._dimensions)
        for name, given in overrides.items():
            if name not in dimensions:
                known = ", ".join(self) or "none"
                raise ConfigurationError(f"the search space has no setting {name!r} to narrow; it has {known}")
            if given is None:
                del dimensions[name]
            else:
                dimensions[name] = _narrowed(name, dimensions[name], given)
        return type(self)(dimensions)


def _narrowed(name: str, whole: Dimension, given: Any) -> Dimension:
    if isinstance(given, Mapping):
        if isinstance(whole, Choice):
            raise ConfigurationError(f"{name} is searched among options; narrow it to a list of some of them")
        kept = whole.model_dump()
        if unknown := [str(key) for key in given if key not in kept]:
            raise ConfigurationError(f"the search of {name} has no {unknown[0]!r}; it has {', '.join(kept)}")
        kept.update(given)
        part: Dimension = type(whole)(**kept)
        inside = not isinstance(part, Choice) and whole.contains(part.low) and whole.contains(part.high)
        if isinstance(whole, Whole) and isinstance(part, Whole):
            inside = inside and part.step % whole.step == 0
    else:
        # A list is one option itself where it is among them: the layers of a network.
        one = not isinstance(given, list | tuple) or whole.contains(given)
        part = Choice([given] if one else given)
        inside = all(whole.contains(option) for option in part.options)
    if not inside:
        raise ConfigurationError(f"{name} can't be narrowed to {given!r}: that is not within {_range_text(whole)}")
    return part


def _range_text(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(map(repr, dimension.options))
    step = f" in steps of {dimension.step}" if isinstance(dimension, Whole) and dimension.step > 1 else ""
    return f"{dimension.low} to {dimension.high}{step}"


def _check_bounds(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ConfigurationError(f"a search from {low} to {high} is empty; give the lower bound first")
    if log and low <= 0:
        raise ConfigurationError(f"a search from {low} on a logarithmic scale must start above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sequences_as_tuples(value: Any) -> Any:
    return tuple(map(_sequences_as_tuples, value)) if isinstance(value, list | tuple) else value


def _frozen(option: Any) -> Any:
    if isinstance(option, list | tuple):
        return tuple(_frozen(each) for each in option)
    if option is None or isinstance(option, bool | int | str) or (isinstance(option, float) and math.isfinite(option)):
        return option
    raise ConfigurationError(f"a search has the option {option!r}; give text, numbers, true, false, null or lists")
