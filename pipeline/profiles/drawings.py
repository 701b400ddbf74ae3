"""The chart of sessions as a small SVG that needs no program to draw it."""

import base64
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Unpack
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.profiles import palette
from pipeline.profiles.chart import ProfileChart, profile_chart, spread_labels
from pipeline.profiles.pictures import Picture
from pipeline.profiles.rows import RowOptions
from pipeline.shown import shown

__all__ = ["profile_markdown", "profile_svg"]

_WIDTH, _HEIGHT = 940, 470
_TOP, _BOTTOM, _LEFT, _GAP = 62, 24, 62, 8
_CANDLES = 130
_LABEL = 13
_LETTER, _LEAST_LETTER = 9, 6  # pixels a row of letters is high, and the smallest letter that is drawn
_NAKED_WIDTH = 124
_LEVEL_WIDTH = 84  # to the right of a profile's longest row


def profile_svg(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    title: str | None = None,
    composite: int = 20,
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    **rows: Unpack[RowOptions],
) -> str:
    """Draw what :func:`pipeline.profiles.profile_figure` shows as an SVG of a few kilobytes; same parameters."""
    chart = profile_chart(
        data,
        instrument,
        first,
        last,
        hours=hours,
        composite=composite,
        value_area_basis_points=value_area_basis_points,
        expansion_rows=expansion_rows,
        most_candles=_CANDLES,
        most_rows=(_HEIGHT - _TOP - _BOTTOM) // 3,
        most_letters=(_HEIGHT - _TOP - _BOTTOM) // _LETTER,
        **rows,
    )
    return _Drawing(chart, title or chart.title).text()


def profile_markdown(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    title: str | None = None,
    composite: int = 20,
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    **rows: Unpack[RowOptions],
) -> str:
    """The SVG as a Markdown image that carries its own data, for pages that show Markdown."""
    drawing = profile_svg(
        data,
        instrument,
        first,
        last,
        hours=hours,
        title=title,
        composite=composite,
        value_area_basis_points=value_area_basis_points,
        expansion_rows=expansion_rows,
        **rows,
    ).encode()
    return f"![volume profile](data:image/svg+xml;base64,{base64.b64encode(drawing).decode()})"


class _Drawing:
    """One chart being drawn; x in pixels from the left, y from the top."""

    def __init__(self, chart: ProfileChart, title: str) -> None:
        self._chart = chart
        self._scale = (_HEIGHT - _TOP - _BOTTOM) / (chart.high - chart.low)
        panes = 1 if chart.composite is None else 2
        pane = 200 if panes == 2 else 240
        self._panes = [_WIDTH - _GAP - pane * (panes - k) for k in range(panes)]
        self._pane = pane - _GAP
        room = _NAKED_WIDTH if any(ray.naked for ray in chart.rays) else 4
        self._right = self._panes[0] - _GAP
        self._pitch = (self._right - room - _LEFT) / len(chart.candles)
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
            f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11" fill="{palette.INK}">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="8" y="19" font-size="14">{_plain(title)}</text>',
        ]

    def text(self) -> str:
        chart = self._chart
        self._grid()
        self._candles()
        self._developing()
        self._brackets()
        self._rays()
        self._own()
        self._levels(chart.own, self._panes[0], palette.VPOC, palette.EDGE)
        self._write(self._panes[0], _TOP - 6, palette.own_heading(chart), palette.MUTED)
        if chart.composite is not None:
            main = palette.COMPOSITE[0]
            self._profile(chart.composite, self._panes[1], palette.row_colours(chart.composite, *palette.COMPOSITE))
            self._levels(chart.composite, self._panes[1], main, main)
            self._write(self._panes[1], _TOP - 6, palette.composite_heading(chart), main)
        self._legend()
        return "".join([*self._parts, "</svg>"])

    def _y(self, tick: float) -> str:
        return _number(_HEIGHT - _BOTTOM - (tick - self._chart.low) * self._scale)

    def _x(self, place: float) -> str:
        return _number(_LEFT + (place + 0.5) * self._pitch)

    def _path(self, path: str, colour: str, width: float = 1, dash: str = "", fill: str = "none") -> None:
        if path:
            dashes = f' stroke-dasharray="{dash}"' if dash else ""
            self._parts.append(f'<path d="{path}" fill="{fill}" stroke="{colour}" stroke-width="{width:g}"{dashes}/>')

    def _fill(self, path: str, colour: str, more: str = "") -> None:
        if path:
            self._parts.append(f'<path d="{path}" fill="{colour}"{more}/>')

    def _write(self, x: float, y: float, text: str, colour: str, anchor: str = "start") -> None:
        self._parts.append(
            f'<text x="{_number(x)}" y="{_number(y)}" fill="{colour}" text-anchor="{anchor}">{_plain(text)}</text>'
        )

    def _grid(self) -> None:
        chart, tick = self._chart, self._chart.instrument.tick_size
        for price in palette.round_prices(*chart.instrument.to_prices([chart.low, chart.high]).tolist()):
            y = self._y(price / tick)
            self._path(f"M{_LEFT} {y}H{_WIDTH - _GAP}", palette.GRID)
            self._write(_LEFT - 6, float(y) + 4, f"{price:,.12g}", palette.MUTED, "end")
        between = "".join(f"M{self._x(start - 0.5)} {_TOP}V{_HEIGHT - _BOTTOM}" for start in chart.starts[1:])
        self._path(between, palette.SESSION)
        for place, words in zip(*palette.time_ticks(chart.times, chart.candles["session"], most=6), strict=True):
            self._write(float(self._x(place)), _HEIGHT - 8, words, palette.MUTED, "middle")

    def _candles(self) -> None:
        shown, to_ticks = self._chart.candles, self._chart.instrument.to_ticks
        opens, highs, lows, closes = (to_ticks(shown[name]).tolist() for name in ("open", "high", "low", "close"))
        wide = max(self._pitch * 0.7, 0.5)
        for colour, rises in ((palette.UP, True), (palette.DOWN, False)):
            wicks, bodies = [], []
            for k in range(len(shown)):
                if (closes[k] >= opens[k]) == rises:
                    wicks.append(f"M{self._x(k)} {self._y(highs[k])}V{self._y(lows[k])}")
                    left = _number(float(self._x(k)) - wide / 2)
                    tall = max(abs(closes[k] - opens[k]) * self._scale, 1.0)
                    top = self._y(max(opens[k], closes[k]))
                    bodies.append(f"M{left} {top}h{_number(wide)}v{_number(tall)}h-{_number(wide)}z")
            self._path("".join(wicks), colour)
            self._fill("".join(bodies), colour)

    def _developing(self) -> None:
        chart = self._chart
        ticks = {
            name: chart.instrument.to_ticks(chart.developing[name].bfill().ffill()) for name in ("val", "vah", "vpoc")
        }
        known = chart.developing["vpoc"].notna().to_numpy()
        lines = dict.fromkeys(ticks, "")
        area = ""
        for begin, end in zip(chart.starts, [*chart.starts[1:], len(known)], strict=True):
            places = np.arange(begin, end)[known[begin:end]]
            for name in ticks:
                lines[name] += self._steps(places, ticks[name])
            if len(places) > 1:
                back = self._steps(places, ticks["val"], backwards=True)
                area += self._steps(places, ticks["vah"]) + "L" + back + "z"
        self._fill(area, palette.EDGE, ' fill-opacity="0.07"')
        self._path(lines["val"] + lines["vah"], palette.EDGE, 1)
        self._path(lines["vpoc"], palette.VPOC, 1.6)

    def _steps(self, places: Any, ticks: Any, *, backwards: bool = False) -> str:
        """A path from the right edge of each candle at its level to the next one's; only its corners."""
        if len(places) < 2:
            return ""
        corners = [(places[0] + 0.5, ticks[places[0]])]
        for place in places[1:]:
            if ticks[place] != corners[-1][1]:
                corners += [(place + 0.5, corners[-1][1]), (place + 0.5, ticks[place])]
        if corners[-1][0] != places[-1] + 0.5:
            corners.append((places[-1] + 0.5, corners[-1][1]))
        if backwards:
            return "L".join(f"{self._x(x)} {self._y(tick)}" for x, tick in reversed(corners))
        first, *others = corners
        path = f"M{self._x(first[0])} {self._y(first[1])}"
        for (x, tick), (before, _) in zip(others, corners, strict=False):
            path += f"V{self._y(tick)}" if x == before else f"H{self._x(x)}"
        return path

    def _brackets(self) -> None:
        path = "".join(
            f"M{self._x(each.begin)} {self._y(each.high)}H{self._x(each.end)}V{self._y(each.low)}H{self._x(each.begin)}"
            for each in self._chart.brackets
        )
        self._path(path, palette.BALANCE, 1.2, "2 2")

    def _rays(self) -> None:
        chart = self._chart
        seen = [ray for ray in chart.rays if chart.low <= ray.tick <= chart.high]
        path = "".join(
            f"M{self._x(ray.begin)} {self._y(ray.tick)}H{self._right if ray.naked else self._x(ray.end)}"
            for ray in seen
        )
        self._path(path, palette.NAKED, 1.1, "5 3")
        dots = "".join(
            f"M{_number(float(self._x(ray.end)) - 2)} {self._y(ray.tick)}a2 2 0 1 0 4 0a2 2 0 1 0-4 0"
            for ray in seen
            if not ray.naked
        )
        self._fill(dots, palette.NAKED)
        rays = chart.in_sight()
        for ray, y in zip(rays, self._spread(ray.tick for ray in rays), strict=True):
            self._write(self._right, y - 3, palette.naked_label(chart, ray), palette.NAKED, "end")
        for other, arrow, y in zip(chart.beyond(), "↑↓", (_TOP + 10, _HEIGHT - _BOTTOM - 4), strict=True):
            if other is not None:
                self._write(self._right, y, f"{arrow} {palette.naked_label(chart, other)}", palette.NAKED, "end")

    def _spread(self, ticks: Iterable[int]) -> list[float]:
        """Place the labels of rising ticks so that none overlaps another."""
        places = [-float(self._y(tick)) for tick in ticks]
        return [-place for place in spread_labels(places, _LABEL)]

    def _own(self) -> None:
        own, left = self._chart.own, self._panes[0]
        if own.letters is not None:
            self._letters(own.letters)
        elif own.sides is None:
            self._profile(own, left, palette.row_colours(own))
        else:
            bought, sold = own.sides
            parts = ((bought, palette.BUY), (sold, palette.SELL), (own.lengths - bought - sold, palette.UNKNOWN))
            begin = np.zeros(len(own.lengths))
            for part, colour in parts:
                self._rows(own, left, part, [colour] * len(part), begin)
                begin = begin + part
        longest = (self._pane - _LEVEL_WIDTH) / self._chart.longest(own)
        for ticks, filled in zip(own.nodes, (True, False), strict=True):
            path = "".join(
                f"M{_number(left + own.lengths[own.row_of(tick)] * longest + 2)} {self._y(tick)}l5 -3v6z"
                for tick in ticks.tolist()
            )
            self._path(path, palette.BALANCE, 0.8, fill=palette.BALANCE if filled else "white")

    def _profile(self, drawn: Picture, left: float, colours: Sequence[str]) -> None:
        self._rows(drawn, left, drawn.lengths, colours, np.zeros(len(drawn.lengths)))

    def _letters(self, letters: tuple[str, ...]) -> None:
        """The letters over pale bars; bars alone where a letter would have too little room."""
        own, left = self._chart.own, self._panes[0]
        tall = own.ticks_per_row * self._scale
        wide = self._letter_width()
        size = min(tall * 1.2, wide * 1.6, _LETTER + 2)
        if size < _LEAST_LETTER:
            self._profile(own, left, palette.row_colours(own))
            return
        self._profile(own, left, palette.row_colours(own, *palette.LETTERS))
        colours = palette.row_colours(own, palette.VPOC, palette.EDGE, palette.MUTED)
        for row, (line, colour) in enumerate(zip(letters, colours, strict=True)):
            places = " ".join(_number(left + (place + 0.5) * wide) for place in range(len(line)))
            y = float(self._y(int(own.bottoms[row]) + (own.ticks_per_row - 1) / 2)) + size * 0.35
            self._parts.append(
                f'<text x="{places}" y="{_number(y)}" font-family="monospace" font-size="{size:.1f}" '
                f'text-anchor="middle" fill="{colour}">{line}</text>'
            )

    def _letter_width(self) -> float:
        return (self._pane - _LEVEL_WIDTH) / self._chart.longest(self._chart.own)

    def _rows(self, drawn: Picture, left: float, lengths: Any, colours: Sequence[str], begin: Any) -> None:
        chart = self._chart
        longest = (self._pane - _LEVEL_WIDTH) / chart.longest(drawn)
        tall = _number(max(drawn.ticks_per_row * self._scale - 0.4, 0.6))
        paths = dict.fromkeys(colours, "")
        for row, colour in enumerate(colours):
            bottom = int(drawn.bottoms[row])
            if lengths[row] > 0 and chart.low <= bottom <= chart.high - drawn.ticks_per_row + 1:
                # A row is drawn around its ticks, so that the line of a level runs through the middle of its tick.
                edge = self._y(bottom + drawn.ticks_per_row - 0.5)
                wide = _number(lengths[row] * longest)
                paths[colour] += f"M{_number(left + begin[row] * longest)} {edge}h{wide}v{tall}h-{wide}z"
        for colour, path in paths.items():
            self._fill(path, colour)

    def _levels(self, drawn: Picture, left: float, main: str, edge: str) -> None:
        area, chart = drawn.area, self._chart
        levels = [("VAL", area.val, edge), ("VPOC", area.vpoc, main), ("VAH", area.vah, edge)]
        seen = [level for level in levels if chart.low <= level[1] <= chart.high]
        right = left + self._pane
        for (name, tick, colour), y in zip(seen, self._spread(tick for _, tick, _ in seen), strict=True):
            words = f"{name} {chart.price(tick)}"
            # Beside letters, not through them.
            begin = (
                left if drawn.letters is None else left + self._letter_width() * len(drawn.letters[drawn.row_of(tick)])
            )
            self._path(
                f"M{_number(begin)} {self._y(tick)}H{_number(right - 80)}", colour, 1, "" if name == "VPOC" else "5 4"
            )
            self._write(right, y + 4, words, colour, "end")
        if not chart.low <= area.vpoc <= chart.high:
            above = area.vpoc > chart.high
            words = f"{'↑' if above else '↓'} VPOC {chart.price(area.vpoc)}"
            self._write(right, _TOP + 10 if above else _HEIGHT - _BOTTOM - 4, words, main, "end")

    def _legend(self) -> None:
        chart = self._chart
        entries = [("developing VPOC", palette.VPOC, ""), ("developing value area", palette.EDGE, "")]
        entries += [("naked VPOC", palette.NAKED, "5 3")] if chart.rays else []
        entries += [("initial balance", palette.BALANCE, "2 2")] if chart.brackets else []
        if chart.own.sides is not None:
            entries += [("bought", palette.BUY, ""), ("sold", palette.SELL, "")]
        x = float(_LEFT)
        for words, colour, dash in entries:
            self._path(f"M{_number(x)} 36h18", colour, 1.6, dash)
            self._write(x + 22, 40, words, palette.MUTED)
            x += 40 + 5.4 * len(words)


def _plain(text: str) -> str:
    return escape(shown(text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
