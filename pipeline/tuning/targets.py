"""Targets of studies, by name: a family, the strategy, the strategy traded by a family's scores, or both at once."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ConfigurationError, did_you_mean
from pipeline.learning.models import families, find_family
from pipeline.search_space import SearchSpace
from pipeline.strategy import TradingRules

__all__ = ["STRATEGY", "StudyTarget", "study_targets"]

STRATEGY = "strategy"
SCORED, JOINT = "@", "+"

Kind = Literal["model", "strategy", "scored", "joint"]


@dataclass(frozen=True)
class StudyTarget:
    """Target of a study.

    Attributes
    ----------
    kind
        ``model``: a family's hyperparameters, named by the family. ``strategy``: the strategy's own parameters, rule
        signals traded. ``scored``, named ``strategy@<family>``: these and the score threshold, traded by the family's
        out-of-fold scores as they are stored. ``joint``, named ``strategy+<family>``: both at once, the model trained
        again on each trial's candidates.
    family
        The model family; None for the strategy alone.
    """

    kind: Kind
    family: str | None = None

    @classmethod
    def of(cls, name: str) -> "StudyTarget":
        """The target of a name.

        Raises
        ------
        ConfigurationError
            For an unknown family, or one that has nothing to tune.
        """
        if name == STRATEGY:
            return cls("strategy")
        kind: Kind = "model"
        family = name
        for mark, marked in ((SCORED, "scored"), (JOINT, "joint")):
            if name.startswith(STRATEGY + mark):
                kind, family = marked, name.removeprefix(STRATEGY + mark)  # type: ignore[assignment]
        if family not in families():
            raise ConfigurationError(
                f"there is no model family {family!r}; choose from {', '.join(families())}; besides families there are "
                f"strategy, strategy@<family> and strategy+<family>{did_you_mean(name, [STRATEGY, *families()])}"
            )
        find_family(family).space.require(family)
        return cls(kind, family)

    @property
    def name(self) -> str:
        """Name as :meth:`of` takes it; a partition key of ``studies``."""
        if self.family is None:
            return STRATEGY
        mark = {"model": "", "scored": STRATEGY + SCORED, "joint": STRATEGY + JOINT}[self.kind]
        return mark + self.family

    def space(self, rules: TradingRules | None = None, *, require_rules: bool = False) -> SearchSpace:
        """All that can be searched; hyperparameters beside the strategy's parameters begin with ``model.``.

        Parameters
        ----------
        rules
            Whose parameters; those of the default strategy where None.
        require_rules
            Whether an ML signal must be a rule signal too: else what only the gates look at changes nothing beside a
            model, and is not searched.
        """
        chosen = rules or TradingRules()
        if self.family is None:
            return chosen.strategy.space
        own = find_family(self.family).space
        if self.kind == "model":
            return own
        scored = chosen.scored_space(require_rules=require_rules)
        return scored if self.kind == "scored" else SearchSpace({**scored, **SearchSpace.joined(model=own)})

    @property
    def objectives(self) -> tuple[str, ...]:
        """Default objectives: log loss of probabilities, else the low end of the Sharpe ratio."""
        if self.kind == "model" and self.family is not None and find_family(self.family)().probabilistic:
            return ("log_loss",)
        return ("sharpe_low",)


def study_targets() -> tuple[str, ...]:
    """Every target there is: families, the strategy, and the two together in either way."""
    tunable = [name for name in families() if find_family(name).space]
    return (
        *tunable,
        STRATEGY,
        *(STRATEGY + SCORED + name for name in tunable),
        *(STRATEGY + JOINT + name for name in tunable),
    )
