"""Still pictures for asset metadata: Markdown with the PNG inside, where no script may run."""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.market import Hours, Instrument, label_sessions
from pipeline.profiles import profile_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["equity_picture", "profile_picture"]

BLUE, GREY, ORANGE = "#2b6cb0", "#9aa5b1", "#c05621"


def profile_picture(bars: pd.DataFrame, profiles: pd.DataFrame, instrument: Instrument, *, hours: Hours = "rth") -> str:
    """Draw the last session: closes with the horizontal profile beside, VPOC and value area marked.

    Parameters
    ----------
    bars, profiles
        As :func:`pipeline.profiles.session_profiles` takes and gives them; at least one session.

    Returns
    -------
    str
        Markdown with an inline PNG.
    """
    session = profiles.index[-1]
    row = profiles.iloc[-1]
    labels = label_sessions(bars["timestamp"], instrument)
    inside = labels.mask(hours) & (labels.sessions == session)
    if "contract" in profiles:
        inside &= bars["contract"].to_numpy() == row["contract"]
    own = bars[inside]
    lowest, micro_lots = profile_rows(own, instrument)
    prices = instrument.to_prices(lowest + np.arange(len(micro_lots)))
    figure = _figure(9, 4.2)
    chart, histogram = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    local = own["timestamp"].dt.tz_convert(instrument.time_zone).dt.tz_localize(None)
    chart.fill_between(local, own["low"], own["high"], color=GREY, alpha=0.5, step="mid", linewidth=0, label="range")
    chart.plot(local, own["close"], color=BLUE, linewidth=1, label="close")
    chart.axhspan(row["val"], row["vah"], color=ORANGE, alpha=0.10, linewidth=0, label="value area")
    chart.axhline(row["vpoc"], color=ORANGE, linewidth=1.2, label="VPOC")
    chart.legend(loc="best", fontsize=8, frameon=False)
    chart.set_title(f"{instrument.symbol}, session {session.date()}, {hours}", loc="left", fontsize=10)
    in_area = (prices >= row["val"]) & (prices <= row["vah"])
    histogram.barh(
        prices, micro_lots / 2**20, height=instrument.tick_size, color=np.where(in_area, ORANGE, GREY), linewidth=0
    )
    histogram.set_xlabel("volume steps")
    figure.autofmt_xdate()
    return _markdown(figure, f"volume profile of {session.date()}")


def equity_picture(equity: Mapping[str, pd.Series], title: str) -> str:
    """Draw equity by bar, one line a strategy, and the drawdown below.

    Parameters
    ----------
    equity
        Strategy name → equity by bar, indexed by time.

    Returns
    -------
    str
        Markdown with an inline PNG.
    """
    figure = _figure(9, 4.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for (name, series), color in zip(equity.items(), (BLUE, ORANGE), strict=False):
        daily = series.groupby(pd.DatetimeIndex(series.index).floor("D")).last()
        upper.plot(daily.index, daily.to_numpy(), color=color, linewidth=1.1, label=name)
        lower.fill_between(daily.index, 100 * (daily / daily.cummax() - 1), color=color, alpha=0.35, linewidth=0)
    upper.legend(loc="best", fontsize=8, frameon=False)
    upper.set_title(title, loc="left", fontsize=10)
    upper.set_ylabel("equity")
    lower.set_ylabel("drawdown %")
    return _markdown(figure, title)


def _figure(width: float, height: float) -> "Figure":
    # Figure itself, not pyplot: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure


def _markdown(figure: "Figure", alternative: str) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
