"""Pictures of a profile: a plotly figure, and a small SVG that needs no program to draw it."""

import base64
import datetime as dt
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.profiles.pictures import Picture, candles, picture
from pipeline.profiles.sessions import Allocation, select_sessions
from pipeline.profiles.text import profile_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["profile_figure", "profile_markdown", "profile_svg", "profile_text"]

_UP, _DOWN = "#2a9d8f", "#c8553d"
_VPOC, _INSIDE, _OUTSIDE, _EDGE = "#d62728", "#6c8ebf", "#c9d3e3", "#3d5a80"
_INK, _GRID = "#333333", "#e6e6e6"
_LABEL = 14  # pixels between two labels of levels


def profile_figure(
    bars: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    title: str | None = None,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    most_candles: int = 400,
    most_rows: int = 160,
) -> "go.Figure":
    """Candles, the volume profile beside them, and lines at VPOC, VAH and VAL.

    Parameters
    ----------
    bars, instrument, first, last, hours
        As in :func:`pipeline.profiles.select_sessions`: the last session, the one of ``first``, or one profile
        of all from ``first`` to ``last``.
    allocation, value_area_basis_points, expansion_rows
        As in :func:`pipeline.profiles.session_profiles`.
    title
        Without one: symbol, sessions and volume.
    most_candles, most_rows
        Where there are more, neighbouring bars, and ticks, are put together.

    Returns
    -------
    plotly.graph_objects.Figure
        Times are those of the instrument's zone; hours without bars take no room.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    selected = select_sessions(bars, instrument, first, last, hours=hours)
    drawn = picture(
        selected,
        instrument,
        most_rows=most_rows,
        allocation=allocation,
        value_area_basis_points=value_area_basis_points,
        expansion_rows=expansion_rows,
    )
    shown = candles(selected, most_candles)
    times = shown["timestamp"].dt.tz_convert(instrument.time_zone)
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.7, 0.3], horizontal_spacing=0.01)
    figure.add_trace(
        go.Candlestick(
            x=np.arange(len(shown)),
            open=shown["open"],
            high=shown["high"],
            low=shown["low"],
            close=shown["close"],
            text=times.dt.strftime("%a %Y-%m-%d %H:%M"),
            name="bars",
            increasing={"line": {"color": _UP, "width": 1}, "fillcolor": _UP},
            decreasing={"line": {"color": _DOWN, "width": 1}, "fillcolor": _DOWN},
        ),
        row=1,
        col=1,
    )
    middles = instrument.to_prices(drawn.bottoms) + (drawn.ticks_per_row - 1) * instrument.tick_size / 2
    volumes = drawn.steps * instrument.volume_step
    figure.add_trace(
        go.Bar(
            x=volumes,
            y=middles,
            orientation="h",
            width=drawn.ticks_per_row * instrument.tick_size,
            marker={"color": _colours(drawn), "line": {"width": 0}},
            name="volume",
            hovertemplate="%{y}: %{x:,.6g}<extra></extra>",
        ),
        row=1,
        col=2,
    )
    area = drawn.area
    pixels = 450 / (drawn.high - drawn.low + 1)  # a tick's height, about
    for name, tick, colour, dash, shift in (
        ("VAH", area.vah, _EDGE, "dash", max(_LABEL - (area.vah - area.vpoc) * pixels, 0)),
        ("VPOC", area.vpoc, _VPOC, "solid", 0),
        ("VAL", area.val, _EDGE, "dash", min((area.vpoc - area.val) * pixels - _LABEL, 0)),
    ):
        price = float(instrument.to_prices(tick))
        figure.add_hline(y=price, line={"color": colour, "width": 1.4, "dash": dash}, row=1, col="all")
        figure.add_annotation(
            x=1.005,
            xref="paper",
            xanchor="left",
            y=price,
            yref="y",
            yanchor="middle",
            yshift=shift,
            text=f"{name} {price:.12g}",
            showarrow=False,
            font={"color": colour, "size": 12},
        )
    places, texts = _time_ticks(times, shown["session"])
    figure.update_xaxes(tickvals=places, ticktext=texts, rangeslider_visible=False, gridcolor=_GRID, row=1, col=1)
    figure.update_xaxes(title_text="volume", gridcolor=_GRID, nticks=4, row=1, col=2)
    figure.update_yaxes(gridcolor=_GRID, tickformat=".12~g", zeroline=False)
    figure.update_layout(
        title=title or _title(selected, instrument, hours, drawn),
        template="plotly_white",
        showlegend=False,
        bargap=0.0,
        height=620,
        margin={"l": 70, "r": 110, "t": 60, "b": 50},
        font={"color": _INK},
    )
    return figure


def profile_svg(
    bars: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    title: str | None = None,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    width: int = 760,
    height: int = 420,
) -> str:
    """The same picture as a stand-alone SVG of a few kilobytes; the parameters are those of :func:`profile_figure`."""
    top, bottom, left, right = 34, 24, 64, 104
    selected = select_sessions(bars, instrument, first, last, hours=hours)
    drawn = picture(
        selected,
        instrument,
        most_rows=(height - top - bottom) // 3,
        allocation=allocation,
        value_area_basis_points=value_area_basis_points,
        expansion_rows=expansion_rows,
    )
    shown = candles(selected, 120)
    lows, highs = instrument.to_ticks(shown["low"]), instrument.to_ticks(shown["high"])
    floor = min(int(lows.min()), int(drawn.bottoms[0])) - 1
    ceiling = max(int(highs.max()), int(drawn.bottoms[-1]) + drawn.ticks_per_row) + 1
    scale = (height - top - bottom) / (ceiling - floor)
    split = left + (width - left - right) * 0.68

    def y(tick: float) -> float:
        return round(height - bottom - (tick - floor) * scale, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{_INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="8" y="20" font-size="14">{escape(title or _title(selected, instrument, hours, drawn))}</text>',
    ]
    prices = instrument.to_prices([floor, ceiling]).tolist()
    for price in _round_prices(*prices):
        line = y(price / instrument.tick_size)
        parts.append(
            f'<path d="M{left} {line}H{width - right}" stroke="{_GRID}"/>'
            f'<text x="{left - 6}" y="{line + 4:.1f}" text-anchor="end">{price:.12g}</text>'
        )
    longest = (width - right - split - 6) / drawn.steps.max()
    row_height = max(drawn.ticks_per_row * scale - 0.4, 0.6)
    for row, colour in enumerate(_colours(drawn)):
        # A row is drawn around its ticks, so that the line of a level runs through the middle of its tick.
        edge = y(float(drawn.bottoms[row]) + drawn.ticks_per_row - 0.5)
        length = drawn.steps[row] * longest
        parts.append(
            f'<rect x="{split + 6:.1f}" y="{edge}" width="{length:.1f}" height="{row_height:.1f}" fill="{colour}"/>'
        )
    pitch = (split - left) / len(shown)
    opens, closes = instrument.to_ticks(shown["open"]), instrument.to_ticks(shown["close"])
    for place in range(len(shown)):
        colour = _UP if closes[place] >= opens[place] else _DOWN
        middle = left + (place + 0.5) * pitch
        body = y(max(opens[place], closes[place]))
        tall = max(abs(int(closes[place] - opens[place])) * scale, 1.0)
        parts.append(
            f'<path d="M{middle:.1f} {y(highs[place])}V{y(lows[place])}" stroke="{colour}"/>'
            f'<rect x="{middle - pitch * 0.35:.1f}" y="{body}" width="{pitch * 0.7:.1f}" height="{tall:.1f}" '
            f'fill="{colour}"/>'
        )
    area = drawn.area
    for name, tick, colour, dash, label in (
        ("VAH", area.vah, _EDGE, "5 4", min(y(area.vah), y(area.vpoc) - _LABEL)),
        ("VPOC", area.vpoc, _VPOC, "none", y(area.vpoc)),
        ("VAL", area.val, _EDGE, "5 4", max(y(area.val), y(area.vpoc) + _LABEL)),
    ):
        parts.append(
            f'<path d="M{left} {y(tick)}H{width - right}" stroke="{colour}" stroke-dasharray="{dash}"/>'
            f'<text x="{width - right + 6}" y="{label + 4:.1f}" fill="{colour}">'
            f"{name} {float(instrument.to_prices(tick)):.12g}</text>"
        )
    times = shown["timestamp"].dt.tz_convert(instrument.time_zone)
    for place, text in zip(*_time_ticks(times, shown["session"], most=6), strict=True):
        middle = left + (place + 0.5) * pitch
        parts.append(f'<text x="{middle:.1f}" y="{height - 8}" text-anchor="middle">{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def profile_markdown(
    bars: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    title: str | None = None,
) -> str:
    """The SVG as a Markdown image that carries its own data, for pages that show Markdown."""
    drawing = profile_svg(bars, instrument, first, last, hours=hours, title=title).encode()
    return f"![volume profile](data:image/svg+xml;base64,{base64.b64encode(drawing).decode()})"


def _colours(drawn: Picture) -> list[str]:
    colours = [_INSIDE if inside else _OUTSIDE for inside in drawn.inside]
    colours[drawn.vpoc_row] = _VPOC
    return colours


def _title(bars: pd.DataFrame, instrument: Instrument, hours: Hours, drawn: Picture) -> str:
    first, last = bars["session"].iloc[0].date(), bars["session"].iloc[-1].date()
    volume = drawn.steps.sum() * instrument.volume_step
    days = f"{first}" if first == last else f"{first} to {last}"
    rows = f", rows of {drawn.ticks_per_row} ticks" if drawn.ticks_per_row > 1 else ""
    return f"{instrument.symbol} {days} {hours}: volume {volume:,.10g}{rows}"


def _time_ticks(times: pd.Series, sessions: pd.Series, most: int = 9) -> tuple[list[int], list[str]]:
    """Where to write which times: within one session the clock, over several the first bar of some sessions."""
    if sessions.iloc[0] != sessions.iloc[-1]:
        firsts = np.flatnonzero(sessions.ne(sessions.shift()))
        chosen = firsts[:: -(-len(firsts) // most)]
        return chosen.tolist(), [f"{sessions.iloc[place]:%d %b}" for place in chosen]
    minutes = times.dt.hour.to_numpy() * 60 + times.dt.minute.to_numpy()
    chosen = np.arange(len(times))[:: max(-(-len(times) // most), 1)]
    for clock in (15, 30, 60, 120, 240, 480):
        even = np.flatnonzero(minutes % clock == 0)
        if 2 <= len(even) <= most:
            chosen = even
            break
    return chosen.tolist(), [f"{times.iloc[place]:%H:%M}" for place in chosen]


def _round_prices(low: float, high: float) -> list[float]:
    """About five round prices between the two."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((size for size in (1, 2, 5, 10) if size * power >= rough), default=10)
    return [round(float(step * k), 10) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
