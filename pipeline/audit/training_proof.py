"""The proof of a training: what has to hold before its scores are kept and its model is registered."""

from dataclasses import dataclass

from pipeline.audit.chain_replay import WholeRun, check_chain, fold_of_seed, why_not_judged
from pipeline.audit.permutation import Permutation, check_permutation
from pipeline.audit.report import Finding
from pipeline.learning.compute import Compute

__all__ = ["TrainingProof", "prove_training"]


@dataclass(frozen=True)
class TrainingProof:
    """Result of the two proofs of one family's training.

    Attributes
    ----------
    fold
        The fold at whose first decision the bars were cut off; None where that could not be judged.
    chain
        Findings of :func:`~pipeline.audit.chain_replay.check_chain`.
    not_judged
        Why the chain was not replayed; empty where it was.
    permutation
        What the family found in shuffled labels.
    shuffled
        Findings of that.
    """

    fold: int | None
    chain: tuple[Finding, ...]
    not_judged: str
    permutation: Permutation
    shuffled: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Return True if neither proof found anything."""
        return not (self.chain or self.shuffled)


def prove_training(whole: WholeRun, family: str, *, compute: Compute) -> TrainingProof:
    """Replay the chain at a fold drawn by the settings' seed, and train on shuffled labels.

    Raises
    ------
    DataError
        If a part of it can't be done at all.
    """
    settings = whole.settings
    why = why_not_judged(family, settings, compute)
    fold = None if why else fold_of_seed(whole.predictions[family], settings.seed)
    chain = () if fold is None else tuple(check_chain(whole, fold, compute=compute))
    permutation = check_permutation(whole.inputs, settings.models, family, seed=settings.seed, compute=compute)
    return TrainingProof(fold, chain, why or "", permutation, tuple(permutation.findings(family)))
