"""The model families there are, found in their folder; making and loading one by name."""

import importlib.util
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError, did_you_mean
from pipeline.home import vpoc_home
from pipeline.learning.models import families as families_package
from pipeline.learning.models.protocol import Model, ModelSettings, read_manifest
from pipeline.plugins import Fault, Plugins, find_plugins

__all__ = ["families", "family_faults", "family_file", "find_family", "load_model", "make_model", "why_unusable"]

# Imported here, before the function of the same name takes its place among the names of the package.
_PACKAGE = families_package.__name__
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


def families() -> Mapping[str, type[Model]]:
    """Every family by name, sorted: a file in ``families/``, or the user's own in ``$VPOC_HOME/model_families``."""
    return _plugins().by_name


def family_faults() -> tuple[Fault, ...]:
    """The user's files of model families that can't be used, and why."""
    return _plugins().faults


def family_file(name: str) -> Path | None:
    """Return the user's file that a family is in; None for one that comes with the program."""
    return _plugins().places.get(name)


def why_unusable(name: str) -> str:
    """Say what is wrong with the user's file that should hold a family; empty where there is no such fault."""
    if name in families():
        return ""
    found = (fault for fault in family_faults() if fault.path.stem == name)
    return next((f"the model family {name} can't be used: {fault.sentence}" for fault in found), "")


def find_family(name: str) -> type[Model]:
    """The family of a name.

    Raises
    ------
    ConfigurationError
        For none: lists those there are.
    """
    if name not in families():
        known = families()
        unknown = f"there is no model family {name!r}; choose from {', '.join(known)}{did_you_mean(name, known)}"
        raise ConfigurationError(why_unusable(name) or unknown)
    return families()[name]


def _plugins() -> Plugins[Model]:
    return find_plugins(Model, _PACKAGE, vpoc_home().model_families, _check_declaration, "family")  # type: ignore[type-abstract]


def _check_declaration(family: type[Model]) -> None:
    if not isinstance(family.family, str) or not _NAME.fullmatch(family.family):
        raise ConfigurationError(
            f"a model family can't have the name {family.family!r}: give 2 to 40 small letters, digits and "
            "underscores, a letter first"
        )
    if inspect.isabstract(family):
        missing = ", ".join(sorted(family.__abstractmethods__))
        raise ConfigurationError(f"{family.__name__} lacks {missing}; write these methods")
    if not issubclass(family.Settings, ModelSettings):
        raise ConfigurationError(f"Settings of {family.__name__} is no subclass of ModelSettings; make it one")
    family.Settings(**{})  # every hyperparameter has a default


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
