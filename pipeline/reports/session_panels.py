"""Trades on price: a small chart for each of the last sessions with trades.

Each panel holds the session's bars, the value area and VPOC of the session that decided its orders, that session's
volume profile along the left edge, and entries and exits with their stop and target.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest import BacktestResult
from pipeline.market import SessionLabels, label_sessions
from pipeline.profiles.composites import add_sessions
from pipeline.profiles.levels import to_volume
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import plain
from pipeline.reports.theme import BAD, FADED, GOOD, INK, restyle

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["PANEL_HEIGHT", "panel_figure", "recent_sessions"]

_COLUMNS = 3
PANEL_HEIGHT = 280
_PROFILE_SHARE = 0.30  # of the panel's width for the profile's longest row
_MOST_ROWS = 120  # of a profile, so that a wide one still draws quickly
_BAND = "rgba(31, 95, 168, 0.08)"
_PROFILE = "rgba(31, 95, 168, 0.30)"
_VPOC = "rgba(31, 95, 168, 0.75)"


def recent_sessions(result: BacktestResult, profiles: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """The last sessions with trades, in order, of those that a session with a profile precedes."""
    sessions = pd.DatetimeIndex(result.trades["session"].unique()).sort_values()
    return list(sessions[profiles.index.searchsorted(sessions) > 0][-count:])


def panel_figure(inputs: ReportInputs, result: BacktestResult, sessions: Sequence[pd.Timestamp]) -> "go.Figure":
    """Panels of the sessions given, in reading order."""
    from plotly.subplots import make_subplots

    rows = -(-len(sessions) // _COLUMNS)
    trades = result.trades
    titles = [_title(session, trades[trades["session"] == session], inputs.currency) for session in sessions]
    figure = make_subplots(
        rows=rows,
        cols=_COLUMNS,
        subplot_titles=titles,
        horizontal_spacing=0.055,
        vertical_spacing=0.25 / rows,
    )
    height = PANEL_HEIGHT * rows + 90
    restyle(figure, height=height, simulated=inputs.simulated)
    figure.update_layout(margin={"t": 84}, legend={"y": 1 - 8 / height})
    window = _Window(inputs, sessions)
    for number, session in enumerate(sessions):
        place = {"row": number // _COLUMNS + 1, "col": number % _COLUMNS + 1}
        for trace in window.traces(session, result, first=number == 0):
            figure.add_trace(trace, **place)
        low, high = window.price_range(session, result)
        figure.update_yaxes(range=[low, high], nticks=6, tickformat=",", **place)
        figure.update_xaxes(range=window.hours(session), nticks=5, tickformat="%H:%M", **place)
    for number in range(len(sessions), rows * _COLUMNS):
        place = {"row": number // _COLUMNS + 1, "col": number % _COLUMNS + 1}
        figure.update_xaxes(visible=False, **place)
        figure.update_yaxes(visible=False, **place)
    figure.update_xaxes(rangeslider={"visible": False}, showgrid=False)
    return figure


def _title(session: pd.Timestamp, trades: pd.DataFrame, currency: str) -> str:
    pnl = float(trades["pnl"].sum())
    color = GOOD if pnl > 0 else BAD
    amount = f"{'+' if pnl > 0 else '−'}{plain(currency)}{abs(pnl):,.0f}"
    return f"{session:%a %Y-%m-%d} &nbsp;<span style='color:{color}'>{amount}</span>"


class _Window:
    """The bars around some sessions, cut once."""

    def __init__(self, inputs: ReportInputs, sessions: Sequence[pd.Timestamp]) -> None:
        self._inputs = inputs
        profiles = inputs.profiles
        self._before = {session: profiles.index[profiles.index.searchsorted(session) - 1] for session in sessions}
        first = min(self._before.values(), default=pd.Timestamp.min)
        # A trade date may begin the evening before; two days hold any zone's.
        start = (first - pd.Timedelta(days=2)).tz_localize("UTC") if sessions else None
        bars = inputs.bars
        near = bars.iloc[bars["timestamp"].searchsorted(start) :] if start is not None else bars.iloc[:0]
        labels: SessionLabels = label_sessions(near["timestamp"], inputs.instrument)
        inside = labels.mask(inputs.settings.hours)
        self._bars = near[inside].assign(
            session=labels.sessions[inside],
            local=near.loc[inside, "timestamp"].dt.tz_convert(inputs.instrument.time_zone).dt.tz_localize(None),
        )

    def session(self, session: pd.Timestamp) -> pd.DataFrame:
        return self._bars[self._bars["session"] == session]

    def hours(self, session: pd.Timestamp) -> list[str]:
        times = self.session(session)["local"]
        step = times.diff().median() if len(times) > 1 else pd.Timedelta(minutes=5)
        return [_text(times.iloc[0] - step), _text(times.iloc[-1] + step)]

    def price_range(self, session: pd.Timestamp, result: BacktestResult) -> tuple[float, float]:
        own = self.session(session)
        trades = _of(result, session)
        levels = trades[["stop", "target"]].to_numpy(float).ravel()
        low = min([own["low"].min(), *levels])
        high = max([own["high"].max(), *levels])
        edge = 0.06 * (high - low) or self._inputs.instrument.tick_size
        return float(low - edge), float(high + edge)

    def traces(self, session: pd.Timestamp, result: BacktestResult, *, first: bool) -> list[Any]:
        import plotly.graph_objects as go

        own = self.session(session)
        start, end = self.hours(session)
        before = self._inputs.profiles.loc[self._before[session]]
        low, high = self.price_range(session, result)

        def line(xs: Sequence[Any], ys: Sequence[Any], name: str, look: dict[str, Any], **more: Any) -> go.Scatter:
            return go.Scatter(
                x=list(xs),
                y=list(ys),
                name=name,
                legendgroup=name,
                showlegend=first,
                mode="lines",
                line=look,
                hoverinfo="skip",
                **more,
            )

        val, vah = (float(np.clip(before[edge], low, high)) for edge in ("val", "vah"))
        traces: list[Any] = [
            line(
                [start, end, end, start],
                [val, val, vah, vah],
                "prior value area",
                {"width": 0},
                fill="toself",
                fillcolor=_BAND,
            ),
            line(
                *self._profile(session, low, high),
                "prior TPO profile" if self._inputs.settings.allocation == "tpo" else "prior volume profile",
                {"width": 0},
                fill="toself",
                fillcolor=_PROFILE,
            ),
        ]
        vpoc = [before["vpoc"]] * 2 if low <= before["vpoc"] <= high else [None, None]
        traces.append(line([start, end], vpoc, "prior VPOC", {"color": _VPOC, "width": 1.2, "dash": "dash"}))
        traces.append(
            go.Candlestick(
                x=own["local"].map(_text).tolist(),
                open=own["open"].to_numpy(),
                high=own["high"].to_numpy(),
                low=own["low"].to_numpy(),
                close=own["close"].to_numpy(),
                name="bars",
                showlegend=False,
                increasing={"line": {"color": FADED, "width": 1}, "fillcolor": "#fff"},
                decreasing={"line": {"color": FADED, "width": 1}, "fillcolor": FADED},
                hoverinfo="skip",
            )
        )
        return traces + self._trades(session, result, line, start, end)

    def _profile(self, session: pd.Timestamp, low: float, high: float) -> tuple[list[Any], list[Any]]:
        """Outline of the profile of the session before, from the left edge, within the panel."""
        instrument = self._inputs.instrument
        before = self._before[session]
        bars = self.session(before)
        if "contract" in self._inputs.profiles.columns and "contract" in bars.columns:
            bars = bars[bars["contract"] == self._inputs.profiles.loc[before, "contract"]]
        settings = self._inputs.settings
        rule = settings.row_rule(instrument)
        lowest, counted = add_sessions(bars, instrument, hours=settings.hours, **rule.options)
        volume = to_volume(counted, instrument, rule)
        group = -(-len(volume) // _MOST_ROWS) or 1
        summed: NDArray[np.float64] = (
            np.add.reduceat(volume, np.arange(0, len(volume), group)) if len(volume) else volume
        )
        bottoms = rule.bottom(lowest + group * np.arange(len(summed) + 1))
        edges = instrument.to_prices(bottoms) - instrument.tick_size / 2
        shown = np.flatnonzero((edges[:-1] < high) & (edges[1:] > low))
        if not len(shown):
            return [None], [None]
        start, end = (pd.Timestamp(edge) for edge in self.hours(session))
        widths = [_text(start + share * (end - start)) for share in _PROFILE_SHARE * summed / summed.max()]
        xs: list[Any] = [_text(start)]
        ys: list[Any] = [max(low, edges[shown[0]])]
        for i in shown:
            xs += [widths[i], widths[i]]
            ys += [max(low, edges[i]), min(high, edges[i + 1])]
        return [*xs, _text(start)], [*ys, ys[-1]]

    def _trades(self, session: pd.Timestamp, result: BacktestResult, line: Any, start: str, end: str) -> list[Any]:
        import plotly.graph_objects as go

        zone, currency = self._inputs.instrument.time_zone, plain(self._inputs.currency)
        trades = _of(result, session)
        entered, left = (
            [_text(time.tz_convert(zone).tz_localize(None)) for time in trades[name]]
            for name in ("entry_time", "exit_time")
        )
        levels = []
        for name, color in (("stop", BAD), ("target", GOOD)):
            xs = [x for _ in range(len(trades)) for x in (start, end, None)]
            ys = [y for price in trades[name] for y in (price, price, None)]
            levels.append(line(xs, ys, name, {"color": color, "width": 1.1, "dash": "dot"}))
        xs = [x for pair in zip(entered, left, strict=True) for x in (*pair, None)]
        prices = zip(trades["entry_price"], trades["exit_price"], strict=True)
        ways = line(xs, [y for pair in prices for y in (*pair, None)], "position", {"color": INK, "width": 1.6})
        ways.showlegend = False
        side = np.where(trades["side"] > 0, "long", "short")
        texts = [
            f"{way} {quantity:g} × {entry:,g} → {exit_:,g}, {plain(reason)}<br>"
            f"{'−' if pnl < 0 else ''}{currency}{abs(pnl):,.2f}, {multiple:.2f} R".replace("-", "−")
            for way, quantity, entry, exit_, reason, pnl, multiple in zip(
                side,
                trades["quantity"],
                trades["entry_price"],
                trades["exit_price"],
                trades["exit_reason"],
                trades["pnl"],
                trades["r_multiple"],
                strict=True,
            )
        ]
        entry = go.Scatter(
            x=entered,
            y=trades["entry_price"].tolist(),
            mode="markers",
            name="entry (▲ long, ▼ short)",
            legendgroup="entry",
            showlegend=False,
            text=texts,
            hovertemplate="%{text}<extra>entry</extra>",
            marker={
                "symbol": np.where(trades["side"] > 0, "triangle-up", "triangle-down").tolist(),
                "size": 11,
                "color": INK,
                "line": {"color": "#fff", "width": 1},
            },
        )
        out = go.Scatter(
            x=left,
            y=trades["exit_price"].tolist(),
            mode="markers",
            name="exit",
            legendgroup="exit",
            showlegend=False,
            text=texts,
            hovertemplate="%{text}<extra>exit</extra>",
            marker={
                "symbol": "circle",
                "size": 9,
                "color": np.where(trades["pnl"] > 0, GOOD, BAD).tolist(),
                "line": {"color": "#fff", "width": 1},
            },
        )
        return [*levels, ways, entry, out]


def _of(result: BacktestResult, session: pd.Timestamp) -> pd.DataFrame:
    """The session's trades with stop and target of their orders."""
    trades = result.trades[result.trades["session"] == session]
    return trades.join(result.orders[["stop", "target"]], on="order")


def _text(time: pd.Timestamp) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
