"""The profiles themselves, row by row: dense histograms of many sessions, and the tables made from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.rows import RowRule
from pipeline.profiles.value_area import ValueArea

__all__ = ["SessionHistograms", "area_columns", "levels_frame", "side_columns", "to_volume"]


@dataclass(frozen=True)
class SessionHistograms:
    """Dense profiles of sessions, one after the other in flat arrays.

    Attributes
    ----------
    instrument, rule
        What is counted, and what the rows are.
    sessions
        Sessions with volume (or with bars, where time is counted), rising, shape (sessions,).
    low, high
        Lowest and highest tick of each, int64, shape (sessions,).
    starts
        Session k's rows are the entries ``starts[k]:starts[k + 1]``, int64, shape (sessions + 1,).
    volume
        Micro-lots (or TPOs) per row, shape (rows of all sessions,): int64, or Python integers where they are larger.
    buy, sell
        Of ``volume``, what buyers and sellers started; None where no side is known of any trade.
    contracts
        Contract of each session; None where the data names none.
    """

    instrument: Instrument
    rule: RowRule
    sessions: pd.DatetimeIndex
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    starts: NDArray[np.int64]
    volume: NDArray[Any]
    buy: NDArray[Any] | None
    sell: NDArray[Any] | None
    contracts: NDArray[np.object_] | None

    def __len__(self) -> int:
        return len(self.sessions)

    def rows(self, session: int) -> NDArray[Any]:
        """Return the count of each row of one session, from its lowest row up."""
        return self.volume[self.starts[session] : self.starts[session + 1]]

    @property
    def lowest(self) -> NDArray[np.int64]:
        """Lowest row of each session."""
        return self.rule.row(self.low)

    @property
    def totals(self) -> NDArray[Any]:
        """Return the total count of each session."""
        return session_sums(self.volume, self.starts)

    @property
    def bottoms(self) -> NDArray[np.int64]:
        """Lowest tick of the row of every entry of ``volume``."""
        widths = np.diff(self.starts)
        return self.rule.bottom(np.arange(len(self.volume)) - np.repeat(self.starts[:-1] - self.lowest, widths))


def session_sums(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Sum of each session's entries; no session is empty."""
    return np.add.reduceat(values, starts[:-1]) if len(starts) > 1 else np.empty(0, dtype=np.int64)


def area_columns(
    areas: Sequence[ValueArea], low: NDArray[np.int64], high: NDArray[np.int64], instrument: Instrument, rule: RowRule
) -> dict[str, NDArray[np.float64]]:
    """The columns of a frame of profiles: levels and range as prices, volumes in units of volume (or TPOs).

    Parameters
    ----------
    areas
        VPOC and value area of each profile, in rows.
    low, high
        Lowest and highest tick of each.
    """
    found = [area.in_ticks(rule) for area in areas]
    ticks = {name: np.array([getattr(area, name) for area in found], np.int64) for name in ("vpoc", "val", "vah")}
    columns = {name: instrument.to_prices(each) for name, each in {**ticks, "low": low, "high": high}.items()}
    for name, field in (("volume", "total"), ("value_area_volume", "held")):
        columns[name] = to_volume(np.array([getattr(area, field) for area in areas], dtype=object), instrument, rule)
    return columns


def side_columns(
    volume: NDArray[Any], buy: NDArray[Any] | None, sell: NDArray[Any] | None, instrument: Instrument, rule: RowRule
) -> dict[str, NDArray[np.float64]]:
    """``buy_volume``, ``sell_volume`` and their difference ``delta``; NaN where volume has no known side at all."""
    if buy is None or sell is None:
        unknown = np.where(volume > 0, np.nan, 0.0)
        return {"buy_volume": unknown, "sell_volume": unknown.copy(), "delta": unknown.copy()}
    known = (volume == 0) | (buy + sell > 0)
    columns = {"buy_volume": buy, "sell_volume": sell, "delta": buy - sell}
    return {name: np.where(known, to_volume(each, instrument, rule), np.nan) for name, each in columns.items()}


def levels_frame(histograms: SessionHistograms, *, sides: bool) -> pd.DataFrame:
    """One line a row of each session's profile, empty ones included, indexed by session and the row's lowest price."""
    instrument, rule = histograms.instrument, histograms.rule
    owner = np.repeat(np.arange(len(histograms)), np.diff(histograms.starts))
    index = pd.MultiIndex.from_arrays(
        [histograms.sessions[owner], instrument.to_prices(histograms.bottoms)], names=["session", "price"]
    )
    columns = {"volume": to_volume(histograms.volume, instrument, rule)}
    if sides:
        columns |= side_columns(histograms.volume, histograms.buy, histograms.sell, instrument, rule)
    frame = pd.DataFrame(columns, index=index)
    if histograms.contracts is not None:
        frame["contract"] = pd.array(histograms.contracts[owner], dtype="str")
    return frame


def to_volume(counted: NDArray[Any], instrument: Instrument, rule: RowRule) -> NDArray[np.float64]:
    """Convert what rows count to floats: micro-lots to units of volume, TPOs as they are; Python integers too."""
    if rule.by_time:
        return np.asarray(counted, dtype=np.float64)
    return instrument.to_volumes(counted / MICRO_LOTS)
