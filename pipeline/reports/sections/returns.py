"""Returns by month and year, the worst drawdowns, the Sharpe ratio of six months at a time, and how days are spread."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.backtest import BacktestResult
from pipeline.market import label_sessions
from pipeline.performance import format_value, monthly_returns, rolling_sharpe_ratio, worst_drawdowns
from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, folded, heads, kept, named, note, numbers, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED, TWO_SIDED_95

__all__ = ["SECTION", "distribution_figure", "months_table", "rolling_figure"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORST = 5
_STRONG = 0.05  # monthly return at which a cell's colour is full
_BINS = 41
_CHANCE = TWO_SIDED_95 * math.sqrt(2)  # annualised Sharpe ratio of half a year without an edge, 19 times in 20


def _html(inputs: ReportInputs) -> str:
    return "\n".join(_parts(inputs))


def _parts(inputs: ReportInputs) -> Iterator[str]:
    yield note(
        "Returns in percent of the equity at the start of the period, compounded from session to session. The first "
        "and the last month may not be whole."
    )
    for place, name in enumerate(inputs.by_interest):
        result = inputs.results[name]
        content = f"{months_table(result.daily_returns)}<h3>Worst drawdowns</h3>{_drawdowns_table(inputs, result)}"
        yield folded(plain(name), content, shown=place == 0)
    window = _window(inputs)
    yield "<h3>Sharpe ratio of the last six months</h3>"
    rolling = rolling_figure(inputs)
    if rolling is None:
        yield note(f"Fewer than {window} sessions.")
    else:
        text = (
            f"Annualised, over the last {window} sessions. Six months say little: for a strategy whose true Sharpe "
            f"ratio is 0, 95 % of such windows lie between −{_CHANCE:.1f} and {_CHANCE:.1f} (the shaded band)."
        )
        yield note(kept(text)) + chart(rolling, "rolling-chart", long_legend=True)
    yield "<h3>Distribution of daily returns</h3>"
    yield _days_table(inputs)
    days = distribution_figure(inputs)
    if days is not None:
        yield chart(days, "days-chart", long_legend=True)


def months_table(returns: pd.Series) -> str:
    """A table of the daily returns compounded by month and year, in percent."""
    body = []
    for year, months in monthly_returns(returns).iterrows():
        cells = []
        for name, value in months.items():
            text = "" if math.isnan(value) else _percent(value)
            style = "" if math.isnan(value) or name == "year" else f' style="background:{_shade(value)}"'
            kind = "number total" if name == "year" else "number"
            cells.append(f'<td class="{kind}"{style}>{text}</td>')
        body.append(row(str(year), cells))
    return f'<div class="months">{table(heads("", *_MONTHS, "Year"), body)}</div>'


def _percent(value: float) -> str:
    """One decimal and the sign, without the unit."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _shade(value: float) -> str:
    strength = min(1.0, abs(value) / _STRONG) * 0.35
    red, green, blue = (18, 128, 92) if value > 0 else (192, 58, 43)
    return f"rgba({red},{green},{blue},{strength:.2f})"


def _drawdowns_table(inputs: ReportInputs, result: BacktestResult) -> str:
    worst = worst_drawdowns(result.equity, initial=inputs.account.initial_capital, count=_WORST)
    if worst.empty:
        return note("No drawdown.")
    body = []
    for line in worst.itertuples():
        recovered = "not yet" if pd.isna(line.recovery) else _session(inputs, line.recovery)
        dates = (*(_session(inputs, instant) for instant in (line.start, line.trough)), recovered)
        cells = numbers(format_value(line.amount, inputs.currency), *dates, f"{line.length.days:,}")
        body.append(row(format_value(100 * line.depth, "%"), cells))
    return table(heads("Depth", "In money", "Peak", "Trough", "Recovered", "Length, days"), body)


def _session(inputs: ReportInputs, instant: pd.Timestamp) -> str:
    """The trade date of an instant, which may lie between two sessions."""
    found = label_sessions(pd.DatetimeIndex([instant]), inputs.instrument).sessions[0]
    return f"{instant.tz_convert(inputs.instrument.time_zone) if pd.isna(found) else found:%Y-%m-%d}"


def _window(inputs: ReportInputs) -> int:
    return round(inputs.instrument.periods_per_year / 2)


def rolling_figure(inputs: ReportInputs) -> go.Figure | None:
    """Annualised Sharpe ratio of six months up to each session; None where no backtest is so long."""
    year = inputs.instrument.periods_per_year
    lines = {
        name: rolling_sharpe_ratio(result.daily_returns, _window(inputs), periods_per_year=year)
        for name, result in inputs.results.items()
    }
    if not any(len(line) for line in lines.values()):
        return None
    figure = go.Figure()
    for name, line in lines.items():
        figure.add_trace(
            go.Scatter(
                x=line.index.strftime("%Y-%m-%d").tolist(),
                y=line.round(3).to_numpy(),
                name=plain(name),
                line=inputs.line(name, 1.4),
                hovertemplate=f"{plain(name)}<br>%{{x}}: %{{y:.2f}}<extra></extra>",
            )
        )
    figure.add_hrect(y0=-_CHANCE, y1=_CHANCE, fillcolor=FADED, opacity=0.14, line_width=0, layer="below")
    figure.add_hline(y=0, line={"color": FADED, "width": 1})
    restyle(figure, height=340, simulated=inputs.simulated)
    figure.update_yaxes(title={"text": "Sharpe ratio, 6 months"})
    return figure


def distribution_figure(inputs: ReportInputs) -> go.Figure | None:
    """Share of the sessions with a result by their return; None where there are none."""
    active = {name: _active(result) for name, result in inputs.results.items()}
    pooled = np.concatenate(list(active.values()))
    if not len(pooled):
        return None
    reach = max(0.25, float(np.quantile(np.abs(pooled), 0.99)))
    edges = np.linspace(-reach, reach, _BINS + 1)
    figure = go.Figure()
    for name, values in active.items():
        if not len(values):
            continue
        counts = np.histogram(np.clip(values, -reach, reach), edges)[0]
        figure.add_trace(
            go.Scatter(
                x=((edges[1:] + edges[:-1]) / 2).round(4),
                y=(100 * counts / len(values)).round(3),
                name=plain(name),
                mode="lines",
                line=inputs.line(name, 1.6) | {"shape": "hvh"},
                hovertemplate=f"{plain(name)}, about %{{x:.2f}} %: %{{y:.1f}} % of the sessions<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": FADED, "width": 1})
    figure.update_xaxes(title={"text": "Return of the session, % (the outermost steps hold all beyond)"})
    restyle(figure, height=340, simulated=inputs.simulated)
    figure.update_yaxes(title={"text": "Sessions with a result, %"}, rangemode="tozero")
    return figure


def _active(result: BacktestResult) -> np.ndarray:
    """Returns of the sessions that were not idle, in percent."""
    returns = 100 * result.daily_returns.to_numpy(np.float64)
    return returns[returns != 0]


def _days_table(inputs: ReportInputs) -> str:
    body = []
    for name, result in inputs.results.items():
        returns = 100 * result.daily_returns
        active = returns[returns != 0]
        cells = [both(f"{count:,}") for count in ((returns > 0).sum(), (returns < 0).sum(), (returns == 0).sum())]
        for session in (active.idxmax(), active.idxmin()) if len(active) else ():
            cells.append(both(format_value(active[session], "%"), f"{session:%Y-%m-%d}", words=True))
        cells += [both("–")] * (5 - len(cells))
        for value, unit in ((active.std(), "%"), (active.skew(), ""), (active.kurt() + 3, "")):
            cells.append(both(format_value(float(value), unit, digits=2)))
        body.append(row(named(inputs.colors[name], name), cells))
    head = heads("", "Up", "Down", "Idle", "Best", "Worst", "Std. dev.", "Skewness", "Kurtosis", kind="both")
    caption = (
        "Sessions that gained, lost and stood still. The figures to the right of them leave idle sessions out; "
        "kurtosis is 3 for a normal distribution."
    )
    return table(head, body, caption, even=True)


SECTION = Section(40, "returns", "Returns by period", _html)
