"""The compute device: where models are trained."""

import dagster as dg

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import SettingError
from pipeline.hardware import torch_build
from pipeline.learning.compute import GPU_POOL, Compute, ComputeSettings
from pipeline.learning.compute_environment import prepare_torch

__all__ = ["ComputeDevice", "training_pool"]


class ComputeDevice(dg.ConfigurableResource):
    """Device, precision, memory and threads of trainings.

    A field that is None is what ``compute`` in ``settings.yaml`` says, so that a run can be told otherwise from
    Dagster's page. The fields are those of :class:`pipeline.learning.compute.ComputeSettings`.
    """

    device: str | None = None
    precision: str | None = None
    memory_share: float | None = None
    lightgbm: str | None = None
    threads: int | None = None

    def choose(self, settings: ComputeSettings) -> Compute:
        """Settle where this run trains, with what torch must know before it starts put into the environment.

        Raises
        ------
        ConfigurationError
            For a field that no machine could have.
        """
        own = {name: value for name, value in self._fields().items() if value is not None}
        try:
            wanted = ComputeSettings(**(settings.model_dump() | own))
        except SettingError as error:
            raise ConfigurationError(f"resource compute_device: {error}") from error
        prepare_torch(wanted)
        return wanted.choose()

    def _fields(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("device", "precision", "memory_share", "lightgbm", "threads")}


def training_pool(settings: ComputeSettings) -> str | None:
    """Dagster's pool for an asset that trains on torch's device: ``gpu``, but where only the processor can be meant.

    Found without loading torch, for definitions are loaded often.
    """
    build = torch_build()
    if settings.device == "cpu" or build is None or build.kind == "CPU":
        return None
    return GPU_POOL
