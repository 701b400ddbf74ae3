"""The table every summary is: metrics with value, interval, unit and note."""

import math

import pandas as pd

from pipeline.performance.display import format_interval, format_value
from pipeline.performance.uncertainty import Interval

__all__ = ["MODEL_DIGITS", "TABLE_COLUMNS", "MetricTable", "format_estimate", "format_line", "noted"]

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


def format_line(line: pd.Series) -> tuple[str, str]:
    """A metric's line, of a summary or of a comparison, as text: the value, and the interval (empty where none is)."""
    metric = line.name[-1] if isinstance(line.name, tuple) else line.name
    value, unit, digits = line["value"], line["unit"], MODEL_DIGITS.get(str(metric))
    return (
        format_value(value, unit, digits=digits),
        format_interval(line["low"], line["high"], unit, value=value, digits=digits),
    )


def format_estimate(line: pd.Series) -> str:
    """The same as one text: ``0.489 (0.439 to 0.541)``."""
    value, interval = format_line(line)
    return f"{value} ({interval})" if interval else value
