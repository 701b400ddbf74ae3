"""Trades for the tests, as frames of ES, and what the contract's words make of them in plain Python."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tests.profiles.frames import TICK

Trade = tuple[int, int, int, int]  # seconds after 14:30 UTC, price (ticks), volume (steps), side


def trades_frame(trades: Sequence[Trade], start: str = "2024-03-05 14:30Z", side: bool = True) -> pd.DataFrame:
    """Trades from ``start`` on (regular hours of 2024-03-05 open at 14:30 UTC)."""
    seconds, ticks, volume, sides = zip(*trades, strict=True) if trades else ((), (), (), ())
    frame = pd.DataFrame(
        {
            "timestamp": (pd.Timestamp(start) + pd.to_timedelta(list(seconds), unit="s")).as_unit("ns"),
            "price": pd.Series([tick * TICK for tick in ticks], dtype="float64"),
            "volume": pd.Series(volume, dtype="float64"),
            "side": pd.Series(sides, dtype="int64"),
        }
    )
    return frame if side else frame.drop(columns="side")


def slow_levels(trades: Sequence[Trade]) -> dict[int, tuple[int, int, int]]:
    """Volume, bought and sold at every tick from the lowest to the highest traded."""
    held: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for _, tick, volume, side in trades:
        if volume:
            held[tick][0] += volume
            held[tick][1] += volume if side > 0 else 0
            held[tick][2] += volume if side < 0 else 0
    if not held:
        return {}
    return {tick: tuple(held[tick]) for tick in range(min(held), max(held) + 1)}  # type: ignore[misc]


def with_fault(frame: pd.DataFrame, row: int, **values: Any) -> pd.DataFrame:
    """The frame with other values in one row."""
    changed = frame.copy()
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed
