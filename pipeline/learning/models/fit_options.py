"""Options of a fit, and the progress it reports."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pipeline.learning.compute import CPU, Compute

__all__ = ["FitOptions", "Progress"]


@dataclass(frozen=True)
class Progress:
    """Progress of a training: epoch or boosting round, of how many at most, and its figures (losses, rates).

    ``stage`` is empty for the fit that was asked for. A fit within it, of an inner fold or an ensemble's member, bears
    its name, the outer first: ``fold 2 of 5 / mlp``.
    """

    step: int
    steps: int
    figures: Mapping[str, float]
    stage: str = ""


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit; none changes what is learned, apart from the device's own rounding.

    Attributes
    ----------
    compute
        Where.
    observe
        Called after each epoch or round.
    checkpoint
        File by which a killed training goes on; None for none.
    """

    compute: Compute = CPU
    observe: Callable[[Progress], None] | None = None
    checkpoint: Path | None = None

    def inner(self, stage: str) -> Self:
        """Options of a fit within this one: a checkpoint file of its own, and its progress bears the stage's name."""
        observe = self.observe

        def tell(progress: Progress) -> None:
            if observe is not None:
                outer = f"{stage} / {progress.stage}" if progress.stage else stage
                observe(replace(progress, stage=outer))

        path = self.checkpoint
        if path is not None:
            path = path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9]+', '_', stage)}{path.suffix}")
        return replace(self, observe=tell if observe is not None else None, checkpoint=path)
