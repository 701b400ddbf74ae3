"""Losses by step of every fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.inputs import PicturedModel
from pipeline.reports.section import Picture
from pipeline.reports.theme import STRATEGY_COLORS

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["PICTURE"]

_COLUMNS = 3


def _picture(model: PicturedModel) -> bytes | None:
    losses = {fit: log[[column for column in log.columns if "loss" in str(column)]] for fit, log in model.logs.items()}
    losses = {fit: log for fit, log in losses.items() if log.notna().any(axis=None)}
    if not losses:
        return None
    names = list(dict.fromkeys(str(column) for log in losses.values() for column in log.columns))
    rows = -(-len(losses) // _COLUMNS)
    figure = new_figure(9, 2.5 * rows + 0.5)
    panels = np.atleast_1d(figure.subplots(rows, min(_COLUMNS, len(losses)))).ravel()
    for axes, (fit, log) in zip(panels, losses.items(), strict=False):
        for column, color in zip(names, STRATEGY_COLORS, strict=False):
            for part, style in _stages(log, column):
                label = column.replace("_", " ") + (", refit" if style == "dashed" else "")
                axes.plot(part.index, part, color=color, linestyle=style, linewidth=1.1, label=label)
        axes.set_title(fit.replace("_", " "), fontsize=8)
    for axes in panels[len(losses) :]:
        axes.set_visible(False)
    handles: dict[str, Artist] = {}
    for axes in panels:
        handles |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", fontsize=8, frameon=False, ncols=4)
    figure.suptitle(f"{model.name}: loss by step", x=0.01, ha="left", fontsize=10)
    return png(figure, label_size=7)


def _stages(log: pd.DataFrame, column: str) -> Iterator[tuple[pd.Series, str]]:
    """A loss before and after the last step that was validated: what follows is the fit on all rows."""
    if column not in log:
        return
    last = log["validation_loss"].last_valid_index() if "validation_loss" in log else None
    values = log[column].dropna()
    if last is None or column == "validation_loss" or column.startswith("refit_"):
        yield values, "solid"
        return
    yield values.loc[:last], "solid"
    if len(after := values.loc[last:].iloc[1:]):
        yield after, "dashed"


PICTURE = Picture(60, "training.png", _picture)
