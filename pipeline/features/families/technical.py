"""Indicators of technical analysis at each session's close, over bars of a session and of 5, 15, 30 and 60 minutes.

They are those of pandas-ta-classic with its usual lengths, to the bit, and agree with TA-Lib. The names end in the bars
they are made of: ``rsi_session``, ``rsi_60m``. What holds for all of them:

- The value of a session is that at its last whole bar: frames are counted from the open of the hours, and one that
  would end after their close is not there (:meth:`pipeline.features.FeatureInputs.frames`).
- They are worked out from the anchor of :mod:`pipeline.features.anchors` on, so each has a finite memory: up to three
  quarters of sessions, up to two quarters of the shorter bars.
- At a roll the new contract goes on where the old one ended (:func:`pipeline.features.chain_contracts`): what lies
  between the last close of the one and the first open of the other is left out, and no change is measured across it.
  The level so made is used by differences only (in the money flow index as a weight, too); where a percentage needs a
  price, it is the session's own.
- What has a middle is given as the distance from it (RSI less 50, Williams %R plus 50): its sign is a direction.
- Prices are counted in ticks. Where an indicator is undefined (a market that didn't move) it is missing.
- Bars that can't be put together to a frame (hourly bars to 15 minutes) leave its columns missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.features.anchors import anchor_warmup, anchored, chain_contracts
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.smoothing import (
    change,
    exponential_average,
    rolling_mean,
    rolling_sum,
    wilder_average,
    wilder_sum,
    windowed,
)
from pipeline.market import Instrument

__all__ = ["FRAMES", "Chart", "indicators"]

Floats = NDArray[np.float64]

FRAMES = ("session", "5m", "15m", "30m", "60m")

# Whole quarters before its own that a value reaches back: one holds hundreds of intraday bars, but some sixty sessions.
_QUARTERS = {"session": 2, "5m": 1, "15m": 1, "30m": 1, "60m": 1}

# Values begin with this bar of a slice, however many follow: the slowest, MACD's signal, takes its first at the 34th.
_FEWEST_BARS = 40

# Bars that don't move: the machine's epsilon stands in place of a range of zero. Prices are whole ticks.
_NO_TICKS = 1e-9

_WHERE = " on {frame} bars"


@dataclass(frozen=True)
class Chart:
    """The bars of one anchored slice: arrays of one length, prices in ticks, contracts chained.

    Attributes
    ----------
    high, low, close
        Chained: only their differences mean something.
    volume
        In volume units.
    price
        The close as it was quoted, of its own contract.
    """

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    price: Floats

    @cached_property
    def range(self) -> Floats:
        """High less low, ticks; the machine's epsilon in place of zero."""
        span = self.high - self.low
        return np.where(span != 0, span, np.finfo(np.float64).eps)

    @cached_property
    def true_range(self) -> Floats:
        """The range, stretched to the close before it, ticks; missing in the first bar."""
        before = self.close[:-1]
        stretched = np.full(len(self.close), np.nan)
        stretched[1:] = np.maximum(
            self.range[1:], np.maximum(np.abs(self.high[1:] - before), np.abs(before - self.low[1:]))
        )
        return stretched

    @cached_property
    def atr(self) -> Floats:
        """Average true range of 14 bars (Wilder's), missing where nothing moved."""
        average = wilder_average(self.true_range, 14)
        return _where(average > _NO_TICKS, average)

    @cached_property
    def directional(self) -> tuple[Floats, Floats, Floats]:
        """ADX, +DI and −DI of 14 bars."""
        up, down = change(self.high), -change(self.low)
        moves = [np.where((one > other) & (one > 0), one, 0.0) for one, other in ((up, down), (down, up))]
        reach = wilder_sum(self.true_range, 14)
        indices = []
        for move in moves:
            move[0] = np.nan
            index = 100 * wilder_sum(move, 14) / reach
            index[np.argmax(~np.isnan(reach))] = np.nan  # as TA-Lib: the first sums are not reported
            indices.append(index)
        plus, minus = indices
        return wilder_average(100 * np.abs(plus - minus) / (plus + minus), 14), plus, minus

    @cached_property
    def macd(self) -> tuple[Floats, Floats]:
        """MACD 12, 26, 9: line and signal, ticks."""
        line = exponential_average(self.close, 12) - exponential_average(self.close, 26)
        return line, exponential_average(line, 9)

    @cached_property
    def deviation(self) -> Floats:
        """Standard deviation of 20 closes as Bollinger's bands have it (ddof = 0), missing where they are equal."""
        spread = np.full(len(self.close), np.nan)
        spread[19:] = np.sqrt(sliding_window_view(self.close, 20).var(axis=1))
        return _where(spread > _NO_TICKS, spread)

    @cached_property
    def williams(self) -> Floats:
        """Williams %R of 14 bars, −100 to 0."""
        lowest, highest = windowed(self.low, 14, np.minimum), windowed(self.high, 14, np.maximum)
        return 100 * ((self.close - lowest) / (highest - lowest) - 1)

    @cached_property
    def stochastic(self) -> tuple[Floats, Floats]:
        """Slow stochastic 14, 3, 3: %K and %D, 0 to 100, missing where a range they need is none."""
        # The raw %K is Williams %R plus 100; pandas-ta's own would call a range of zero "at the low".
        k = rolling_mean(self.williams + 100, 3)
        return k, rolling_mean(k, 3)

    @cached_property
    def typical(self) -> Floats:
        """Mean of high, low and close, ticks."""
        return (self.high + self.low + self.close) / 3

    @cached_property
    def traded(self) -> Floats:
        """Volume of 20 bars, missing where it is zero."""
        traded = rolling_sum(self.volume, 20)
        return _where(traded > 0, traded)


def _where(usable: NDArray[np.bool_], values: Floats) -> Floats:
    """The values where they are usable, missing elsewhere."""
    return np.where(usable, values, np.nan)


Indicator = Callable[[Chart], Floats]

_INDICATORS: dict[str, Indicator] = {}


def _indicator(
    description: str, *, signed: bool = False, mirror: str | None = None
) -> Callable[[Indicator], Indicator]:
    """Make a feature over each of the frames from a function of a chart; after its description comes "on ... bars"."""

    def declare(function: Indicator) -> Indicator:
        name = function.__name__

        def at_close(inputs: FeatureInputs, frame: str) -> pd.Series:
            return cast(pd.Series, _at_closes(inputs, frame)[name])

        at_close.__name__, at_close.__module__ = name, function.__module__
        at_close.__doc__ = function.__doc__
        feature(
            family="technical",
            warmup=_warmup,
            description=description + _WHERE + "; contracts are chained at a roll, the step between them is left out.",
            over={"frame": FRAMES},
            signed=signed,
            mirror=mirror,
        )(at_close)
        _INDICATORS[name] = function
        return function

    return declare


def _warmup(frame: str, instrument: Instrument) -> int:
    return anchor_warmup(instrument, _QUARTERS[frame])


def _at_closes(inputs: FeatureInputs, frame: str) -> pd.DataFrame:
    """Every indicator over these bars at each session's close; worked out together, once."""
    return cast(pd.DataFrame, inputs.once(("technical", frame), lambda: _all_at_closes(inputs, frame)))


def _all_at_closes(inputs: FeatureInputs, frame: str) -> pd.DataFrame:
    if frame == "session":
        return anchored(inputs.session_bars, lambda part: indicators(part, inputs.instrument), before=_QUARTERS[frame])
    bars = inputs.frames(int(frame.removesuffix("m")))
    values = anchored(bars, lambda part: indicators(part, inputs.instrument), before=_QUARTERS[frame])
    return pd.DataFrame({name: inputs.at_close(bars, values[name]) for name in values.columns})


def indicators(bars: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Every indicator at every one of these bars; causal, and recursive from the first bar on.

    Parameters
    ----------
    bars
        Open, high, low, close, volume and, where the series is continuous, contract; in order.

    Returns
    -------
    DataFrame
        Their rows, a column an indicator, float64; missing in the first 39 bars.
    """
    found = pd.DataFrame(np.nan, index=bars.index, columns=list(_INDICATORS))
    if len(bars) < _FEWEST_BARS:
        return found
    chained = chain_contracts(bars, instrument)
    high, low, close, price = (
        instrument.to_ticks(column.to_numpy(np.float64)).astype(np.float64)
        for column in (chained["high"], chained["low"], chained["close"], bars["close"])
    )
    chart = Chart(high, low, close, bars["volume"].to_numpy(np.float64), price)
    known = slice(_FEWEST_BARS - 1, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [compute(chart)[known] for compute in _INDICATORS.values()]
    found.iloc[known] = np.column_stack(values)
    return found


@_indicator("RSI of 14 less 50", signed=True)
def rsi(chart: Chart) -> Floats:
    """Wilder, *New Concepts in Technical Trading Systems* (1978)."""
    moved = change(chart.close)
    gains, losses = (
        wilder_average(np.where(np.isnan(moved), np.nan, clipped), 14)
        for clipped in (np.maximum(moved, 0.0), np.minimum(moved, 0.0))
    )
    return 100 * gains / (gains + np.abs(losses)) - 50


@_indicator("MACD (12, 26) in average true ranges of 14", signed=True)
def macd(chart: Chart) -> Floats:
    """Appel's: the exponential average of 12 closes less that of 26."""
    return chart.macd[0] / chart.atr


@_indicator("Signal of MACD (9 bars of it) in average true ranges of 14", signed=True)
def macd_signal(chart: Chart) -> Floats:
    """The exponential average of 9 values of MACD."""
    return chart.macd[1] / chart.atr


@_indicator("MACD less its signal in average true ranges of 14", signed=True)
def macd_histogram(chart: Chart) -> Floats:
    """Difference between the two lines."""
    line, signal = chart.macd
    return (line - signal) / chart.atr


@_indicator(
    "Close less the mean of 20 closes in their standard deviations (the Bollinger bands lie at ±2)", signed=True
)
def bollinger_position(chart: Chart) -> Floats:
    """Linear in Bollinger's %b: 4 %b − 2."""
    return (chart.close - rolling_mean(chart.close, 20)) / chart.deviation


@_indicator("Distance between the Bollinger bands (20, 2) in average true ranges of 14")
def bollinger_width(chart: Chart) -> Floats:
    """Width in ranges, not in percent of the mean, so that a squeeze shows at any price."""
    return 4 * chart.deviation / chart.atr


@_indicator("Wilder's average true range of 14, percent of the close; missing at a price that is not positive")
def average_true_range(chart: Chart) -> Floats:
    """TA-Lib's NATR."""
    return 100 * chart.atr / _where(chart.price > 0, chart.price)


@_indicator("Average directional index of 14, 0 to 100")
def adx(chart: Chart) -> Floats:
    """Strength of a trend, whichever its direction (Wilder 1978)."""
    return chart.directional[0]


@_indicator("Directional index up, +DI of 14, 0 to 100", mirror="minus_di")
def plus_di(chart: Chart) -> Floats:
    """Share of the true range that went up (Wilder 1978)."""
    return chart.directional[1]


@_indicator("Directional index down, −DI of 14, 0 to 100", mirror="plus_di")
def minus_di(chart: Chart) -> Floats:
    """Share of the true range that went down (Wilder 1978)."""
    return chart.directional[2]


@_indicator("Slow stochastic %K (14, 3) less 50", signed=True)
def stochastic_k(chart: Chart) -> Floats:
    """Lane's: the close between the low and the high of 14 bars, mean of 3."""
    return chart.stochastic[0] - 50


@_indicator("Slow stochastic %D (14, 3, 3) less 50", signed=True)
def stochastic_d(chart: Chart) -> Floats:
    """Mean of 3 %K."""
    return chart.stochastic[1] - 50


@_indicator("Williams %R of 14 plus 50", signed=True)
def williams_r(chart: Chart) -> Floats:
    """The raw %K of the stochastic, less 50."""
    return chart.williams + 50


@_indicator("Change of on-balance volume over 20 bars as a share of their volume, −1 to 1", signed=True)
def obv_change(chart: Chart) -> Floats:
    """The level of OBV depends on where it starts, its change does not."""
    signs = np.append(1.0, np.sign(np.diff(chart.close)))
    return change(np.cumsum(signs * chart.volume), 20) / chart.traded


@_indicator("Commodity channel index of 20", signed=True)
def cci(chart: Chart) -> Floats:
    """Lambert's: typical price less its mean, in 0.015 mean absolute deviations."""
    typical = chart.typical
    moved = windowed(typical, 20, np.maximum) - windowed(typical, 20, np.minimum) > _NO_TICKS
    windows = sliding_window_view(typical, 20)
    spread = np.full(len(typical), np.nan)
    spread[19:] = np.abs(windows - windows.mean(axis=1, keepdims=True)).mean(axis=1)
    return _where(moved, (typical - rolling_mean(typical, 20)) / (0.015 * spread))


@_indicator("Money flow index of 14 less 50; missing at prices that are not positive", signed=True)
def mfi(chart: Chart) -> Floats:
    """RSI of typical price times volume (Quong and Soudack 1989); chained levels only weigh the volume."""
    flow, moved = chart.typical * chart.volume, change(chart.typical)
    up, down = (rolling_sum(np.where(went, flow, 0.0), 14) for went in (moved > 0, moved < 0))
    usable = (windowed(chart.low, 15, np.minimum) > 0) & (up + down > 0)
    return 100 * up / _where(usable, up + down) - 50


@_indicator("Change over 10 bars in percent; missing at a price that is not positive", signed=True)
def rate_of_change(chart: Chart) -> Floats:
    """The change is chained, what it is a percentage of is in today's contract."""
    moved = change(chart.close, 10)
    before = chart.price - moved
    return 100 * moved / _where((before > 0) & (chart.price > 0), before)


@_indicator("Chaikin money flow of 20, −1 to 1", signed=True)
def chaikin_money_flow(chart: Chart) -> Floats:
    """Volume weighted by where in its range each bar closed; a bar without range counts as the middle."""
    place = (2 * chart.close - (chart.high + chart.low)) * (chart.volume / chart.range)
    return rolling_sum(place, 20) / chart.traded


@_indicator("Aroon oscillator of 14, −100 to 100", signed=True)
def aroon_oscillator(chart: Chart) -> Floats:
    """Recency of the highest high less that of the lowest low (Chande 1995)."""
    # Bars since the extreme, the newest of equal ones.
    high, low = (
        100 * (1 - find(sliding_window_view(values, 15)[:, ::-1], axis=1) / 14)
        for values, find in ((chart.high, np.argmax), (chart.low, np.argmin))
    )
    return np.append(np.full(14, np.nan), high - low)


@_indicator("Choppiness index of 14: 100 when going nowhere, low in a trend")
def choppiness(chart: Chart) -> Floats:
    """Dreiss's: logarithm of the way gone over the range covered."""
    covered = windowed(chart.high, 14, np.maximum) - windowed(chart.low, 14, np.minimum)
    gone = rolling_sum(chart.true_range, 14)
    return 100 * np.log10(gone / _where(covered > _NO_TICKS, covered)) / np.log10(14)
