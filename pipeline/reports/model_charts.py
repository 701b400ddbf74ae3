"""Charts of models' out-of-fold scores: calibration, money by threshold, AUC by fold, scores over time, importance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.learning.importance import importance_table
from pipeline.performance import ModelJudgement
from pipeline.reports.markup import plain
from pipeline.reports.model_names import METHOD_NAMES, family_name, importance_methods
from pipeline.reports.theme import FADED, INK, MUTED, money_ticks, restyle

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "COLUMNS",
    "calibration_figure",
    "fold_figure",
    "history_figure",
    "importance_figure",
    "importance_height",
    "threshold_figure",
]

Judgements = Mapping[str, ModelJudgement]

COLUMNS = 3
_PANEL = 280
_HISTORY_PANEL = 170
_TOP = 15
_FEATURE_HEIGHT = 20
_LONGEST_NAME = 24  # letters of a feature beside its bar; hovering tells the rest
_NAME_ROOM = 0.18  # of the figure's width for the names between two panels


def calibration_figure(judgements: Judgements, colors: Mapping[str, str], *, simulated: bool) -> "go.Figure":
    """A panel a model: the share of trades above zero by score with Wilson's 95 % interval, and where it should lie."""
    import plotly.graph_objects as go

    curves = {family: judgement.calibration for family, judgement in judgements.items()}
    figure = _panels([family_name(family) for family in curves])
    drawn = 100 * pd.concat([curve[["score", "low", "high"]] for curve in curves.values()])
    begin = max(0.0, 5 * np.floor((drawn.min(axis=None) - 2) / 5))
    end = min(100.0, 5 * np.ceil((drawn.max(axis=None) + 2) / 5))
    for number, (family, curve) in enumerate(curves.items()):
        place = _place(number)
        share, score = 100 * curve["share"], 100 * curve["score"]
        figure.add_trace(
            go.Scatter(
                x=[begin, end],
                y=[begin, end],
                mode="lines",
                line={"color": FADED, "width": 1, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
            ),
            **place,
        )
        figure.add_trace(
            go.Scatter(
                x=score.round(2).to_numpy(),
                y=share.round(2).to_numpy(),
                mode="lines+markers",
                name=plain(family_name(family)),
                showlegend=False,
                line={"color": colors[family], "width": 1.2},
                marker={"size": 7},
                error_y={
                    "array": (100 * curve["high"] - share).round(2).to_numpy(),
                    "arrayminus": (share - 100 * curve["low"]).round(2).to_numpy(),
                    "color": colors[family],
                    "thickness": 1,
                    "width": 3,
                },
                customdata=curve["trades"].to_numpy(),
                hovertemplate="score %{x:.1f} %, winners %{y:.1f} %<br>%{customdata} trades<extra></extra>",
            ),
            **place,
        )
        figure.update_xaxes(range=[begin, end], nticks=6, title={"text": "score, %"}, **place)
        figure.update_yaxes(range=[begin, end], nticks=6, title={"text": "winners, %"}, **place)
    return _finished(figure, len(curves), simulated)


def threshold_figure(
    judgements: Judgements, colors: Mapping[str, str], *, currency: str, simulated: bool
) -> "go.Figure":
    """A panel a model: net result of one contract each, of all trades scored at or above each threshold."""
    import plotly.graph_objects as go

    figure = _panels([family_name(family) for family in judgements])
    for number, (family, judgement) in enumerate(judgements.items()):
        place, curve = _place(number), judgement.thresholds
        known = curve.dropna(subset=["net_low", "net_high"])
        figure.add_trace(
            go.Scatter(
                x=np.r_[known["threshold"], known["threshold"][::-1]].round(4),
                y=np.r_[known["net_high"], known["net_low"][::-1]].round(0),
                mode="lines",
                fill="toself",
                fillcolor=_faint(colors[family]),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            ),
            **place,
        )
        figure.add_trace(
            go.Scatter(
                x=curve["threshold"].round(4).to_numpy(),
                y=curve["net"].round(2).to_numpy(),
                mode="lines+markers" if len(curve) == 1 else "lines",
                name=plain(family_name(family)),
                showlegend=False,
                line={"color": colors[family], "width": 1.8, "shape": "vh"},
                customdata=np.stack(
                    [curve["trades"], (100 * curve["precision"]).round(1), curve["mean_r"].round(3)], axis=1
                ),
                hovertemplate=f"score at least %{{x:.3f}}: {plain(currency)}%{{y:,.0f}}<br>%{{customdata[0]}} trades, "
                "%{customdata[1]:.1f} % winners, mean %{customdata[2]:.2f} R<extra></extra>",
            ),
            **place,
        )
        figure.add_hline(y=0, line={"color": FADED, "width": 1}, **place)
        for height, (threshold, folds) in enumerate(_fold_thresholds(judgement).items()):
            figure.add_vline(
                x=threshold,
                line={"color": INK, "width": 1, "dash": "dot"},
                annotation={"text": folds, "font": {"size": 10}, "yshift": -12 * (height % 2), "xshift": 1},
                annotation_position="top right",
                **place,
            )
        figure.update_xaxes(nticks=6, title={"text": "score threshold"}, **place)
        figure.update_yaxes(title={"text": "net profit"}, tickformat=money_ticks(currency), **place)
    if len(judgements) > 1:
        figure.update_yaxes(matches="y")
    return _finished(figure, len(judgements), simulated)


def _fold_thresholds(judgement: ModelJudgement) -> dict[float, str]:
    """Thresholds in use, rising, with the folds that used each."""
    used = judgement.scored.groupby("fold")["threshold"].first().round(4)
    folds = used.index.to_series().groupby(used).agg(lambda numbers: ", ".join(map(str, numbers)))
    return {float(str(threshold)): str(text) for threshold, text in folds.items()}


def fold_figure(judgements: Judgements, colors: Mapping[str, str], *, simulated: bool) -> "go.Figure":
    """AUC of every model in every fold and within all of them, with 95 % intervals."""
    import plotly.graph_objects as go

    figure = go.Figure()
    folds = sorted({fold for each in judgements.values() for fold in each.by_fold.index.get_level_values("fold")})
    labels = [*(f"fold {fold}" for fold in folds), "all folds"]
    width = 0.7 / max(1, len(judgements))
    for number, (family, judgement) in enumerate(judgements.items()):
        by_fold = judgement.by_fold.xs("auc_within_folds", level="metric").reindex(folds)
        rows = pd.concat([by_fold, judgement.summary.loc[["auc_within_folds"]]])
        value = rows["value"].to_numpy(np.float64)
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(rows)) + (number - (len(judgements) - 1) / 2) * width,
                y=value.round(4),
                mode="markers",
                name=plain(family_name(family)),
                marker={"color": colors[family], "size": 8},
                error_y={
                    "array": (rows["high"] - value).round(4).to_numpy(),
                    "arrayminus": (value - rows["low"]).round(4).to_numpy(),
                    "color": colors[family],
                    "thickness": 1.2,
                    "width": 3,
                },
                text=labels,
                hovertemplate=f"{plain(family_name(family))}, %{{text}}: AUC %{{y:.3f}}<extra></extra>",
            )
        )
    figure.add_hline(y=0.5, line={"color": FADED, "width": 1})
    figure.add_vline(x=len(folds) - 0.5, line={"color": FADED, "width": 1, "dash": "dot"})
    ticks = [*map(str, folds), "all"]
    figure.update_xaxes(
        tickvals=list(range(len(labels))), ticktext=ticks, range=[-0.6, len(labels) - 0.4], title={"text": "fold"}
    )
    restyle(figure, height=360, simulated=simulated)
    figure.update_yaxes(title={"text": "AUC"}, tickformat=".2f")
    return figure


def history_figure(judgements: Judgements, colors: Mapping[str, str], *, simulated: bool) -> "go.Figure":
    """A row a model: every out-of-fold score by session, winners filled, with its threshold and the folds."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    count = len(judgements)
    height = _HISTORY_PANEL * count + 110
    figure = make_subplots(
        rows=count,
        cols=1,
        shared_xaxes=True,
        subplot_titles=[plain(family_name(family)) for family in judgements],
        vertical_spacing=min(0.12, 38 / height),
    )
    lines: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for number, (family, judgement) in enumerate(judgements.items()):
        place = {"row": number + 1, "col": 1}
        scored = judgement.scored.sort_values("start")
        looks: tuple[tuple[float, str, dict[str, Any]], ...] = (
            (0.0, "loser", {"color": "#fff", "line": {"width": 1, "color": FADED}}),
            (1.0, "winner", {"color": colors[family], "line": {"width": 0}}),
        )
        for label, name, look in looks:
            part = scored[scored["label"] == label]
            figure.add_trace(
                go.Scatter(
                    x=part["session"].dt.strftime("%Y-%m-%d").tolist(),
                    y=part["score"].round(4).to_numpy(),
                    mode="markers",
                    name=name,
                    showlegend=False,
                    marker={"size": 5, "opacity": 0.75, **look},
                    hovertemplate=f"%{{x}}: %{{y:.3f}}, {name}<extra>{plain(family_name(family))}</extra>",
                ),
                **place,
            )
        figure.add_trace(
            go.Scatter(
                x=scored["session"].dt.strftime("%Y-%m-%d").tolist(),
                y=scored["threshold"].round(4).to_numpy(),
                mode="lines",
                showlegend=False,
                hoverinfo="skip",
                line={"color": INK, "width": 1, "dash": "dot", "shape": "hv"},
            ),
            **place,
        )
        for fold, session in scored.groupby("fold")["session"].min().items():
            lines.append(_fold_line(number, session))
            notes.append(_fold_note(number, f"fold {fold}", session))
        figure.update_yaxes(title={"text": "score"}, nticks=5, tickformat=".2f", **place)
    restyle(figure, height=height, simulated=simulated)
    figure.update_layout(margin={"t": 44}, shapes=lines, annotations=[*figure.layout.annotations, *notes])
    return figure


def _fold_line(row: int, session: pd.Timestamp) -> dict[str, Any]:
    at, axis = f"{session:%Y-%m-%d}", row + 1 if row else ""
    line = {"color": FADED, "width": 1}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, **_axes(axis), "line": line}


def _fold_note(row: int, text: str, session: pd.Timestamp) -> dict[str, Any]:
    place = {"x": f"{session:%Y-%m-%d}", "y": 1, "xanchor": "left", "yanchor": "top", **_axes(row + 1 if row else "")}
    return {"text": text, "showarrow": False, "font": {"size": 10.5, "color": MUTED}, **place}


def _axes(number: int | str) -> dict[str, str]:
    return {"xref": f"x{number}", "yref": f"y{number} domain"}


def importance_figure(importance: pd.DataFrame, color: str, *, simulated: bool) -> "go.Figure":
    """A panel a measure: the features with the greatest mean over the folds, a dot a fold."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    table = importance_table(importance)
    methods = importance_methods(importance)
    height = importance_height()
    figure = make_subplots(
        rows=1,
        cols=len(methods),
        subplot_titles=[METHOD_NAMES[method] for method in methods],
        horizontal_spacing=_NAME_ROOM if len(methods) > 1 else 0,
    )
    for number, method in enumerate(methods):
        place = {"row": 1, "col": number + 1}
        first = table.xs(method, level="method").head(_TOP)
        names = [_short(str(name)) for name in first.index]
        figure.add_trace(
            go.Bar(
                x=_rounded(first["mean"]),
                y=names,
                orientation="h",
                marker={"color": _faint(color, 0.45)},
                customdata=[plain(name) for name in first.index],
                hovertemplate="%{customdata}: mean %{x:.4g}<extra></extra>",
                showlegend=False,
            ),
            **place,
        )
        own = importance[(importance["method"] == method) & importance["feature"].isin(first.index)]
        figure.add_trace(
            go.Scatter(
                x=_rounded(own["value"]),
                y=[_short(str(name)) for name in own["feature"]],
                mode="markers",
                marker={"size": 5, "color": color},
                customdata=own["fold"].to_numpy(),
                hovertemplate="fold %{customdata}: %{x:.4g}<extra></extra>",
                showlegend=False,
            ),
            **place,
        )
        figure.update_yaxes(autorange="reversed", tickfont={"size": 10.5}, **place)
        figure.update_xaxes(nticks=5, **place)
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    restyle(figure, height=height, simulated=simulated)
    figure.update_layout(margin={"t": 44})
    return figure


def importance_height() -> int:
    """Pixels of the figure, and of a panel of it."""
    return _FEATURE_HEIGHT * _TOP + 110


def _rounded(values: pd.Series) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _short(name: str) -> str:
    return plain(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…")


def _panels(titles: list[str]) -> "go.Figure":
    from plotly.subplots import make_subplots

    rows = -(-len(titles) // COLUMNS)
    return make_subplots(
        rows=rows,
        cols=min(COLUMNS, len(titles)),
        subplot_titles=[plain(title) for title in titles],
        horizontal_spacing=0.11,
        vertical_spacing=0.3 / rows,
    )


def _place(number: int) -> dict[str, int]:
    return {"row": number // COLUMNS + 1, "col": number % COLUMNS + 1}


def _finished(figure: "go.Figure", panels: int, simulated: bool) -> "go.Figure":
    rows = -(-panels // COLUMNS)
    restyle(figure, height=(_PANEL + 20) * rows + 60, simulated=simulated)
    figure.update_layout(margin={"t": 40})
    for number in range(panels, rows * min(COLUMNS, panels)):
        figure.update_xaxes(visible=False, **_place(number))
        figure.update_yaxes(visible=False, **_place(number))
    return figure


def _faint(color: str, share: float = 0.16) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {share})"
