"""Do simulated bars look like the market? Statistics of both, side by side, and the page that shows them.

``python -m bench.market_realism BARS.parquet PAGE.html`` compares a file of ES bars of five
minutes with simulated markets of the same sessions. The page holds statistics, not the bars.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument, find_instrument
from pipeline.market.sessions import label_sessions
from pipeline.market.simulator import simulate_market

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["MarketStatistics", "comparison_figure", "market_statistics", "simulated_statistics"]

logger = logging.getLogger(__name__)

_REAL, _SIMULATED, _BAND, _REFERENCE = "#1f4e79", "#c8553d", "rgba(200,85,61,0.22)", "#8a8a8a"
_TAIL_AT = np.geomspace(0.5, 20, 40)
_RANGE_EDGES = np.geomspace(0.7, 150, 24)
_LAGS = np.arange(1, 3 * 276 + 1)
_SESSION_LAGS = np.arange(1, 61)


@dataclass(frozen=True)
class MarketStatistics:
    """Statistics of a market's 5-minute bars; returns are logarithmic, open to close.

    Attributes
    ----------
    volatility_by_time, volume_by_time
        Standard deviation of returns (basis points) and median volume, indexed by local time in hours.
    tail
        Share of absolute returns beyond each multiple of their standard deviation, shape (40,).
    bar_memory
        Autocorrelation of absolute returns over lags of 1 to 828 bars, shape (828,).
    session_memory
        Autocorrelation of the logarithm of realised volatility over 1 to 60 sessions, shape (60,).
    volume_by_range
        Median volume in regular hours of bars of each range (basis points), shape (23,).
    session_range
        High to low of each full session, percent of its close.
    figures
        Single numbers by name.
    """

    volatility_by_time: pd.Series
    volume_by_time: pd.Series
    tail: NDArray[np.float64]
    bar_memory: NDArray[np.float64]
    session_memory: NDArray[np.float64]
    volume_by_range: NDArray[np.float64]
    session_range: NDArray[np.float64]
    figures: dict[str, float]


def market_statistics(bars: pd.DataFrame, instrument: Instrument) -> MarketStatistics:
    """Measure clean bars of five minutes."""
    labels = label_sessions(bars["timestamp"], instrument)
    inside = labels.position >= 0
    bars, position, regular = bars[inside], labels.position[inside], labels.regular[inside]
    local = pd.DatetimeIndex(bars["timestamp"]).tz_convert(instrument.time_zone)
    hours = pd.Series(local.hour + local.minute / 60, index=bars.index)
    returns = np.log(bars["close"] / bars["open"])
    bar_range = (bars["high"] - bars["low"]) / bars["open"] * 1e4
    volume = bars["volume"].astype(np.float64)

    sessions = bars.groupby(position).agg(
        high=("high", "max"), low=("low", "min"), close=("close", "last"), bars=("close", "size")
    )
    full = sessions["bars"] >= 0.75 * sessions["bars"].median()
    session_range = ((sessions["high"] - sessions["low"]) / sessions["close"])[full].to_numpy() * 100
    realised = np.sqrt((returns**2).groupby(position).sum())[full]

    absolute = returns.abs()
    rest = returns / returns.groupby(hours).transform("std")
    rest = rest / rest.groupby(position).transform("std")
    ticks = instrument.to_ticks(bars["close"]) - instrument.to_ticks(bars["open"])
    spread = instrument.to_ticks(bars["high"]) - instrument.to_ticks(bars["low"])
    bins = np.digitize(bar_range[regular], _RANGE_EDGES)
    by_range = volume[regular].groupby(bins).agg(["median", "size"])
    by_range = by_range["median"].where(by_range["size"] >= 30).reindex(range(1, len(_RANGE_EDGES)))
    share = (bars["ask_volume"] - bars["bid_volume"]) / volume
    figures = {
        "Median session range, %": float(np.median(session_range)),
        "Session range, 10th percentile, %": float(np.quantile(session_range, 0.1)),
        "Session range, 90th percentile, %": float(np.quantile(session_range, 0.9)),
        "Median realised volatility of a session, %": float(realised.median() * 100),
        "Spread of its logarithm": float(np.log(realised).std()),
        "Excess kurtosis of 5-minute returns": float(returns.kurt()),
        "The same without time of day and session level": float(rest.kurt()),
        "Autocorrelation of returns, lag 1": float(returns.autocorr(1)),
        "Squared range to squared return": float(np.mean(spread**2.0) / np.mean(ticks**2.0)),
        "Correlation of log volume and log range, regular hours": float(
            np.corrcoef(np.log(volume[regular]), np.log(np.maximum(spread[regular], 0.5)))[0, 1]
        ),
        "Correlation of order imbalance and return, regular hours": float(
            np.corrcoef(share[regular], returns[regular])[0, 1]
        ),
    }
    return MarketStatistics(
        volatility_by_time=returns.groupby(hours).std() * 1e4,
        volume_by_time=volume.groupby(hours).median(),
        tail=np.array([np.mean(absolute > at * returns.std()) for at in _TAIL_AT]),
        bar_memory=_autocorrelation(absolute.to_numpy(), _LAGS),
        session_memory=_autocorrelation(np.log(realised.to_numpy()), _SESSION_LAGS),
        volume_by_range=by_range.to_numpy(dtype=np.float64),
        session_range=session_range,
        figures=figures,
    )


def simulated_statistics(
    instrument: Instrument, start: str, sessions: int, seeds: Sequence[int]
) -> list[MarketStatistics]:
    """Measure a simulated market of each seed."""
    return [market_statistics(simulate_market(instrument, start, sessions, seed), instrument) for seed in seeds]


def comparison_figure(real: MarketStatistics, simulated: Sequence[MarketStatistics], title: str) -> "go.Figure":
    """Six panels: the real market as a line; the simulated ones as their median and their range."""
    from plotly.subplots import make_subplots

    panels = (
        "Volatility by time of day",
        "Volume by time of day",
        "Tails of 5-minute returns",
        "Volatility clustering within days",
        "Volatility clustering over days",
        "Volume and range, regular hours",
    )
    figure = make_subplots(rows=2, cols=3, subplot_titles=panels, horizontal_spacing=0.065, vertical_spacing=0.15)
    # The trading day begins in the evening.
    clock = real.volatility_by_time.index.to_numpy()
    order = np.argsort((clock - 17) % 24, kind="stable")
    elapsed = (clock[order] - 17) % 24
    day = real.volatility_by_time.index[order]
    middle = np.sqrt(_RANGE_EDGES[1:] * _RANGE_EDGES[:-1])
    lines = (
        (elapsed, lambda m: m.volatility_by_time.reindex(day).to_numpy()),
        (elapsed, lambda m: m.volume_by_time.reindex(day).to_numpy()),
        (_TAIL_AT, lambda m: np.where(m.tail > 0, m.tail, np.nan)),
        (_LAGS / 276, lambda m: m.bar_memory),
        (_SESSION_LAGS, lambda m: m.session_memory),
        (middle, lambda m: m.volume_by_range),
    )
    for panel, (x, read) in enumerate(lines):
        at = {"row": panel // 3 + 1, "col": panel % 3 + 1}
        values = np.array([read(market) for market in simulated])
        known = np.sum(np.isfinite(values), axis=0) > len(simulated) / 2
        values = values[:, known]
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        band = np.concatenate((x[known], x[known][::-1]))
        first = panel == 0
        figure.add_scatter(
            x=band, y=np.concatenate((high, low[::-1])), fill="toself", fillcolor=_BAND, line={"width": 0},
            name=f"simulated, range of {len(simulated)} seeds", showlegend=first, hoverinfo="skip", **at,
        )  # fmt: skip
        figure.add_scatter(
            x=x[known], y=np.nanmedian(values, axis=0), line={"color": _SIMULATED, "width": 1.6},
            name="simulated, median", showlegend=first, mode="lines", **at,
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=read(real), line={"color": _REAL, "width": 1.6}, name="real", showlegend=first, mode="lines", **at
        )
    from scipy.special import erfc

    figure.add_scatter(
        x=_TAIL_AT, y=erfc(_TAIL_AT / np.sqrt(2)), line={"color": _REFERENCE, "width": 1, "dash": "dot"},
        name="normal distribution", mode="lines", row=1, col=3,
    )  # fmt: skip
    hours = {"tickvals": [0, 3, 7, 11, 15.5, 19, 22], "ticktext": ["17", "20", "0", "4", "8:30", "12", "15"]}
    for column in (1, 2):
        figure.update_xaxes(title_text="Chicago time, hour", **hours, row=1, col=column)
    figure.update_yaxes(title_text="basis points", row=1, col=1)
    figure.update_yaxes(title_text="contracts", type="log", dtick=1, row=1, col=2)
    figure.update_xaxes(title_text="standard deviations", type="log", tickvals=[0.5, 1, 2, 5, 10, 20], row=1, col=3)
    figure.update_yaxes(
        title_text="share beyond", type="log", range=[-5.3, 0], dtick=1, exponentformat="power", row=1, col=3
    )
    figure.update_xaxes(title_text="lag, sessions (276 bars)", row=2, col=1)
    figure.update_yaxes(title_text="autocorrelation of |return|", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="lag, sessions", row=2, col=2)
    figure.update_yaxes(title_text="autocorrelation of log volatility", row=2, col=2)
    figure.update_xaxes(
        title_text="range of the bar, basis points", type="log", tickvals=[1, 2, 5, 10, 20, 50, 100], row=2, col=3
    )
    figure.update_yaxes(title_text="median volume, contracts", type="log", dtick=1, row=2, col=3)
    figure.update_layout(
        template="plotly_white", title=title, width=1320, height=760, margin={"l": 60, "r": 20, "t": 90, "b": 95},
        legend={"orientation": "h", "y": -0.11, "x": 0.5, "xanchor": "center"}, font={"size": 12},
    )  # fmt: skip
    return figure


def _autocorrelation(values: NDArray[np.float64], lags: NDArray[np.int64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    size = 1 << (2 * len(values) - 1).bit_length()
    transform = np.fft.rfft(centred, size)
    covariance = np.fft.irfft(np.abs(transform) ** 2, size)
    result: NDArray[np.float64] = covariance[lags] / covariance[0]
    return result


def _main() -> None:
    parser = argparse.ArgumentParser(description="Compare real ES bars of five minutes with simulated ones.")
    parser.add_argument("bars", type=Path, help="Parquet file of real bars, timestamp = open, UTC")
    parser.add_argument("page", type=Path, help="HTML page to write")
    parser.add_argument("--seeds", type=int, default=8, help="how many simulated markets (default 8)")
    given = parser.parse_args()
    instrument = find_instrument("ES")
    bars = pd.read_parquet(given.bars)
    sessions = label_sessions(bars["timestamp"], instrument).sessions.dropna()
    real = market_statistics(bars, instrument)
    first, last = sessions.min(), sessions.max()
    simulated = simulated_statistics(instrument, str(first.date()), sessions.nunique(), range(given.seeds))
    title = f"ES, bars of five minutes: real {first.date()} to {last.date()}, and simulated markets"
    comparison_figure(real, simulated, title).write_html(given.page, config={"displayModeBar": False})
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, value in real.figures.items():
        others = [market.figures[name] for market in simulated]
        logger.info("%-60s %8.3f %8.3f (%.3f to %.3f)", name, value, np.median(others), min(others), max(others))


if __name__ == "__main__":
    _main()
