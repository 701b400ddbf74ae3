"""Settings of studies: what is tuned automatically or inside the models' folds, how long, and over which values."""

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import FrozenSettings
from pipeline.search_space import SearchSpace
from pipeline.strategy import TradingRules
from pipeline.tuning.objectives import Direction, directions
from pipeline.tuning.targets import StudyTarget

__all__ = ["Pruner", "Sampler", "StudySettings", "TuningSettings", "study_name"]

Sampler = Literal["tpe", "cmaes", "random"]
Pruner = Literal["hyperband", "median", "none"]


class StudySettings(FrozenSettings):
    """Settings of a search.

    Attributes
    ----------
    objectives
        One name of :data:`~pipeline.tuning.objectives.OBJECTIVES`, or several: then the Pareto front is looked for.
    sampler
        ``tpe`` (multivariate), ``cmaes`` (one objective, two numbers or more in the space; options are drawn at
        random) or ``random``.
    pruner
        ``hyperband``, ``median`` or ``none``: whether a trial goes on after a fold or an epoch. With several objectives
        nothing is pruned.
    trials
        Budget of the study, earlier runs included.
    seconds
        Budget of one run; a trial that has begun is finished. None for no limit.
    patience
        Trials without improvement after which the study ends; None for never.
    seed
        Of everything random.
    startup_trials
        Drawn at random first; where all of them fail the study ends.

    Raises
    ------
    ConfigurationError
        For a setting that is impossible.
    """

    called: ClassVar[str] = "tuning:"

    objectives: tuple[str, ...] = ("log_loss",)
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = Field(default=100, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    startup_trials: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.directions) > 1 and self.sampler == "cmaes":
            raise ConfigurationError("CMA-ES has one objective; use the sampler tpe or random for several")
        return self

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Direction in which each objective is better."""
        return directions(self.objectives)


def study_name(name: str, space: SearchSpace, settings: StudySettings) -> str:
    """Name of a study in the ledger: another space or other objectives are another study."""
    return f"{name}/{'+'.join(settings.objectives)}/{space.fingerprint()}"


class TuningSettings(FrozenSettings):
    """Settings of studies: how they search, and which run by themselves.

    Attributes
    ----------
    targets
        Studies that ``vpoc run`` and the nightly schedule run, by name (:class:`~pipeline.tuning.targets.StudyTarget`);
        none by default, for each trial is a look that counts against all results of the symbol.
    nested
        Model families that are tuned inside each walk-forward fold, on that fold's own past, whenever they are trained.
    nested_trials
        Trials of each of these studies: one a fold, and one for the final model.
    objectives
        Target → what its trials are judged by; several for a Pareto front.
    spaces
        Target → what of its search space is narrowed, as :meth:`~pipeline.search_space.SearchSpace.narrowed` takes it.
    sampler, pruner, trials, seconds, patience, startup_trials
        As of :class:`StudySettings`.
    workers
        Processes that share a study.
    """

    targets: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    nested_trials: int = Field(default=20, ge=1)
    objectives: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    spaces: dict[str, dict[str, Any]] = Field(default_factory=dict)
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = Field(default=50, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    startup_trials: int = Field(default=10, ge=1)
    workers: int = Field(default=1, ge=1, le=256)

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _known("targets", name)
        return _once("targets", names)

    @field_validator("nested")
    @classmethod
    def _known_families(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if _known("nested", name).kind != "model":
                raise ConfigurationError(
                    f"tuning.nested: {name} is not a model family, and only models are tuned in folds"
                )
        return _once("nested", names)

    @field_validator("objectives", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {target: (names,) if isinstance(names, str) else names for target, names in given.items()}

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, given: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, names in given.items():
            directions(names)
            if "log_loss" in names and _known("objectives", name).objectives != ("log_loss",):
                raise ConfigurationError(
                    f"tuning.objectives: log_loss can't judge {name}, whose trials have no probabilities or other "
                    "candidates; take net, sharpe_low or drawdown"
                )
        return given

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in self.spaces:
            if _known("spaces", name).kind == "model":
                self._require_space(name)
        for family in self.nested:
            if len(self.objectives_of(StudyTarget.of(family))) > 1:
                raise ConfigurationError(
                    f"{family} is tuned inside each fold by several objectives, of which no single best can be "
                    "trained; give it one objective"
                )
        return self

    def for_book(self, families: Collection[str], *, same_strategy: bool) -> Self:
        """Return these settings for a book: studies of its models, narrowed spaces of its strategy.

        Parameters
        ----------
        families
            That the book trains.
        same_strategy
            Whether it trades the strategy that the spaces were narrowed for.
        """
        targets = tuple(
            name for name in self.targets if (family := StudyTarget.of(name).family) is None or family in families
        )
        if same_strategy:
            return self.model_copy(update={"targets": targets})
        spaces = {name: space for name, space in self.spaces.items() if StudyTarget.of(name).kind == "model"}
        return self.model_copy(update={"targets": targets, "spaces": spaces})

    def require_spaces(self, rules: TradingRules) -> None:
        """See that each space that is narrowed is one of a target under these rules.

        Raises
        ------
        ConfigurationError
            For the first that is not: names it.
        """
        for name in self.spaces:
            self._require_space(name, rules)

    def _require_space(self, name: str, rules: TradingRules | None = None) -> None:
        try:
            self.space(StudyTarget.of(name), rules, require_rules=True)
        except ConfigurationError as error:
            raise ConfigurationError(f"tuning.spaces.{name}: {error}") from error

    def space(
        self, target: StudyTarget, rules: TradingRules | None = None, *, require_rules: bool = False
    ) -> SearchSpace:
        """Return the search space of a target's study, the default strategy's where no rules are given."""
        space = target.space(rules, require_rules=require_rules).narrowed(self.spaces.get(target.name, {}))
        return space.require(target.name)

    def objectives_of(self, target: StudyTarget) -> tuple[str, ...]:
        """Return the objectives of a target's trials."""
        return self.objectives.get(target.name, target.objectives)


def _known(setting: str, name: str) -> StudyTarget:
    """The target of a name in a setting."""
    try:
        return StudyTarget.of(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"tuning.{setting}: {error}") from error


def _once(setting: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ConfigurationError(f"tuning.{setting} repeats a name: {', '.join(names)}; list each once")
    return names
