"""Learning and its judgement: labels, weights, splits and transforms that can't see the future."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.learning.barriers import barrier_labels
    from pipeline.learning.fold_plot import fold_figure
    from pipeline.learning.labels import LABEL_COLUMNS, candidate_labels
    from pipeline.learning.separation import leaking_rows
    from pipeline.learning.splits import CombinatorialPurged, PurgedSplitter, PurgedWalkForward
    from pipeline.learning.transforms import (
        DropUninformative,
        MadScaler,
        MissingPolicy,
        MissingValues,
        SignedLog,
        Winsorizer,
        feature_transforms,
    )
    from pipeline.learning.uniqueness import average_uniqueness

__all__ = [
    "LABEL_COLUMNS",
    "CombinatorialPurged",
    "DropUninformative",
    "MadScaler",
    "MissingPolicy",
    "MissingValues",
    "PurgedSplitter",
    "PurgedWalkForward",
    "SignedLog",
    "Winsorizer",
    "average_uniqueness",
    "barrier_labels",
    "candidate_labels",
    "feature_transforms",
    "fold_figure",
    "leaking_rows",
]

# scikit-learn takes a second to import: a command that reads the settings alone does without it.
_MODULES = {
    "CombinatorialPurged": "splits",
    "DropUninformative": "transforms",
    "LABEL_COLUMNS": "labels",
    "MadScaler": "transforms",
    "MissingPolicy": "transforms",
    "MissingValues": "transforms",
    "PurgedSplitter": "splits",
    "PurgedWalkForward": "splits",
    "SignedLog": "transforms",
    "Winsorizer": "transforms",
    "average_uniqueness": "uniqueness",
    "barrier_labels": "barriers",
    "candidate_labels": "labels",
    "feature_transforms": "transforms",
    "fold_figure": "fold_plot",
    "leaking_rows": "separation",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
