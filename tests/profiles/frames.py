"""Bars for the tests of profiles, as frames of ES."""

from collections.abc import Sequence

import pandas as pd

from tests.profiles.oracle import Bar

TICK = 0.25


def frame(bars: Sequence[Bar], start: str = "2024-03-05 14:30Z", minutes: int = 1) -> pd.DataFrame:
    """Bars from ``start`` on (regular hours of 2024-03-05 open at 14:30 UTC)."""
    low, high, close, volume = zip(*bars, strict=True) if bars else ((), (), (), ())
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(start, periods=len(bars), freq=f"{minutes}min", unit="ns"),
            "open": [tick * TICK for tick in close],
            "high": [tick * TICK for tick in high],
            "low": [tick * TICK for tick in low],
            "close": [tick * TICK for tick in close],
            "volume": [float(steps) for steps in volume],
        }
    ).astype(dict.fromkeys(("open", "high", "low", "close", "volume"), "float64"))
