"""What every picture of a profile shows: rows of some ticks each, levels, and few enough candles."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.sessions import Allocation, profile_rows
from pipeline.profiles.value_area import ValueArea, value_area

__all__ = ["Picture", "candles", "picture"]

_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class Picture:
    """A profile grouped into rows for the eye; the levels are those of the single ticks.

    Attributes
    ----------
    area
        VPOC, value area and volumes, in ticks and micro-lots.
    low, high
        Lowest and highest tick.
    ticks_per_row
        How many ticks a row sums up.
    bottoms
        Lowest tick of each row, rising, shape (rows,).
    steps
        Volume steps of each row, shape (rows,).
    inside
        Which rows hold a tick of the value area, shape (rows,).
    vpoc_row
        Position of the row that holds the VPOC.
    """

    area: ValueArea
    low: int
    high: int
    ticks_per_row: int
    bottoms: NDArray[np.int64]
    steps: NDArray[np.float64]
    inside: NDArray[np.bool_]
    vpoc_row: int


def picture(
    bars: pd.DataFrame,
    instrument: Instrument,
    *,
    most_rows: int,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
) -> Picture:
    """The profile of all bars given, in at most ``most_rows`` (2 or more) rows of equally many ticks.

    Raises
    ------
    DataError
        For bars without volume, for bars of several contracts, whose raw prices don't belong in one
        profile, and as :func:`pipeline.profiles.profile_rows`.
    """
    contracts = bars["contract"].unique() if "contract" in bars.columns else []
    if len(contracts) > 1:
        raise DataError(
            f"these bars are of {len(contracts)} contracts ({', '.join(contracts[:3])}), "
            "whose prices don't belong in one profile; choose sessions of one"
        )
    lowest, rows = profile_rows(bars, instrument, allocation=allocation)
    if len(rows) == 0:
        raise DataError(f"these {len(bars)} bars of {instrument.symbol} have no volume to draw a profile of")
    area = value_area(rows, lowest=lowest, basis_points=value_area_basis_points, expansion_rows=expansion_rows)
    size = _row_size(lowest, lowest + len(rows) - 1, max(most_rows, 2), instrument.tick_size)
    groups = (lowest + np.arange(len(rows))) // size - lowest // size
    bottoms = (lowest // size + np.arange(groups[-1] + 1)) * size
    return Picture(
        area=area,
        low=lowest,
        high=lowest + len(rows) - 1,
        ticks_per_row=size,
        bottoms=bottoms,
        steps=np.bincount(groups, weights=rows / MICRO_LOTS).astype(np.float64),
        inside=(bottoms + size > area.val) & (bottoms <= area.vah),
        vpoc_row=int(area.vpoc // size - lowest // size),
    )


def candles(bars: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most about ``most`` candles: neighbouring bars of a session put together where there are more.

    Parameters
    ----------
    bars
        With ``open``, ``high``, ``low``, ``close``, ``timestamp`` and ``session``, as
        :func:`pipeline.profiles.select_sessions` gives them.
    """
    together = -(-len(bars) // max(most, 1))
    place = bars.groupby("session").cumcount() // together
    return (
        bars.groupby(["session", place], sort=False)
        .agg(
            timestamp=("timestamp", "first"),
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
        )
        .droplevel(1)
        .reset_index()
    )


def _row_size(low: int, high: int, most_rows: int, tick_size: float) -> int:
    """The fewest ticks a row that fit, of those that make a round step of price (1, 2, 2.5 or 5 times 10**k)."""
    power = 10.0 ** np.floor(np.log10(tick_size))
    while True:
        for step in _ROUND_STEPS:
            size = round(step * power / tick_size)
            whole = size >= 1 and abs(size * tick_size / (step * power) - 1) < 1e-9
            if whole and high // size - low // size < most_rows:
                return size
        power *= 10
