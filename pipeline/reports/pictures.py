"""Still pictures for asset metadata: Markdown with the PNG inside, where no script may run."""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["equity_picture"]

COLORS = ("#2b6cb0", "#c05621")


def equity_picture(equity: Mapping[str, pd.Series], title: str) -> str:
    """Draw equity by bar, one line a strategy, and the drawdown below.

    Parameters
    ----------
    equity
        Strategy name → equity by bar, indexed by time.

    Returns
    -------
    str
        Markdown with an inline PNG.
    """
    figure = _figure(9, 4.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for (name, series), color in zip(equity.items(), COLORS, strict=False):
        daily = series.groupby(pd.DatetimeIndex(series.index).floor("D")).last()
        upper.plot(daily.index, daily.to_numpy(), color=color, linewidth=1.1, label=name)
        lower.fill_between(daily.index, 100 * (daily / daily.cummax() - 1), color=color, alpha=0.35, linewidth=0)
    upper.legend(loc="best", fontsize=8, frameon=False)
    upper.set_title(title, loc="left", fontsize=10)
    upper.set_ylabel("equity")
    lower.set_ylabel("drawdown %")
    return _markdown(figure, title)


def _figure(width: float, height: float) -> "Figure":
    # Figure itself, not pyplot: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure


def _markdown(figure: "Figure", alternative: str) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
