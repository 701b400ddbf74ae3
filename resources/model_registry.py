"""The registry of models in MLflow: what its models, runs and versions are called, which there are, their settings."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.learning.record import TrainingIdentity
from pipeline.yaml_files import yaml_value
from resources.mlflow_limits import pages
from resources.mlflow_store import Store, sentence
from resources.mlflow_views import HEADLINE_PREFIX

__all__ = [
    "ALIAS",
    "CHAMPION",
    "FAMILY_TAG",
    "KIND_TAG",
    "SETTINGS_TAG",
    "SIMULATED_TAG",
    "SYMBOL_TAG",
    "TRAINED_TAG",
    "TRAINING",
    "Registered",
    "champion_parameters",
    "code_tags",
    "identity_tags",
    "model_name",
    "registered_models",
    "trained_at",
]

ALIAS = "challenger"
"""What the newest version of a model is called; who is champion is decided elsewhere."""
CHAMPION = "champion"
"""What the version in use is called."""

KIND_TAG = "vpoc.kind"
TRAINING = "training"
SYMBOL_TAG = "vpoc.symbol"
FAMILY_TAG = "vpoc.family"
TRAINING_TAG = "vpoc.training"
TRAINED_TAG = "vpoc.trained"
SIMULATED_TAG = "vpoc.simulated"
# The model's settings as JSON, from which they are read back; MLflow's parameters are text to look at.
SETTINGS_TAG = "vpoc.settings"
SETTINGS_PREFIX = "model."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes
    ----------
    name, version
        Its name, and which one.
    aliases
        What it is called by, ``challenger`` say.
    trained
        When, UTC; None for one that another program registered.
    headline
        The figures to choose by, as text.
    run
        MLflow's run.
    simulated
        Whether it was trained on the simulator's bars.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    trained: datetime | None
    headline: Mapping[str, str]
    run: str
    simulated: bool


def model_name(symbol: str, family: str) -> str:
    """Under which name a model is registered."""
    return f"vpoc-{symbol}-{family}"


def identity_tags(identity: TrainingIdentity) -> dict[str, str]:
    """The tags by which a training's run is found again."""
    return {
        KIND_TAG: TRAINING,
        SYMBOL_TAG: identity.symbol,
        FAMILY_TAG: identity.family,
        TRAINING_TAG: identity.training,
    }


def registered_models(store: Store, *, latest: int | None = None) -> list[Registered]:
    """Versions of this project's registered models, by name, the newest first; of each at most ``latest``."""
    found: list[Registered] = []
    for model in pages(store.client.search_registered_models, filter_string="name LIKE 'vpoc-%'"):
        if FAMILY_TAG not in model.tags:
            continue
        versions = sorted(
            pages(store.client.search_model_versions, filter_string=f"name = '{model.name}'"),
            key=lambda one: int(one.version),
            reverse=True,
        )
        named = {alias: int(version) for alias, version in model.aliases.items()}
        for place, one in enumerate(versions):
            if latest is not None and place >= latest and int(one.version) not in named.values():
                continue
            found.append(
                Registered(
                    name=model.name,
                    version=int(one.version),
                    aliases=tuple(sorted(alias for alias, version in named.items() if version == int(one.version))),
                    trained=trained_at(one),
                    headline={
                        name.removeprefix(HEADLINE_PREFIX): value
                        for name, value in one.tags.items()
                        if name.startswith(HEADLINE_PREFIX)
                    },
                    run=one.run_id,
                    simulated=one.tags.get(SIMULATED_TAG) == "true",
                )
            )
    return sorted(found, key=lambda one: (one.name, -one.version))


def champion_parameters(store: Store, symbol: str, family: str, *, alias: str = CHAMPION) -> dict[str, Any] | None:
    """Settings of the registered model that bears an alias, to start a search from.

    Parameters
    ----------
    store
        An open store.
    symbol, family
        Whose model.
    alias
        ``champion``, or ``challenger``: the newest.

    Returns
    -------
    dict
        Every setting of the family by name, as its ``Settings`` holds them. None where no version bears the alias,
        or its settings are none of this release's; a warning tells of the latter.

    Raises
    ------
    ConfigurationError
        For an unknown family.
    MlflowException, OSError, SQLAlchemyError
        Where the store is unreachable.
    """
    from mlflow.exceptions import MlflowException

    from pipeline.learning.models import find_family

    settings = find_family(family).Settings
    name = model_name(symbol, family)
    try:
        version = store.client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        # SQL stores call an alias that is not there an invalid value.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    try:
        kept = version.tags.get(SETTINGS_TAG)
        given = _read_texts(store.client.get_run(version.run_id).data.params) if kept is None else json.loads(kept)
        return dict(settings(**given).model_dump()) if given else None
    except (ValueError, TypeError) as error:  # pydantic's errors are values' errors
        text = sentence(error)
        _log.warning("%s version %s has settings that are none of this release: %s", name, version.version, text)
        return None


def code_tags(code: Mapping[str, Any]) -> dict[str, str]:
    """What tells of the code: release, hash of the files, git's commit."""
    return {
        "vpoc.code_version": code["package"],
        "vpoc.code_hash": code["content"],
        "vpoc.code_commit": (code["commit"] or "none") + (" with changes" if code["changed"] else ""),
    }


def trained_at(version: Any) -> datetime | None:
    """When a version was trained; None where its tag says no such thing, for tags can be edited."""
    try:
        found = datetime.fromisoformat(version.tags.get(TRAINED_TAG, ""))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read_texts(params: Mapping[str, str]) -> dict[str, Any]:
    """Settings that a version without the tag left as text in its run's parameters."""
    found: dict[str, Any] = {}
    for name, text in params.items():
        if name.startswith(SETTINGS_PREFIX):
            # Python's text of lists, numbers and truths is YAML's too; of nothing it is not.
            found[name.removeprefix(SETTINGS_PREFIX)] = None if text == "None" else yaml_value(text, name)
    return found
