"""Settings that must be made before torch starts."""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping

from pipeline.hardware import TorchBuild, torch_build
from pipeline.learning.compute import CUBLAS_SETTINGS, CUBLAS_VARIABLE, ComputeSettings

__all__ = [
    "ALLOCATOR_VARIABLES",
    "VISIBLE_VARIABLES",
    "allocator_settings",
    "prepare_torch",
    "visible_devices",
]

_log = logging.getLogger(__name__)

# The first is the name since torch 2.9, the others its former ones. Where several are set, torch 2.13 goes by a
# former one, though it calls them fallbacks: measured, in the order in which they stand here from the end.
ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")

# What torch's own parser looks at, by what torch is built for. Under ROCm the driver goes by ROCR_… first, and HIP_…
# counts what that leaves; CUDA_… is read where HIP_… is not set.
VISIBLE_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "CUDA": ("CUDA_VISIBLE_DEVICES",),
    "ROCm": ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
}

# Batches are halved where memory runs out, so sizes vary: segments that grow leave fewer gaps. Under ROCm they are
# new, and crashed in 2026 (pytorch #187343).
_ALLOCATOR = {"CUDA": "expandable_segments:True"}


def prepare_torch(
    settings: ComputeSettings,
    environ: MutableMapping[str, str] | None = None,
    *,
    build: TorchBuild | None = None,
) -> None:
    """Set what torch reads from the environment as it starts; processes started from here inherit it.

    Visible devices: ``CUDA_VISIBLE_DEVICES``, or ``HIP_VISIBLE_DEVICES`` where torch is built for ROCm. Allocator:
    ``PYTORCH_ALLOC_CONF``, by default ``expandable_segments:True`` on CUDA and nothing on ROCm. Variables that a user
    has set, by any of their names, are left alone. cuBLAS: what deterministic products need, since torch looks for it
    once, at the first product that anything in this process computes. Nothing is set where torch is built for the
    processor.

    Parameters
    ----------
    environ
        Where they are set; the process's own without.
    build
        What torch was built for; the installed one's without.
    """
    variables = os.environ if environ is None else environ
    built = build or torch_build()
    if built is None or built.kind == "CPU":
        return
    variables.setdefault(CUBLAS_VARIABLE, CUBLAS_SETTINGS[0])
    wanted = {}
    names = VISIBLE_VARIABLES[built.kind]
    if settings.visible_devices is not None and not any(name in variables for name in names):
        wanted[names[0]] = settings.visible_devices
    allocator = settings.allocator or _ALLOCATOR.get(built.kind)
    if allocator and not any(variables.get(name) for name in ALLOCATOR_VARIABLES):
        wanted[ALLOCATOR_VARIABLES[0]] = allocator
    if wanted and environ is None and "torch" in sys.modules:
        _log.warning(
            "torch is loaded already, so that %s may come too late for this process; set it in the environment",
            " and ".join(f"{name}={value}" for name, value in wanted.items()),
        )
    variables.update(wanted)


def allocator_settings() -> tuple[str, str] | None:
    """The variable by which torch's allocator goes in this environment, and its value; None where none is set."""
    named = [(name, os.environ[name]) for name in ALLOCATOR_VARIABLES if os.environ.get(name)]
    return named[-1] if named else None


def visible_devices(build: TorchBuild) -> dict[str, str]:
    """Those variables that hide GPUs from torch and are set."""
    return {name: os.environ[name] for name in VISIBLE_VARIABLES.get(build.kind, ()) if name in os.environ}
