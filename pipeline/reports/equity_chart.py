"""Equity and drawdown of every strategy, a point a session, beside buying and holding the instrument."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.market import label_sessions
from pipeline.performance import (
    BuyAndHold,
    annual_return,
    drawdown_series,
    format_value,
    maximum_drawdown,
    sharpe_ratio,
    total_return,
)
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, cell, key, plain, row, table
from pipeline.reports.theme import FADED, MUTED, money_ticks, restyle

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["HOLDING", "equity_figure", "holding_table", "session_drawdowns"]

_MOST_FILLED = 2  # areas over each other that can still be told apart
HOLDING = "Buy and hold"
_BESIDE = {
    "total_return": "%",
    "annual_return": "%",
    "sharpe_ratio": "",
    "maximum_drawdown": "%",
    "calmar_ratio": "",
}


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


def equity_figure(inputs: ReportInputs, held: BuyAndHold) -> "go.Figure":
    """Equity at each session's end above, the largest drawdown within it below, buying and holding beside them."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.05)
    capital = inputs.account.initial_capital
    lines = {
        name: (result.equity, capital * (1 + result.daily_returns).cumprod(), *inputs.look(name))
        for name, result in inputs.results.items()
    }
    lines[HOLDING] = (held.equity, held.session_equity, MUTED, "dot")
    labels = None
    for name, (equity, value, color, dash) in lines.items():
        if labels is None or len(labels) != len(equity):
            labels = label_sessions(pd.DatetimeIndex(equity.index), inputs.instrument).sessions
        falls = -100 * session_drawdowns(equity, capital, labels)
        line = {"color": color, "width": 1.6, "dash": dash}
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


def holding_table(inputs: ReportInputs, held: BuyAndHold) -> str:
    """Returns and risk of each strategy beside those of buying and holding, and how much they move together."""
    year = inputs.instrument.periods_per_year
    growth = annual_return(held.daily_returns, periods_per_year=year)
    fall = maximum_drawdown(held.equity, initial=inputs.account.initial_capital).fraction
    lines = {
        name: (*(float(summary["value"].get(metric, math.nan)) for metric in _BESIDE), result.daily_returns)
        for (name, summary), result in zip(inputs.summaries.items(), inputs.results.values(), strict=True)
    }
    lines[HOLDING] = (
        100 * total_return(held.daily_returns),
        100 * growth,
        sharpe_ratio(held.daily_returns, periods_per_year=year),
        100 * fall,
        growth / fall if fall > 0 else math.nan,
        held.daily_returns,
    )
    body = []
    for name, (*values, returns) in lines.items():
        color = MUTED if name == HOLDING else inputs.look(name)[0]
        cells = [cell(key(color) + plain(name), tag="th", scope="row")]
        for value, unit in zip(values, _BESIDE.values(), strict=True):
            cells.append(both(format_value(value, unit)))
        shared = returns.corr(held.daily_returns) if returns.std() > 0 else math.nan
        cells.append(both("" if name == HOLDING else format_value(float(shared), "", digits=2)))
        body.append(row(cells))
    names = ("Total return", "CAGR", "Sharpe ratio", "Maximum drawdown", "Calmar ratio", "Correlation of days")
    head = [cell("", tag="th"), *(cell(name, "both", tag="th", scope="col") for name in names)]
    rolls = f", rolled {held.rolls:,} times" if held.rolls else ""
    caption = (
        f"Buy and hold: the whole capital in {plain(inputs.instrument.symbol)}, without borrowing, from the first bar "
        f"to the last{rolls}, commission and slippage included. Each contract counts from its first bar's open to its "
        "last bar's close: the price gap of a roll earns nothing. A single contract made "
        f"{plain(format_value(held.one_contract, inputs.currency))}."
    )
    return table(head, body, caption, even=True)
