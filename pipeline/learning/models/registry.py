"""The model families there are, found in their folder; making and loading one by name."""

import importlib.util
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.errors import ConfigurationError, did_you_mean
from pipeline.learning.models import families as families_package
from pipeline.learning.models.protocol import Model, ModelSettings, read_manifest

__all__ = ["families", "find_family", "load_model", "make_model"]


@cache
def families() -> Mapping[str, type[Model]]:
    """Every family by name, sorted. A new file in ``families/`` with a class in it is one more."""
    found: dict[str, type[Model]] = {}
    for module in pkgutil.iter_modules(families_package.__path__):
        for one in vars(importlib.import_module(f"{families_package.__name__}.{module.name}")).values():
            if not (isinstance(one, type) and issubclass(one, Model) and "family" in vars(one)):
                continue
            if found.setdefault(one.family, one) is not one:
                raise ConfigurationError(f"two model families have the name {one.family}; rename one of them")
    return MappingProxyType(dict(sorted(found.items())))


def find_family(name: str) -> type[Model]:
    """The family of a name.

    Raises
    ------
    ConfigurationError
        For none: lists those there are.
    """
    if name not in families():
        raise ConfigurationError(
            f"there is no model family {name!r}; choose from {', '.join(families())}{did_you_mean(name, families())}"
        )
    return families()[name]


def make_model(family: str, settings: ModelSettings | Mapping[str, Any] | None = None, *, seed: int = 0) -> Model:
    """An unfitted model of a family.

    Raises
    ------
    ConfigurationError
        For an unknown family or hyperparameter, and where the family's library is not installed.
    """
    return _usable(find_family(family))(settings, seed=seed)


def _usable(family: type[Model]) -> type[Model]:
    for package in family.packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(
                f"the family {family.family} needs {package}, which is not installed: pip install "
                f"'vpoc-pipeline[{package}]', or leave {family.family} out of models.families in settings.yaml"
            )
    return family


def load_model(folder: Path) -> Model:
    """The model saved in a folder, whatever its family.

    Raises
    ------
    DataError
        As :meth:`Model.load`.
    """
    return find_family(read_manifest(folder).family).load(folder)
