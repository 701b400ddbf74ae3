"""The profiles themselves, tick by tick: dense histograms of many sessions, and the tables made from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.value_area import ValueArea

__all__ = ["SessionHistograms", "area_columns", "levels_frame", "side_columns", "to_volume"]


@dataclass(frozen=True)
class SessionHistograms:
    """Dense profiles of sessions, one after the other in flat arrays.

    Attributes
    ----------
    instrument
        What the ticks and micro-lots are of.
    sessions
        Sessions with volume, rising, shape (sessions,).
    lowest
        Lowest tick of each, int64, shape (sessions,).
    starts
        Session k's ticks are the entries ``starts[k]:starts[k + 1]``, int64, shape (sessions + 1,).
    volume
        Micro-lots per tick, int64, shape (ticks of all sessions,).
    buy, sell
        Of ``volume``, what buyers and sellers started; None where no side is known of any trade.
    contracts
        Contract of each session; None where the data names none.
    """

    instrument: Instrument
    sessions: pd.DatetimeIndex
    lowest: NDArray[np.int64]
    starts: NDArray[np.int64]
    volume: NDArray[np.int64]
    buy: NDArray[np.int64] | None
    sell: NDArray[np.int64] | None
    contracts: NDArray[np.object_] | None

    def __len__(self) -> int:
        return len(self.sessions)

    def rows(self, session: int) -> NDArray[np.int64]:
        """Micro-lots per tick of one session, from its lowest tick up."""
        return self.volume[self.starts[session] : self.starts[session + 1]]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Micro-lots of each session."""
        return session_sums(self.volume, self.starts)

    @property
    def ticks(self) -> NDArray[np.int64]:
        """The tick of every entry of ``volume``."""
        widths = np.diff(self.starts)
        return np.arange(len(self.volume)) - np.repeat(self.starts[:-1] - self.lowest, widths)


def session_sums(values: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of each session's entries; no session is empty."""
    return np.add.reduceat(values, starts[:-1]) if len(starts) > 1 else np.empty(0, dtype=np.int64)


def area_columns(areas: list[ValueArea], low: object, high: object, instrument: Instrument) -> dict[str, NDArray]:
    """The columns of a frame of profiles: levels and range as prices, volumes in units of volume.

    Parameters
    ----------
    areas
        VPOC and value area of each profile.
    low, high
        Lowest and highest tick of each.
    """
    ticks = {name: [getattr(area, name) for area in areas] for name in ("vpoc", "val", "vah")}
    ticks |= {"low": low, "high": high}  # type: ignore[dict-item]
    columns = {name: instrument.to_prices(np.asarray(each, dtype=np.int64)) for name, each in ticks.items()}
    for name, field in (("volume", "total"), ("value_area_volume", "held")):
        columns[name] = to_volume(np.array([getattr(area, field) for area in areas], dtype=np.int64), instrument)
    return columns


def side_columns(
    volume: NDArray[np.int64], buy: NDArray[np.int64] | None, sell: NDArray[np.int64] | None, instrument: Instrument
) -> dict[str, NDArray[np.float64]]:
    """``buy_volume``, ``sell_volume`` and their difference ``delta``; NaN where volume has no known side at all."""
    if buy is None or sell is None:
        unknown = np.where(volume > 0, np.nan, 0.0)
        return {"buy_volume": unknown, "sell_volume": unknown.copy(), "delta": unknown.copy()}
    told = (volume == 0) | (buy + sell > 0)
    columns = {"buy_volume": buy, "sell_volume": sell, "delta": buy - sell}
    return {name: np.where(told, to_volume(each, instrument), np.nan) for name, each in columns.items()}


def levels_frame(histograms: SessionHistograms, *, sides: bool) -> pd.DataFrame:
    """One row a tick of each session's profile, empty ticks included, indexed by session and price."""
    owner = np.repeat(np.arange(len(histograms)), np.diff(histograms.starts))
    index = pd.MultiIndex.from_arrays(
        [histograms.sessions[owner], histograms.instrument.to_prices(histograms.ticks)], names=["session", "price"]
    )
    columns = {"volume": to_volume(histograms.volume, histograms.instrument)}
    if sides:
        columns |= side_columns(histograms.volume, histograms.buy, histograms.sell, histograms.instrument)
    frame = pd.DataFrame(columns, index=index)
    if histograms.contracts is not None:
        frame["contract"] = pd.array(histograms.contracts[owner], dtype="str")
    return frame


def to_volume(micro: NDArray[np.int64], instrument: Instrument) -> NDArray[np.float64]:
    """Micro-lots in units of volume."""
    steps = micro / MICRO_LOTS
    # As with ticks: dividing by a whole number gives the float nearest the decimal.
    inverse = round(1 / instrument.volume_step)
    return steps / inverse if abs(inverse * instrument.volume_step - 1) < 1e-12 else steps * instrument.volume_step
