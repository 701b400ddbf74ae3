"""The chart of sessions in plotly; its still sister is :mod:`pipeline.pictures.still`."""

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.pictures import palette
from pipeline.pictures.chart import ChartOptions, ProfileChart, profile_chart, spread_labels
from pipeline.pictures.contents import Picture

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["profile_figure"]

_HEIGHT, _TOP, _BOTTOM = 660, 92, 46
_LABEL = 14  # pixels between two labels
_ROOM = 0.17  # of the candles' width, to their right, for the labels of naked VPOCs
_LETTER_PIXELS, _LEAST_LETTER, _MOST_LETTERS = 12, 6, 30  # size at most and at least; a row's at most
_LONGEST = 0.58  # of its pane a profile's longest row takes; beside it stand the labels of its levels


def profile_figure(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    title: str | None = None,
    **options: Unpack[ChartOptions],
) -> "go.Figure":
    """Candles with what a trader draws on them, the profile beside them, and a composite beside that.

    Over the candles: the developing VPOC and value area, each level from the close of the candle that made it; VPOCs
    that were naked (see :func:`pipeline.profiles.naked_vpocs`), dashed from the close of their session to the bar that
    traded there or, with price and age, to the right edge; the initial balance as a bracket. Beside them: the profile
    of the sessions drawn, with VPOC, value area and nodes, and that of the contract's last sessions together.
    Where time is counted, the profile of one session is its letters (:func:`pipeline.pictures.letters.tpo_letters`).
    Nothing after the last bar drawn is known to any of it, and nothing is taken from another contract.

    Parameters
    ----------
    data
        Bars, as in :func:`pipeline.profiles.select_sessions`, or trades, as in
        :func:`pipeline.profiles.trade_profiles`; earlier sessions are where naked VPOCs and the composite come from.
        Rows are split into bought and sold only where it is exact: for trades, and bars of one price, that tell it.
    instrument, first, last
        As in :func:`pipeline.profiles.select_sessions`: the last session, the one of ``first``, or one profile
        of all from ``first`` to ``last``.
    title
        Without one: symbol, sessions and volume.
    **options
        See :class:`pipeline.pictures.chart.ChartOptions`.

    Returns
    -------
    plotly.graph_objects.Figure
        Times are those of the instrument's zone; hours without bars take no room. A click in the legend takes a kind of
        line away.
    """
    from plotly.subplots import make_subplots

    chart = profile_chart(data, instrument, first, last, **options)
    panes = 2 if chart.composite is None else 3
    figure = make_subplots(
        rows=1,
        cols=panes,
        shared_yaxes=True,
        column_widths=[0.74, 0.26] if panes == 2 else [0.6, 0.2, 0.2],
        horizontal_spacing=0.008,
    )
    for trace in _over_candles(chart):
        figure.add_trace(trace, row=1, col=1)
    for trace in _own(chart):
        figure.add_trace(trace, row=1, col=2)
    if chart.composite is not None:
        figure.add_trace(_bars(chart, chart.composite, "composite", palette.COMPOSITE), row=1, col=3)
    _label_naked(figure, chart)
    _label_levels(figure, chart, chart.own, 2, palette.VPOC, palette.EDGE, palette.own_heading(chart))
    if chart.composite is not None:
        colour = palette.COMPOSITE[0]
        _label_levels(figure, chart, chart.composite, 3, colour, colour, palette.composite_heading(chart))
    for start in chart.starts[1:]:
        figure.add_vline(x=start - 0.5, line={"color": palette.SESSION, "width": 1}, layer="below", row=1, col=1)
    places, texts = palette.time_ticks(chart.times, chart.candles["session"])
    figure.update_xaxes(showgrid=False, zeroline=False, fixedrange=False)
    figure.update_xaxes(
        tickvals=places, ticktext=texts, rangeslider_visible=False, range=_candle_range(chart), row=1, col=1
    )
    figure.update_yaxes(
        gridcolor=palette.GRID, tickformat=",.12~g", zeroline=False, range=instrument.to_prices([chart.low, chart.high])
    )
    figure.update_layout(
        title={"text": title or chart.title, "x": 0.01, "y": 0.985, "yanchor": "top", "font": {"size": 16}},
        template="plotly_white",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.035, "yanchor": "bottom", "font": {"size": 11}},
        barmode="stack",
        bargap=0.0,
        height=_HEIGHT,
        margin={"l": 64, "r": 12, "t": _TOP, "b": _BOTTOM},
        font={"color": palette.INK},
        hoverlabel={"bgcolor": "#fff"},
    )
    return figure


def _candle_range(chart: ProfileChart) -> list[float]:
    count = len(chart.candles)
    room = _ROOM if any(ray.naked for ray in chart.rays) else 0.02
    return [-0.5 - 0.01 * count, count - 0.5 + room * count]


def _over_candles(chart: ProfileChart) -> list[Any]:
    import plotly.graph_objects as go

    shown, prices = chart.candles, chart.instrument.to_prices
    right = _candle_range(chart)[1]
    times = chart.times.dt.strftime("%a %Y-%m-%d %H:%M").tolist()

    def line(points: tuple[list[Any], list[Any]], name: str, look: dict[str, Any], **more: Any) -> go.Scatter:
        return go.Scatter(
            x=points[0], y=points[1], name=name, legendgroup=name, mode="lines", line=look, hoverinfo="skip", **more
        )

    traces: list[Any] = [
        go.Candlestick(
            x=np.arange(len(shown)),
            **{name: shown[name].to_numpy() for name in ("open", "high", "low", "close")},
            text=times,
            name="bars",
            showlegend=False,
            increasing={"line": {"color": palette.UP, "width": 1}, "fillcolor": palette.UP},
            decreasing={"line": {"color": palette.DOWN, "width": 1}, "fillcolor": palette.DOWN},
        )
    ]
    steps = {name: _steps(chart, name) for name in ("val", "vah", "vpoc")}
    lower, upper = steps["val"], steps["vah"]
    edges = [*lower[0], None, *upper[0]], [*lower[1], None, *upper[1]]
    traces += [
        go.Scatter(
            **_area(chart),
            fill="toself",
            fillcolor=palette.AREA,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            name="developing value area",
            legendgroup="developing value area",
            showlegend=False,
        ),
        line(edges, "developing value area", {"color": palette.EDGE, "width": 1.1, "shape": "hv"}),
        line(steps["vpoc"], "developing VPOC", {"color": palette.VPOC, "width": 1.8, "shape": "hv"}),
    ]
    if chart.rays:
        xs = [x for ray in chart.rays for x in (ray.begin, right if ray.naked else ray.end, None)]
        ys = [y for ray in chart.rays for y in (*[float(prices(ray.tick))] * 2, None)]
        traces.append(line((xs, ys), "naked VPOC", {"color": palette.NAKED, "width": 1.2, "dash": "dash"}))
        ends = [ray for ray in chart.rays if not ray.naked]
        traces.append(
            go.Scatter(
                x=[right if ray.naked else ray.end for ray in chart.rays],
                y=[float(prices(ray.tick)) for ray in chart.rays],
                mode="markers",
                marker={
                    "symbol": ["circle" if ray in ends else "line-ns" for ray in chart.rays],
                    "size": [5 if ray in ends else 1 for ray in chart.rays],
                    "color": palette.NAKED,
                },
                text=[
                    f"VPOC of {ray.session:%a %Y-%m-%d}<br>"
                    f"{'naked' if ray.naked else 'traded here'}, {_count(ray.age)} later"
                    for ray in chart.rays
                ],
                hovertemplate="%{y}: %{text}<extra></extra>",
                name="naked VPOC",
                legendgroup="naked VPOC",
                showlegend=False,
            )
        )
    if chart.brackets:
        corners = [((each.begin, each.end, each.end, each.begin), each) for each in chart.brackets]
        xs = [x for places, _ in corners for x in (*places, None)]
        ys = [y for _, each in corners for y in (*[float(prices(each.high))] * 2, *[float(prices(each.low))] * 2, None)]
        traces.append(line((xs, ys), "initial balance", {"color": palette.BALANCE, "width": 1.3, "dash": "dot"}))
    return traces


def _count(sessions: int) -> str:
    return "1 session" if sessions == 1 else f"{sessions} sessions"


def _steps(chart: ProfileChart, name: str) -> tuple[list[Any], list[Any]]:
    """A developing level from the right edge of the candle after which it was known; a gap between sessions."""
    values = chart.developing[name].to_numpy()
    xs: list[Any] = []
    ys: list[Any] = []
    for begin, end in zip(chart.starts, [*chart.starts[1:], len(values)], strict=True):
        xs += [*(np.arange(begin, end) + 0.5).tolist(), None]
        ys += [*(None if np.isnan(value) else value for value in values[begin:end].tolist()), None]
    return xs[:-1], ys[:-1]


def _area(chart: ProfileChart) -> dict[str, list[Any]]:
    """The developing value area as one polygon a session, its corners written out: a filled line has no steps."""
    xs: list[Any] = []
    ys: list[Any] = []
    levels = chart.developing[["val", "vah"]].to_numpy()
    for begin, end in zip(chart.starts, [*chart.starts[1:], len(levels)], strict=True):
        known = np.arange(begin, end)[~np.isnan(levels[begin:end, 0])]
        places = np.repeat(known + 0.5, 2)[1:]
        below, above = (np.repeat(levels[known, k], 2)[:-1] for k in (0, 1))
        xs += [*places.tolist(), *places[::-1].tolist(), None]
        ys += [*below.tolist(), *above[::-1].tolist(), None]
    return {"x": xs, "y": ys}


def _own(chart: ProfileChart) -> list[Any]:
    import plotly.graph_objects as go

    own = chart.own
    traces: list[Any]
    if own.letters is not None:
        traces = _letters(chart, own.letters)
    elif own.sides is None:
        traces = [_bars(chart, own, "volume", (palette.VPOC, palette.INSIDE, palette.OUTSIDE))]
    else:
        bought, sold = own.sides
        unknown = own.lengths - bought - sold
        opacity = np.where(own.inside, 1.0, 0.55).tolist()
        texts = [f"{value:+,.6g}".replace("-", "−") for value in bought - sold]
        traces = [
            go.Bar(
                x=part,
                y=palette.row_middles(chart, own),
                orientation="h",
                width=own.ticks_per_row * chart.instrument.tick_size,
                marker={"color": colour, "line": {"width": 0}, "opacity": opacity},
                name=name,
                customdata=texts,
                hovertemplate="%{y}: " + name + " %{x:,.6g}, delta %{customdata}<extra></extra>",
            )
            for name, part, colour in (
                ("bought", bought, palette.BUY),
                ("sold", sold, palette.SELL),
                ("side unknown", unknown, palette.UNKNOWN),
            )
            if part.any()
        ]
    for name, ticks, symbol in zip(
        ("high-volume node", "low-volume node"), own.nodes, ("triangle-left", "triangle-left-open"), strict=True
    ):
        lengths = own.lengths[[own.row_of(tick) for tick in ticks.tolist()]] + 0.02 * own.lengths.max()
        traces.append(
            go.Scatter(
                x=lengths,
                y=chart.instrument.to_prices(ticks),
                mode="markers",
                marker={"symbol": symbol, "size": 7, "color": palette.BALANCE},
                name=name,
                showlegend=len(ticks) > 0,
                hovertemplate="%{y}<extra></extra>",
            )
        )
    return traces


def _letters(chart: ProfileChart, letters: tuple[str, ...]) -> list[Any]:
    """The letters over pale bars; bars alone where a letter would have too little room."""
    import plotly.graph_objects as go

    own = chart.own
    size = min(own.ticks_per_row * _pixels(chart) * 1.15, _LETTER_PIXELS)
    if size < _LEAST_LETTER or max(map(len, letters)) > _MOST_LETTERS:
        return [_bars(chart, own, "TPOs", (palette.VPOC, palette.INSIDE, palette.OUTSIDE))]
    middles = palette.row_middles(chart, own)
    colours = palette.row_colours(own, palette.VPOC, palette.EDGE, palette.MUTED)
    return [
        _bars(chart, own, "TPOs", palette.LETTERS),
        go.Scatter(
            x=[place + 0.5 for row in letters for place in range(len(row))],
            y=np.repeat(middles, [len(row) for row in letters]),
            mode="text",
            text=list("".join(letters)),
            textfont={
                "family": "monospace",
                "size": size,
                "color": [colour for row, colour in zip(letters, colours, strict=True) for _ in row],
            },
            hoverinfo="skip",
            showlegend=False,
            name="TPOs",
        ),
    ]


def _bars(chart: ProfileChart, drawn: Picture, name: str, colours: tuple[str, str, str]) -> "go.Bar":
    import plotly.graph_objects as go

    # What lies far off the axis is left out: a composite can be far higher than its last session.
    height = chart.high - chart.low
    near = (drawn.bottoms + drawn.ticks_per_row > chart.low - height) & (drawn.bottoms < chart.high + height)
    return go.Bar(
        x=drawn.lengths[near],
        y=palette.row_middles(chart, drawn)[near],
        orientation="h",
        width=drawn.ticks_per_row * chart.instrument.tick_size,
        marker={
            "color": [colour for colour, kept in zip(palette.row_colours(drawn, *colours), near, strict=True) if kept],
            "line": {"width": 0},
        },
        name=name,
        showlegend=False,
        hovertemplate="%{y}: %{x:,.6g}<extra></extra>",
    )


def _pixels(chart: ProfileChart) -> float:
    """A tick's height."""
    return (_HEIGHT - _TOP - _BOTTOM) / (chart.high - chart.low)


def _shifts(chart: ProfileChart, ticks: Iterable[float]) -> list[float]:
    """Compute by how many pixels labels of rising ticks move up, so that none overlaps another."""
    places = [tick * _pixels(chart) for tick in ticks]
    return [moved - place for moved, place in zip(spread_labels(places, _LABEL), places, strict=True)]


def _label_naked(figure: "go.Figure", chart: ProfileChart) -> None:
    right = _candle_range(chart)[1]
    rays = chart.in_sight()
    look = {"xref": "x", "x": right, "xanchor": "right", "showarrow": False}
    font = {"color": palette.NAKED, "size": 11}
    lifted = [tick + 8 / _pixels(chart) for tick in (ray.tick for ray in rays)]
    for ray, shift in zip(rays, _shifts(chart, lifted), strict=True):
        price = float(chart.instrument.to_prices(ray.tick))
        text = palette.naked_label(chart, ray)
        figure.add_annotation(y=price, yref="y", yshift=shift + 8, text=text, font=font, **look)
    for other, arrow, edge in zip(chart.beyond(), "↑↓", (1, 0), strict=True):
        if other is not None:
            text = f"{arrow} {palette.naked_label(chart, other)}"
            anchor = "top" if edge else "bottom"
            figure.add_annotation(y=edge, yref="y domain", yanchor=anchor, text=text, font=font, **look)


def _label_levels(
    figure: "go.Figure", chart: ProfileChart, drawn: Picture, col: int, main: str, edge: str, heading: str
) -> None:
    """Lines and labels of VPOC and value area in a profile's pane, and its heading."""
    longest = chart.longest(drawn) / _LONGEST
    ticks = [0.0, palette.round_below(_LONGEST * longest)]
    look = {"tickvals": ticks, "tickformat": "~s", "tickfont": {"size": 10}}
    figure.update_xaxes(range=[0, longest], **look, row=1, col=col)
    area = drawn.area
    levels = [("VAL", area.val, edge), ("VPOC", area.vpoc, main), ("VAH", area.vah, edge)]
    seen = [level for level in levels if chart.low <= level[1] <= chart.high]
    for (name, tick, colour), shift in zip(seen, _shifts(chart, (tick for _, tick, _ in seen)), strict=True):
        price = float(chart.instrument.to_prices(tick))
        dash = "solid" if name == "VPOC" else "dash"
        # Letters are not crossed out.
        layer = "above" if drawn.letters is None else "below"
        figure.add_hline(y=price, line={"color": colour, "width": 1, "dash": dash}, layer=layer, row=1, col=col)
        figure.add_annotation(
            x=longest,
            xref=f"x{col}",
            xanchor="right",
            y=price,
            yref="y",
            yshift=shift,
            text=f"{name} {chart.price(tick)}",
            showarrow=False,
            bgcolor="rgba(255,255,255,0.85)",
            borderpad=0,
            font={"color": colour, "size": 11},
        )
    if not chart.low <= area.vpoc <= chart.high:
        above = area.vpoc > chart.high
        figure.add_annotation(
            x=longest,
            xref=f"x{col}",
            xanchor="right",
            y=float(above),
            yref="y domain",
            yanchor="top" if above else "bottom",
            text=f"{'↑' if above else '↓'} VPOC {chart.price(area.vpoc)}",
            showarrow=False,
            font={"color": main, "size": 11},
        )
    figure.add_annotation(
        x=0,
        xref=f"x{col} domain",
        xanchor="left",
        y=1,
        yref="y domain",
        yanchor="bottom",
        text=heading,
        showarrow=False,
        font={"color": palette.MUTED if col == 2 else main, "size": 11},
    )
