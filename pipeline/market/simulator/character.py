"""Character of a simulated market: its level, size and intraday rhythm, instrument by instrument.

The rhythm is ES's own, from five-minute bars of 2015 to 2021 (statistics only): standard deviation of
returns and median volume by time of day, kept relative to the regular open and close, so that it
fits early closes and other exchanges too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument

__all__ = ["Character", "character_of", "rhythm"]


@dataclass(frozen=True)
class Character:
    """Level and size of a market.

    Attributes
    ----------
    price
        The first session starts here.
    daily_volatility
        Realised volatility of the median full session, as a fraction.
    daily_volume
        Volume of the median full session, in the instrument's own unit.
    daily_trades
        Trades of the median full session.
    """

    price: float
    daily_volatility: float
    daily_volume: float
    daily_trades: float


_KNOWN = {
    "ES": Character(4_000.0, 0.0066, 1_300_000, 650_000),
    "MES": Character(4_000.0, 0.0066, 1_000_000, 600_000),
    "NQ": Character(14_000.0, 0.0092, 550_000, 400_000),
    "MNQ": Character(14_000.0, 0.0092, 1_000_000, 600_000),
    "SPY": Character(400.0, 0.0060, 70_000_000, 500_000),
    "BTCUSDT": Character(40_000.0, 0.024, 50_000.0, 1_200_000),
    "XRPUSDT": Character(0.60, 0.034, 300_000_000.0, 500_000),
    "XRPBTC": Character(0.00002, 0.026, 30_000_000.0, 100_000),
}

# Minutes from the regular open: standard deviation of a five-minute return (basis points), volume.
_BEFORE_OPEN = (
    (-930, 12.8, 1800), (-925, 6.6, 600), (-915, 5.4, 400), (-900, 4.8, 350), (-870, 4.7, 420), (-815, 4.4, 430),
    (-810, 5.8, 950), (-795, 5.4, 740), (-780, 5.2, 640), (-750, 5.5, 620), (-720, 5.4, 650), (-690, 4.8, 540),
    (-660, 4.4, 450), (-630, 4.2, 370), (-600, 3.8, 340), (-570, 3.5, 290), (-540, 3.9, 280), (-510, 4.8, 420),
    (-455, 4.6, 430), (-450, 6.5, 1080), (-440, 5.0, 770), (-395, 4.7, 760), (-390, 7.0, 2800), (-375, 6.5, 1800),
    (-335, 5.2, 1270), (-330, 6.7, 1640), (-305, 5.4, 1200), (-270, 5.5, 1150), (-180, 4.9, 1030), (-150, 5.4, 1450),
    (-95, 5.3, 1450), (-90, 6.4, 2050), (-65, 5.5, 1800), (-60, 7.6, 2860), (-50, 6.2, 2600), (-30, 5.7, 3100),
    (-10, 5.7, 3000), (-5, 7.5, 5300),
)  # fmt: skip
# Minutes from the regular open.
_AFTER_OPEN = (
    (0, 16.0, 39_500), (5, 14.4, 32_000), (15, 13.2, 23_500), (25, 12.6, 16_600), (30, 14.4, 21_700),
    (35, 11.8, 19_000), (60, 10.5, 16_500), (90, 9.4, 14_400), (120, 8.5, 13_000), (150, 8.0, 9_700),
    (180, 7.6, 7_600), (240, 7.4, 7_000), (265, 7.5, 6_400), (270, 10.2, 9_400), (280, 8.4, 8_000),
    (300, 8.8, 8_400), (330, 9.7, 9_900), (345, 9.0, 9_700), (360, 10.4, 12_500),
)  # fmt: skip
# Minutes from the regular close.
_BEFORE_CLOSE = ((-30, 10.4, 12_500), (-15, 11.5, 15_700), (-10, 12.0, 18_000), (-5, 15.8, 64_000), (-1, 15.8, 64_000))
_AFTER_CLOSE = (
    (0, 9.8, 36_000), (5, 6.7, 9_500), (15, 3.2, 1_600), (25, 2.6, 900), (30, 6.0, 2_300), (40, 4.2, 1_000),
    (50, 4.0, 780), (59, 4.3, 1_100),
)  # fmt: skip
# Minutes from midnight UTC, for markets that never close: busiest while Europe and America both trade.
_AROUND_THE_CLOCK = (
    (0, 6.6, 10), (60, 6.0, 9), (240, 5.0, 6), (420, 5.6, 7), (720, 6.2, 9), (810, 8.0, 13), (900, 8.4, 15),
    (1020, 7.4, 12), (1200, 6.4, 9), (1320, 5.6, 7), (1439, 6.4, 9),
)  # fmt: skip


def character_of(instrument: Instrument) -> Character:
    """The instrument's character; one it has no figures for starts at 16,000 ticks, with a common size."""
    if instrument.symbol in _KNOWN:
        return _KNOWN[instrument.symbol]
    volatility = 0.024 if instrument.always_open else 0.0085
    return Character(16_000 * instrument.tick_size, volatility, 500_000 * instrument.volume_step, 250_000)


def rhythm(
    minutes: int, regular_begin: int, regular_end: int, *, always_open: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volatility and volume of each minute of a session, in units of the tables above.

    Parameters
    ----------
    minutes
        Length of the session.
    regular_begin, regular_end
        Minutes from the session's open to those of the regular hours; equal where there are none.
    """
    clock = np.arange(minutes)
    if always_open:
        return _read_off(clock, _AROUND_THE_CLOCK)
    from_open, from_close = clock - regular_begin, clock - regular_end
    before, after_open = _read_off(from_open, _BEFORE_OPEN), _read_off(from_open, _AFTER_OPEN)
    before_close, after = _read_off(from_close, _BEFORE_CLOSE), _read_off(from_close, _AFTER_CLOSE)
    parts = [from_open < 0, from_close < _BEFORE_CLOSE[0][0], from_close < 0]
    volatility = np.select(parts, [before[0], after_open[0], before_close[0]], after[0])
    volume = np.select(parts, [before[1], after_open[1], before_close[1]], after[1])
    return volatility, volume


def _read_off(
    at: NDArray[np.int64], table: tuple[tuple[int, float, float], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    knots, volatility, volume = np.array(table, dtype=np.float64).T
    # Volume in logarithms: it spans two orders of magnitude.
    return np.interp(at, knots, volatility), np.exp(np.interp(at, knots, np.log(volume)))
