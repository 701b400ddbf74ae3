"""Sources of profit and loss: by hour, weekday, year and exit reason."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.market import Instrument
from pipeline.reports.charts import chart_grid, legend, money_ticks, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import note, plain
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED, MUTED

__all__ = ["SECTION", "breakdown"]

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EXITS = ("stop", "trailed_stop", "target", "give_back", "time", "close", "margin_call")
_MOST_NUMBERED = 2  # strategies whose bars are wide enough for a number at each
_WIDTH = 440


def _html(inputs: ReportInputs) -> str:
    if not any(len(result.trades) for result in inputs.results.values()):
        return note("No trades.")
    counted = (
        "the number at each bar is its trades" if len(inputs.results) <= _MOST_NUMBERED else "hover for the trades"
    )
    text = (
        f"Net profit and loss; {counted}. Among twenty-odd bars a few always look good: with no edge at all, about "
        "every second weekday ends above zero."
    )
    zone = plain(inputs.instrument.time_zone.split("/")[-1].replace("_", " "))
    titles = {
        "hour": f"By hour of entry ({zone})",
        "weekday": "By weekday",
        "year": "By year",
        "exit": "By exit reason",
    }
    parts = {name: breakdown(result.trades, inputs.instrument) for name, result in inputs.results.items()}
    figures = {
        title: _figure(inputs, {name: part[kind] for name, part in parts.items()}, kind)
        for kind, title in titles.items()
    }
    keys = legend((color, name) for name, color in inputs.colors.items())
    return note(text) + keys + chart_grid(figures, "breakdown-chart", least_width=_WIDTH)


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


def _figure(inputs: ReportInputs, parts: dict[str, pd.DataFrame], kind: str) -> go.Figure:
    """Sum of P&L by one of the kinds, the number of trades at each bar."""
    figure = go.Figure()
    labels = _labels(list(parts.values()), kind)
    for name, part in parts.items():
        frame = part.reindex(labels)
        figure.add_trace(
            go.Bar(
                x=[label.replace("_", " ") for label in labels],
                y=frame["pnl"].round(2).to_numpy(),
                name=plain(name),
                marker={"color": inputs.colors[name]},
                text=["" if np.isnan(count) else f"{count:.0f}" for count in frame["trades"]],
                textposition="outside" if len(parts) <= _MOST_NUMBERED else "none",
                textfont={"size": 10.5, "color": MUTED},
                textangle=0,
                cliponaxis=False,
                customdata=frame["r_multiple"].round(3).to_numpy(),
                hovertemplate=f"{plain(name)}, %{{x}}<br>{plain(inputs.currency)}%{{y:,.0f}} in %{{text}} trades, "
                "mean %{customdata:.2f} R<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": FADED, "width": 1})
    restyle(figure, height=290, simulated=inputs.simulated)
    figure.update_xaxes(type="category", tickangle=0, tickfont={"size": 11})
    figure.update_yaxes(title={"text": "P&L"}, tickformat=money_ticks(inputs.currency))
    figure.update_layout(margin={"t": 14}, showlegend=False, bargap=0.25, bargroupgap=0.06)
    return figure


def _labels(frames: list[pd.DataFrame], kind: str) -> list[str]:
    """Every label of any strategy, in order."""
    present = {label for frame in frames for label in frame.index}
    known = {"weekday": _WEEKDAYS, "exit": (*_EXITS, "other")}
    return [label for label in known[kind] if label in present] if kind in known else sorted(present)


SECTION = Section(100, "breakdown", "Sources of profit and loss", _html)
