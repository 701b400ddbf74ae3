"""The walk itself: minute by minute, trade by trade, on the tick grid.

Why it is a martingale, exactly: before a minute begins, its number of steps and their size are fixed;
each step is then up or down with equal probability. The price passes every tick between two prices,
so no limit, stop or target inside a bar is ever jumped over; only a session's open can gap.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["PULL", "walk_market"]

PULL = 4.0
"""Log odds of a step toward the value area, summed over one value-area width, at ``edge`` 1."""

# Logarithm of a session's volatility: a slow and a fast autoregression and a daily surprise; bent upward
# in the slow one, for a crisis is farther from the usual day than the quietest summer.
_SLOW_MEMORY, _SLOW_SPREAD, _SLOW_BEND = 0.982, 0.45, 0.45
_FAST_MEMORY, _FAST_SPREAD = 0.80, 0.27
_DAY_SPREAD = 0.05
_WORST = 2.1  # eight times the usual day, as in March 2020
# The same within the day: a swell of about an hour, and bursts that die away in minutes.
_SWELL_MEMORY, _SWELL_SPREAD = 0.988, 0.36
_BURST_CHANCE, _BURST_SIZE, _BURST_MEMORY = 1 / 300, 0.48, 0.92
_NEWS_CHANCE, _NEWS_SIZE, _NEWS_MINUTES = 0.25, 1.05, 60  # an hour before the regular open
# A minute's first trade is a tick off the last one's price in two of five minutes.
_FIRST_STEP = 0.21
_STEPS = 64  # most steps a minute; longer ones from there on
_GAP_TAIL = 0.8
# Logarithm of volume: how it follows the session's and the minute's volatility, and what it does on its own.
_VOLUME_BY_SESSION, _VOLUME_BY_MINUTE, _VOLUME_DAY, _VOLUME_MINUTE = 0.50, 0.8, 0.17, 0.85
_TRADE_SPREAD = 0.25
_IMBALANCE_BY_MOVE, _IMBALANCE_SPREAD = 0.09, 0.10

_VALUE_AREA = 0.70


@njit(cache=True, nogil=True)
def walk_market(
    rng: np.random.Generator,
    minutes: NDArray[np.int64],
    regular_begin: NDArray[np.int64],
    regular_end: NDArray[np.int64],
    rolls: NDArray[np.bool_],
    gap_scale: NDArray[np.float64],
    shape: NDArray[np.int64],
    volatility: NDArray[np.float64],
    volume: NDArray[np.float64],
    start: int,
    trades_per_step: float,
    edge: float,
    bar_minutes: int,
) -> NDArray[np.int64]:
    """Bars of all sessions, in ticks and volume steps.

    Parameters
    ----------
    rng
        Drawn from session after session, so that a longer market begins with a shorter one.
    minutes, regular_begin, regular_end, rolls, gap_scale, shape
        Per session, shape (n,): its length, its regular hours in minutes from its open, whether a new
        contract begins, its opening gap's size in units of the session's volatility, and its row in
        ``volatility`` and ``volume``.
    volatility, volume
        Shape (shapes, longest session): a minute's standard deviation as a fraction of price, and its
        volume in steps, on the median day.
    start
        First price, in ticks.
    trades_per_step
        Trades per volume step.
    edge
        Strength of the pull to the prior value area; 0 for none.
    bar_minutes
        Length of a bar; bars are counted from the session's open.

    Returns
    -------
    ndarray of int64, shape (8, bars)
        Open, high, low, close, volume, trades, bid volume, ask volume.
    """
    count = 0
    for s in range(len(minutes)):
        count += (minutes[s] + bar_minutes - 1) // bar_minutes
    bars = np.zeros((8, count), np.int64)
    longest = volatility.shape[1]
    lows, highs, volumes = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)

    slow, fast = _SLOW_SPREAD * rng.standard_normal(), _FAST_SPREAD * rng.standard_normal()
    swell, burst = _SWELL_SPREAD * rng.standard_normal(), 0.0
    slow_noise = _SLOW_SPREAD * np.sqrt(1 - _SLOW_MEMORY**2)
    fast_noise = _FAST_SPREAD * np.sqrt(1 - _FAST_MEMORY**2)
    swell_noise = _SWELL_SPREAD * np.sqrt(1 - _SWELL_MEMORY**2)
    price, bar = start, -1
    val, vah, has_area = 0, 0, False

    for s in range(len(minutes)):
        slow = _SLOW_MEMORY * slow + slow_noise * rng.standard_normal()
        fast = _FAST_MEMORY * fast + fast_noise * rng.standard_normal()
        mood = min(slow + _SLOW_BEND * slow * slow + fast + _DAY_SPREAD * rng.standard_normal(), _WORST)
        size = np.exp(mood)
        volume_size = np.exp(_VOLUME_BY_SESSION * mood + _VOLUME_DAY * rng.standard_normal())
        news = rng.random() < _NEWS_CHANCE
        basis = (0.001 + 0.004 * rng.random()) * (1.0 if rng.random() < 0.5 else -1.0)
        if rolls[s]:
            price = max(price + int(np.rint(price * basis)), 1)
            has_area = False
        gap = abs(rng.standard_normal()) * np.exp(_GAP_TAIL * rng.standard_normal()) * gap_scale[s] * size * price
        up = rng.random() < 0.5
        gap_ticks = int(min(np.rint(gap), price // 10))
        price += gap_ticks if up else -gap_ticks

        width = vah - val + 1
        held = 0
        for m in range(minutes[s]):
            swell = _SWELL_MEMORY * swell + swell_noise * rng.standard_normal()
            burst *= _BURST_MEMORY
            if rng.random() < _BURST_CHANCE:
                burst += rng.standard_exponential() * _BURST_SIZE
            if news and m == regular_begin[s] - _NEWS_MINUTES:
                burst += abs(rng.standard_normal()) * _NEWS_SIZE
            heat = swell + burst
            # Fixed before the minute's first step: this is what makes the walk a martingale. No minute
            # has a standard deviation over 2 % of the price.
            deviation = min(volatility[shape[s], m] * size * np.exp(heat), 0.02) * price
            variance = max(deviation * deviation - 2 * _FIRST_STEP, 0.0)
            stride = max(int(np.ceil(np.sqrt(variance / _STEPS))), 1)
            steps = int(variance / (stride * stride) + rng.random())

            u = rng.random()
            # At one tick there is nowhere left to go: the price stays, and so stays a martingale.
            if price > 1:
                price += 1 if u < _FIRST_STEP else (-1 if u > 1 - _FIRST_STEP else 0)
            first, high, low = price, price, price
            steps = min(steps, (price - 1) // stride)
            pulled = has_area and edge > 0 and regular_begin[s] <= m < regular_end[s]
            toward = 1 / (1 + np.exp(-PULL * edge * stride / width))
            for _ in range(steps):
                chance = 0.5
                if pulled:
                    if val - width <= price <= val:
                        chance = toward
                    elif vah <= price <= vah + width:
                        chance = 1 - toward
                up = rng.random() < chance
                if stride > 1:
                    # A stride is a walk by single ticks, seen when it first is `stride` away. On its way
                    # it went j or more ticks the other way with probability (stride - j) / (stride + j).
                    if up and price - stride < low:
                        u = rng.random()
                        low = min(low, price - int(stride * (1 - u) / (1 + u)))
                    elif not up and price + stride > high:
                        u = rng.random()
                        high = max(high, price + int(stride * (1 - u) / (1 + u)))
                price += stride if up else -stride
                high, low = max(high, price), min(low, price)

            # Volume is made after the prices and does not act on them.
            usual_range = 1.6 * deviation + 1
            amount = volume[shape[s], m] * volume_size
            amount *= np.exp(_VOLUME_BY_MINUTE * heat + _VOLUME_MINUTE * (rng.standard_normal() - _VOLUME_MINUTE / 4))
            amount *= 0.5 + 0.5 * (high - low) / usual_range
            traded = max(int(amount + rng.random()), 1)
            trades = int(traded * trades_per_step * np.exp(_TRADE_SPREAD * rng.standard_normal()))
            trades = max(min(trades, traded), 1)
            lean = _IMBALANCE_BY_MOVE * (price - first) / (deviation + 1) + _IMBALANCE_SPREAD * rng.standard_normal()
            asked = int(np.rint(traded * max(min(0.5 + lean, 1.0), 0.0)))

            if m % bar_minutes == 0:
                bar += 1
                bars[0, bar], bars[1, bar], bars[2, bar] = first, high, low
            bars[1, bar], bars[2, bar] = max(bars[1, bar], high), min(bars[2, bar], low)
            bars[3, bar] = price
            bars[4, bar] += traded
            bars[5, bar] += trades
            bars[6, bar] += traded - asked
            bars[7, bar] += asked
            if regular_begin[s] <= m < regular_end[s]:
                lows[held], highs[held], volumes[held] = low, high, traded
                held += 1

        if edge > 0 and held > 0:
            val, vah = _value_area(lows[:held], highs[:held], volumes[:held])
            has_area = True
    return bars


@njit(cache=True, nogil=True)
def _value_area(lows: NDArray[np.int64], highs: NDArray[np.int64], volumes: NDArray[np.int64]) -> tuple[int, int]:
    # The planted edge's own value area, from minutes, each spread evenly over its range. The rows a
    # user sees are those of pipeline.profiles, which this chapter comes before and may not call.
    bottom = int(lows.min())
    rows = int(highs.max()) - bottom + 1
    profile = np.zeros(rows + 1)
    for i in range(len(lows)):
        each = volumes[i] / (highs[i] - lows[i] + 1)
        profile[lows[i] - bottom] += each
        profile[highs[i] - bottom + 1] -= each
    profile = np.cumsum(profile)[:rows]
    target = _VALUE_AREA * volumes.sum()
    lower = upper = int(np.argmax(profile))
    inside = profile[lower]
    while inside < target and (lower > 0 or upper < rows - 1):
        above, below = profile[upper + 1 : upper + 3].sum(), profile[max(lower - 2, 0) : lower].sum()
        if lower == 0 or (upper < rows - 1 and above >= below):
            inside += above
            upper = min(upper + 2, rows - 1)
        else:
            inside += below
            lower = max(lower - 2, 0)
    return bottom + lower, bottom + upper
