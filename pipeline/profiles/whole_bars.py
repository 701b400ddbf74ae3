"""Bars of a frame as whole numbers: times, ticks and volume steps, and the contracts they are of."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.bars import bar_columns
from pipeline.market.contracts import ContractRuns, contract_runs
from pipeline.market.instruments import Instrument
from pipeline.market.whole_numbers import (
    all_finite,
    all_rise,
    nearest_ticks,
    ordinary_columns,
    whole_prices,
    whole_range,
    whole_volumes,
)
from pipeline.profiles.kernels import MAX_STEPS
from pipeline.profiles.rows import Allocation

__all__ = ["PRICES", "OrdinaryBars", "WholeBars", "whole_steps"]

PRICES = ("low", "high", "close", "volume")

_FITS_INT32 = 2.0**31 - 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WholeBars:
    """Checked bars as whole numbers.

    Attributes
    ----------
    instants
        Open of each bar, UTC nanoseconds, shape (n,); empty where no times were asked for.
    low, high
        Ticks from and to, shape (n,); one and the same array where all volume is on the close.
    steps
        Volume in steps, shape (n,).
    runs
        Contracts; None where the bars carry none.
    rounded
        How many bars had a price (``prices_rounded``), or a volume (``volume_rounded``), rounded.
    """

    instants: NDArray[np.int64]
    low: NDArray[Any]
    high: NDArray[Any]
    steps: NDArray[Any]
    runs: ContractRuns | None
    rounded: Mapping[str, int]

    @classmethod
    def of(
        cls,
        bars: pd.DataFrame,
        instrument: Instrument,
        allocation: Allocation,
        *,
        times: bool = True,
        narrow: bool = False,
    ) -> Self:
        """Check bars and convert them.

        Parameters
        ----------
        times
            Whether the bars' times are needed.
        narrow
            Whether ticks and steps are int32 where they fit; int64 otherwise.

        Raises
        ------
        DataError
            As :func:`pipeline.market.bars.require_bars`, and for prices that are no number of ticks.
        """
        ordinary = OrdinaryBars.of(bars, instrument, allocation) if times else None
        if ordinary is not None:
            low, high, steps = ordinary.buffers(len(ordinary.volume), np.int32 if narrow else np.int64)
            if ordinary.convert(0, len(ordinary.volume), low, high, steps):
                rounded = {"volume_rounded": 0, "prices_rounded": 0}
                return cls(ordinary.instants, low, high, steps, ordinary.runs, rounded)
        clean = bar_columns(bars, ("timestamp", *PRICES) if times else PRICES)
        instants = pd.DatetimeIndex(clean["timestamp"]).asi8 if times else np.empty(0, np.int64)
        runs = contract_runs(pd.Series(clean["contract"])) if "contract" in clean else None
        low, high, steps, rounded = _rounded(clean, instrument, allocation, narrow=narrow)
        return cls(instants, low, high, steps, runs, rounded)


@dataclass(frozen=True)
class OrdinaryBars:
    """Columns of bars in which nothing is wrong as far as was looked; the rest is looked at while they are converted.

    Attributes
    ----------
    instants
        Rising times, UTC nanoseconds, shape (n,).
    low, high, close, volume
        As the frame has them, shape (n,).
    runs
        Contracts; None where the bars carry none.
    """

    instrument: Instrument
    allocation: Allocation
    instants: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[Any]
    runs: ContractRuns | None

    @classmethod
    def of(cls, bars: pd.DataFrame, instrument: Instrument, allocation: Allocation) -> Self | None:
        """Take a frame's columns; None where something is out of the ordinary, be it wrong or not."""
        columns = ordinary_columns(bars, ("timestamp", *PRICES))
        if columns is None or not (all_rise(columns["timestamp"]) and all_finite(columns["close"])):
            return None
        runs = None
        if "contract" in bars.columns:
            if bars["contract"].isna().any():
                return None
            runs = contract_runs(bars["contract"])
        instants, low, high, close, volume = (columns[name] for name in ("timestamp", *PRICES))
        return cls(instrument, allocation, instants, low, high, close, volume, runs)

    def buffers(self, bars: int, kind: type[np.integer[Any]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Room for as many bars: low, high (the same array where all volume is on the close), and steps."""
        low, steps = np.empty(bars, dtype=kind), np.empty(bars, dtype=kind)
        return low, low if self.allocation == "close" else np.empty(bars, dtype=kind), steps

    def convert(self, first: int, last: int, low: NDArray[Any], high: NDArray[Any], steps: NDArray[Any]) -> bool:
        """Write the bars ``first:last`` as whole numbers; return False if one is out of the ordinary after all."""
        rows = slice(first, last)
        fits = whole_volumes(self.volume[rows], self.instrument, steps)
        # Where low and high are one, both are written over.
        fits &= whole_range(self.low[rows], self.high[rows], self.instrument, low, high)
        return fits and (low is not high or whole_prices(self.close[rows], self.instrument, low))


def _rounded(
    bars: Mapping[str, Any], instrument: Instrument, allocation: Allocation, *, narrow: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], dict[str, int]]:
    """Low and high in ticks, volume in steps, and how many bars were rounded.

    In int64; where ``narrow``, all three in int32 if all three fit.
    """
    columns = {name: np.asarray(bars[name]) for name in (("close",) if allocation == "close" else ("low", "high"))}
    volume = np.asarray(bars["volume"])
    most = 0.0 if len(volume) == 0 else float(volume.max()) / instrument.volume_step
    for name, prices in columns.items():
        farthest = 0.0 if len(prices) == 0 else float(max(-prices.min(), prices.max())) / instrument.tick_size
        if farthest > 2.0**53:
            raise DataError(
                f"bars' column {name} holds {prices[np.abs(prices).argmax()]:g}, too many ticks of "
                f"{instrument.tick_size:g} to be a price; check the bars and the instrument"
            )
        most = max(most, farthest)
    kind = np.int32 if narrow and most < _FITS_INT32 else np.int64
    ticks, steps = np.empty((len(columns), len(volume)), dtype=kind), np.empty(len(volume), dtype=kind)
    rounded = {"volume_rounded": int(instrument.off_step(volume).sum())}
    rounded["prices_rounded"] = nearest_ticks(list(columns.values()), instrument, ticks)
    steps[:] = instrument.to_steps(volume) if most < MAX_STEPS else whole_steps(volume, instrument)
    if any(rounded.values()):
        _log.info(
            "%s: %d of %d bars have a price off the tick, %d a volume off the step; rounded to the nearest",
            instrument.symbol,
            rounded["prices_rounded"],
            len(volume),
            rounded["volume_rounded"],
        )
    return ticks[0], ticks[0] if allocation == "close" else ticks[1], steps, rounded


def whole_steps(volume: NDArray[np.float64], instrument: Instrument) -> NDArray[np.int64]:
    """Volume in steps, the nearest where it lies between two; too much for any profile is told as just too much."""
    # What is beyond the limit of a profile stays just beyond it, so that its session is refused by name.
    return instrument.to_steps(np.minimum(volume, (MAX_STEPS + 1) * instrument.volume_step))
