"""Detection of what this machine computes with: processors, torch's devices, LightGBM's."""

import functools
import importlib.util
import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Literal

__all__ = [
    "TorchBuild",
    "attention_kernels",
    "failing_device",
    "has_bfloat16",
    "lightgbm_problem",
    "missing_device",
    "missing_torch",
    "processors",
    "torch_build",
]

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


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def missing_torch(device: str) -> str | None:
    """Say why torch, or one of its devices, can't be used; None where all can. Loads torch.

    Parameters
    ----------
    device
        ``"torch"`` (torch on the processor), ``"cuda"``, ``"cuda:1"``, or several as ``"cuda:0,cuda:1"``.
    """
    try:
        import torch
    except (ImportError, OSError) as error:  # not installed, or without a library that it needs
        return f"device {device} needs torch, which can't be imported ({error})"
    parts = [part for part in device.split(",") if part != "torch"]
    if not parts:
        return None
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    absent = [part for part in parts if int(part.partition(":")[2] or 0) >= seen]
    if not absent:
        return None
    # ROCm's devices bear the name cuda in torch.
    kind = "ROCm" if torch.version.hip else "CUDA"
    there = f"{seen} {kind} device{'' if seen == 1 else 's'}" if seen else "no CUDA or ROCm device"
    return f"device {' and '.join(absent)} is not available, as torch {torch.__version__} sees {there}"


def missing_device(device: str) -> str | None:
    """Say why a device such as ``cuda:1``, or one of ``cuda:0,cuda:1``, can't be used; None where all can.

    A GPU counts as there when it has added two numbers: a torch without code for it, a driver too old or a card
    without free memory shows there, not in the number of devices.
    """
    build = torch_build()
    if build is not None and build.kind == "CPU":
        # In the words of missing_torch, but without loading torch to hear that there are none.
        absent = " and ".join(device.split(","))
        return f"device {absent} is not available, as torch {build.version} sees no CUDA or ROCm device"
    try:
        reason = missing_torch(device)
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
