"""What the declarations of assets have in common."""

from typing import Any

import dagster as dg

from assets.partitions import GRID, SINGLE_RUN, SYMBOLS, WHOLE_HISTORY

__all__ = ["WHOLE", "of_months", "of_symbol"]

WHOLE = dg.AssetIn(partition_mapping=WHOLE_HISTORY, metadata={"allow_missing_partitions": True})
"""All months of a symbol, those that have been made."""


def of_symbol(group: str, kind: str, version: str) -> dict[str, Any]:
    """Keywords of a research asset with a partition a symbol, stored as Parquet and made by what ``kind`` names."""
    return {"partitions_def": SYMBOLS, **_declared(group, kind, version)}


def of_months(group: str, kind: str, version: str) -> dict[str, Any]:
    """The same with a partition a month and symbol; a range of months is one run."""
    return {"partitions_def": GRID, "backfill_policy": SINGLE_RUN, **_declared(group, kind, version)}


def _declared(group: str, kind: str, version: str) -> dict[str, Any]:
    return {"group_name": group, "owners": ["team:research"], "kinds": {"parquet", kind}, "code_version": version}
