"""Indicators of technical analysis at each session's close, over bars of a session and of 5, 15, 30 and 60 minutes.

They come from pandas-ta-classic with its usual lengths and agree with TA-Lib. The names end in the bars they are made
of: ``rsi_session``, ``rsi_60m``. What holds for all of them:

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

from pipeline.features.anchors import anchor_warmup, anchored, chain_contracts
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.market import Instrument

__all__ = ["FRAMES", "Chart", "indicators"]

FRAMES = ("session", "5m", "15m", "30m", "60m")

# Whole quarters before its own that a value reaches back: one holds hundreds of intraday bars, but some sixty sessions.
_QUARTERS = {"session": 2, "5m": 1, "15m": 1, "30m": 1, "60m": 1}

# Values begin with this bar of a slice, however many follow: the slowest, MACD's signal, takes its first at the 34th.
_FEWEST_BARS = 40

# Bars that don't move: pandas-ta puts the machine's epsilon in place of a range of zero. Prices are whole ticks.
_NO_TICKS = 1e-9

_WHERE = " on {frame} bars"


@dataclass(frozen=True)
class Chart:
    """The bars of one anchored slice: Series of one index, prices in ticks, contracts chained.

    Attributes
    ----------
    high, low, close
        Chained: only their differences mean something.
    volume
        In volume units.
    price
        The close as it was quoted, of its own contract.
    """

    high: pd.Series
    low: pd.Series
    close: pd.Series
    volume: pd.Series
    price: pd.Series

    @cached_property
    def true_range(self) -> pd.Series:
        """The range, stretched to the close before it, ticks; missing in the first bar."""
        import pandas_ta_classic as ta

        return ta.true_range(self.high, self.low, self.close)

    @cached_property
    def atr(self) -> pd.Series:
        """Average true range of 14 bars (Wilder's), missing where nothing moved."""
        import pandas_ta_classic as ta

        # As in ta.atr, on true ranges that others use too.
        average = ta.rma(self.true_range, length=14)
        return average.where(average > _NO_TICKS)

    @cached_property
    def directional(self) -> pd.DataFrame:
        """ADX, +DI and −DI of 14 bars, in this order."""
        import pandas_ta_classic as ta

        return ta.adx(self.high, self.low, self.close, length=14)

    @cached_property
    def macd(self) -> tuple[pd.Series, pd.Series]:
        """MACD 12, 26, 9: line and signal, ticks."""
        import pandas_ta_classic as ta

        # From ta.ema, as ta.macd is a loop in Python, fifty times slower; the values are the same.
        line = ta.ema(self.close, length=12) - ta.ema(self.close, length=26)
        return line, ta.ema(line, length=9)

    @cached_property
    def deviation(self) -> pd.Series:
        """Standard deviation of 20 closes as Bollinger's bands have it (ddof = 0), missing where they are equal."""
        import pandas_ta_classic as ta

        # ta.bbands takes the root value by value in Python; this is what it takes the root of.
        spread = np.sqrt(ta.variance(self.close, length=20, ddof=0))
        return spread.where(spread > _NO_TICKS)

    @cached_property
    def williams(self) -> pd.Series:
        """Williams %R of 14 bars, −100 to 0."""
        import pandas_ta_classic as ta

        return ta.willr(self.high, self.low, self.close, length=14)

    @cached_property
    def stochastic(self) -> tuple[pd.Series, pd.Series]:
        """Slow stochastic 14, 3, 3: %K and %D, 0 to 100, missing where a range they need is none."""
        import pandas_ta_classic as ta

        # The raw %K is Williams %R plus 100; ta.stoch would call a range of zero "at the low".
        k = ta.sma(self.williams + 100, length=3)
        return k, ta.sma(k, length=3)


Indicator = Callable[[Chart], pd.Series]

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
        pd.Series(instrument.to_ticks(column.to_numpy(np.float64)).astype(np.float64))
        for column in (chained["high"], chained["low"], chained["close"], bars["close"])
    )
    chart = Chart(high, low, close, pd.Series(bars["volume"].to_numpy(np.float64)), price)
    known = slice(_FEWEST_BARS - 1, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: compute(chart).to_numpy(np.float64)[known] for name, compute in _INDICATORS.items()}
    found.iloc[known] = np.column_stack(list(values.values()))
    return found


@_indicator("RSI of 14 less 50", signed=True)
def rsi(chart: Chart) -> pd.Series:
    """Wilder, *New Concepts in Technical Trading Systems* (1978)."""
    import pandas_ta_classic as ta

    return ta.rsi(chart.close, length=14) - 50


@_indicator("MACD (12, 26) in average true ranges of 14", signed=True)
def macd(chart: Chart) -> pd.Series:
    """Appel's: the exponential average of 12 closes less that of 26."""
    return chart.macd[0] / chart.atr


@_indicator("Signal of MACD (9 bars of it) in average true ranges of 14", signed=True)
def macd_signal(chart: Chart) -> pd.Series:
    """The exponential average of 9 values of MACD."""
    return chart.macd[1] / chart.atr


@_indicator("MACD less its signal in average true ranges of 14", signed=True)
def macd_histogram(chart: Chart) -> pd.Series:
    """Difference between the two lines."""
    line, signal = chart.macd
    return (line - signal) / chart.atr


@_indicator(
    "Close less the mean of 20 closes in their standard deviations (the Bollinger bands lie at ±2)", signed=True
)
def bollinger_position(chart: Chart) -> pd.Series:
    """Linear in Bollinger's %b: 4 %b − 2."""
    import pandas_ta_classic as ta

    return (chart.close - ta.sma(chart.close, length=20)) / chart.deviation


@_indicator("Distance between the Bollinger bands (20, 2) in average true ranges of 14")
def bollinger_width(chart: Chart) -> pd.Series:
    """Width in ranges, not in percent of the mean, so that a squeeze shows at any price."""
    return 4 * chart.deviation / chart.atr


@_indicator("Wilder's average true range of 14, percent of the close; missing at a price that is not positive")
def average_true_range(chart: Chart) -> pd.Series:
    """TA-Lib's NATR."""
    return 100 * chart.atr / chart.price.where(chart.price > 0)


@_indicator("Average directional index of 14, 0 to 100")
def adx(chart: Chart) -> pd.Series:
    """Strength of a trend, whichever its direction (Wilder 1978)."""
    return chart.directional.iloc[:, 0]


@_indicator("Directional index up, +DI of 14, 0 to 100", mirror="minus_di")
def plus_di(chart: Chart) -> pd.Series:
    """Share of the true range that went up (Wilder 1978)."""
    return chart.directional.iloc[:, 1]


@_indicator("Directional index down, −DI of 14, 0 to 100", mirror="plus_di")
def minus_di(chart: Chart) -> pd.Series:
    """Share of the true range that went down (Wilder 1978)."""
    return chart.directional.iloc[:, 2]


@_indicator("Slow stochastic %K (14, 3) less 50", signed=True)
def stochastic_k(chart: Chart) -> pd.Series:
    """Lane's: the close between the low and the high of 14 bars, mean of 3."""
    return chart.stochastic[0] - 50


@_indicator("Slow stochastic %D (14, 3, 3) less 50", signed=True)
def stochastic_d(chart: Chart) -> pd.Series:
    """Mean of 3 %K."""
    return chart.stochastic[1] - 50


@_indicator("Williams %R of 14 plus 50", signed=True)
def williams_r(chart: Chart) -> pd.Series:
    """The raw %K of the stochastic, less 50."""
    return chart.williams + 50


@_indicator("Change of on-balance volume over 20 bars as a share of their volume, −1 to 1", signed=True)
def obv_change(chart: Chart) -> pd.Series:
    """The level of OBV depends on where it starts, its change does not."""
    import pandas_ta_classic as ta

    traded = chart.volume.rolling(20).sum()
    return ta.obv(chart.close, chart.volume).diff(20) / traded.where(traded > 0)


@_indicator("Commodity channel index of 20", signed=True)
def cci(chart: Chart) -> pd.Series:
    """Lambert's: typical price less its mean, in 0.015 mean absolute deviations."""
    import pandas_ta_classic as ta

    typical = (chart.high + chart.low + chart.close) / 3
    moved = typical.rolling(20).max() - typical.rolling(20).min() > _NO_TICKS
    return ta.cci(chart.high, chart.low, chart.close, length=20).where(moved)


@_indicator("Money flow index of 14 less 50; missing at prices that are not positive", signed=True)
def mfi(chart: Chart) -> pd.Series:
    """RSI of typical price times volume (Quong and Soudack 1989); chained levels only weigh the volume."""
    # The sums of ta.mfi without its table of five columns, which takes four times as long.
    typical = (chart.high + chart.low + chart.close) / 3
    flow, change = typical * chart.volume, typical.diff()
    up, down = (flow.where(went, 0.0).rolling(14).sum() for went in (change > 0, change < 0))
    usable = (chart.low.rolling(15).min() > 0) & (up + down > 0)
    return 100 * up / (up + down).where(usable) - 50


@_indicator("Change over 10 bars in percent; missing at a price that is not positive", signed=True)
def rate_of_change(chart: Chart) -> pd.Series:
    """The change is chained, what it is a percentage of is in today's contract."""
    import pandas_ta_classic as ta

    change = ta.mom(chart.close, length=10)
    before = chart.price - change
    return 100 * change / before.where((before > 0) & (chart.price > 0))


@_indicator("Chaikin money flow of 20, −1 to 1", signed=True)
def chaikin_money_flow(chart: Chart) -> pd.Series:
    """Volume weighted by where in its range each bar closed; a bar without range counts as the middle."""
    import pandas_ta_classic as ta

    traded = chart.volume.rolling(20).sum()
    return ta.cmf(chart.high, chart.low, chart.close, chart.volume, length=20).where(traded > 0)


@_indicator("Aroon oscillator of 14, −100 to 100", signed=True)
def aroon_oscillator(chart: Chart) -> pd.Series:
    """Recency of the highest high less that of the lowest low (Chande 1995)."""
    import pandas_ta_classic as ta

    return ta.aroon(chart.high, chart.low, length=14).iloc[:, 2]


@_indicator("Choppiness index of 14: 100 when going nowhere, low in a trend")
def choppiness(chart: Chart) -> pd.Series:
    """Dreiss's: logarithm of the way gone over the range covered."""
    # ta.chop, on true ranges that others use too.
    covered = chart.high.rolling(14).max() - chart.low.rolling(14).min()
    gone = chart.true_range.rolling(14).sum()
    return 100 * np.log10(gone / covered.where(covered > _NO_TICKS)) / np.log10(14)
