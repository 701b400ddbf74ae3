"""Multi-head attention over the last sessions, weeks and half hours."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.models.neural import aligned
from pipeline.learning.models.protocol import ModelSettings
from pipeline.learning.models.sequence_model import SequenceModel
from pipeline.learning.training.settings import Share, TrainingSettings
from pipeline.search_space import Choice, Real, SearchSpace, Whole

__all__ = ["Attention", "AttentionSettings"]


class AttentionSettings(TrainingSettings):
    """Settings of :class:`Attention`.

    Attributes
    ----------
    width
        Of each step inside the network; raised to the next multiple of 32.
    heads
        Attentions side by side; divides ``width``.
    blocks
        Of attention and two linear layers, one after the other.
    dropout
        Share of the values that blocks add, and of the head's, set to zero in a training step.
    """

    width: Annotated[int, Field(ge=1, le=4096), AfterValidator(aligned)] = 32
    heads: int = Field(4, ge=1)
    blocks: int = Field(1, ge=1, le=64)
    dropout: Share = 0.3

    @field_validator("heads")
    @classmethod
    def _divides_width(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width", heads)
        if width % heads:
            raise ValueError(f"it must divide the width, {width}")
        return heads


class Attention(SequenceModel):
    """Attention among a timeframe's steps, each with a learned position, pooled by a learned question."""

    family = "attention"
    Settings: ClassVar[type[ModelSettings]] = AttentionSettings
    space: ClassVar[SearchSpace] = SearchSpace(
        {
            "width": Whole(32, 128, step=32),
            "heads": Choice([1, 2, 4, 8]),  # each divides each width
            "blocks": Whole(1, 3),
            "dropout": Real(0.0, 0.7),
            "learning_rate": Real(1e-5, 1e-2, log=True),
            "weight_decay": Real(1e-3, 3.0, log=True),
        }
    )

    settings: AttentionSettings

    def _network(self, columns: Sequence[str]) -> NetworkSpec:
        layouts = self._layouts(columns)
        return NetworkSpec(
            "attention",
            {
                "channels": [len(each.channels) for each in layouts],
                "steps": [each.steps for each in layouts],
                "width": self.settings.width,
                "heads": self.settings.heads,
                "blocks": self.settings.blocks,
                "dropout": self.settings.dropout,
            },
        )
