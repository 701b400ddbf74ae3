"""A picture of folds: each label from decision to knowledge, by what it is in each split."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.intervals import Intervals, read_intervals
from pipeline.learning.splits import PurgedSplitter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["fold_figure"]

_COLORS = {
    "train": "#1f5fa8",
    "test": "#d9771a",
    "purged": "#c03a2b",
    "embargoed": "#6b4fa0",
    "unused": "#d5dae0",
}
_MEANING = {
    "train": "training",
    "test": "test",
    "purged": "purged: meets a test label",
    "embargoed": "embargoed",
    "unused": "not used",
}
_BAND = 0.72  # of the height a split has; the rest keeps it apart from the next
_INCHES = 0.36  # a split's height
_MOST_SPLITS = 30


def fold_figure(frame: pd.DataFrame, splitters: Mapping[str, PurgedSplitter]) -> "Figure":
    """Draw splits over time, a panel a splitter, a band a split, a line a label from ``start`` to ``end``.

    Parameters
    ----------
    frame
        ``start`` and ``end`` of each label, shape (n, ...).
    splitters
        Title → splitter.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not saved.

    Raises
    ------
    DataError
        If the frame can't be split, or there are more splits than can be distinguished (30).
    """
    from matplotlib.collections import LineCollection
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    intervals = read_intervals(frame)
    counts = [splitter.get_n_splits() for splitter in splitters.values()]
    if not counts or max(counts) > _MOST_SPLITS:
        raise DataError(f"a picture shows 1 to {_MOST_SPLITS} splits of each splitter, not {max(counts, default=0)}")
    start, end = (date2num(values.view("M8[ns]")) for values in (intervals.start, intervals.end))
    lane = _lanes(intervals)
    width = float(np.clip(_INCHES * _BAND * 72 / (lane.max() + 1) * 0.8, 0.6, 4))
    figure = Figure(figsize=(9.6, 1.5 + _INCHES * sum(counts)), dpi=100, layout="constrained")
    axes = figure.subplots(len(counts), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axis, (title, splitter) in zip(axes, splitters.items(), strict=True):
        roles = splitter.roles(frame)
        for number in roles.columns:
            height = number + _BAND * ((lane + 0.5) / (lane.max() + 1) - 0.5)
            for role, color in _COLORS.items():
                held = (roles[number] == role).to_numpy()
                ends = np.stack([start[held], height[held], end[held], height[held]], axis=1).reshape(-1, 2, 2)
                axis.add_collection(LineCollection(list(ends), colors=color, linewidths=width))
        axis.set(ylim=(len(roles.columns) - 0.5, -0.5), xlim=(start.min(), end.max()), ylabel="split")
        axis.set_yticks(range(len(roles.columns)))
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.tick_params(labelsize=8, length=0)
        axis.spines[:].set_visible(False)
        axis.hlines(np.arange(1, len(roles.columns)) - 0.5, start.min(), end.max(), colors="#e6e9ee", linewidths=0.8)
        locator = AutoDateLocator()
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    handles = [Line2D([], [], color=color, linewidth=4, label=_MEANING[role]) for role, color in _COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _lanes(intervals: Intervals) -> NDArray[np.int64]:
    """A lane for each label so that no two in one overlap, as few as can be, shape (n,)."""
    lane = np.empty(len(intervals), np.int64)
    free_from: list[int] = []
    for row in np.lexsort((intervals.end, intervals.start)):
        found = next((at for at, over in enumerate(free_from) if over < intervals.start[row]), len(free_from))
        free_from[found : found + 1] = [int(intervals.end[row])]
        lane[row] = found
    return lane
