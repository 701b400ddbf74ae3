"""The proof of a training: what has to hold before its scores are kept and its model is registered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from pipeline.audit.chain_replay import WholeRun, checking_chain, fold_of_seed, why_not_judged
from pipeline.audit.permutation import Permutation, check_permutation
from pipeline.audit.report import Finding
from pipeline.learning.compute import Compute

__all__ = ["TrainingProof", "prove_training", "proving_training"]


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


@contextmanager
def proving_training(whole: WholeRun, family: str, *, compute: Compute) -> Iterator[Callable[[], TrainingProof]]:
    """Replay the chain at a fold drawn by the settings' seed, and train on shuffled labels.

    The replay begins at once, beside what this process does meanwhile.

    Yields
    ------
    Callable
        Trains on shuffled labels, waits for the replay and returns both; a DataError if a part can't be done at all.
    """
    settings = whole.settings
    why = why_not_judged(family, settings, compute)
    fold = None if why else fold_of_seed(whole.predictions[family], settings.seed)
    with nullcontext(list) if fold is None else checking_chain(whole, fold, compute=compute) as findings:

        def proof() -> TrainingProof:
            permutation = check_permutation(whole.inputs, settings.models, family, seed=settings.seed, compute=compute)
            found = permutation.findings(family)
            return TrainingProof(fold, tuple(findings()), why or "", permutation, tuple(found))

        yield proof


def prove_training(whole: WholeRun, family: str, *, compute: Compute) -> TrainingProof:
    """Prove a training as :func:`proving_training` does, and wait for it."""
    with proving_training(whole, family, compute=compute) as proof:
        return proof()
