"""Jobs: which assets are made together."""

import dagster as dg
from dagster import AssetSelection

from assets.groups import BACKTESTS, FEATURES, JUDGEMENT, MODELS, SIGNALS
from jobs.processes import one_process

__all__ = ["ingest", "judge", "research", "train", "tune"]

ingest, research, train, tune, judge = (
    dg.define_asset_job(name, selection=selection, description=description, executor_def=one_process)
    for name, selection, description in (
        (
            "ingest",
            AssetSelection.assets("bars", "quarantine", "volume_profiles"),
            "Clean the bars of the months asked for and make their volume profiles.",
        ),
        (
            "research",
            AssetSelection.groups(SIGNALS, FEATURES, BACKTESTS)
            | AssetSelection.assets("session_history", "profile_structure", "naked_vpocs", "composite_profiles"),
            "Make a symbol's history, signals, features, labels, training set and backtests from all its months.",
        ),
        (
            "train",
            AssetSelection.groups(MODELS),
            "Train a model family on a symbol's candidates, walk-forward; register it; trade its signals.",
        ),
        (
            "tune",
            AssetSelection.assets("studies"),
            "Search a target's parameters on a symbol, and record every trial.",
        ),
        (
            "judge",
            AssetSelection.groups(JUDGEMENT),
            "Compare a symbol's models, judge its backtests and make its report, with every model there is.",
        ),
    )
)
