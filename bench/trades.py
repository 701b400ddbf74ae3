"""Trades, each at its price: ours from arrays in memory, NumPy, and the floor."""

from typing import Any

import numpy as np

from bench.definition import equal_levels, numpy_point_profiles
from bench.engines import other_engines, same_levels
from bench.timing import best_seconds, floors, row
from bench.workloads import Trades
from pipeline.profiles import profile_sessions, spread_rows

__all__ = ["bench_trades"]


def bench_trades(trades: Trades, repeat: int) -> list[dict[str, Any]]:
    """Rows of every engine; ``bars_per_second`` counts trades."""
    price, steps, starts, name, count = trades.price, trades.steps, trades.starts, trades.name, len(trades.steps)
    definition = numpy_point_profiles(price, steps, starts, trades.stops)
    levels = profile_sessions(price, price, steps, starts)
    right = equal_levels(levels, definition)
    numpy_right = all(
        lowest == own_lowest and np.array_equal(rows, own_rows)
        for (lowest, rows), (own_lowest, own_rows) in zip(
            definition,
            (
                spread_rows(*(array[start:stop] for array in (price, price, steps)))
                for start, stop in zip(starts.tolist(), trades.stops.tolist(), strict=True)
            ),
            strict=True,
        )
    )
    price32, steps32 = price.astype(np.int32), steps.astype(np.int32)
    floor, read = floors(name, count, (price, steps), repeat)
    floor32, read32 = floors(name, count, (price32, steps32), repeat, "int32 ")
    return [
        *read,
        *read32[:1],
        row(
            "numba, int64 arrays",
            name,
            count,
            best_seconds(lambda: profile_sessions(price, price, steps, starts), repeat),
            floor=floor,
            agrees=right,
            note="profiles and value areas",
        ),
        row(
            "numba, int32 arrays",
            name,
            count,
            best_seconds(lambda: profile_sessions(price32, price32, steps32, starts), repeat),
            floor=floor32,
            agrees=right and same_levels(levels, profile_sessions(price32, price32, steps32, starts)),
            note="profiles and value areas; to the floor of int32 arrays",
        ),
        *other_engines(name, price, price, steps, starts, repeat, floor=floor, right=right),
        row(
            "NumPy bincount",
            name,
            count,
            best_seconds(lambda: numpy_point_profiles(price, steps, starts, trades.stops), min(repeat, 2)),
            floor=floor,
            agrees=numpy_right,
            note="profiles only, a Python loop over sessions",
        ),
    ]
