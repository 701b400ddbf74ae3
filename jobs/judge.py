"""``judge``: the backtests of rules and models side by side, and the report."""

import dagster as dg

from assets.groups import JUDGEMENT
from jobs.processes import one_process

__all__ = ["judge"]

judge = dg.define_asset_job(
    "judge",
    selection=dg.AssetSelection.groups(JUDGEMENT),
    description="Compare a symbol's models, judge its backtests and make its report, with every model there is.",
    executor_def=one_process,
)
