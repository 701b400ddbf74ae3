"""State kept per session and contract while chunks are added: its rows, or the ranges of its time brackets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.profiles.brackets import tpo_rows
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.rows import RowRule

__all__ = ["SessionSum"]


@dataclass
class SessionSum:
    """Histogram of one session and contract, wider than the traded range so that it rarely has to grow.

    ``low`` and ``high`` are ticks, the histogram's entries rows; ``brackets`` are the ranges of time brackets in ticks.
    """

    ticks_per_row: int
    base: int = 0
    volume: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    buy: NDArray[np.int64] | None = None
    sell: NDArray[np.int64] | None = None
    low: int = 0
    high: int = -1
    steps: int = 0
    rows: int = 0
    last: int = 0
    brackets: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Return True if nothing has been counted yet."""
        return self.high < self.low

    @property
    def lowest(self) -> int:
        """The lowest row."""
        return self.low // self.ticks_per_row

    @property
    def highest(self) -> int:
        """The highest row."""
        return self.high // self.ticks_per_row

    def widen(self, low: int, high: int) -> None:
        """Take these ticks into the range."""
        empty = self.empty
        self.low, self.high = (low, high) if empty else (min(self.low, low), max(self.high, high))

    def reserve(self, low: int, high: int) -> None:
        """Make room for these ticks."""
        empty = self.empty
        self.widen(low, high)
        if empty:
            self.base, self.volume = self.lowest - 8, np.zeros(self.highest - self.lowest + 17, dtype=np.int64)
            return
        if self.base <= self.lowest and self.highest < self.base + len(self.volume):
            return
        slack = (self.highest - self.lowest) // 4 + 8
        base, width = self.lowest - slack, self.highest - self.lowest + 1 + 2 * slack
        for name in ("volume", "buy", "sell"):
            held = getattr(self, name)
            if held is not None:
                wider = np.zeros(width, dtype=np.int64)
                wider[self.base - base + np.flatnonzero(held)] = held[held != 0]
                setattr(self, name, wider)
        self.base = base

    def put(self, name: str, lowest: int, rows: NDArray[np.int64]) -> None:
        """Add rows from ``lowest`` up to the histogram of that name, within what is reserved."""
        if len(rows) == 0:
            return
        held = getattr(self, name)
        if held is None:
            held = np.zeros(len(self.volume), dtype=np.int64)
            setattr(self, name, held)
        held[lowest - self.base : lowest - self.base + len(rows)] += rows

    def put_trades(
        self,
        ticks: NDArray[np.int64],
        steps: NDArray[np.int64],
        buy: NDArray[np.int64] | None,
        sell: NDArray[np.int64] | None,
    ) -> None:
        """Add each trade at its price, and who started it where that is known."""
        rows = ticks // self.ticks_per_row
        if buy is None or sell is None or not (buy.any() or sell.any()):
            _put_volume(rows, steps, self.base, self.volume)
            return
        for name in ("buy", "sell"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(len(self.volume), dtype=np.int64))
        _put_sides(rows, steps, buy, sell, self.base, self.volume, self.buy, self.sell)

    def join(self, brackets: Mapping[int, tuple[int, int]]) -> None:
        """Take the ranges of brackets in, which may have some already."""
        for bracket, (low, high) in brackets.items():
            before = self.brackets.get(bracket, (low, high))
            self.brackets[bracket] = min(before[0], low), max(before[1], high)
            self.widen(low, high)

    def dense(self, name: str) -> NDArray[np.int64]:
        """The rows of the histogram of that name, from the lowest to the highest."""
        held = getattr(self, name)
        if held is None:
            return np.zeros(self.highest - self.lowest + 1, dtype=np.int64)
        return np.asarray(held[self.lowest - self.base : self.highest + 1 - self.base])

    def tpos(self, rule: RowRule) -> NDArray[np.int64]:
        """TPOs of the rows, from the lowest to the highest."""
        low, high = np.array(list(self.brackets.values()), dtype=np.int64).T
        return tpo_rows(low, high, rule)[1]


@njit(cache=True, nogil=True)
def _put_volume(rows, steps, base, volume):  # type: ignore[no-untyped-def]
    for i in range(rows.size):
        # A trade of nothing may lie beyond the range.
        if steps[i] != 0:
            volume[rows[i] - base] += steps[i] * MICRO_LOTS


@njit(cache=True, nogil=True)
def _put_sides(rows, steps, buy, sell, base, volume, bought, sold):  # type: ignore[no-untyped-def]
    for i in range(rows.size):
        if steps[i] != 0:
            row = rows[i] - base
            volume[row] += steps[i] * MICRO_LOTS
            bought[row] += buy[i] * MICRO_LOTS
            sold[row] += sell[i] * MICRO_LOTS
