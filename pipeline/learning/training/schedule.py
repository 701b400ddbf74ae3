"""The learning rate, a function of how far the training is, so that batch size and resuming don't change it."""

import math

from pipeline.learning.training.settings import TrainingSettings

__all__ = ["batch_cuts", "learning_rate"]


def learning_rate(progress: float, settings: TrainingSettings) -> float:
    """Rate of the step that begins at ``progress``, 0 to 1, of all ``settings.epochs``.

    Rises linearly from zero over ``warmup``, then falls to zero along half a cosine wave (Loshchilov and Hutter 2017,
    without restarts) or stays.
    """
    highest, warmup = settings.learning_rate, settings.warmup
    if progress < warmup:
        return highest * progress / warmup
    if settings.schedule == "constant":
        return highest
    return highest * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def batch_cuts(rows: int, batch_size: int) -> list[int]:
    """Return the cuts of an epoch's rows into as few batches as ``batch_size`` allows, of about equal size.

    Examples
    --------
    >>> batch_cuts(10, 4)
    [0, 4, 7, 10]
    """
    batches = max(1, math.ceil(rows / batch_size))
    size, longer = divmod(rows, batches)
    return [size * batch + min(batch, longer) for batch in range(batches + 1)]
