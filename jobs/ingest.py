"""``ingest``: from raw bars to volume profiles, for months and symbols of the grid."""

import dagster as dg

from jobs.processes import one_process

__all__ = ["ingest"]

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets("bars", "quarantine", "volume_profiles"),
    description="Clean the bars of the months asked for and make their volume profiles.",
    executor_def=one_process,
)
