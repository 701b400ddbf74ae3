"""Sources of profit and loss, and the spread of R multiples."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.market import Instrument
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import plain
from pipeline.reports.theme import FADED, MUTED, STRATEGY_COLORS, money_ticks, restyle

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["MOST_NUMBERED", "breakdown", "breakdown_figure", "multiples_figure"]

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EXITS = ("stop", "target", "close", "margin_call")
MOST_NUMBERED = 2  # strategies whose bars are wide enough for a number at each
_LOWEST, _HIGHEST, _STEP = -2.0, 4.0, 0.25


def breakdown(trades: pd.DataFrame, instrument: Instrument) -> dict[str, pd.DataFrame]:
    """P&L by local hour of entry, weekday and year of the session, and exit reason.

    Returns
    -------
    dict
        ``hour``, ``weekday``, ``year``, ``exit`` → DataFrame indexed by label, in order: ``pnl`` (sum), ``trades``,
        ``r_multiple`` (mean).
    """
    sessions = pd.DatetimeIndex(trades["session"])
    entries = pd.DatetimeIndex(pd.to_datetime(trades["entry_time"], utc=True)).tz_convert(instrument.time_zone)
    reasons = trades["exit_reason"].astype(str)
    order = {reason: place for place, reason in enumerate(_EXITS)}
    labels: dict[str, Callable[[int], str]] = {
        "hour": lambda hour: f"{hour:02d}:00",
        "weekday": lambda day: _WEEKDAYS[day],
        "year": str,
        "exit": lambda place: [*_EXITS, "other"][place],
    }
    keys = {
        "hour": entries.hour,
        "weekday": sessions.day_of_week,
        "year": sessions.year,
        "exit": reasons.map(lambda reason: order.get(reason, len(order))),
    }
    found = {}
    for name, values in keys.items():
        groups = trades.groupby(np.asarray(values, dtype=np.int64))
        frame = groups.agg(pnl=("pnl", "sum"), trades=("pnl", "size"), r_multiple=("r_multiple", "mean"))
        found[name] = frame.set_axis([labels[name](value) for value in frame.index])
    return found


def breakdown_figure(inputs: ReportInputs) -> "go.Figure":
    """Sum of P&L by hour, weekday, year and exit reason, the number of trades at each bar."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    zone = plain(inputs.instrument.time_zone.split("/")[-1].replace("_", " "))
    titles = {
        "hour": f"By hour of entry ({zone})",
        "weekday": "By weekday",
        "year": "By year",
        "exit": "By exit reason",
    }
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=list(titles.values()), horizontal_spacing=0.12, vertical_spacing=0.18
    )
    parts = {name: breakdown(result.trades, inputs.instrument) for name, result in inputs.results.items()}
    for number, kind in enumerate(titles):
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        labels = _labels([part[kind] for part in parts.values()], kind)
        for color, (name, part) in zip(STRATEGY_COLORS, parts.items(), strict=False):
            frame = part[kind].reindex(labels)
            figure.add_trace(
                go.Bar(
                    x=[label.replace("_", " ") for label in labels],
                    y=frame["pnl"].round(2).to_numpy(),
                    name=plain(name),
                    legendgroup=name,
                    showlegend=number == 0,
                    marker={"color": color},
                    text=["" if np.isnan(count) else f"{count:.0f}" for count in frame["trades"]],
                    textposition="outside" if len(parts) <= MOST_NUMBERED else "none",
                    textfont={"size": 10.5, "color": MUTED},
                    textangle=0,
                    cliponaxis=False,
                    customdata=frame["r_multiple"].round(3).to_numpy(),
                    hovertemplate=f"{plain(name)}, %{{x}}<br>{plain(inputs.currency)}%{{y:,.0f}} in %{{text}} trades, "
                    "mean %{customdata:.2f} R<extra></extra>",
                ),
                **place,
            )
        figure.update_xaxes(type="category", **place)
        figure.update_yaxes(title={"text": "P&L"}, tickformat=money_ticks(inputs.currency), **place)
    figure.add_hline(y=0, line={"color": FADED, "width": 1})
    restyle(figure, height=640, simulated=inputs.simulated)
    figure.update_layout(margin={"t": 84}, legend={"y": 1 - 8 / 640}, bargap=0.25, bargroupgap=0.06)
    return figure


def multiples_figure(inputs: ReportInputs) -> "go.Figure":
    """Share of trades by R multiple, in steps of a quarter; the last bars hold all beyond them."""
    import plotly.graph_objects as go

    edges = np.arange(_LOWEST, _HIGHEST + _STEP / 2, _STEP)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    for color, (name, result) in zip(STRATEGY_COLORS, inputs.results.items(), strict=False):
        values = result.trades["r_multiple"].to_numpy(dtype=np.float64)
        # Nudged inward, so that a result right at the outer edge stays in the last bar.
        counts = np.histogram(np.clip(values, _LOWEST, _HIGHEST - 1e-9), edges)[0]
        figure.add_trace(
            go.Bar(
                x=middles,
                y=(100 * counts / max(1, len(values))).round(3),
                name=plain(name),
                marker={"color": color},
                customdata=np.stack([edges[:-1], edges[1:], counts], axis=1),
                hovertemplate=f"{plain(name)}<br>%{{customdata[0]:.2f}} to %{{customdata[1]:.2f}} R: "
                "%{customdata[2]} trades, %{y:.1f} %<extra></extra>",
            )
        )
    figure.update_xaxes(
        title={"text": "R multiple after costs"}, dtick=1, tickangle=0, range=[_LOWEST, _HIGHEST], minor={"dtick": 0.5}
    )
    restyle(figure, height=340, simulated=inputs.simulated)
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    figure.update_layout(bargap=0.12, bargroupgap=0.05)
    figure.update_yaxes(title={"text": "Trades, %"})
    return figure


def _labels(frames: list[pd.DataFrame], kind: str) -> list[str]:
    """Every label of any strategy, in order."""
    present = {label for frame in frames for label in frame.index}
    known = {"weekday": _WEEKDAYS, "exit": (*_EXITS, "other")}
    return [label for label in known[kind] if label in present] if kind in known else sorted(present)
