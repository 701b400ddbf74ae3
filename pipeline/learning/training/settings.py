"""Training settings that every torch family shares."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.learning.models.protocol import ModelSettings

__all__ = ["Share", "TrainingSettings"]

Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class TrainingSettings(ModelSettings):
    """Settings for training a network; a family adds its own.

    Attributes
    ----------
    epochs
        At most; the learning-rate schedule is laid out over them.
    patience
        Epochs without a lower validation loss after which training stops.
    validation_share
        Newest share of the rows, purged, that tells when to stop. 0: none, all epochs are trained on all rows.
    refit
        Whether to train again on all rows for as many epochs as were best. Else the weights of the best epoch are
        kept, which never saw the validation rows.
    batch_size
        Rows per step; halved automatically where memory runs out.
    learning_rate
        At its highest.
    schedule
        ``cosine``: falls to zero along half a cosine wave. ``constant``: stays.
    warmup
        Share of the epochs over which the rate rises linearly from zero.
    weight_decay
        Of matrices, decoupled (AdamW); biases and norms decay not at all.
    gradient_clip
        Largest norm of all gradients together; None for no clipping.
    compile
        ``torch.compile``: ``auto`` where it pays (see docs/training.md), else ``always`` or ``never``.
    checkpoint_every
        Epochs between checkpoints, where one is asked for.
    """

    epochs: int = Field(60, ge=1, le=100_000)
    patience: int = Field(10, ge=1)
    validation_share: Share = 0.2
    refit: bool = True
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(5e-4, gt=0, allow_inf_nan=False)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Share = 0.05
    weight_decay: float = Field(0.3, ge=0, allow_inf_nan=False)
    gradient_clip: float | None = Field(1.0, gt=0, allow_inf_nan=False)
    compile: Literal["auto", "always", "never"] = "auto"
    checkpoint_every: int = Field(10, ge=1)
