"""Profit of the desk and of each book since the start, the desk's drawdown below, and its returns by month."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.performance import drawdown_series
from pipeline.performance.desk_use import instant_sessions
from pipeline.reports.charts import chart, fade, money_ticks
from pipeline.reports.markup import folded, note, plain
from pipeline.reports.portfolio.inputs import WHOLE, PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.returns import months_table
from pipeline.reports.theme import FADED

__all__ = ["SECTION", "profit_figure"]


def _html(inputs: PortfolioInputs) -> str:
    if not len(inputs.result.session_equity):
        return note("No sessions.")
    text = (
        "Profit since the start at each session's end: of the desk, which is its equity less the initial capital, and "
        "of the books, which add up to it. Below, the largest fall of the desk's equity from its peak at any bar of "
        "the session. A click in the legend hides a line."
    )
    months = note(
        "Returns of the desk in percent of its equity at the start of the period. The first and the last month may not "
        "be whole."
    ) + months_table(inputs.result.daily_returns)
    return note(text) + chart(profit_figure(inputs), "profit-chart", long_legend=True) + folded("By month", months)


def profit_figure(inputs: PortfolioInputs) -> go.Figure:
    """Cumulative P&L of the desk and its books above, the desk's largest drawdown in each session below."""
    result = inputs.result
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.05)
    days = result.session_equity.index.strftime("%Y-%m-%d").tolist()
    sign = plain(inputs.currency)
    lines = {book: result.daily_pnl[book].cumsum() for book in inputs.books}
    for book, made in lines.items():
        figure.add_trace(
            go.Scatter(
                x=days,
                y=made.round(2).to_numpy(),
                name=plain(book),
                line=inputs.line(book, 1.5),
                hovertemplate=f"{plain(book)}<br>%{{x}}<br>{sign}%{{y:,.0f}}<extra></extra>",
            ),
            row=1,
            col=1,
        )
    figure.add_trace(
        go.Scatter(
            x=days,
            y=(result.session_equity - result.initial_capital).round(2).to_numpy(),
            customdata=result.session_equity.round(2).to_numpy(),
            name=WHOLE,
            line={"color": inputs.colors[WHOLE], "width": 2.6},
            hovertemplate=f"{WHOLE}<br>%{{x}}<br>{sign}%{{y:,.0f}}<br>equity {sign}%{{customdata:,.0f}}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    falls = drawdown_series(result.equity, initial=result.initial_capital)
    lowest = falls.groupby(instant_sessions(result)).max().reindex(result.session_equity.index)
    figure.add_trace(
        go.Scatter(
            x=days,
            y=(-100 * lowest).round(3).to_numpy(),
            name=WHOLE,
            showlegend=False,
            line={"color": inputs.colors[WHOLE], "width": 1},
            fill="tozeroy",
            fillcolor=fade(inputs.colors[WHOLE], 0.2),
            hovertemplate=f"{WHOLE}<br>%{{x}}<br>%{{y:.1f}} %<extra></extra>",
        ),
        row=2,
        col=1,
    )
    figure.add_hline(y=0, line={"color": FADED, "dash": "dot", "width": 1}, row=1, col=1)
    inputs.restyle(figure, 540)
    figure.update_yaxes(title={"text": "Profit"}, tickformat=money_ticks(inputs.currency), row=1, col=1)
    figure.update_yaxes(title={"text": "Drawdown, %"}, rangemode="tozero", row=2, col=1)
    return figure


SECTION = Section(30, "equity", "Profit and drawdown", _html)
