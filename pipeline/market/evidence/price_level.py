"""Prices in another unit, or another instrument's: their level against the instrument's and against the rest."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_FACTORS = (1e2, 1e9, 1e-3, 1e3, 1e-2, 1e6, 10.0, 0.1, 1e4, 1e-6, 1e8)  # the usual ones first: cents, Databento, 2.786
_FEWEST = 20
_JUMP, _SWING = 1.9, 1.2  # 1.9: a split of two for one; 1.2 and back again, often: two series
_SHARE = 0.05
_NEAR = pd.Timedelta(days=10)  # after a longer gap a price may be anywhere


def look(data: Evidence) -> Iterator[Finding]:
    """Hold the level against the instrument's range, the prices' grid, and the level of other sessions."""
    bars = data.clean.bars
    if len(bars) < _FEWEST:
        return
    close = bars["close"].to_numpy()
    level = float(np.median(close))
    span = data.instrument.price_range
    coarse = _coarse(data)
    if span is not None and not span[0] <= level <= span[1]:
        symbol = data.instrument.symbol
        seen = f"the prices lie around {level:,.10g}, and {symbol}'s between {span[0]:g} and {span[1]:g}"
        # The grid tells apart what the level alone doesn't: prices in cents are whole multiples of a hundred ticks.
        fitting = [each for each in _FACTORS if span[0] <= level / each <= span[1]]
        exact = [each for each in fitting if each <= 1 or (coarse and coarse % each == 0)]
        if not fitting or (level > span[1] and not exact):
            yield Finding("price_level", "warning", f"{seen}: is this {symbol}'s file? If not, name its --symbol")
        elif (factor := exact[0]) > 1:
            yield Finding(
                "price_unit",
                "warning",
                f"{seen}: they are probably {factor:,.10g} times too high (another unit, such as cents), or another "
                f"instrument's; divide the file's prices by {factor:,.10g}, or name the right --symbol",
            )
        else:
            hint = "; name --decimal ',' if the point groups thousands (2.786)" if factor == 1e-3 else ""
            yield Finding(
                "price_unit",
                "warning",
                f"{seen}: they are probably {1 / factor:,.10g} times too low, or another instrument's{hint}; else "
                f"multiply the file's prices by {1 / factor:,.10g}, or name the right --symbol",
            )
    elif span is None and coarse >= 100:
        yield Finding(
            "price_unit",
            "note",
            f"every price is a whole multiple of {coarse:,} ticks of {data.instrument.tick_size:g}: are they in "
            "another unit, or is the tick_size too small?",
        )
    report = data.clean.report
    if report.quarantined["conflicting_duplicate"] <= _SHARE * report.rows_in:  # two series there: a kind of its own
        yield from _jumps(bars)


def _coarse(data: Evidence) -> int:
    """The largest whole number of ticks that all prices are multiples of."""
    ticks = data.instrument.to_ticks(data.clean.bars[["open", "high", "low", "close"]].to_numpy())
    return int(np.gcd.reduce(np.abs(ticks), axis=None))


def _jumps(bars: pd.DataFrame) -> Iterator[Finding]:
    close, opens = bars["close"].to_numpy(), bars["open"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = opens[1:] / close[:-1]
    size = np.where(ratio > 0, np.maximum(ratio, 1 / np.where(ratio > 0, ratio, 1)), 1.0)
    size[(bars["timestamp"].diff().iloc[1:] > _NEAR).to_numpy()] = 1.0
    steps = np.flatnonzero(size > _SWING)
    if len(steps) < max(10, _SHARE * len(bars)):
        steps = np.flatnonzero(size > _JUMP)
    if len(steps) == 0:
        return
    row = int(steps[0]) + 1
    moment = f"{bars['timestamp'].iloc[row]:%Y-%m-%d %H:%M} UTC"
    times = f"{len(steps)} times, first " if len(steps) > 1 else ""
    yield Finding(
        "price_jump",
        "warning",
        f"the price jumps {times}from {close[row - 1]:g} to {opens[row]:g} at {moment}: a change of unit, an "
        "unadjusted split, or two series in one file; fix the file, or give its parts apart",
    )
