"""Each book's part in the desk's profit and risk."""

import math
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go

from pipeline.performance import contribution, format_value
from pipeline.reports.charts import chart_grid, money_ticks
from pipeline.reports.markup import both, heads, kept, named, plain, row, table
from pipeline.reports.portfolio.inputs import WHOLE, PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED

__all__ = ["SECTION", "contribution_figures"]

_COLUMNS = ("Trades", "P&amp;L", "Commission", "Std. dev. per day", "Share of risk", "Worst session", "Best session")
_BAR = 34  # pixels of a book in a chart
_LEAST_WIDTH = 360
_LARGE = 10_000
_NAME = 18  # letters of a line of a book's name


def _html(inputs: PortfolioInputs) -> str:
    parts, days = contribution(inputs.result), inputs.result.daily_pnl
    desk = days.sum(axis=1)
    body = [_line(inputs, book, parts.loc[book], days[book]) for book in inputs.books]
    whole = pd.Series(
        {
            "trades": parts["trades"].sum(),
            "pnl": parts["pnl"].sum(),
            "pnl_share": 1.0 if parts["pnl"].sum() else math.nan,
            "commission": parts["commission"].sum(),
            "deviation": desk.std(),
            "risk_share": 1.0 if parts["risk_share"].notna().all() else math.nan,
        }
    )
    body.append(_line(inputs, WHOLE, whole, desk))
    loss = " (a loss, so a positive share is a share of the loss)" if whole["pnl"] < 0 else ""
    caption = (
        f"P&L counts open positions at their last close; below it, its share of the desk's P&L{loss}. Share of risk: "
        "the covariance of the book's daily P&L with the desk's over the desk's variance. A negative share means that "
        "the book hedged the others."
    )
    found = table(heads("", *_COLUMNS, kind="both"), body, kept(caption), even=True)
    if len(inputs.books) < 2 or not days.any(axis=None):
        return found
    return found + chart_grid(contribution_figures(inputs, parts), "contribution-chart", least_width=_LEAST_WIDTH)


def _line(inputs: PortfolioInputs, name: str, part: pd.Series, days: pd.Series) -> str:
    money = inputs.currency
    extremes = [
        both(format_value(float(days[at]), money), f"{at:%Y-%m-%d}", words=True)
        for at in ((days.idxmin(), days.idxmax()) if len(days) and days.any() else ())
    ]
    cells = [
        both(f"{int(part['trades']):,}"),
        both(format_value(part["pnl"], money), _share(part["pnl_share"]), words=True),
        both(format_value(part["commission"], money)),
        both(format_value(part["deviation"], money)),
        both(_share(part["risk_share"]) or "–"),
        *(extremes or [both("–")] * 2),
    ]
    return row(named(inputs.colors[name], name), cells)


def _share(value: float) -> str:
    return "" if math.isnan(value) else format_value(100 * value, "%")


def contribution_figures(inputs: PortfolioInputs, parts: pd.DataFrame) -> dict[str, go.Figure]:
    """Bars of each book's P&L and of its share of the desk's risk, by title, the books in the desk's order."""
    percent = 100 * parts["risk_share"]
    pnl = _bars(inputs, parts["pnl"].round(2), f"{plain(inputs.currency)}%{{x:,.0f}}")
    risk = _bars(inputs, percent.round(2), "%{x:.1f} %")
    thousands = "$~s" if inputs.currency == "$" else "~s"  # of less, it would write thousandths
    pnl.update_xaxes(tickformat=thousands if parts["pnl"].abs().max() >= _LARGE else money_ticks(inputs.currency))
    risk.update_xaxes(ticksuffix=" %")
    return {"P&amp;L": pnl, "Share of risk": risk}


def _bars(inputs: PortfolioInputs, values: pd.Series, hover: str) -> go.Figure:
    books = inputs.books[::-1]
    figure = go.Figure(
        go.Bar(
            x=values[books].to_numpy(),
            y=["<br>".join(map(plain, wrap(book, _NAME))) for book in books],
            orientation="h",
            marker={"color": [inputs.colors[book] for book in books]},
            hovertemplate=f"%{{y}}<br>{hover}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    inputs.restyle(figure, 70 + _BAR * len(books))
    figure.update_layout(margin={"t": 10})
    figure.update_xaxes(nticks=5, tickangle=0)
    return figure


SECTION = Section(40, "contribution", "Contribution of each book", _html)
