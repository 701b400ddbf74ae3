"""Request of a study: what it searches, what its trials are judged by, and how a model in them learns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.learning.compute import CPU, Compute
from pipeline.learning.models import Model, make_model
from pipeline.learning.splits import CombinatorialPurged, PurgedSplitter
from pipeline.learning.walk_forward import Threshold
from pipeline.search_space import SearchSpace

__all__ = ["StudyRequest"]


@dataclass(frozen=True)
class StudyRequest:
    """Everything that is asked of a study's trials, whatever its target; each target looks at what concerns it.

    Attributes
    ----------
    family
        The model's; None where no model learns in a trial.
    space
        What is searched; by default all that the target has.
    objectives
        See :data:`~pipeline.tuning.objectives.OBJECTIVES`; by default the target's own. Those in money are of one
        contract per trade, by session.
    hyperparameters
        Of the model, where they differ from the family's and are not searched.
    splitter
        Inner folds that a model is judged on; by default five, each by models of the four others, purged. Learning from
        rows after a fold is not look-ahead here, for all of them come before what the tuned model is judged on.
    threshold
        Score from which on a candidate is taken, where it is not searched: a number, or ``tuned``, for each inner fold
        on the scores of the others (each score counted from its fold's mean, as calibration does).
    weights
        How trades count in training: ``equal``, or by the ``uniqueness`` of their label's life.
    require_rules
        Whether a candidate must be a rule signal too to be taken. Models learn from all candidates in either case.
    seed
        Of the models: the same in each trial.
    compute
        Where to train.
    """

    family: str | None = None
    space: SearchSpace | None = None
    objectives: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    splitter: PurgedSplitter = field(default_factory=lambda: CombinatorialPurged(5, 1))
    threshold: Threshold = "tuned"
    weights: Literal["equal", "uniqueness"] = "equal"
    require_rules: bool = False
    seed: int = 0
    compute: Compute = CPU

    def model(self, params: Mapping[str, Any] | None = None) -> Model:
        """An unfitted model with these hyperparameters beside those that are not searched.

        Raises
        ------
        ConfigurationError
            For an unknown family or setting.
        """
        return make_model(self.family or "", {**self.hyperparameters, **(params or {})}, seed=self.seed)
