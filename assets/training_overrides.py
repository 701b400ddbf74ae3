"""Settings of one training that the launchpad of Dagster's page shows and lets a user change."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from assets.shown_settings import shown_settings
from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import SettingError
from pipeline.learning.models import find_family
from pipeline.settings import ModelSelection, Settings

__all__ = ["TrainingOverrides", "with_changes"]

Changes = dict[str, Any]


def _hyperparameters(selection: ModelSelection, family: str) -> dict[str, Any]:
    settings = find_family(family).Settings(**selection.parameters.get(family, {}))
    return dict(settings.model_dump(mode="json"))


_SHOWN = shown_settings().models
_SHOWN_HYPERPARAMETERS = {family: _hyperparameters(_SHOWN, family) for family in _SHOWN.families}


class TrainingOverrides(dg.Config):
    """How a training differs from ``models`` in ``settings.yaml``, for this run only."""

    threshold: str = Field(
        default=str(_SHOWN.threshold),
        description="The score from which on a candidate becomes a signal, between 0 and 1; or 'tuned', found for each "
        "fold among its own training rows.",
    )
    weights: str = Field(
        default=_SHOWN.weights,
        description="How much each trade counts in training: 'equal', or by the 'uniqueness' of its label's life.",
    )
    hyperparameters: dict[str, dict[str, Any]] = Field(
        default=_SHOWN_HYPERPARAMETERS,
        description="By family; those of the family that is trained count. A family that is not shown can be added.",
    )

    def changes(self, family: str) -> Changes:
        """Return the settings that differ from those that the page shows, by their names in ``settings.yaml``.

        Raises
        ------
        ConfigurationError
            For a family that there is not, and a threshold that is no number.
        """
        found: Changes = {}
        if self.threshold != str(_SHOWN.threshold):
            found["threshold"] = _threshold(self.threshold)
        if self.weights != _SHOWN.weights:
            found["weights"] = self.weights
        for name in self.hyperparameters:
            find_family(name)
        shown = _SHOWN_HYPERPARAMETERS.get(family, {})
        own = self.hyperparameters.get(family, {}).items()
        if changed := {name: value for name, value in own if name not in shown or shown[name] != value}:
            found["parameters"] = {family: changed}
        return found


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return settings with some of ``models`` changed; hyperparameters are added to those that are set.

    Raises
    ------
    ConfigurationError
        For a value that can't be: names the setting and what it may be.
    """
    if not changes:
        return settings
    models = settings.models
    parameters = dict(models.parameters)
    for family, given in changes.get("parameters", {}).items():
        parameters[family] = {**parameters.get(family, {}), **given}
    changed = {**models.model_dump(), **changes, "parameters": parameters}
    try:
        return settings.model_copy(update={"models": ModelSelection(**changed)})
    except SettingError as error:
        raise ConfigurationError(f"run configuration of models: {error}") from error


def _threshold(text: str) -> float | str:
    try:
        return text if text == "tuned" else float(text)
    except ValueError as error:
        raise ConfigurationError(
            f"run configuration of models: threshold is {text!r}; give 'tuned' or a number between 0 and 1"
        ) from error
