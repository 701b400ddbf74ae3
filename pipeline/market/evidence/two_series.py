"""Rows of two series under one time: another symbol's in a column that no name tells."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_SHARE = 0.2
_APART = 0.02  # of the price: bars of one market and minute are nearer


def look(data: Evidence) -> Iterator[Finding]:
    """Compare rows of the same time that differ with the row that was kept."""
    refused = data.clean.quarantine
    clashing = refused[refused["reason"] == "conflicting_duplicate"] if len(refused) else refused
    rows = data.clean.report.rows_in
    if len(clashing) < max(2, _SHARE * rows):
        return
    kept = data.clean.bars.set_index("timestamp")["close"]
    times = pd.DatetimeIndex(clashing["timestamp"]).tz_convert("UTC").as_unit("ns")
    theirs = clashing["close"].to_numpy(dtype=np.float64)
    ours = kept.reindex(times).to_numpy()
    apart = np.abs(theirs - ours) > _APART * np.abs(ours)
    text = f"{len(clashing):,} of {rows:,} rows have the time of another row and other values"
    if apart.mean() > 0.5:
        yield Finding(
            "two_series",
            "warning",
            f"{text}, at {np.nanmedian(theirs):g} where the rows kept are at {np.nanmedian(ours):g}: the file probably "
            "holds several symbols; name their column and the one to take, --columns symbol=NAME --file-symbol SYMBOL",
        )
    else:
        yield Finding(
            "two_series",
            "warning",
            f"{text}, at about the same prices: files that overlap, or several contracts; keep one row per time, or "
            "give one contract per file",
        )
