"""A trade as a PNG: its session's bars, the levels it refers to, the order, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.pictures import palette
from pipeline.pictures.chart import spread_labels
from pipeline.pictures.contents import candles
from pipeline.pictures.png_files import new_figure, png
from pipeline.pictures.still import draw_candles
from pipeline.profiles.sessions import select_sessions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Level", "draw_trade", "stop_path", "trade_png"]

_WIDTH, _HEIGHT = 9.6, 4.6  # inches
_TOP, _BOTTOM, _LEFT, _RIGHT = 0.9, 0.07, 0.062, 0.995  # of the figure: where the pane lies
_TALL, _WIDE = _HEIGHT * (_TOP - _BOTTOM) * 72, _WIDTH * (_RIGHT - _LEFT) * 72  # the pane, in points
_CANDLES = 130  # at most
_BEFORE = 3  # the session before is drawn in so many parts' last
_SMALL, _LABEL, _LETTER = 8.5, 11.0, 5.0  # points: text, from one label to the next, and a letter's width
_MOST_ROOM = 0.45  # of the pane's width, that labels take
_EDGE = 0.06  # of the prices' height, above and below them
_HORIZON = pd.Timedelta("12D")  # longer than any closure


@dataclass(frozen=True)
class Level:
    """A price that an order refers to, or all prices between two.

    Attributes
    ----------
    label
        Words beside it; a price is written after them.
    price
        The price, or the lower of two.
    upper, upper_label
        The upper of two, and the words beside it: the same by default.
    begin, end
        Instants between which it is drawn; the left and the right edge by default.
    colour
        As matplotlib takes it.
    """

    label: str
    price: float
    upper: float | None = None
    upper_label: str = ""
    begin: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    colour: str = palette.EDGE


def trade_png(
    bars: pd.DataFrame,
    instrument: Instrument,
    order: Mapping[str, Any] | pd.Series,
    trade: Mapping[str, Any] | pd.Series | None = None,
    levels: Sequence[Level] = (),
    *,
    hours: Hours = "rth",
    title: str | None = None,
) -> bytes:
    """Draw an order, its trade and the levels it refers to over the bars of its session.

    The last third of the session before stands to the left of it, where that is of the same contract; a position held
    overnight is drawn to the end of the session it was closed in.

    Parameters
    ----------
    bars
        Clean bars (contract §1) that hold the session.
    instrument
        Whose they are.
    order
        A row of the ``orders`` of a backtest, or of a strategy's candidates (contract §6, §6a).
    trade
        The row of its ``trades`` that the order became; None for none.
    levels
        What the order refers to, in any order.
    hours
        Of the session: ``rth`` or ``eth``.
    title
        Session, kind of order and outcome by default.

    Returns
    -------
    bytes
        A PNG; the same input gives the same bytes.

    Raises
    ------
    DataError
        If the bars do not hold the order's session or its trade.
    """
    return png(draw_trade(bars, instrument, order, trade, levels, hours=hours, title=title), label_size=_SMALL)


def draw_trade(
    bars: pd.DataFrame,
    instrument: Instrument,
    order: Mapping[str, Any] | pd.Series,
    trade: Mapping[str, Any] | pd.Series | None = None,
    levels: Sequence[Level] = (),
    *,
    hours: Hours = "rth",
    title: str | None = None,
) -> "Figure":
    """Draw the figure of :func:`trade_png` in matplotlib."""
    exited = None if trade is None else pd.Timestamp(trade["exit_time"])
    shown = _session_bars(bars, pd.Timestamp(order["session"]), exited, instrument, hours)
    drawn = _Drawing(shown, instrument, order, trade, levels)
    figure = new_figure(_WIDTH, _HEIGHT)
    figure.set_layout_engine("none")
    pane = figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _TOP - _BOTTOM))
    drawn.set_axes(pane)
    drawn.draw_levels(pane)
    drawn.draw_bars(pane)
    drawn.draw_order(pane)
    drawn.draw_labels(pane)
    figure.text(0.008, 0.945, drawn.title(hours) if title is None else title, fontsize=11, color=palette.INK)
    return figure


def _session_bars(
    bars: pd.DataFrame, session: pd.Timestamp, exited: pd.Timestamp | None, instrument: Instrument, hours: Hours
) -> pd.DataFrame:
    """The bars from a session to that of the exit, after the last third of the session before."""
    near = bars["timestamp"].dt.tz_localize(None)
    ends = (session if exited is None else max(session, exited.tz_localize(None))) + pd.Timedelta("2D")
    around = bars[(near >= session - _HORIZON) & (near <= ends)]
    if around.empty:
        raise DataError(
            f"no bar lies near {instrument.symbol}'s session {session:%F}; give the bars that it was traded on"
        )
    found = select_sessions(around, instrument, (session - _HORIZON).date(), ends.date(), hours=hours)
    last = session if exited is None else found["session"][found["timestamp"] <= exited].max()
    own = found[(found["session"] >= session) & (found["session"] <= last)]
    if own.empty or own["session"].iloc[0] != session:
        raise DataError(f"no bar lies in the {hours} hours of {instrument.symbol}'s session {session:%F}")
    before = found[found["session"] < session]
    before = before[before["session"] == before["session"].max()]
    if "contract" in found.columns:
        before = before[before["contract"] == own["contract"].iloc[0]]
    return pd.concat([before.tail(len(before) // _BEFORE), own], ignore_index=True)


class _Drawing:
    """Contents of the picture, and where they lie: candle k spans k − ½ to k + ½."""

    def __init__(
        self,
        bars: pd.DataFrame,
        instrument: Instrument,
        order: Mapping[str, Any] | pd.Series,
        trade: Mapping[str, Any] | pd.Series | None,
        levels: Sequence[Level],
    ) -> None:
        self.instrument, self.order, self.trade, self.levels = instrument, order, trade, levels
        own = bars["timestamp"][bars["session"] >= order["session"]]
        if trade is not None and not (own.iloc[0] <= trade["entry_time"] and trade["exit_time"] <= own.iloc[-1]):
            raise DataError(
                f"the trade from {trade['entry_time']} to {trade['exit_time']} does not lie in the bars of its session"
            )
        self.bars = bars
        self.candles = candles(bars, _CANDLES)
        self.begins = pd.DatetimeIndex(self.candles["timestamp"]).as_unit("ns").asi8
        self.side = int(order["side"])
        self.first = int((self.candles["session"] < order["session"]).sum())
        self.right = len(self.candles) - 0.5
        self.low, self.high = self._prices()

    def given(self, name: str) -> Any:
        """What the order says; None where it says nothing."""
        value = self.order.get(name)
        return None if _missing(value) else value

    def place(self, instant: pd.Timestamp) -> int:
        """Candle that holds an instant."""
        return int(np.searchsorted(self.begins, pd.Timestamp(instant).as_unit("ns").value, side="right")) - 1

    def edge(self, instant: pd.Timestamp | None, otherwise: float) -> float:
        """Left edge of the first candle that begins at an instant or later."""
        if instant is None:
            return otherwise
        return float(np.searchsorted(self.begins, pd.Timestamp(instant).as_unit("ns").value)) - 0.5

    def _prices(self) -> tuple[float, float]:
        """Ends of the price axis, between which everything lies."""
        prices = [self.candles["low"].min(), self.candles["high"].max()]
        prices += [value for name in ("entry", "stop", "target") if (value := self.given(name)) is not None]
        prices += [end for level in self.levels for end in (level.price, level.upper) if end is not None]
        room = max(_EDGE * (max(prices) - min(prices)), 2 * self.instrument.tick_size)
        return min(prices) - room, max(prices) + room

    def _words(self) -> list[tuple[float, str, str]]:
        """Price, words and colour of each label, the lowest first; what has one price has one label."""
        said: dict[int, tuple[list[str], str]] = {}

        def say(price: Any, words: str, colour: str) -> None:
            if price is not None:
                said.setdefault(int(self.instrument.to_ticks(price)), ([], colour))[0].append(words)

        entry = self.given("entry")
        say(self.trade["entry_price"] if entry is None and self.trade is not None else entry, "entry", palette.INK)
        moved = any(self.given(name) is not None for name in ("trail_ticks", "breakeven_ticks"))
        say(self.given("stop"), "first stop" if moved else "stop", palette.SELL)
        say(self.given("target"), "target", palette.BUY)
        for level in self.levels:
            say(level.price, level.label, level.colour)
            say(level.upper, level.upper_label or level.label, level.colour)
        found = []
        for tick, (words, colour) in sorted(said.items()):
            price = float(self.instrument.to_prices(tick))
            text = f"{price:,.{self.instrument.price_decimals}f}  {', '.join(dict.fromkeys(words))}"
            found.append((price, text, colour))
        return found

    def set_axes(self, pane: "Axes") -> None:
        """Set both axes, with room for the labels to the right of the candles."""
        pane.set_ylim(self.low, self.high)
        pane.set_yticks(palette.round_prices(self.low, self.high))
        pane.yaxis.set_major_formatter(lambda price, _: f"{price:,.12g}")
        wanted = (max(len(text) for _, text, _ in self._words()) + 3) * _LETTER / _WIDE
        left = -1.0
        pane.set_xlim(left, left + (self.right - left) / (1 - min(wanted, _MOST_ROOM)))
        own = self.candles.iloc[self.first :]
        where, words = palette.time_ticks(own["timestamp"].dt.tz_convert(self.instrument.time_zone), own["session"])
        pane.set_xticks([self.first + place for place in where], words)
        pane.hlines(pane.get_yticks(), left, self.right, palette.GRID, linewidth=0.7, zorder=0.5)
        pane.spines[["left", "bottom"]].set_color(palette.SESSION)
        pane.tick_params(colors=palette.MUTED, length=0)

    def draw_levels(self, pane: "Axes") -> None:
        """Draw lines of single prices, and bands between two."""
        for level in self.levels:
            begin, end = self.edge(level.begin, -1.0), self.edge(level.end, self.right)
            if level.upper is not None:
                pane.fill_between([begin, end], level.price, level.upper, color=level.colour, alpha=0.09, linewidth=0)
            ends = [level.price] if level.upper is None else [level.price, level.upper]
            pane.hlines(ends, begin, end, level.colour, linewidth=1.0, linestyle="--" if level.upper is None else "-")

    def draw_bars(self, pane: "Axes") -> None:
        """Draw the candles, and where the session begins."""
        left, right = pane.get_xlim()
        draw_candles(pane, self.candles, 0.7 * _WIDE / (right - left), 0.5 * (self.high - self.low) / _TALL)
        sessions = self.candles["session"]
        look: dict[str, Any] = {"fontsize": _SMALL, "color": palette.MUTED, "va": "top"}
        for start in np.flatnonzero(sessions.ne(sessions.shift()))[1:].tolist():
            pane.axvline(start - 0.5, color=palette.SESSION, linewidth=0.8, zorder=0.6)
            pane.text(start - 1.2, self.high, f"{sessions.iloc[start - 1]:%d %b}", ha="right", **look)
            pane.text(start + 0.2, self.high, f"{sessions.iloc[start]:%d %b}", **look)

    def draw_order(self, pane: "Axes") -> None:
        """Draw entry, stop and target while the order lives; what the position risked and aimed at; and its fills."""
        entry, target, live = (self.given(name) for name in ("entry", "target", "live_from"))
        begin = self.edge(live, self.first - 0.5)
        end = self.edge(self.given("live_until"), self.right)
        if live is not None:
            pane.axvline(begin, color=palette.MUTED, linewidth=0.9, linestyle=":", zorder=0.7)
            clock = f"{pd.Timestamp(live).tz_convert(self.instrument.time_zone):%H:%M}"
            pane.text(begin + 0.4, self.low, f"from {clock}", fontsize=_SMALL, color=palette.MUTED, va="bottom")
        if self.trade is not None:
            filled, end = self.place(self.trade["entry_time"]), self.place(self.trade["exit_time"]) + 0.5
            if entry is not None:
                pane.hlines(entry, begin, filled, palette.INK, linewidth=1.2, linestyle=(0, (4, 2)))
            begin = filled - 0.5
            self._draw_position(pane, begin, end)
        else:
            if entry is not None:
                pane.hlines(entry, begin, end, palette.INK, linewidth=1.2, linestyle=(0, (4, 2)))
            pane.hlines(self.order["stop"], begin, end, palette.SELL, linewidth=1.5)
        if target is not None:
            pane.hlines(target, begin, end, palette.BUY, linewidth=1.5)

    def _draw_position(self, pane: "Axes", begin: float, end: float) -> None:
        assert self.trade is not None  # noqa: S101
        base, target = float(self.trade["entry_price"]), self.given("target")
        times = self.bars["timestamp"]
        held = self.bars[(times >= self.trade["entry_time"]) & (times <= self.trade["exit_time"])]
        stops = stop_path(self.order, self.trade, held["close"].to_numpy(np.float64), self.instrument)
        # Each holds from the left edge of its candle on, the last to the end.
        where = np.array([*(self.place(time) - 0.5 for time in held["timestamp"]), end])
        stops = np.append(stops, stops[-1])
        pane.step(where, stops, where="post", color=palette.SELL, linewidth=1.5)
        risked = base + self.side * np.minimum(self.side * (stops - base), 0.0)
        pane.fill_between(where, base, risked, step="post", color=palette.SELL, alpha=0.13, linewidth=0)
        if target is not None:
            pane.fill_between([begin, end], base, target, color=palette.BUY, alpha=0.13, linewidth=0)
        for time, price, marker in (
            (self.trade["entry_time"], base, "^" if self.side > 0 else "v"),
            (self.trade["exit_time"], self.trade["exit_price"], "X"),
        ):
            look: dict[str, Any] = {"color": palette.INK, "edgecolor": "white", "linewidth": 1, "zorder": 4}
            pane.scatter([self.place(time)], [price], 70, marker=marker, **look)

    def draw_labels(self, pane: "Axes") -> None:
        """Write what each line is to the right, none over another."""
        points = _TALL / (self.high - self.low)
        words = self._words()
        places = spread_labels([price * points for price, _, _ in words], _LABEL)
        for (_, text, colour), place in zip(words, places, strict=True):
            look: dict[str, Any] = {"color": colour, "fontsize": _SMALL, "va": "center", "annotation_clip": False}
            pane.annotate(text, (self.right, place / points), (8, 0), textcoords="offset points", **look)

    def title(self, hours: Hours) -> str:
        """Symbol, session, kind of order, and what became of it."""
        kind = self.given("type") or "limit"
        words = f"{self.instrument.symbol} {self.order['session']:%F} {hours}: {'long' if self.side > 0 else 'short'}, "
        words += f"{kind} order"
        if self.trade is None:
            return words
        gained = round(self.side * (self.trade["exit_price"] - self.trade["entry_price"]) / self.instrument.tick_size)
        reason = str(self.trade["exit_reason"]).replace("_", " ")
        return f"{words}; exit: {reason}, {'−' if gained < 0 else '+'}{abs(gained)} ticks"


def stop_path(
    order: Mapping[str, Any] | pd.Series,
    trade: Mapping[str, Any] | pd.Series,
    closes: NDArray[np.float64],
    instrument: Instrument,
) -> NDArray[np.float64]:
    """Return the stop in force in each bar of a position (contract §6a).

    Parameters
    ----------
    order, trade
        As in :func:`trade_png`.
    closes
        Of the bars from the entry's to the exit's, shape (n,).

    Returns
    -------
    ndarray
        Prices, shape (n,).
    """
    side, filled = int(order["side"]), float(trade["entry_price"])
    # Mirrored, so that stops only rise: what a close allows acts from the next bar on.
    gained = side * (closes[:-1] - filled)
    stops = np.full(len(closes), side * (float(order["stop"]) - filled))
    best = np.maximum.accumulate(np.maximum(gained, 0.0))
    tick = instrument.tick_size
    if not _missing(order.get("trail_ticks")):
        stops[1:] = np.maximum(stops[1:], best - float(order["trail_ticks"]) * tick)
    if not _missing(order.get("breakeven_ticks")):
        far = best >= float(order["breakeven_ticks"]) * tick
        stops[1:] = np.where(far, np.maximum(stops[1:], 0.0), stops[1:])
    return np.round(filled + side * stops, 10)


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))
