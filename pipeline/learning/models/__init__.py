"""Model families behind one small protocol."""

from pipeline.learning.models.fit_options import FitOptions, Progress
from pipeline.learning.models.protocol import Model, ModelSettings
from pipeline.learning.models.registry import families, find_family, load_model, make_model
from pipeline.learning.models.rows import OUTCOME_COLUMNS, TRAINING_META, TrainingRows

__all__ = [
    "OUTCOME_COLUMNS",
    "TRAINING_META",
    "FitOptions",
    "Model",
    "ModelSettings",
    "Progress",
    "TrainingRows",
    "families",
    "find_family",
    "load_model",
    "make_model",
]
