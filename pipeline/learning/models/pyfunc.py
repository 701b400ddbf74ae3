"""A saved model as MLflow's ``python_function``: how it is loaded and asked, and what has to travel with it.

``mlflow.pyfunc.load_model`` finds this module by name in the code that was shipped with the model, so its name and
:func:`_load_pyfunc` stay as they are. Nothing here imports MLflow.
"""

import importlib.metadata
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.home import PROJECT
from pipeline.learning.models.protocol import Model
from pipeline.learning.models.registry import load_model
from pipeline.learning.provenance import code_files

__all__ = ["LOADER_MODULE", "ScoringModel", "requirements", "ship_code"]

LOADER_MODULE = "pipeline.learning.models.pyfunc"
# What the package imports until a model of any family is loaded; a family adds its own (`Model.packages`).
LOADING_PACKAGES = (
    "exchange_calendars",
    "llvmlite",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "PyYAML",
    "scikit-learn",
    "scipy",
)
# Chapters that come after the models, none of which they may import; without them a third fewer files travel.
LATER_CHAPTERS = ("audit", "bench", "cli", "performance", "reports")


class ScoringModel:
    """Model as MLflow calls it: ``predict`` of a frame."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Score of each row, 0 to 1, shape (n,): the bits of :meth:`Model.predict_proba`.

        Raises
        ------
        DataError
            For a missing or doubled column, one that holds no numbers, infinite values.
        """
        return self._model.predict_proba(frame)


def _load_pyfunc(path: str) -> ScoringModel:
    """Read the model folder that MLflow hands over.

    Raises
    ------
    DataError
        For a model of another version than this code's, or a broken one.
    ConfigurationError
        For a family that this code does not know.
    """
    return ScoringModel(load_model(Path(path)))


def requirements(model: Model) -> list[str]:
    """Distributions that loading and asking a model needs, pinned to those installed, sorted."""
    names = sorted({*LOADING_PACKAGES, *model.packages}, key=str.lower)
    return [f"{name}=={_public(importlib.metadata.version(name))}" for name in names]


def ship_code(folder: Path, own: Path | None = None) -> None:
    """Copy the package ``pipeline`` up to its chapter ``learning``, and nothing else, into a folder.

    A user's ``own`` file of the model's family goes among the families of the package, where it is found.
    """
    for path in code_files():
        place = path.relative_to(PROJECT)
        if place.parts[1] in LATER_CHAPTERS:
            continue
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if own is not None:
        shutil.copyfile(own, folder / "pipeline" / "learning" / "models" / "families" / f"own_{own.name}")


def _public(version: str) -> str:
    # torch calls itself 2.13.0+cpu, a build that the package index does not have under that name.
    return version.partition("+")[0]
