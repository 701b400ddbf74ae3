"""Equity and drawdown of every strategy, a point a session, beside buying and holding the instrument."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.market import label_sessions
from pipeline.performance import (
    BuyAndHold,
    annual_return,
    buy_and_hold,
    drawdown_series,
    format_value,
    maximum_drawdown,
    sharpe_ratio,
    total_return,
)
from pipeline.reports.charts import chart, money_ticks, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, heads, named, note, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED, MUTED

__all__ = ["HOLDING", "SECTION", "equity_figure", "session_drawdowns"]

_MOST_FILLED = 2  # areas over each other that can still be told apart
HOLDING = "Buy and hold"
_BESIDE = {
    "total_return": "%",
    "annual_return": "%",
    "sharpe_ratio": "",
    "maximum_drawdown": "%",
    "calmar_ratio": "",
}
_COLUMNS = ("Total return", "CAGR", "Sharpe ratio", "Maximum drawdown", "Calmar ratio", "Correlation of days")


def _html(inputs: ReportInputs) -> str:
    held = buy_and_hold(inputs.bars, inputs.instrument, inputs.account)
    text = (
        "Equity at each session's end; below it, the largest fall from the peak at the close of any bar of the "
        "session. A click in the legend hides a line."
    )
    return note(text) + chart(equity_figure(inputs, held), "equity-chart") + _holding_table(inputs, held)


def session_drawdowns(equity: pd.Series, initial: float, sessions: pd.DatetimeIndex) -> pd.Series:
    """Largest drawdown at any bar of each session, as a fraction, indexed by session.

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


def equity_figure(inputs: ReportInputs, held: BuyAndHold) -> go.Figure:
    """Equity at each session's end above, the largest drawdown within it below, buying and holding beside them."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.05)
    capital = inputs.account.initial_capital
    lines: dict[str, tuple[pd.Series, pd.Series, dict[str, Any]]] = {
        name: (result.equity, capital * (1 + result.daily_returns).cumprod(), inputs.line(name, 1.6))
        for name, result in inputs.results.items()
    }
    lines[HOLDING] = (held.equity, held.session_equity, {"color": MUTED, "dash": "dot", "width": 1.6})
    labels = None
    for name, (equity, value, line) in lines.items():
        if labels is None or len(labels) != len(equity):
            labels = label_sessions(pd.DatetimeIndex(equity.index), inputs.instrument).sessions
        falls = -100 * session_drawdowns(equity, capital, labels)
        filled = name != HOLDING and len(inputs.results) <= _MOST_FILLED
        for place, series, hover in (
            (1, value.round(2), f"%{{x}}<br>{plain(inputs.currency)}%{{y:,.0f}}"),
            (2, falls.round(3), "%{x}<br>%{y:.1f} %"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=series.index.strftime("%Y-%m-%d").tolist(),
                    y=series.to_numpy(),
                    name=plain(name),
                    legendgroup=name,
                    showlegend=place == 1,
                    line=line if place == 1 else line | {"width": 1},
                    fill="tozeroy" if place == 2 and filled else None,
                    hovertemplate=f"{plain(name)}<br>{hover}<extra></extra>",
                ),
                row=place,
                col=1,
            )
    figure.add_hline(y=capital, line={"color": FADED, "dash": "dot", "width": 1}, row=1, col=1)
    restyle(figure, height=520, simulated=inputs.simulated)
    figure.update_yaxes(title={"text": "Equity"}, tickformat=money_ticks(inputs.currency), row=1, col=1)
    figure.update_yaxes(title={"text": "Drawdown, %"}, rangemode="tozero", row=2, col=1)
    return figure


def _holding_table(inputs: ReportInputs, held: BuyAndHold) -> str:
    """Returns and risk of each strategy beside those of buying and holding, and how much they move together."""
    year = inputs.instrument.periods_per_year
    growth = annual_return(held.daily_returns, periods_per_year=year)
    fall = maximum_drawdown(held.equity, initial=inputs.account.initial_capital).fraction
    own = {
        "total_return": 100 * total_return(held.daily_returns),
        "annual_return": 100 * growth,
        "sharpe_ratio": sharpe_ratio(held.daily_returns, periods_per_year=year),
        "maximum_drawdown": 100 * fall,
        "calmar_ratio": growth / fall if fall > 0 else math.nan,
    }

    def line(name: str, color: str, values: "pd.Series | dict[str, float]", shared: str) -> str:
        figures = (format_value(float(values.get(metric, math.nan)), unit) for metric, unit in _BESIDE.items())
        return row(named(color, name), map(both, (*figures, shared)))

    body = []
    for name, result in inputs.results.items():
        returns = result.daily_returns
        shared = float(returns.corr(held.daily_returns)) if returns.std() > 0 else math.nan
        values = inputs.summaries[name]["value"]
        body.append(line(name, inputs.colors[name], values, format_value(shared, "", digits=2)))
    body.append(line(HOLDING, MUTED, own, ""))
    rolls = f", rolled {held.rolls:,} times" if held.rolls else ""
    caption = (
        f"Buy and hold: the whole capital in {plain(inputs.instrument.symbol)}, without borrowing, from the first bar "
        f"to the last{rolls}, commission and slippage included. Each contract counts from its first bar's open to its "
        "last bar's close: the price gap of a roll earns nothing. A single contract made "
        f"{plain(format_value(held.one_contract, inputs.currency))}."
    )
    return table(heads("", *_COLUMNS, kind="both"), body, caption, even=True)


SECTION = Section(30, "equity", "Equity and drawdown", _html)
