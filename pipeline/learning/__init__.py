"""Learning and its judgement: labels, weights, splits and transforms that can't see the future."""

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
