"""Frames as tables in Dagster's page."""

import math

import dagster as dg
import pandas as pd

from pipeline.shown import shown

__all__ = ["table"]


def table(frame: pd.DataFrame, *, digits: int = 6) -> dg.TableMetadataValue:
    """Show a small frame: numbers rounded to ``digits`` significant ones, a missing one as an empty cell."""
    records = [
        dg.TableRecord({shown(str(name)): _cell(value, digits) for name, value in row.items()})
        for row in frame.to_dict("records")
    ]
    columns = [dg.TableColumn(shown(str(name)), _kind(frame[name])) for name in frame]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _kind(column: pd.Series) -> str:
    return {"f": "float", "i": "int", "u": "int", "b": "bool"}.get(column.dtype.kind, "string")


def _cell(value: object, digits: int) -> float | int | bool | str | None:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return str(value.date()) if isinstance(value, pd.Timestamp) and value == value.normalize() else shown(str(value))
