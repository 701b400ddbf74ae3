"""Still pictures of a trained model, as PNG files: for MLflow, and by Markdown for asset metadata."""

from collections.abc import Mapping

import pandas as pd

from pipeline.performance import ModelJudgement
from pipeline.reports import models
from pipeline.reports.inputs import PicturedModel
from pipeline.reports.models.baselines import differences_picture
from pipeline.reports.section import parts_in

__all__ = ["differences_picture", "model_pictures"]


def model_pictures(
    judgement: ModelJudgement,
    name: str,
    *,
    currency: str = "$",
    importance: pd.DataFrame | None = None,
    logs: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, bytes]:
    """Every picture there is something to draw for, of the modules of :mod:`pipeline.reports.models`.

    Parameters
    ----------
    judgement, name, currency, importance, logs
        As the attributes of :class:`~pipeline.reports.inputs.PicturedModel`.

    Returns
    -------
    dict
        File name → PNG: ``calibration.png``, ``thresholds.png``, ``folds.png``, ``scores.png``, ``importance.png``,
        ``training.png``.
    """
    held = pd.DataFrame() if importance is None else importance
    model = PicturedModel(judgement, name, currency=currency, importance=held, logs=logs or {})
    drawn = {picture.file: picture.draw(model) for picture in parts_in(models, "PICTURE")}
    return {file: picture for file, picture in drawn.items() if picture is not None}
