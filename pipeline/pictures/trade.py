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

__all__ = ["Level", "draw_trade", "trade_png"]

_WIDTH, _HEIGHT = 9.6, 4.6  # inches
_TOP, _BOTTOM, _LEFT, _RIGHT = 0.9, 0.07, 0.062, 0.995  # of the figure: where the pane lies
_POINTS = _HEIGHT * (_TOP - _BOTTOM) * 72  # height of the pane
_CANDLES = 130  # at most
_BEFORE = 3  # the session before is drawn in so many parts' last
_ROOM = 0.3  # of the candles' width, to their right, for labels
_SMALL, _LABEL = 8.5, 11.0  # points: text, and from one label to the next
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
    upper
        The upper of two.
    begin, end
        Instants between which it is drawn; the left and the right edge by default.
    colour
        As matplotlib takes it.
    """

    label: str
    price: float
    upper: float | None = None
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

    The last third of the session before stands to the left of it, where that is of the same contract.

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
    drawn = _Drawing(_session_bars(bars, pd.Timestamp(order["session"]), instrument, hours), instrument, order, trade)
    figure = new_figure(_WIDTH, _HEIGHT)
    figure.set_layout_engine("none")
    pane = figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _TOP - _BOTTOM))
    low, high = drawn.scale(pane, levels)
    pane.grid(axis="y", color=palette.GRID, linewidth=0.7)
    pane.set_axisbelow(True)
    pane.spines[["left", "bottom"]].set_color(palette.SESSION)
    pane.tick_params(colors=palette.MUTED, length=0)
    drawn.levels(pane, levels)
    drawn.bars(pane, high - low)
    drawn.order_lines(pane)
    drawn.fills(pane)
    drawn.labels(pane, levels, high - low)
    words = drawn.title(hours) if title is None else title
    figure.text(0.008, 0.945, words, fontsize=11, color=palette.INK)
    return figure


def _session_bars(bars: pd.DataFrame, session: pd.Timestamp, instrument: Instrument, hours: Hours) -> pd.DataFrame:
    """A session's bars, and after the last third of the session before where that is of the same contract."""
    near = bars["timestamp"].dt.tz_localize(None)
    around = bars[(near >= session - _HORIZON) & (near <= session + pd.Timedelta("2D"))]
    if around.empty:
        raise DataError(
            f"no bar lies near {instrument.symbol}'s session {session:%F}; give the bars that it was traded on"
        )
    found = select_sessions(around, instrument, (session - _HORIZON).date(), session.date(), hours=hours)
    own = found[found["session"] == session]
    if own.empty:
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
    ) -> None:
        self.instrument, self.order, self.trade = instrument, order, trade
        self.all = bars
        self.candles = candles(bars, _CANDLES)
        self.begins = pd.DatetimeIndex(self.candles["timestamp"]).as_unit("ns").asi8
        self.side = int(order["side"])
        self.first = int((self.candles["session"] < self.candles["session"].iloc[-1]).sum())
        own = bars[bars["session"] == bars["session"].iloc[-1]]["timestamp"]
        if trade is not None and not (own.iloc[0] <= trade["entry_time"] and trade["exit_time"] <= own.iloc[-1]):
            raise DataError(
                f"the trade from {trade['entry_time']} to {trade['exit_time']} does not lie in the bars of its session"
            )

    def place(self, instant: pd.Timestamp) -> int:
        """Candle that holds an instant."""
        return int(np.searchsorted(self.begins, pd.Timestamp(instant).as_unit("ns").value, side="right")) - 1

    def before(self, instant: pd.Timestamp | None, otherwise: float) -> float:
        """Left edge of the first candle that begins at an instant or later."""
        if _missing(instant):
            return otherwise
        return float(np.searchsorted(self.begins, pd.Timestamp(instant).as_unit("ns").value)) - 0.5

    def given(self, name: str) -> Any:
        """What the order says; None where it says nothing."""
        value = self.order.get(name)
        return None if _missing(value) else value

    @property
    def right(self) -> float:
        """Right edge of the candles."""
        return len(self.candles) - 0.5

    @property
    def span(self) -> tuple[float, float]:
        """Where the order lies: from when it may enter to its exit, or to when it may not any more."""
        begin = self.before(self.given("live_from"), self.first - 0.5)
        if self.trade is not None:
            return begin, self.place(self.trade["exit_time"]) + 0.5
        return begin, self.before(self.given("live_until"), self.right)

    def scale(self, pane: "Axes", levels: Sequence[Level]) -> tuple[float, float]:
        """Set both axes, so that everything is seen."""
        prices = [self.candles["low"].min(), self.candles["high"].max()]
        prices += [value for name in ("entry", "stop", "target") if (value := self.given(name)) is not None]
        prices += [end for level in levels for end in (level.price, level.upper) if end is not None]
        edge = max(_EDGE * (max(prices) - min(prices)), 2 * self.instrument.tick_size)
        low, high = min(prices) - edge, max(prices) + edge
        pane.set_ylim(low, high)
        pane.set_yticks(palette.round_prices(low, high))
        pane.yaxis.set_major_formatter(lambda price, _: f"{price:,.12g}")
        pane.set_xlim(-1, self.right + _ROOM * len(self.candles))
        own = self.candles.iloc[self.first :]
        where, words = palette.time_ticks(own["timestamp"].dt.tz_convert(self.instrument.time_zone), own["session"])
        pane.set_xticks([self.first + place for place in where], words)
        return low, high

    def levels(self, pane: "Axes", levels: Sequence[Level]) -> None:
        """Draw lines of single prices, and bands between two."""
        for level in levels:
            begin, end = self.before(level.begin, -1.0), self.before(level.end, self.right)
            if level.upper is not None:
                pane.fill_between([begin, end], level.price, level.upper, color=level.colour, alpha=0.09, linewidth=0)
            ends = [level.price] if level.upper is None else [level.price, level.upper]
            style = "--" if level.upper is None else "-"
            pane.hlines(ends, begin, end, level.colour, linewidth=1.0, linestyle=style)

    def bars(self, pane: "Axes", height: float) -> None:
        """Draw the candles, and where the session begins."""
        left, right = pane.get_xlim()
        wide = 0.7 * _WIDTH * 72 * (_RIGHT - _LEFT) / (right - left)
        draw_candles(pane, self.candles, wide, 0.5 * height / _POINTS)
        if self.first:
            pane.axvline(self.first - 0.5, color=palette.SESSION, linewidth=0.8, zorder=0.6)
            words = f"{self.candles['session'].iloc[0]:%d %b}"
            look: dict[str, Any] = {"fontsize": _SMALL, "color": palette.MUTED, "va": "top"}
            pane.text(self.first - 1.2, pane.get_ylim()[1], words, ha="right", **look)
            pane.text(self.first + 0.2, pane.get_ylim()[1], f"{self.candles['session'].iloc[-1]:%d %b}", **look)

    def order_lines(self, pane: "Axes") -> None:
        """Draw entry, stop and target while the order lives, and what the position risked and aimed at."""
        begin, end = self.span
        entry = self.given("entry")
        if entry is not None:
            until = end if self.trade is None else self.place(self.trade["entry_time"]) + 0.5
            pane.hlines(entry, begin, until, palette.INK, linewidth=1.2, linestyle=(0, (4, 2)))
        if self.given("live_from") is not None:
            pane.axvline(begin, color=palette.MUTED, linewidth=0.9, linestyle=":", zorder=0.7)
            clock = pd.Timestamp(self.given("live_from")).tz_convert(self.instrument.time_zone)
            look: dict[str, Any] = {"fontsize": _SMALL, "color": palette.MUTED, "va": "bottom"}
            pane.text(begin + 0.4, pane.get_ylim()[0], f"from {clock:%H:%M}", **look)
        if self.trade is not None:
            begin = self.place(self.trade["entry_time"]) - 0.5
        where, stops = self.stops(begin, end)
        pane.step(where, stops, where="post", color=palette.SELL, linewidth=1.5)
        target = self.given("target")
        if target is not None:
            pane.hlines(target, begin, end, palette.BUY, linewidth=1.5)
        if self.trade is not None:
            base = float(self.trade["entry_price"])
            for price, colour in ((stops[0], palette.SELL), (target, palette.BUY)):
                if price is not None:
                    pane.fill_between([begin, end], base, price, color=colour, alpha=0.13, linewidth=0)

    def stops(self, begin: float, end: float) -> tuple[list[float], list[float]]:
        """Stops, and where each begins to act; the last again where the order ends."""
        if self.trade is None:
            return [begin, end], [float(self.order["stop"])] * 2
        times = self.all["timestamp"]
        held = self.all[(times >= self.trade["entry_time"]) & (times <= self.trade["exit_time"])]
        stops = stop_path(self.order, self.trade, held["close"].to_numpy(np.float64), self.instrument).tolist()
        return [*(self.place(time) - 0.5 for time in held["timestamp"]), end], [*stops, stops[-1]]

    def fills(self, pane: "Axes") -> None:
        """Mark entry and exit."""
        if self.trade is None:
            return
        points = [
            (self.trade["entry_time"], self.trade["entry_price"], "^" if self.side > 0 else "v"),
            (self.trade["exit_time"], self.trade["exit_price"], "X"),
        ]
        for time, price, marker in points:
            pane.scatter(
                [self.place(time)],
                [price],
                70,
                marker=marker,
                color=palette.INK,
                edgecolor="white",
                linewidth=1,
                zorder=4,
            )

    def labels(self, pane: "Axes", levels: Sequence[Level], height: float) -> None:
        """Write what each line is to the right, those of one price together, none over another."""
        said: dict[int, tuple[list[str], str]] = {}

        def say(price: Any, words: str, colour: str) -> None:
            if price is not None:
                said.setdefault(int(self.instrument.to_ticks(price)), ([], colour))[0].append(words)

        say(self.given("entry"), "entry", palette.INK)
        moved = any(self.given(name) is not None for name in ("trail_ticks", "breakeven_ticks"))
        say(self.given("stop"), "first stop" if moved else "stop", palette.SELL)
        say(self.given("target"), "target", palette.BUY)
        if self.trade is not None and self.given("entry") is None:
            say(self.trade["entry_price"], "entry", palette.INK)
        for level in levels:
            low, _, high = level.label.partition("|")
            say(level.price, low, level.colour)
            say(level.upper, high or low, level.colour)
        ticks = sorted(said)
        points = _POINTS / height
        wanted = [float(self.instrument.to_prices(tick)) * points for tick in ticks]
        for tick, place in zip(ticks, spread_labels(wanted, _LABEL), strict=True):
            words, colour = said[tick]
            price = f"{float(self.instrument.to_prices(tick)):,.{self.instrument.price_decimals}f}"
            text = f"{price}  {', '.join(dict.fromkeys(words))}"
            pane.text(self.right + 1.5, place / points, text, color=colour, fontsize=_SMALL, va="center")

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
