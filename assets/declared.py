"""What the declarations of assets have in common: partitions, mappings of what they take, owners, kinds."""

from typing import Any

import dagster as dg

from assets.partitions import (
    BOOK_OF_MODELS,
    BOOKS,
    BOOKS_OF_SYMBOL,
    GRID,
    SINGLE_RUN,
    SYMBOLS,
    WHOLE_HISTORY,
)

__all__ = [
    "EVERY_FAMILY",
    "OWNERS",
    "WHOLE",
    "of_book",
    "of_months",
    "of_symbol",
    "taken",
]

OWNERS = ["team:research"]
_MISSING = {"allow_missing_partitions": True}
WHOLE = dg.AssetIn(partition_mapping=WHOLE_HISTORY, metadata=_MISSING)
"""All months of a symbol, those that have been made."""
EVERY_FAMILY = dg.AssetIn(partition_mapping=BOOK_OF_MODELS, metadata=_MISSING)
"""All model families of a book, those that have been trained."""


def taken(mapping: dg.PartitionMapping, *names: str) -> dict[str, dg.AssetIn]:
    """Return assets of other partitions as ``ins``: of a symbol by ``BOOKS_OF_SYMBOL``, say."""
    return {name: dg.AssetIn(partition_mapping=mapping) for name in names}


def of_symbol(group: str, kind: str, version: str) -> dict[str, Any]:
    """Keywords of a research asset with a partition a symbol, stored as Parquet and made by what ``kind`` names."""
    return {"partitions_def": SYMBOLS, **_declared(group, kind, version)}


def of_months(group: str, kind: str, version: str) -> dict[str, Any]:
    """The same with a partition a month and symbol; a range of months is one run."""
    return {"partitions_def": GRID, "backfill_policy": SINGLE_RUN, **_declared(group, kind, version)}


def of_book(group: str, kind: str, version: str, *of_symbol: str, **others: dg.AssetIn) -> dict[str, Any]:
    """The same with a partition a book; ``of_symbol`` names the assets of its symbol that it takes."""
    ins = {**taken(BOOKS_OF_SYMBOL, *of_symbol), **others}
    return {"partitions_def": BOOKS, "ins": ins, **_declared(group, kind, version)}


def _declared(group: str, kind: str, version: str) -> dict[str, Any]:
    return {"group_name": group, "owners": OWNERS, "kinds": {"parquet", kind}, "code_version": version}
