"""``train``: one model family of one symbol, from its folds to its backtest."""

import dagster as dg

__all__ = ["train"]

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.groups("models"),
    description="Train a model family on a symbol's candidates, walk-forward; register it; trade its signals.",
    executor_def=dg.in_process_executor,
)
