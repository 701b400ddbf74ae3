"""``research``: from a symbol's profiles to its signals, its rules' backtests and what models learn from."""

import dagster as dg

from assets.groups import BACKTESTS, FEATURES, SIGNALS
from jobs.processes import one_process

__all__ = ["research"]

research = dg.define_asset_job(
    "research",
    selection=dg.AssetSelection.groups(SIGNALS, FEATURES, BACKTESTS)
    | dg.AssetSelection.assets("session_history", "profile_structure", "naked_vpocs", "composite_profiles"),
    description="Make a symbol's history, signals, features, labels, training set and backtests from all its months.",
    executor_def=one_process,
)
