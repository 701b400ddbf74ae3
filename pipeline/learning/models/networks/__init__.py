"""Networks of the torch families: a file a network, found by its name; only building one imports torch."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NetworkSpec", "build"]


@dataclass(frozen=True)
class NetworkSpec:
    """Specification of a network in plain JSON values, so that it can be saved, hashed and sent as text.

    Attributes
    ----------
    name
        Its module in this package, which has a function ``make(**arguments)``.
    arguments
        Of that function.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"name": self.name, "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "NetworkSpec":
        """Rebuild a specification from what :meth:`to_json` returned."""
        return cls(str(saved["name"]), dict(saved["arguments"]))


def build(spec: NetworkSpec) -> "nn.Module":
    """The network, on the processor, its weights drawn from torch's generator.

    It takes the tensors of :class:`~pipeline.learning.training.job.Inputs` in their order, each of shape (n, ...), and
    gives logits of shape (n,). No row may tell of another: no batch statistics.

    Raises
    ------
    DataError
        For a network that this release doesn't have.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if spec.name not in known:
        raise DataError(f"there is no network {spec.name!r}; choose from {', '.join(known)}")
    network: nn.Module = importlib.import_module(f"{__name__}.{spec.name}").make(**spec.arguments)
    return network
