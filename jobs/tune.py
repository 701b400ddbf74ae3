"""``tune``: one study of one symbol, begun or gone on with."""

import dagster as dg

from jobs.processes import one_process

__all__ = ["tune"]

tune = dg.define_asset_job(
    "tune",
    selection=dg.AssetSelection.assets("studies"),
    description="Search a target's parameters on a symbol, and remember every look.",
    executor_def=one_process,
)
