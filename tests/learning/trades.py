"""Made-up candidates with features and outcomes, and a small model that remembers instead of learning."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows

FIRST = pd.Timestamp("2020-01-01 22:00", tz="UTC")


@dataclass(frozen=True)
class Market:
    """Candidates in pairs (long, short) of one start, some of which became trades."""

    rows: TrainingRows
    scored: pd.DataFrame
    starts: pd.Series
    pending: pd.Series


def market(days: int = 200, *, seed: int = 0, edge: float = 0.0, columns: int = 4) -> Market:
    """Two candidates a day, two in three of them filled, of the last day none; ``edge`` is what ``x0`` tells.

    Most labels are known within the day; some live for five.
    """
    random = np.random.default_rng(seed)
    count = 2 * days
    index = pd.Index(np.arange(count) * 3 + 7, name="candidate")
    starts = pd.Series(FIRST + pd.to_timedelta(np.arange(count) // 2, unit="D"), index, name="start").dt.as_unit("ns")
    scored = pd.DataFrame(random.normal(size=(count, columns)), index, [f"x{number}" for number in range(columns)])
    scored = scored.mask(random.random(scored.shape) < 0.02)
    scored["x0"] = scored["x0"].fillna(0.0)
    pending = pd.Series(np.arange(count) // 2 == days - 1, index)
    label = (random.random(count) < 1 / (1 + np.exp(0.4 - edge * scored["x0"]))).astype(np.float64)
    life = np.where(random.random(count) < 0.1, pd.Timedelta("5D"), pd.Timedelta("18h"))
    outcome = pd.DataFrame(
        {
            "start": starts,
            "end": starts + pd.to_timedelta(life),
            "label": label,
            "r_multiple": np.where(label > 0, 1.5, -1.0),
            "net": np.where(label > 0, 150.0, -110.0),
            "weight": random.uniform(0.5, 1.0, count),
        },
        index,
    )
    filled = (random.random(count) < 2 / 3) & ~pending.to_numpy()
    # The last labels are known before the coming session is decided.
    filled &= (outcome["end"] < starts.iloc[-1]).to_numpy()
    return Market(TrainingRows(scored[filled], outcome[filled]), scored, starts, pending)


class Neighbour(Model):
    """The label of the nearest training row: right about every row it has learned from, whatever the others say."""

    family = "neighbour"

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        self._seen, self._label = _filled(rows.features), rows.label
        self.learned_from = rows.outcome.index
        if options.observe is not None:
            options.observe(Progress(1, 1, {"rows": float(len(rows))}))

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        away = ((_filled(features)[:, None, :] - self._seen[None, :, :]) ** 2).sum(axis=2)
        return 0.1 + 0.8 * self._label[away.argmin(axis=1)]

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return {"seen": self._seen.tolist(), "label": self._label.tolist()}

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        self._seen, self._label = np.array(extra["seen"]), np.array(extra["label"])


def _filled(features: pd.DataFrame) -> np.ndarray:
    return features.fillna(0.0).to_numpy(np.float64)


def area_under_curve(label: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """AUC with its 95 % interval under Hanley and McNeil (1982)."""
    from scipy.stats import rankdata

    ones, zeros = int((label > 0).sum()), int((label <= 0).sum())
    area = (rankdata(score)[label > 0].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (ones - 1) * (first - area**2) + (zeros - 1) * (second - area**2)
    reach = 1.959964 * np.sqrt(variance / (ones * zeros))
    return area, area - reach, area + reach
