"""Place of a training: device, precision, threads and memory, chosen once and handed down."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from pipeline.frozen_settings import FrozenSettings
from pipeline.hardware import has_bfloat16, lightgbm_problem, missing_device

__all__ = [
    "CPU",
    "CUBLAS_SETTINGS",
    "CUBLAS_VARIABLE",
    "GPU_POOL",
    "THIS_MACHINE",
    "Compute",
    "ComputeSettings",
    "Machine",
    "Precision",
    "choose_compute",
]

Precision = Literal["fp32", "bf16"]

GPU_POOL = "gpu"
"""Dagster's pool of what trains on a GPU."""

CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_SETTINGS = (":4096:8", ":16:8")
"""Those under which torch takes matrix products for deterministic; it looks once, at the process's first product."""

_log = logging.getLogger(__name__)

_CUDA = re.compile(r"cuda(?::(\d{1,3}))?", re.ASCII)
_NAMES = re.compile(r"\d+(,\d+)*|(GPU|MIG)-[\w-]+(,(GPU|MIG)-[\w-]+)*", re.ASCII)


@dataclass(frozen=True)
class Compute:
    """Resources of a training; every value is settled, nothing is ``auto`` any more.

    Attributes
    ----------
    devices
        Torch's names: ``("cpu",)``, ``("cuda:0",)`` or several. ROCm's devices bear the name cuda too.
    precision
        Of the forward pass; weights, losses and the optimizer's state are float32 always.
    memory_share
        Most of each device's memory that torch may take, 0 to 1; None for all.
    lightgbm_device
        LightGBM's ``device_type``.
    threads
        Processor threads of torch and LightGBM; None for all that this process may use.
    """

    devices: tuple[str, ...] = ("cpu",)
    precision: Precision = "fp32"
    memory_share: float | None = None
    lightgbm_device: Literal["cpu", "gpu", "cuda"] = "cpu"
    threads: int | None = None

    @property
    def device(self) -> str:
        """The first device."""
        return self.devices[0]


CPU = Compute()


class ComputeSettings(FrozenSettings):
    """Compute settings as the user gives them.

    Attributes
    ----------
    device
        ``auto`` (the first GPU, where torch sees one), ``cpu``, ``cuda``, ``cuda:1``, or several as
        ``cuda:0,cuda:1``. AMD's GPUs are called cuda too.
    precision
        ``auto`` (bfloat16 on GPUs that have it in hardware), ``fp32`` or ``bf16``, which a processor takes where
        ``device`` is ``cpu``.
    memory_share
        Most of each GPU's memory that torch may take, above 0 up to 1; all of it without.
    lightgbm
        ``auto`` (the processor: only there are LightGBM's trees the same each time), ``cpu``, ``gpu`` (OpenCL) or
        ``cuda`` (a LightGBM built for CUDA or ROCm).
    threads
        Processor threads of a training; all that the process may use without.
    visible_devices
        GPUs that torch may see at all, by the driver's numbers or names, such as ``0,2``; the environment's without.
        What is left is numbered from 0 again.
    allocator
        Torch's allocator settings, such as ``max_split_size_mb:128``; see
        :func:`pipeline.learning.compute_environment.prepare_torch` for what holds without.
    """

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    memory_share: float | None = Field(default=None, gt=0, le=1)
    lightgbm: Literal["auto", "cpu", "gpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    visible_devices: str | None = None
    allocator: str | None = Field(default=None, min_length=1)

    @field_validator("device")
    @classmethod
    def _known(cls, device: str) -> str:
        _named_devices(device)
        return device

    @field_validator("visible_devices")
    @classmethod
    def _listed(cls, listed: str | None) -> str | None:
        if listed is not None and not _NAMES.fullmatch(listed):
            raise ValueError(f"visible_devices is {listed!r}; give the driver's numbers or names of GPUs, such as 0,2")
        return listed

    @property
    def named_devices(self) -> tuple[str, ...]:
        """The devices that are asked for by name, each with its number; none for ``auto``."""
        return _named_devices(self.device)

    def choose(self) -> Compute:
        """Settle every value for this machine; see :func:`choose_compute`."""
        return _chosen(self, THIS_MACHINE)


@dataclass(frozen=True)
class Machine:
    """Questions to a machine; each answer may load torch or LightGBM.

    Attributes
    ----------
    missing
        Why a torch device, or one of several, can't be used; None where it can.
    bfloat16
        Whether a torch device multiplies bfloat16 in hardware.
    lightgbm
        Why LightGBM can't use a ``device_type``; None where it can.
    """

    missing: Callable[[str], str | None]
    bfloat16: Callable[[str], bool]
    lightgbm: Callable[[Literal["gpu", "cuda"]], str | None]


def choose_compute(
    device: str = "auto",
    precision: str = "auto",
    memory_share: float | None = None,
    lightgbm: str = "auto",
    threads: int | None = None,
    *,
    machine: Machine | None = None,
) -> Compute:
    """Settle where to train.

    What is missing is not an error: of several GPUs those that are there go on, else the processor; one warning says
    which is missing and why. With ``device="cpu"`` torch is not loaded.

    Parameters
    ----------
    device, precision, memory_share, lightgbm, threads
        As in :class:`ComputeSettings`.
    machine
        What there is; this machine without.

    Raises
    ------
    ConfigurationError
        For a value that no machine could have.

    Examples
    --------
    >>> choose_compute("cpu", threads=2)
    Compute(devices=('cpu',), precision='fp32', memory_share=None, lightgbm_device='cpu', threads=2)
    """
    given: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "memory_share": memory_share,
        "lightgbm": lightgbm,
        "threads": threads,
    }
    return _chosen(ComputeSettings(**given), machine or THIS_MACHINE)


def _chosen(settings: ComputeSettings, machine: Machine) -> Compute:
    devices = _devices(settings.named_devices, machine)
    return Compute(
        devices=devices,
        precision=_precision(settings, devices, machine),
        memory_share=settings.memory_share,
        lightgbm_device=_lightgbm_device(settings.lightgbm, machine),
        threads=settings.threads,
    )


def _named_devices(device: str) -> tuple[str, ...]:
    if device in ("auto", "cpu"):
        return () if device == "auto" else ("cpu",)
    matches = [_CUDA.fullmatch(part.strip()) for part in device.split(",")]
    names = tuple(f"cuda:{int(match[1] or 0)}" for match in matches if match)
    if len(names) < len(matches):
        raise ValueError(
            f"device is {device!r}; models are trained on 'auto', 'cpu', 'cuda', 'cuda:1' (an AMD GPU is cuda too), or "
            "several as 'cuda:0,cuda:1'"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"device is {device!r}, which names a GPU twice; name each once")
    return names


def _devices(names: tuple[str, ...], machine: Machine) -> tuple[str, ...]:
    if names == ("cpu",):
        return names
    if not names:
        return ("cuda:0",) if machine.missing("cuda:0") is None else ("cpu",)
    reason = machine.missing(",".join(names))
    if reason is None:
        return names
    present = tuple(name for name in names if machine.missing(name) is None) if len(names) > 1 else ()
    left = present or ("cpu",)
    _log.warning("%s; models are trained on %s instead", reason, " and ".join(left))
    return left


def _precision(settings: ComputeSettings, devices: tuple[str, ...], machine: Machine) -> Precision:
    wanted = settings.precision
    if devices == ("cpu",):
        # Torch computes bfloat16 on any processor, mostly slower than fp32: only where someone asks for just that.
        return "bf16" if wanted == "bf16" and settings.device == "cpu" else "fp32"
    if wanted == "fp32":
        return "fp32"
    lacking = [device for device in devices if not machine.bfloat16(device)]
    if not lacking:
        return "bf16"
    if wanted == "bf16":
        _log.warning("device %s has no bfloat16 in hardware; models are trained in fp32 instead", " and ".join(lacking))
    return "fp32"


def _lightgbm_device(wanted: Literal["auto", "cpu", "gpu", "cuda"], machine: Machine) -> Literal["cpu", "gpu", "cuda"]:
    if wanted == "auto" or wanted == "cpu":
        return "cpu"
    reason = machine.lightgbm(wanted)
    if reason is None:
        return wanted
    _log.warning("%s; its trees are grown on the CPU instead", reason)
    return "cpu"


THIS_MACHINE = Machine(missing_device, has_bfloat16, lightgbm_problem)
