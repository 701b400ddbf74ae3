"""``research``: from a symbol's profiles to the judged backtest and its report."""

import dagster as dg

__all__ = ["research"]

research = dg.define_asset_job(
    "research",
    selection=dg.AssetSelection.groups("signals", "features", "backtests")
    | dg.AssetSelection.assets("session_history", "profile_structure", "naked_vpocs", "composite_profiles"),
    description="Make a symbol's history, signals, features, labels, backtests and report from all of its months.",
    executor_def=dg.in_process_executor,
)
