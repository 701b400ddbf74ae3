"""The chart of sessions as a PNG; its interactive sister is :mod:`pipeline.pictures.interactive`."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.pictures import palette
from pipeline.pictures.chart import ChartOptions, ProfileChart, profile_chart, spread_labels
from pipeline.pictures.contents import Picture
from pipeline.pictures.png_files import new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_candles", "draw_chart", "profile_png"]

_WIDTH, _HEIGHT = 10.4, 5.2  # inches
_TOP, _BOTTOM, _LEFT, _RIGHT = 0.845, 0.07, 0.062, 0.995  # of the figure: where the panes lie
_POINTS = _HEIGHT * (_TOP - _BOTTOM) * 72  # height of a pane
_BETWEEN = 0.02  # of a pane's width, between two
_CANDLES, _ROWS, _LINES = 130, 120, 40  # at most: candles, rows of a profile, lines of letters
_SMALL, _LABEL = 7.5, 9.5  # points: text, and from one label to the next
_LETTER, _LEAST_LETTER = 8.5, 4.5  # points of a letter at most, and the smallest that is drawn
_LETTER_WIDTH = 0.602  # of its height, in the monospaced font
_ROOM = 0.26  # of the candles' width, to their right, for the labels of naked VPOCs
_LONGEST = 0.56  # of its pane a profile's longest row takes; beside it stand the labels of its levels


def profile_png(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    title: str | None = None,
    **options: Unpack[ChartOptions],
) -> bytes:
    """Draw what :func:`pipeline.pictures.profile_figure` shows as a PNG; same parameters. Same bars, same bytes."""
    most: dict[str, Any] = {"most_candles": _CANDLES, "most_rows": _ROWS, "most_letters": _LINES}
    chart = profile_chart(data, instrument, first, last, **{**most, **options})
    return png(draw_chart(chart, title or chart.title), label_size=_SMALL)


def draw_chart(chart: ProfileChart, title: str) -> "Figure":
    """Draw a chart in matplotlib."""
    figure = new_figure(_WIDTH, _HEIGHT)
    figure.set_layout_engine("none")
    shares = _shares(chart)
    panes = figure.subplots(
        1,
        len(shares),
        sharey=True,
        width_ratios=shares,
        gridspec_kw={"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM, "wspace": _BETWEEN},
    )
    prices = panes[0]
    ends = chart.instrument.to_prices([chart.low, chart.high]).tolist()
    prices.set_ylim(*ends)
    prices.set_yticks(palette.round_prices(*ends))
    prices.yaxis.set_major_formatter(lambda price, _: f"{price:,.12g}")
    for pane in panes:
        pane.grid(axis="y", color=palette.GRID, linewidth=0.7)
        pane.set_axisbelow(True)
        pane.spines[["left", "bottom"]].set_color(palette.SESSION)
        pane.tick_params(colors=palette.MUTED, length=0)
    _candles(prices, chart)
    _developing(prices, chart)
    _lines(prices, chart)
    _own(panes[1], chart)
    _levels(panes[1], chart, chart.own, (palette.VPOC, palette.EDGE), palette.own_heading(chart))
    if chart.composite is not None:
        main = palette.COMPOSITE[0]
        _rows(panes[2], chart, chart.composite, palette.row_colours(chart.composite, *palette.COMPOSITE))
        _levels(panes[2], chart, chart.composite, (main, main), palette.composite_heading(chart))
    figure.text(0.008, 0.945, title, fontsize=11, color=palette.INK)
    handles, labels = prices.get_legend_handles_labels()
    own = panes[1].get_legend_handles_labels()
    figure.legend(
        [*handles, *own[0]],
        [*labels, *own[1]],
        loc="upper left",
        bbox_to_anchor=(_LEFT - 0.01, 0.935),
        ncols=6,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=palette.MUTED,
        handlelength=1.8,
    )
    return figure


def _price(chart: ProfileChart, tick: float) -> float:
    return float(chart.instrument.to_prices(tick))


def _right(chart: ProfileChart) -> float:
    """The right edge of the candles' pane, in candles."""
    count = len(chart.candles)
    return count - 0.5 + (_ROOM if any(ray.naked for ray in chart.rays) else 0.02) * count


def draw_candles(pane: "Axes", shown: pd.DataFrame, wide: float, thin: float) -> None:
    """Draw candles, the first at 0 and each one further.

    Parameters
    ----------
    shown
        With ``open``, ``high``, ``low`` and ``close``.
    wide
        Points of a body.
    thin
        Half a point in prices, so that a bar that opened and closed alike is seen.
    """
    places = np.arange(len(shown))
    opens, closes = shown["open"].to_numpy(), shown["close"].to_numpy()
    colours = [palette.UP if rises else palette.DOWN for rises in closes >= opens]
    pane.vlines(places, shown["low"], shown["high"], colours, linewidth=min(0.8, wide))
    pane.vlines(places, np.minimum(opens, closes) - thin, np.maximum(opens, closes) + thin, colours, linewidth=wide)


def _candles(pane: "Axes", chart: ProfileChart) -> None:
    shown = chart.candles
    left, right = -0.5 - 0.01 * len(shown), _right(chart)
    draw_candles(pane, shown, 0.7 * _pane_points(chart, 0) / (right - left), _price(chart, 0.5 / _scale(chart)))
    pane.set_xlim(left, right)
    where, words = palette.time_ticks(chart.times, shown["session"])
    pane.set_xticks(where, words)
    for start in chart.starts[1:]:
        pane.axvline(start - 0.5, color=palette.SESSION, linewidth=0.8, zorder=0.6)


def _developing(pane: "Axes", chart: ProfileChart) -> None:
    """Developing levels, each from the right edge of the candle after which it was known."""
    levels = chart.developing
    for begin, end in zip(chart.starts, [*chart.starts[1:], len(levels)], strict=True):
        places = np.arange(begin, end) + 0.5
        own = levels.iloc[begin:end]
        label = "" if begin else None  # each kind once in the legend
        pane.fill_between(places, own["val"], own["vah"], step="post", color=palette.EDGE, alpha=0.07, linewidth=0)
        for name in ("val", "vah"):
            words = label if label is not None or name == "vah" else "developing value area"
            pane.step(places, own[name], where="post", color=palette.EDGE, linewidth=0.9, label=words)
        words = "developing VPOC" if label is None else label
        pane.step(places, own["vpoc"], where="post", color=palette.VPOC, linewidth=1.4, label=words)


def _lines(pane: "Axes", chart: ProfileChart) -> None:
    """Initial balances, and naked VPOCs with their labels."""
    for place, each in enumerate(chart.brackets):
        low, high = _price(chart, each.low), _price(chart, each.high)
        xs, ys = [each.begin, each.end, each.end, each.begin], [high, high, low, low]
        label = "" if place else "initial balance"
        pane.plot(xs, ys, color=palette.BALANCE, linewidth=1, linestyle=":", label=label)
    right = _right(chart)
    seen = [ray for ray in chart.rays if chart.low <= ray.tick <= chart.high]
    for place, ray in enumerate(seen):
        xs, ys = [ray.begin, right if ray.naked else ray.end], [_price(chart, ray.tick)] * 2
        label = "" if place else "naked VPOC"
        pane.plot(xs, ys, color=palette.NAKED, linewidth=0.9, linestyle=(0, (5, 3)), label=label)
    ends = [ray for ray in seen if not ray.naked]
    pane.scatter([ray.end for ray in ends], [_price(chart, ray.tick) for ray in ends], 9, color=palette.NAKED, zorder=3)
    look: dict[str, Any] = {"color": palette.NAKED, "fontsize": _SMALL, "ha": "right"}
    rays = chart.in_sight()
    for ray, tick in zip(rays, _spread(chart, (ray.tick for ray in rays)), strict=True):
        pane.text(right, _price(chart, tick + 2 / _scale(chart)), palette.naked_label(chart, ray), va="bottom", **look)
    for other, arrow, edge, va in zip(chart.beyond(), "↑↓", (0.99, 0.01), ("top", "bottom"), strict=True):
        if other is not None:
            words = f"{arrow} {palette.naked_label(chart, other)}"
            pane.text(0.998, edge, words, transform=pane.transAxes, va=va, **look)


def _scale(chart: ProfileChart) -> float:
    """Points to a tick."""
    return _POINTS / (chart.high - chart.low)


def _spread(chart: ProfileChart, ticks: Iterable[float]) -> list[float]:
    """Where the labels of rising ticks stand, in ticks, so that none overlaps another."""
    return [place / _scale(chart) for place in spread_labels([tick * _scale(chart) for tick in ticks], _LABEL)]


def _own(pane: "Axes", chart: ProfileChart) -> None:
    own = chart.own
    if own.letters is not None:
        _letters(pane, chart, own.letters)
    elif own.sides is None:
        _rows(pane, chart, own, palette.row_colours(own))
    else:
        bought, sold = own.sides
        _rows(pane, chart, own, palette.BUY, bought, label="bought")
        _rows(pane, chart, own, palette.SELL, sold, bought, label="sold")
        _rows(pane, chart, own, palette.UNKNOWN, own.lengths - bought - sold, bought + sold)
    for ticks, face in zip(own.nodes, (palette.BALANCE, "white"), strict=True):
        lengths = own.lengths[[own.row_of(tick) for tick in ticks.tolist()]] + 0.02 * chart.longest(own)
        prices = chart.instrument.to_prices(ticks)
        pane.scatter(
            lengths, prices, 11, marker="<", facecolor=face, edgecolor=palette.BALANCE, linewidth=0.7, zorder=3
        )


def _letters(pane: "Axes", chart: ProfileChart, letters: tuple[str, ...]) -> None:
    """The letters over pale bars; bars alone where a letter would have too little room."""
    own = chart.own
    wide = _pane_points(chart, 1) * _LONGEST / chart.longest(own)
    size = min(own.ticks_per_row * _scale(chart), wide / _LETTER_WIDTH, _LETTER)
    if size < _LEAST_LETTER:
        _rows(pane, chart, own, palette.row_colours(own))
        return
    _rows(pane, chart, own, palette.row_colours(own, *palette.LETTERS))
    colours = palette.row_colours(own, palette.VPOC, palette.EDGE, palette.MUTED)
    for line, colour, price in zip(letters, colours, palette.row_middles(chart, own), strict=True):
        for place, letter in enumerate(line):
            pane.text(
                place + 0.5, price, letter, family="monospace", fontsize=size, color=colour, ha="center", va="center"
            )


def _pane_points(chart: ProfileChart, pane: int) -> float:
    """Width of a pane."""
    shares = _shares(chart)
    return _WIDTH * 72 * (_RIGHT - _LEFT) * shares[pane] * (1 - _BETWEEN)


def _shares(chart: ProfileChart) -> list[float]:
    """Shares of the panes: candles, the profile, the composite where there is one."""
    return [0.74, 0.26] if chart.composite is None else [0.6, 0.2, 0.2]


def _rows(
    pane: "Axes",
    chart: ProfileChart,
    drawn: Picture,
    colours: str | Sequence[str],
    lengths: NDArray[np.float64] | None = None,
    left: NDArray[np.float64] | float = 0.0,
    label: str = "",
) -> None:
    tall = max(drawn.ticks_per_row * _scale(chart) - 0.4, 0.6)
    ends = left + (drawn.lengths if lengths is None else lengths)
    begins = np.broadcast_to(left, ends.shape)
    # Lines, of which one collection is drawn ten times as fast as as many bars.
    pane.hlines(palette.row_middles(chart, drawn), begins, ends, colours, linewidth=tall, label=label)


def _levels(pane: "Axes", chart: ProfileChart, drawn: Picture, colours: tuple[str, str], heading: str) -> None:
    """Lines and labels of VPOC and value area in a profile's pane, and its heading."""
    main, edge = colours
    longest = chart.longest(drawn) / _LONGEST
    end = palette.round_below(_LONGEST * longest)
    pane.set_xlim(0, longest)
    pane.set_xticks([0.0, end], ["0", f"{end:,.12g}"])
    area = drawn.area
    levels = [("VAL", area.val, edge), ("VPOC", area.vpoc, main), ("VAH", area.vah, edge)]
    # A VPOC beyond the axis is named at its end.
    low, high = (chart.low + 6 / _scale(chart), chart.high - 6 / _scale(chart))
    seen = [level for level in levels if level[0] == "VPOC" or chart.low <= level[1] <= chart.high]
    places = _spread(chart, [min(max(tick, low), high) if name == "VPOC" else tick for name, tick, _ in seen])
    for (name, tick, colour), place in zip(seen, places, strict=True):
        arrow = "↑ " if tick > chart.high else "↓ " if tick < chart.low else ""
        if not arrow:
            # Beside letters, not through them.
            begin = 0.0 if drawn.letters is None else float(len(drawn.letters[drawn.row_of(tick)]))
            style = "-" if name == "VPOC" else (0, (5, 4))
            xs, ys = [begin, _LONGEST * longest], [_price(chart, tick)] * 2
            pane.plot(xs, ys, color=colour, linewidth=0.9, linestyle=style)
        words = f"{arrow}{name} {chart.price(tick)}"
        pane.text(longest, _price(chart, place), words, color=colour, fontsize=_SMALL, ha="right", va="center")
    pane.set_title(heading, loc="left", fontsize=_SMALL, color=palette.MUTED if drawn is chart.own else main, pad=4)
