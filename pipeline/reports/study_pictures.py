"""Still pictures of a tuning study, as PNG files, from its table of trials alone."""

import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.pictures.png_files import new_figure, png
from pipeline.reports.theme import BAD, FADED, GRID, INK, MUTED, STRATEGY_COLORS
from pipeline.tuning.importances import finished_trials, parameter_importances
from pipeline.tuning.objectives import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "history_picture",
    "importances_picture",
    "pareto_front",
    "pareto_picture",
    "slices_picture",
    "study_pictures",
]

_COLOR, _FRONT = STRATEGY_COLORS[:2]
_COLUMNS = 4
_MOST_CHOICES = 12
_APART = 0.05
_DECADES = 1.5  # from here on a positive parameter is drawn by ratios


def study_pictures(trials: pd.DataFrame, objectives: Mapping[str, Direction], name: str) -> dict[str, bytes]:
    """Every picture there is something to draw for.

    Parameters
    ----------
    trials
        A row a trial: number, state (``complete``, ``pruned``, ``failed``), values (a value an objective), params (a
        mapping), as :meth:`pipeline.tuning.ledger.Ledger.trials` gives it.
    objectives
        Name and direction of each objective, in the order of the values.
    name
        What was tuned, in the titles, such as ``ES lightgbm``.

    Returns
    -------
    dict
        File name → PNG: ``history.png``, ``pareto.png``, ``importances.png``, ``slices.png``; with several
        objectives the last two by objective, such as ``slices_net.png``.
    """
    drawn = {"history.png": history_picture(trials, objectives, name)}
    drawn["pareto.png"] = pareto_picture(trials, objectives, name)
    for place, (objective, direction) in enumerate(objectives.items()):
        suffix = f"_{objective}" if len(objectives) > 1 else ""
        importances = parameter_importances(trials, place)
        order = list(importances.index)
        drawn[f"importances{suffix}.png"] = importances_picture(importances, objective, name)
        drawn[f"slices{suffix}.png"] = slices_picture(
            trials, direction, objective=place, label=objective, name=name, order=order
        )
    return {file: picture for file, picture in drawn.items() if picture is not None}


def history_picture(trials: pd.DataFrame, objectives: Mapping[str, Direction], name: str) -> bytes | None:
    """Value of every trial in order, the best so far, and where trials were pruned or failed; None without a value."""
    found = [finished_trials(trials, place)[1] for place in range(len(objectives))]
    if not any(len(values) for values in found):
        return None
    figure = new_figure(9, 1.2 + 2.4 * len(found))
    panels = np.atleast_1d(figure.subplots(len(found), 1, sharex=True))
    for axes, values, (objective, direction) in zip(panels, found, objectives.items(), strict=True):
        low, high = _shown(values.to_numpy(), direction)
        inside = values[values.between(low, high)]
        axes.scatter(inside.index, inside, s=9, color=_COLOR, alpha=0.6, linewidths=0, label="complete")
        best = values.cummin() if direction == "minimize" else values.cummax()
        known = best[best.between(low, high)]
        axes.step(known.index, known, where="post", color=INK, linewidth=1.3, label="best so far")
        beyond = values[~values.between(low, high)]
        if len(beyond):
            edge = np.where(beyond > high, high, low)
            axes.scatter(beyond.index, edge, s=16, marker="_", color=_COLOR, label=f"beyond the scale: {len(beyond)}")
        for state, color, level in (("pruned", _FRONT, 0.0), ("failed", BAD, 0.03)):
            numbers = trials.loc[trials["state"] == state, "number"]
            if len(numbers):
                axes.plot(
                    numbers,
                    np.full(len(numbers), level),
                    "|",
                    color=color,
                    markersize=6,
                    transform=axes.get_xaxis_transform(),
                    clip_on=False,
                    label=f"{state}: {len(numbers)}",
                )
        axes.set_ylabel(f"{_words(objective)}, {'less' if direction == 'minimize' else 'more'} is better", fontsize=8)
        _plain(axes)
    panels[-1].set_xlabel("trial", fontsize=8)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", fontsize=8, frameon=False, ncols=len(labels))
    complete = int((trials["state"] == "complete").sum())
    figure.suptitle(f"{name}: {len(trials):,} trials, {complete:,} of them complete", x=0.01, ha="left", fontsize=10)
    return png(figure)


def importances_picture(importances: pd.DataFrame, label: str, name: str) -> bytes | None:
    """Draw the parameters' importance for the objective; None where it is unknown.

    Parameters
    ----------
    importances
        From :func:`pipeline.tuning.importances.parameter_importances`.
    label, name
        Name of the objective, and of what was tuned.
    """
    if importances.empty:
        return None
    figure = new_figure(7.5, 1.2 + 0.28 * len(importances))
    axes = figure.subplots()
    rows = np.arange(len(importances))
    share, deviation = 100 * importances["importance"], 100 * importances["deviation"]
    axes.barh(rows, share, color=_COLOR, alpha=0.45)
    axes.errorbar(share, rows, xerr=deviation, fmt="o", color=_COLOR, markersize=4, linewidth=1, capsize=2.5)
    axes.axvline(0, color=FADED, linewidth=0.8)
    axes.set_yticks(rows, [_words(parameter) for parameter in importances.index])
    axes.invert_yaxis()
    axes.set_xlabel(
        f"share of the variance of the ranks of {_words(label)} that goes through it, %, and its spread over folds",
        fontsize=8,
    )
    explained = max(0.0, importances.attrs.get("explained", np.nan))
    together = f"; all together explain {explained:.0%}" if np.isfinite(explained) else ""
    axes.set_title(f"{name}: what {_words(label)} depended on{together}", loc="left", fontsize=10)
    return png(figure)


def slices_picture(
    trials: pd.DataFrame, direction: Direction, *, objective: int, label: str, name: str, order: Sequence[str] = ()
) -> bytes | None:
    """Value against each parameter, later trials darker, the best one marked; None where no parameter varied.

    Parameters
    ----------
    trials
        As :func:`study_pictures` takes them.
    direction, objective, label, name
        Direction, place and name of the objective; what was tuned.
    order
        Parameters to draw first; the others follow in their own order.
    """
    frame, values = finished_trials(trials, objective)
    names = _ordered(frame, order)
    if not names:
        return None
    best = _best(values, direction)
    rows = -(-len(names) // _COLUMNS)
    columns = min(_COLUMNS, len(names))
    figure = new_figure(max(2.4 * columns, 4.8), 2.3 * rows + 0.6)
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    low, high = _shown(values.to_numpy(), direction)
    drawn = values.clip(low, high)
    for axes, parameter in zip(panels, names, strict=False):
        places, ticks = _places(frame[parameter])
        known = np.isfinite(places)
        spread = np.zeros(len(places))
        if ticks is not None:  # so that the trials of a choice don't hide each other
            spread = min(0.6, 0.01 * len(frame)) * (
                np.argsort(np.argsort(frame.index * 0.6180339887 % 1)) / max(1, len(frame) - 1) - 0.5
            )
            axes.set_xticks(range(len(ticks)), ticks, rotation=30 if max(map(len, ticks)) > 6 else 0)
            axes.set_xlim(-0.6, len(ticks) - 0.4)
        elif _by_ratio(places[known]):
            axes.set_xscale("log")
        axes.scatter(
            (places + spread)[known],
            drawn[known],
            s=9,
            c=np.arange(len(frame))[known],
            cmap=_blues(),
            vmin=0,
            vmax=max(1, len(frame) - 1),
            linewidths=0,
        )
        place = frame.index.get_loc(best)
        if known[place]:
            axes.scatter(
                (places + spread)[place], drawn.loc[best], s=42, facecolors="none", edgecolors=_FRONT, linewidths=1.6
            )
        axes.set_xlabel(_words(parameter), fontsize=7.5)
        _plain(axes)
    for axes in panels[:: len(panels) // rows]:
        axes.set_ylabel(_words(label), fontsize=8)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(
        f"{name}: {_words(label)} by parameter; dark: later trials, ring: the best", x=0.01, ha="left", fontsize=10
    )
    return _few_colors(png(figure, label_size=6.5))


def pareto_front(values: NDArray[np.float64], directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Find the Pareto front: trials that none beats in one objective without losing in another.

    Parameters
    ----------
    values
        Shape (trials, objectives), finite.
    directions
        Of each objective.

    Returns
    -------
    ndarray
        Shape (trials,); of equal trials all.
    """
    costs = values * np.where(np.array(directions) == "minimize", 1.0, -1.0)
    return np.array(
        [not ((costs <= own).all(axis=1) & (costs < own).any(axis=1)).any() for own in costs], dtype=np.bool_
    )


def pareto_picture(trials: pd.DataFrame, objectives: Mapping[str, Direction], name: str) -> bytes | None:
    """Objectives against each other, the Pareto front of all of them in colour; None with one objective or no value."""
    names = list(objectives)
    complete = trials[trials["state"] == "complete"]
    values = np.array([list(held) for held in complete["values"]], dtype=np.float64).reshape(len(complete), len(names))
    finite = np.isfinite(values).all(axis=1)
    values = values[finite]
    if len(names) < 2 or not len(values):
        return None
    numbers = complete["number"].to_numpy()[finite]
    front = pareto_front(values, list(objectives.values()))
    pairs = list(combinations(range(len(names)), 2))
    figure = new_figure(max(6.5, 4.4 * len(pairs)), 4.6)
    for axes, (across, up) in zip(np.atleast_1d(figure.subplots(1, len(pairs))), pairs, strict=True):
        axes.scatter(*values[~front][:, [across, up]].T, s=11, color=FADED, alpha=0.6, linewidths=0)
        best = values[front][:, [across, up]]
        line = best[np.argsort(best[:, 0], kind="stable")]
        if len(names) == 2:
            # A step, bending to the worse side: what lies between two of the front was not reached.
            where = "post" if objectives[names[across]] == "minimize" else "pre"
            axes.step(*line.T, where=where, color=_FRONT, linewidth=1.0, alpha=0.8)
        axes.scatter(*best.T, s=26, color=_FRONT, zorder=3)
        for text, spot in _named(numbers[front], best):
            axes.annotate(text, spot, xytext=(5, -8), textcoords="offset points", fontsize=6.5, color=MUTED)
        for setter, place in ((axes.set_xlabel, across), (axes.set_ylabel, up)):
            way = "less" if objectives[names[place]] == "minimize" else "more"
            setter(f"{_words(names[place])}, {way} is better", fontsize=8)
        _plain(axes)
        axes.xaxis.set_major_formatter(lambda value, _: _number(value))
    count = int(front.sum())
    figure.suptitle(
        f"{name}: {len(values):,} trials, orange: the {count:,} that none beats in all", x=0.01, ha="left", fontsize=10
    )
    return png(figure)


def _few_colors(picture: bytes) -> bytes:
    """The same picture in a third of the bytes: hundreds of crossing lines compress badly in all colours."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _named(numbers: NDArray[Any], spots: NDArray[np.float64]) -> list[tuple[str, tuple[float, float]]]:
    """Numbers of some points, none too near to another."""
    scale = np.ptp(spots, axis=0)
    placed = spots / np.where(scale > 0, scale, 1.0)
    chosen: list[int] = []
    for place in np.argsort(spots[:, 0], kind="stable"):
        if all(np.abs(placed[place] - placed[other]).max() > _APART for other in chosen):
            chosen.append(int(place))
    return [(f"{numbers[place]}", (float(spots[place, 0]), float(spots[place, 1]))) for place in chosen]


def _shown(values: NDArray[np.float64], direction: Direction) -> tuple[float, float]:
    """Ends of the scale: all of the better side, and of the worse one no more than is needed to see the rest."""
    best, worst = (values.min(), values.max()) if direction == "minimize" else (values.max(), values.min())
    middle, far = np.median(values), np.quantile(values, 0.9 if direction == "minimize" else 0.1)
    reach = 3 * max(abs(far - middle), abs(middle - best))
    if reach and abs(worst - middle) > reach:
        worst = middle + np.sign(worst - middle) * reach
    low, high = sorted((float(best), float(worst)))
    return low, high


def _best(values: pd.Series, direction: Direction) -> Any:
    return values.idxmin() if direction == "minimize" else values.idxmax()


def _ordered(frame: pd.DataFrame, order: Sequence[str]) -> list[str]:
    """Parameters that varied, those of the order given first."""
    varying = [name for name in frame.columns if len(set(frame[name].map(repr))) > 1]
    first = [name for name in order if name in varying]
    return first + [name for name in varying if name not in first]


def _places(values: pd.Series) -> tuple[NDArray[np.float64], list[str] | None]:
    """Place a parameter's values on an axis: numbers as they are, choices by their place in a list."""
    known = values.dropna()
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in known):
        return values.astype(np.float64).to_numpy(), None
    names = values.map(lambda value: "none" if value is None else str(value))
    choices = sorted(set(names))
    if len(choices) > _MOST_CHOICES:
        return names.map({name: float(place) for place, name in enumerate(choices)}).to_numpy(np.float64), None
    return names.map({name: float(place) for place, name in enumerate(choices)}).to_numpy(np.float64), choices


def _by_ratio(places: NDArray[np.float64]) -> bool:
    """Tell whether numbers of one sign are spread more evenly by ratio, over more than a decade and a half."""
    if not len(places) or places.min() <= 0:
        return False
    low, middle, high = np.log10([places.min(), np.median(places), places.max()])
    if high - low < _DECADES:
        return False
    even = (np.median(places) - places.min()) / np.ptp(places)
    return bool(abs((middle - low) / (high - low) - 0.5) < abs(even - 0.5))


def _blues() -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["#bcd3ee", _COLOR, "#0b2545"])


def _plain(axes: "Axes") -> None:
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(lambda value, _: _number(value))


def _number(value: float) -> str:
    """Four figures, from thousands on all of the whole ones."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _words(name: str) -> str:
    return str(name).replace("_", " ")
