"""Baselines of the training loop: a tutorial's loop, and the arithmetic alone."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from pipeline.learning.compute import Compute
from pipeline.learning.models.dropout import Dropout
from pipeline.learning.models.networks import build
from pipeline.learning.training.job import Job
from pipeline.learning.training.schedule import batch_cuts, learning_rate
from pipeline.learning.training.torch_state import derived_seed, seed_generators

__all__ = ["bare_products", "bare_steps", "plain_loop", "with_dropout_of_torch"]


def plain_loop(job: Job, compute: Compute, offset: float, *, same_order: bool = False) -> list[float]:
    """Train as a tutorial does: ``TensorDataset``, ``DataLoader``, AdamW, ``loss.item()`` at each step.

    The network is the project's, but for its dropout, which is torch's.

    Parameters
    ----------
    job
        Network, rows and settings; the network begins with the weights that the project's own loop begins with.
    offset
        Added to each logit.
    same_order
        Take the rows in the order of the project's own loop, to compare the losses.

    Returns
    -------
    list of float
        Weighted mean loss of each epoch.
    """
    device = torch.device(compute.device)
    network = with_dropout_of_torch(_network(job, device))
    optimizer = torch.optim.AdamW(_groups(network, job.settings.weight_decay), lr=job.settings.learning_rate)
    rows = TensorDataset(*_tensors(job))
    cuts = batch_cuts(len(job.train), job.settings.batch_size)
    loader = DataLoader(rows, batch_size=math.ceil(len(rows) / (len(cuts) - 1)), shuffle=True)
    network.train()
    losses = []
    for epoch in range(job.epochs):
        batches = _ordered(rows, job, epoch, cuts) if same_order else loader
        total = weights = 0.0
        for step, (features, label, weight) in enumerate(batches):
            features, label, weight = features.to(device), label.to(device), weight.to(device)
            rate = learning_rate((epoch + step / (len(cuts) - 1)) / job.settings.epochs, job.settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = _loss(network, compute, features, label, weight, offset) / weight.sum()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), job.settings.gradient_clip or math.inf)
            optimizer.step()
            total += loss.item() * weight.sum().item()
            weights += weight.sum().item()
        losses.append(total / weights)
    return losses


def bare_steps(job: Job, compute: Compute, offset: float, *, dropout_of_torch: bool = False) -> None:
    """The floor: forward, backward and the optimizer's step, on one batch that lies on the device, and nothing else."""
    device = torch.device(compute.device)
    network = _network(job, device)
    if dropout_of_torch:
        network = with_dropout_of_torch(network)
    optimizer = torch.optim.AdamW(_groups(network, job.settings.weight_decay), lr=1e-6, fused=True)
    steps, rows = _steps(job)
    features, label, weight = (tensor[:rows].to(device) for tensor in _tensors(job))
    network.train()
    for _ in range(job.epochs * steps):
        _loss(network, compute, features, label, weight, offset).backward()
        optimizer.step()
        optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bare_products(job: Job, compute: Compute) -> None:
    """The matrix products of those steps alone: what no loop in these products' precision can do without."""
    device = torch.device(compute.device)
    steps, rows = _steps(job)
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    matrices = [one.detach().to(dtype) for one in _network(job, device).parameters() if one.ndim > 1]
    inputs = [torch.randn(rows, matrix.shape[1], device=device, dtype=dtype) for matrix in matrices]
    slopes = [torch.randn(rows, matrix.shape[0], device=device, dtype=dtype) for matrix in matrices]
    for _ in range(job.epochs * steps):
        for layer, (matrix, given, slope) in enumerate(zip(matrices, inputs, slopes, strict=True)):
            given @ matrix.t()
            slope.t() @ given
            if layer:  # nobody asks for the gradient of the features
                slope @ matrix
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def with_dropout_of_torch(network: nn.Module) -> nn.Module:
    """The same network, each :class:`~pipeline.learning.models.dropout.Dropout` in it made torch's own."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Dropout):
                setattr(parent, name, nn.Dropout(child.p))
    return network


def _steps(job: Job) -> tuple[int, int]:
    """Batches an epoch, and rows of the largest."""
    steps = len(batch_cuts(len(job.train), job.settings.batch_size)) - 1
    return steps, math.ceil(len(job.train) / steps)


def _network(job: Job, device: torch.device) -> nn.Module:
    seed_generators(derived_seed(job.seed, "weights"), device)
    return build(job.network).to(device)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    parameters = list(network.parameters())
    return [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]


def _tensors(job: Job) -> tuple[Tensor, Tensor, Tensor]:
    arrays = (job.train.inputs.arrays[0], job.train.label, job.train.weight)
    features, label, weight = (torch.from_numpy(array) for array in arrays)
    return features, label, weight


def _loss(
    network: nn.Module, compute: Compute, features: Tensor, label: Tensor, weight: Tensor, offset: float
) -> Tensor:
    with torch.autocast(features.device.type, torch.bfloat16, enabled=compute.precision == "bf16"):
        logits = network(features)
    return binary_cross_entropy_with_logits(logits.float() + offset, label, weight=weight, reduction="sum")


def _ordered(rows: TensorDataset, job: Job, epoch: int, cuts: Sequence[int]) -> "DataLoader[tuple[Tensor, ...]]":
    order = torch.randperm(
        len(rows), generator=torch.Generator().manual_seed(derived_seed(job.seed, "order", epoch))
    ).tolist()
    return DataLoader(rows, batch_sampler=[order[first:last] for first, last in pairwise(cuts)])
