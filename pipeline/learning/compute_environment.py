"""Detection of torch's and LightGBM's devices, and settings that must be made before torch starts."""

import functools
import importlib.util
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Literal

from pipeline.learning.compute import CUBLAS_SETTINGS, CUBLAS_VARIABLE, ComputeSettings
from pipeline.profiles.engines.choice import why_missing

__all__ = [
    "ALLOCATOR_VARIABLES",
    "VISIBLE_VARIABLES",
    "TorchBuild",
    "allocator_settings",
    "attention_kernels",
    "failing_device",
    "has_bfloat16",
    "lightgbm_problem",
    "missing_device",
    "prepare_torch",
    "torch_build",
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

_TRIAL_SECONDS = 120
_TRIAL = """
import sys
import lightgbm
rows = [[float(i), float(i % 7)] for i in range(64)]
parameters = {"objective": "binary", "device_type": sys.argv[1], "num_leaves": 3, "verbosity": -1, "num_threads": 1}
import numpy
data = lightgbm.Dataset(numpy.array(rows), numpy.arange(64) % 2, params=parameters)
try:
    lightgbm.train(parameters, data, num_boost_round=1)
except lightgbm.basic.LightGBMError as error:
    sys.exit("reason: " + str(error).splitlines()[0].rstrip("."))
"""


@dataclass(frozen=True)
class TorchBuild:
    """Build of the installed torch.

    Attributes
    ----------
    version
        Torch's.
    kind
        ``CPU``, ``CUDA`` or ``ROCm``.
    toolkit
        Version of CUDA or HIP; empty for the processor.
    """

    version: str
    kind: Literal["CPU", "CUDA", "ROCm"]
    toolkit: str = ""


def torch_build() -> TorchBuild | None:
    """Return the build of the installed torch without loading it; None where torch is not installed."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    version = runpy.run_path(str(Path(next(iter(found.submodule_search_locations))) / "version.py"))
    if version.get("hip"):
        return TorchBuild(version["__version__"], "ROCm", version["hip"])
    if version.get("cuda"):
        return TorchBuild(version["__version__"], "CUDA", version["cuda"])
    return TorchBuild(version["__version__"], "CPU")


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


def missing_device(device: str) -> str | None:
    """Say why a device such as ``cuda:1``, or one of ``cuda:0,cuda:1``, can't be used; None where all can.

    A GPU counts as there when it has added two numbers: a torch without code for it, a driver too old or a card
    without free memory shows there, not in the number of devices.
    """
    build = torch_build()
    if build is not None and build.kind == "CPU":
        # In the words of the profiles' engines, but without loading torch to hear that there are none.
        absent = " and ".join(device.split(","))
        return f"device {absent} is not available, as torch {build.version} sees no CUDA or ROCm device"
    try:
        reason = why_missing(device)
    except RuntimeError as error:  # lists of visible devices that contradict one another
        return f"device {device} can't be used ({_first_line(error)})"
    if reason is not None:
        return reason
    return next((reason for part in device.split(",") if (reason := failing_device(part)) is not None), None)


def failing_device(device: str) -> str | None:
    """Return the error of adding two numbers on a torch device; None where it adds them."""
    import torch

    try:
        torch.ones(1, device=device).add(1).item()
    except RuntimeError as error:
        return f"device {device} is there, but fails ({_first_line(error)})"
    return None


def has_bfloat16(device: str) -> bool:
    """Return True if a GPU multiplies bfloat16 in hardware; emulation, as on older ones, gains nothing."""
    import torch

    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


@functools.cache
def lightgbm_problem(device: Literal["gpu", "cuda"]) -> str | None:
    """Say why LightGBM can't grow trees on a device; None where it can. Tried once per process.

    In a process of its own, because a broken OpenCL driver ends the process that calls it.
    """
    try:
        version = installed_version("lightgbm")
        tried = subprocess.run(  # noqa: S603 (this interpreter, on the text above)
            [sys.executable, "-c", _TRIAL, device],
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except PackageNotFoundError:
        return "LightGBM is not installed"
    except subprocess.TimeoutExpired:
        return f"LightGBM {version} did not answer within {_TRIAL_SECONDS} seconds on device_type={device}"
    if tried.returncode == 0:
        return None
    lines = [line for line in tried.stderr.splitlines() if line.strip()]
    reason = next((line.removeprefix("reason: ") for line in lines if line.startswith("reason: ")), None)
    if reason is None:
        reason = f"it ended with {tried.returncode}" if tried.returncode < 0 or not lines else lines[-1]
    return f"LightGBM {version} can't use device_type={device} ({reason})"


def attention_kernels(device: str) -> tuple[str, ...]:
    """Find the attention kernels of torch that run on a device in bfloat16, fastest first, by running each.

    Steps that are missing need no mask here, which flash kernels would not take: see
    :func:`pipeline.learning.models.networks.attention.attend`.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    kernels = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "cuDNN": SDPBackend.CUDNN_ATTENTION,
        "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
        "math": SDPBackend.MATH,
    }
    steps = torch.zeros(1, 2, 16, 32, dtype=torch.bfloat16, device=device)
    there = []
    for name, kernel in kernels.items():
        try:
            with sdpa_kernel(kernel):
                scaled_dot_product_attention(steps, steps, steps)
        except RuntimeError:
            continue
        there.append(name)
    return tuple(there)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
