"""Equity and drawdown of every strategy, a point a session."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.market import label_sessions
from pipeline.performance import drawdown_series
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import plain
from pipeline.reports.theme import FADED, STRATEGY_COLORS, STRATEGY_DASHES, restyle

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["equity_figure", "session_drawdowns"]

_MOST_FILLED = 2  # areas over each other that can still be told apart
_LEAST_SPAN = 0.01  # of the capital, that the equity axis shows


def session_drawdowns(equity: pd.Series, initial: float, sessions: pd.DatetimeIndex) -> pd.Series:
    """Deepest drawdown at any bar of each session, as a fraction, indexed by session.

    Parameters
    ----------
    equity
        Per bar, indexed by timestamp.
    initial
        Capital before the first bar.
    sessions
        The session of each bar, NaT outside all of them.
    """
    falls = drawdown_series(equity, initial=initial)
    return falls.groupby(sessions.to_numpy()).max().rename_axis("session")


def equity_figure(inputs: ReportInputs) -> "go.Figure":
    """Equity at each session's end above, the deepest drawdown within it below."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.05)
    capital = inputs.account.initial_capital
    labels = None
    looks = zip(STRATEGY_COLORS, STRATEGY_DASHES, strict=True)
    for (color, dash), (name, result) in zip(looks, inputs.results.items(), strict=False):
        value = capital * (1 + result.daily_returns).cumprod()
        if labels is None or len(labels) != len(result.equity):
            labels = label_sessions(pd.DatetimeIndex(result.equity.index), inputs.instrument).sessions
        falls = -100 * session_drawdowns(result.equity, capital, labels)
        line = {"color": color, "width": 1.6, "dash": dash}
        for row, series, hover in (
            (1, value.round(2), f"%{{x}}<br>{plain(inputs.currency)}%{{y:,.0f}}"),
            (2, falls.round(3), "%{x}<br>%{y:.1f} %"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=series.index.strftime("%Y-%m-%d").tolist(),
                    y=series.to_numpy(),
                    name=plain(name),
                    legendgroup=name,
                    showlegend=row == 1,
                    line=line if row == 1 else line | {"width": 1},
                    fill="tozeroy" if row == 2 and len(inputs.results) <= _MOST_FILLED else None,
                    hovertemplate=f"{plain(name)}<br>{hover}<extra></extra>",
                ),
                row=row,
                col=1,
            )
    figure.add_hline(y=capital, line={"color": FADED, "dash": "dot", "width": 1}, row=1, col=1)
    restyle(figure, height=520, simulated=inputs.simulated)
    figure.update_yaxes(title={"text": f"Equity, {plain(inputs.currency)}"}, tickformat=",.0f", row=1, col=1)
    figure.update_yaxes(title={"text": "Drawdown, %"}, rangemode="tozero", row=2, col=1)
    values = np.concatenate([[capital], *[np.asarray(line.y, float) for line in figure.data[::2]]])
    if np.ptp(values) < _LEAST_SPAN * capital:  # all but constant: an axis of its own range would repeat its labels
        middle, half = (values.max() + values.min()) / 2, _LEAST_SPAN * capital / 2
        figure.update_yaxes(range=[middle - half, middle + half], row=1, col=1)
    falls = np.concatenate([np.asarray(line.y, float) for line in figure.data[1::2]])
    if not falls.any():
        figure.update_yaxes(range=[-1, 0], nticks=3, row=2, col=1)
    return figure
