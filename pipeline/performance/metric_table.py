"""The table every summary is: metrics with value, interval, unit and note."""

import math

import pandas as pd

from pipeline.performance.uncertainty import Interval

__all__ = ["MODEL_DIGITS", "TABLE_COLUMNS", "MetricTable", "noted"]

TABLE_COLUMNS = {"value": float, "low": float, "high": float, "unit": str, "note": str}


MODEL_DIGITS = {"log_loss": 4, "brier_score": 4, "auc": 3, "auc_within_folds": 3, "net": 0, "mean_r": 2}
"""Decimals of metrics whose differences show late."""


class MetricTable:
    """Rows of a summary in the order they are added."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[float, float, float, str, str]] = {}

    def add(self, name: str, value: float, unit: str, note: str = "", interval: Interval | None = None) -> None:
        """Add a metric; without an interval its ends are missing."""
        low, high = interval or (math.nan, math.nan)
        self._rows[name] = (float(value), low, high, unit, note)

    def frame(self) -> pd.DataFrame:
        """Columns ``value``, ``low``, ``high``, ``unit``, ``note``, indexed by ``metric``."""
        frame = pd.DataFrame.from_dict(self._rows, orient="index", columns=list(TABLE_COLUMNS))
        return frame.rename_axis("metric").astype(TABLE_COLUMNS)


def noted(*parts: str) -> str:
    """Remarks one after another, empty ones left out."""
    return "; ".join(part for part in parts if part)
