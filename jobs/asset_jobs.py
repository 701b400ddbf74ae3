"""Jobs: which assets are made together."""

import dagster as dg
from dagster import AssetSelection

from assets.groups import BACKTESTS, FEATURES, JUDGEMENT, MODELS, SIGNALS
from jobs.processes import one_process

__all__ = ["desk", "ingest", "judge", "prepare", "research", "train", "tune"]

OF_SYMBOL = (
    *("bar_history", "profile_history", "session_history"),
    *("profile_structure", "naked_vpocs", "composite_profiles", "volatility_index", "features"),
)

ingest, prepare, research, train, tune, judge, desk = (
    dg.define_asset_job(name, selection=selection, description=description, executor_def=one_process)
    for name, selection, description in (
        (
            "ingest",
            AssetSelection.assets("bars", "quarantine", "volume_profiles"),
            "Clean the bars of the months asked for and make their volume profiles.",
        ),
        (
            "prepare",
            AssetSelection.assets(*OF_SYMBOL),
            "Join a symbol's months, and make its session history, profile structure and features.",
        ),
        (
            "research",
            AssetSelection.groups(SIGNALS, FEATURES, BACKTESTS) - AssetSelection.assets(*OF_SYMBOL),
            "Make a book's signals, labels, training set and backtests.",
        ),
        (
            "train",
            AssetSelection.groups(MODELS),
            "Train a model family on a book's candidates, walk-forward; register it; trade its signals.",
        ),
        (
            "tune",
            AssetSelection.assets("studies"),
            "Search a target's parameters on a book, and record every trial.",
        ),
        (
            "judge",
            AssetSelection.groups(JUDGEMENT) - AssetSelection.assets("desk_backtest"),
            "Compare a book's models, judge its backtests and make its report, with every model there is.",
        ),
        (
            "desk",
            AssetSelection.assets("desk_backtest"),
            "Trade the books of the desk on one account, and make its report.",
        ),
    )
)
