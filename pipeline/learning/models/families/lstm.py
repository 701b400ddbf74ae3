"""Long short-term memory over the last sessions, weeks and half hours."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.models.neural import aligned
from pipeline.learning.models.protocol import ModelSettings
from pipeline.learning.models.sequence_model import SequenceModel
from pipeline.learning.training.settings import Share, TrainingSettings
from pipeline.search_space import Real, SearchSpace, Whole

__all__ = ["LongShortTermMemory", "LongShortTermMemorySettings"]


class LongShortTermMemorySettings(TrainingSettings):
    """Settings of :class:`LongShortTermMemory`.

    Attributes
    ----------
    width
        Of each timeframe's state and of the head; raised to the next multiple of 32.
    layers
        LSTMs on top of each other in a timeframe.
    dropout
        Share of the values between layers and in the head set to zero in a training step.
    """

    width: Annotated[int, Field(ge=1, le=4096), AfterValidator(aligned)] = 32
    layers: int = Field(1, ge=1, le=16)
    dropout: Share = 0.3


class LongShortTermMemory(SequenceModel):
    """An LSTM a timeframe, the states after the newest step joined (Hochreiter and Schmidhuber 1997)."""

    family = "lstm"
    Settings: ClassVar[type[ModelSettings]] = LongShortTermMemorySettings
    space: ClassVar[SearchSpace] = SearchSpace(
        {
            "width": Whole(32, 128, step=32),
            "layers": Whole(1, 2),
            "dropout": Real(0.0, 0.7),
            "learning_rate": Real(1e-5, 1e-2, log=True),
            "weight_decay": Real(1e-3, 3.0, log=True),
        }
    )

    settings: LongShortTermMemorySettings

    def _network(self, columns: Sequence[str]) -> NetworkSpec:
        return NetworkSpec(
            "lstm",
            {
                "channels": [len(each.channels) for each in self._layouts(columns)],
                "width": self.settings.width,
                "layers": self.settings.layers,
                "dropout": self.settings.dropout,
            },
        )
