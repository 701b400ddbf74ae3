"""The multilayer perceptron on the side-aware feature table."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.models.neural import NeuralModel, aligned
from pipeline.learning.models.protocol import ModelSettings
from pipeline.learning.training.settings import Share, TrainingSettings
from pipeline.search_space import Choice, Real, SearchSpace, Whole

__all__ = ["Perceptron", "PerceptronSettings"]

Width = Annotated[int, Field(ge=1, le=65_536), AfterValidator(aligned)]


class PerceptronSettings(TrainingSettings):
    """Settings of :class:`Perceptron`.

    Attributes
    ----------
    layers
        Width of each hidden layer; each is raised to the next multiple of 32. None: logistic regression by descent.
    dropout
        Share of each hidden layer's values set to zero in a training step.
    input_dropout
        The same of the features.
    """

    layers: tuple[Width, ...] = (128, 64)
    dropout: Share = 0.5
    input_dropout: Share = 0.3


class Perceptron(NeuralModel):
    """Linear layers with LayerNorm, SiLU and dropout (Ba et al. 2016; Elfwing et al. 2018; Srivastava et al. 2014)."""

    family = "mlp"
    Settings: ClassVar[type[ModelSettings]] = PerceptronSettings
    space: ClassVar[SearchSpace] = SearchSpace(
        {
            "layers": Choice([(32,), (64,), (128,), (64, 32), (128, 64), (256, 128)]),
            "batch_size": Whole(64, 256, step=64),
            "input_dropout": Real(0.0, 0.7),
            "dropout": Real(0.0, 0.7),
            "learning_rate": Real(1e-5, 1e-2, log=True),
            "weight_decay": Real(1e-3, 3.0, log=True),
        }
    )

    settings: PerceptronSettings

    def _network(self, columns: Sequence[str]) -> NetworkSpec:
        return NetworkSpec(
            "mlp",
            {
                "width": aligned(len(columns)),
                "layers": list(self.settings.layers),
                "dropout": self.settings.dropout,
                "input_dropout": self.settings.input_dropout,
            },
        )
