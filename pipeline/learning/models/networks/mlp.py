"""Multilayer perceptron: linear layer, LayerNorm, SiLU and dropout, again and again, then one logit."""

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.learning.models.dropout import Dropout

__all__ = ["Perceptron", "make"]


class Perceptron(nn.Module):
    """Layers over one input tensor, shape (n, width)."""

    def __init__(self, width: int, layers: Sequence[int], dropout: float, input_dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Dropout(input_dropout)]
        for wide in layers:
            blocks += [nn.Linear(width, wide), nn.LayerNorm(wide), nn.SiLU(), Dropout(dropout)]
            width = wide
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(width, 1)
        # Nothing learned says nothing: the first output is the base rate, which the training adds.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shape (n,)."""
        logits: Tensor = self.head(self.body(features)).squeeze(-1)
        return logits


def make(width: int, layers: Sequence[int], dropout: float = 0.0, input_dropout: float = 0.0) -> Perceptron:
    """A perceptron.

    Parameters
    ----------
    width
        Of the input.
    layers
        Width of each hidden layer.
    dropout, input_dropout
        Share of hidden values, and of inputs, set to zero in training.
    """
    return Perceptron(width, layers, dropout, input_dropout)
