"""``train``: one model family of one symbol, from its folds to its backtest."""

import dagster as dg

from assets.groups import MODELS
from jobs.processes import one_process

__all__ = ["train"]

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.groups(MODELS),
    description="Train a model family on a symbol's candidates, walk-forward; register it; trade its signals.",
    executor_def=one_process,
)
