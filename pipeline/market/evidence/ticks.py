"""Prices off the instrument's tick and volumes off its step, which are rounded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding
from pipeline.market.quarterly_futures import is_futures

__all__ = ["look"]

_PRICES = ("open", "high", "low", "close")
_MOST = 20_000
_DECIMALS = 10


def look(data: Evidence) -> Iterator[Finding]:
    """Count what cleaning rounded, and say how to keep it."""
    report, instrument = data.clean.report, data.instrument
    if report.snapped:
        many = report.snapped > report.kept / 2
        message = (
            f"{report.snapped:,} of {report.kept:,} bars have prices off {instrument.symbol}'s tick of "
            f"{instrument.tick_size:g}, which are rounded to it"
        )
        grid = _grid(_sample(data))
        if many and is_futures(instrument):
            message += ": futures trade on their tick, so these are adjusted prices, or another instrument's"
        elif many:
            message += ": adjusted prices, or trades inside the tick"
        if grid is not None and grid < instrument.tick_size:
            message += (
                f"; to keep them, give {instrument.symbol} 'tick_size: {grid:.10g}' in a file of instruments that "
                "VPOC_INSTRUMENTS names"
            )
        yield Finding("off_tick", "warning" if many else "note", message)
    if report.off_step_volume:
        yield _volumes(data)


def _volumes(data: Evidence) -> Finding:
    report, instrument = data.clean.report, data.instrument
    message = (
        f"{report.off_step_volume:,} of {report.kept:,} bars have a volume that is not a whole number of "
        f"{instrument.symbol}'s steps of {instrument.volume_step:g}; profiles round it"
    )
    volume = data.clean.bars["volume"].to_numpy()
    whole = volume == np.rint(volume)
    # 1.029 among volumes of up to 999: the point groups thousands.
    if instrument.volume_step == 1 and _thousandths(volume[~whole]) and (volume < 1000).all():
        return Finding(
            "thousands",
            "warning",
            f"{message}: all of them have three decimals at most and no volume is 1000 or more, so the point (1.029) "
            "probably groups thousands; write the file's volumes without it",
        )
    return Finding("off_step_volume", "note", message)


def _thousandths(values: NDArray[np.float64]) -> bool:
    return bool(np.all(np.abs(values * 1000 - np.rint(values * 1000)) < 1e-6))


def _sample(data: Evidence) -> NDArray[np.float64]:
    prices = data.raw[list(_PRICES)].to_numpy(dtype=np.float64)
    finite = prices[np.isfinite(prices).all(axis=1)]
    return finite[:: max(len(finite) // _MOST, 1)].ravel()


def _grid(prices: NDArray[np.float64]) -> float | None:
    """The coarsest power of ten that all prices are whole multiples of; None where they have too many digits."""
    for decimals in range(_DECIMALS + 1):
        scaled = prices * 10.0**decimals
        if np.all(np.abs(scaled - np.rint(scaled)) <= 1e-6 + 4 * np.spacing(np.abs(scaled))):
            return float(10.0**-decimals)
    return None
