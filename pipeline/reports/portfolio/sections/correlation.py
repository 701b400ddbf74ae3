"""How far the books' daily P&L moves together, as numbers on a heat map."""

import math

import pandas as pd

from pipeline.performance import correlation, shared_correlation
from pipeline.reports.charts import fade
from pipeline.reports.markup import heads, kept, named, note, row, table
from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.theme import GRID, STRATEGY_COLORS, TWO_SIDED_95
from pipeline.reports.wording import counted

__all__ = ["SECTION"]

_TOGETHER, _AGAINST = STRATEGY_COLORS[:2]
_STRONGEST = 0.55  # share of the colour at a correlation of one


def _html(inputs: PortfolioInputs) -> str:
    if len(inputs.books) < 2:
        return ""
    days = inputs.result.daily_pnl
    if (days.std() > 0).sum() < 2:
        return note("Fewer than two books have a P&amp;L that varies: nothing to correlate.")
    shared = shared_correlation(days)
    every = pd.DataFrame(len(days), index=days.columns, columns=days.columns)
    text = (
        "Pearson correlation of daily P&L: 1 where two books always move in step, −1 where always against each other. "
        "Shaded, blue for together and orange for against, where it exceeds what unrelated books show in 19 of 20 "
        f"cases: {TWO_SIDED_95} over the square root of the sessions, {_reach(len(days)):.2f} of "
        f"{counted(len(days), 'session')}."
    )
    return (
        note(kept(text))
        + "<h3>All sessions</h3>"
        + _heat(inputs, correlation(days), every)
        + "<h3>Sessions in which both made or lost money</h3>"
        + note(
            "Books that seldom trade are idle together most of the time, which draws the figures above towards zero. "
            "The number of sessions stands below each; of few sessions a correlation says little."
        )
        + _heat(inputs, shared.coefficients, shared.sessions, counts=True)
    )


def _reach(sessions: int) -> float:
    """Correlation that unrelated books stay below 19 times in 20, from the standard error 1/√n."""
    return TWO_SIDED_95 / math.sqrt(sessions) if sessions else math.inf


def _heat(inputs: PortfolioInputs, values: pd.DataFrame, sessions: pd.DataFrame, *, counts: bool = False) -> str:
    names = [named(inputs.colors[book], book) for book in inputs.books]
    body = []
    for name, book in zip(names, inputs.books, strict=True):
        cells = []
        for other in inputs.books:
            value, count = float(values.loc[book, other]), int(sessions.loc[book, other])
            below = f'<div class="interval">{count:,}</div>' if counts else ""
            cells.append(f"<td{_style(value, count, book == other)}>{kept(_text(value))}{below}</td>")
        body.append(row(name, cells))
    return f'<div class="heat">{table(heads("", *names, kind="heads"), body)}</div>'


def _text(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00")


def _style(value: float, sessions: int, itself: bool) -> str:
    if itself:
        return f' style="background:{GRID}"'
    if math.isnan(value) or abs(value) <= _reach(sessions):
        return ""
    color = _TOGETHER if value > 0 else _AGAINST
    return f' style="background:{fade(color, round(_STRONGEST * min(abs(value), 1), 3))}"'


SECTION = Section(50, "correlation", "Correlation of daily P&amp;L", _html)
