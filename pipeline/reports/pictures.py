"""Still pictures for asset metadata: Markdown with the PNG inside, where no script may run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.pictures.png_files import new_figure, picture_markdown, png
from pipeline.reports.theme import STRATEGY_COLORS, STRATEGY_DASHES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "correlation_picture",
    "drift_picture",
    "equity_picture",
]

COLORS = ("#2b6cb0", "#c05621")  # before and after


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
    figure = new_figure(9, 4.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    looks = zip(STRATEGY_COLORS, STRATEGY_DASHES, strict=True)
    filled = len(equity) <= len(COLORS)
    for (name, series), (color, dash) in zip(equity.items(), looks, strict=False):
        daily = series.groupby(pd.DatetimeIndex(series.index).floor("D")).last()
        style = {"dash": "dashed", "dot": "dotted"}.get(dash, "solid")
        upper.plot(daily.index, daily.to_numpy(), color=color, linestyle=style, linewidth=1.1, label=name)
        falls = 100 * (daily / daily.cummax() - 1)
        if filled:
            lower.fill_between(daily.index, falls, color=color, alpha=0.35, linewidth=0)
        else:
            lower.plot(daily.index, falls, color=color, linestyle=style, linewidth=0.8)
    upper.legend(loc="best", fontsize=8, frameon=False)
    upper.set_title(title, loc="left", fontsize=10)
    upper.set_ylabel("equity")
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    lower.set_ylabel("drawdown %")
    return _markdown(figure, title)


def correlation_picture(features: pd.DataFrame, title: str) -> str:
    """Draw the rank correlations of features, those that say the same beside each other.

    Parameters
    ----------
    features
        Shape (rows, features); constant ones are left out.

    Returns
    -------
    str
        Markdown with an inline PNG; a sentence where fewer than two features vary.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    varying = features.loc[:, features.std() > 0]
    if varying.shape[1] < 2:
        return "Fewer than two features vary: nothing to correlate."
    correlation = varying.rank().corr().fillna(0.0)
    if correlation.shape[0] > 2:
        distance = np.clip(1 - np.abs(correlation.to_numpy()), 0, None)
        np.fill_diagonal(distance, 0.0)
        order = leaves_list(linkage(squareform((distance + distance.T) / 2, checks=False), "average"))
        correlation = correlation.iloc[order, order]
    figure = new_figure(9, 8.2)
    axes = figure.subplots()
    image = axes.imshow(correlation.to_numpy(), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.6, label="rank correlation")
    step = max(1, -(-len(correlation) // 60))
    axes.set_yticks(range(0, len(correlation), step), correlation.index[::step])
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=10)
    return _markdown(figure, title, label_size=5)


def drift_picture(features: pd.DataFrame, drift: pd.Series, title: str, *, training_share: float = 0.7) -> str:
    """Draw how the most drifted features were distributed in the training window and after it.

    Parameters
    ----------
    features
        Rows in order of time, shape (rows, features).
    drift
        Population stability index by feature, as :func:`pipeline.features.description.describe_features` gives it.
    training_share
        The first share of the rows.

    Returns
    -------
    str
        Markdown with an inline PNG.
    """
    chosen = drift.dropna().sort_values(ascending=False).head(12)
    split = int(len(features) * training_share)
    figure = new_figure(9, 6.5)
    axes = figure.subplots(3, 4).ravel()
    for place, (name, index) in zip(axes, chosen.items(), strict=False):
        values = features[name].to_numpy(np.float64)
        known = values[np.isfinite(values)]
        low, high = (float(bound) for bound in np.quantile(known, [0.005, 0.995]))
        edges = np.linspace(low, high if high > low else low + 1, 31)
        for part, color in zip((values[:split], values[split:]), COLORS, strict=True):
            place.hist(part[np.isfinite(part)], bins=edges, density=True, color=color, alpha=0.5)
        place.set_title(f"{name}  {index:.2f}", fontsize=6)
        place.set_yticks([])
    for place in axes[len(chosen) :]:
        place.set_visible(False)
    figure.suptitle(f"{title}: first {training_share:.0%} of the sessions blue, later ones orange", fontsize=9)
    return _markdown(figure, title, label_size=6)


def _markdown(figure: "Figure", alternative: str, *, label_size: float = 8) -> str:
    return picture_markdown(png(figure, label_size=label_size), alternative)
