"""Search for the source of an infinite or NaN loss or gradient, by repeating one step piece by piece."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.learning.training.job import Rows

__all__ = ["LESS", "NonFiniteError", "find_culprit"]

LESS = "lower learning_rate or gradient_clip, or train in fp32"
"""What to do about numbers that grow too large."""


class NonFiniteError(DataError):
    """A training came upon a value that is infinite or not a number.

    Attributes
    ----------
    arguments
        What it was made from.
    epoch, step
        Where, from 1; step is None in the validation after the epoch.
    culprit
        What was infinite or not a number first.
    """

    def __init__(self, family: str, epoch: int, step: int | None, steps: int, culprit: str, advice: str) -> None:
        where = "its validation" if step is None else f"step {step} of {steps}"
        super().__init__(f"training {family} stopped in epoch {epoch}, {where}: {culprit}; {advice}")
        self.arguments = (family, epoch, step, steps, culprit, advice)
        self.epoch = epoch
        self.step = step
        self.culprit = culprit


def find_culprit(
    network: nn.Module,
    inputs: Sequence[Tensor],
    rows: Rows,
    positions: Tensor,
    loss_of: Callable[[], Tensor],
) -> tuple[str, str]:
    """Find what first became non-finite in one step, and say what to do about it.

    Looked at in the order of the computation: inputs, weights and labels of the rows, parameters, the outputs of the
    network's modules, the loss, the gradients from the output backwards.

    Parameters
    ----------
    network
        As it was before the step.
    inputs
        Of the batch.
    rows, positions
        All rows, and which of them are in the batch, in its order; for the names.
    loss_of
        Computes the batch's loss with that network.
    """
    for tensor, names in zip(inputs, rows.inputs.names, strict=True):
        if (place := _first(tensor.reshape(len(tensor), -1))) is not None:
            row, column = place
            value = float(tensor.reshape(len(tensor), -1)[row, column])
            return (
                f"input column {names[column]} is {value} in row {rows.names[int(positions[row])]}",
                "fix the feature, or make it missing",
            )
    for what, values in (("label", rows.label), ("weight", rows.weight)):
        held = torch.from_numpy(values)[positions.cpu()].reshape(-1, 1)
        if (place := _first(held)) is not None:
            row = place[0]
            return f"the {what} of row {rows.names[int(positions[row])]} is {float(held[row])}", "fix the training set"
    for name, parameter in network.named_parameters():
        if _first(parameter.detach().reshape(1, -1)) is not None:
            return f"parameter {name} is not finite", LESS
    outputs: list[str] = []
    hooks = [
        module.register_forward_hook(_noting(f"the output of {name} ({type(module).__name__})", outputs))
        for name, module in network.named_modules()
        if name
    ]
    try:
        loss = loss_of()
    finally:
        for hook in hooks:
            hook.remove()
    if outputs:
        return f"{outputs[0]} is not finite", LESS
    if not bool(torch.isfinite(loss)):
        return f"the loss is {float(loss.detach())}", LESS
    if loss.requires_grad:
        network.zero_grad(set_to_none=True)
        loss.backward()
        for name, parameter in reversed(list(network.named_parameters())):
            if parameter.grad is not None and _first(parameter.grad.reshape(1, -1)) is not None:
                return f"the gradient of parameter {name} is not finite", LESS
        # Squares overflow before what they are of does.
        if not bool(
            torch.isfinite(nn.utils.get_total_norm([one.grad for one in network.parameters() if one.grad is not None]))
        ):
            return "the norm of all gradients is not finite", LESS
    return "the loss or a gradient was not finite, and is when computed again", LESS


def _first(values: Tensor) -> tuple[int, int] | None:
    """Place of the first value that is not finite, by column, then row: a broken column is named at its first row."""
    bad = ~torch.isfinite(values)
    if not bool(bad.any()):
        return None
    column = int(bad.any(dim=0).nonzero()[0])
    return int(bad[:, column].nonzero()[0]), column


def _noting(what: str, into: list[str]) -> Callable[[nn.Module, object, object], None]:
    def note(module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            into.append(what)

    return note
