"""Colours, words and round numbers that both kinds of picture share."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.pictures.chart import ProfileChart, Ray
from pipeline.pictures.contents import Picture

__all__ = [
    "AREA",
    "BALANCE",
    "BUY",
    "COMPOSITE",
    "DOWN",
    "EDGE",
    "GRID",
    "INK",
    "INSIDE",
    "LETTERS",
    "MUTED",
    "NAKED",
    "OUTSIDE",
    "SELL",
    "SESSION",
    "UNKNOWN",
    "UP",
    "VPOC",
    "composite_heading",
    "naked_label",
    "own_heading",
    "round_below",
    "round_prices",
    "row_colours",
    "row_middles",
    "time_ticks",
]

INK, MUTED, GRID, SESSION = "#333333", "#6b7280", "#ececec", "#c4c9d1"
UP, DOWN = "#6fa89b", "#c48b7b"  # pale, so that the lines over them are read first
VPOC, EDGE, AREA = "#d62728", "#2f5f9e", "rgba(47,95,158,0.07)"
INSIDE, OUTSIDE = "#7d9cc9", "#cfd8e6"
LETTERS = ("#fbe3e3", "#e3eaf5", "#f3f5f8")  # behind letters: VPOC, inside the value area, outside
COMPOSITE = ("#6b4fa0", "#b3a5cf", "#dfd9ea")  # VPOC, inside the value area, outside
NAKED, BALANCE = "#a8640f", "#4b5563"
BUY, SELL, UNKNOWN = "#3d8f7f", "#c9705a", "#c9ced6"


def row_colours(drawn: Picture, vpoc: str = VPOC, inside: str = INSIDE, outside: str = OUTSIDE) -> list[str]:
    """A colour for each row."""
    colours = [inside if held else outside for held in drawn.inside]
    colours[drawn.vpoc_row] = vpoc
    return colours


def row_middles(chart: ProfileChart, drawn: Picture) -> NDArray[np.float64]:
    """Price of the middle of each row."""
    tick = chart.instrument.tick_size
    return np.round(chart.instrument.to_prices(drawn.bottoms) + (drawn.ticks_per_row - 1) * tick / 2, 10)


def naked_label(chart: ProfileChart, ray: Ray) -> str:
    """Label of a naked VPOC."""
    return f"naked {chart.price(ray.tick)}, age {ray.age}"


def own_heading(chart: ProfileChart) -> str:
    """Heading of the profile of the sessions drawn."""
    return f"{chart.counted} of " + ("the session" if chart.sessions == 1 else f"these {chart.sessions} sessions")


def composite_heading(chart: ProfileChart) -> str:
    """Heading of the composite."""
    return f"composite of {chart.composite_sessions} sessions"


def time_ticks(times: pd.Series, sessions: pd.Series, most: int = 9) -> tuple[list[int], list[str]]:
    """Choose the time labels: the clock within one session, the first bar of some sessions over several."""
    if sessions.iloc[0] != sessions.iloc[-1]:
        firsts = np.flatnonzero(sessions.ne(sessions.shift()))
        chosen = firsts[:: -(-len(firsts) // most)]
        return chosen.tolist(), [f"{sessions.iloc[place]:%d %b}" for place in chosen]
    minutes = times.dt.hour.to_numpy() * 60 + times.dt.minute.to_numpy()
    chosen = np.arange(len(times))[:: max(-(-len(times) // most), 1)]
    for clock in (15, 30, 60, 120, 240, 480):
        even = np.flatnonzero(minutes // clock != np.append(-1, minutes[:-1] // clock))
        even = even[minutes[even] % clock < max(clock // 10, 1)]
        if 2 <= len(even) <= most:
            chosen = even
            break
    return chosen.tolist(), [f"{times.iloc[place]:%H:%M}" for place in chosen]


def round_prices(low: float, high: float) -> list[float]:
    """About five round prices between the two."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((size for size in (1, 2, 5, 10) if size * power >= rough), default=10)
    return [round(float(step * k), 10) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def round_below(value: float) -> float:
    """The greatest of 1, 2 and 5 times a power of ten that is not above a positive value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * max(size for size in (1, 2, 5) if size * power <= value * (1 + 1e-12)))
