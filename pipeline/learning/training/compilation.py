"""Rule for using ``torch.compile``, fixed because timing at run time would make weights depend on the clock."""

import importlib.util

import torch
from torch import nn

from pipeline.learning.training.job import Job
from pipeline.learning.training.schedule import batch_cuts

__all__ = ["compiled", "earns_back", "pays"]

# Compiling takes tens of seconds; what it can save of a small network's step is some of the time to launch kernels,
# of the order of 0.1 ms. Derived so, not measured on a GPU.
_BREAK_EVEN_STEPS = 200_000


def pays(job: Job, device_type: str) -> bool:
    """Return True if a training is to be compiled where the settings leave it open.

    On the processor never: measured, steps of these networks get no faster (docs/training.md). On a GPU where the
    training is long enough, and Triton, which compiling needs there, is installed.
    """
    return device_type != "cpu" and earns_back(job) and importlib.util.find_spec("triton") is not None


def earns_back(job: Job) -> bool:
    """Return True if a training on a GPU has enough steps to earn back the time that compiling takes."""
    steps = job.epochs * (len(batch_cuts(len(job.train), job.settings.batch_size)) - 1)
    return steps >= _BREAK_EVEN_STEPS


def compiled(network: nn.Module) -> nn.Module:
    """The network behind ``torch.compile``.

    What was compiled before in this process is forgotten: after eight variants of one function torch would quietly go
    on without compiling, and the weights would depend on what had been trained before.
    """
    torch.compiler.reset()
    torch.use_deterministic_algorithms(True)  # they are in use already; this tells the compiler, too
    behind: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return behind
