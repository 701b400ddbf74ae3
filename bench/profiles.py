"""Profiles and value areas: ours from arrays and from frames, NumPy, py-market-profile, and the floor."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.definition import equal_levels, numpy_profiles
from bench.engines import other_engines, same_levels
from bench.rows import bench_rows
from bench.timing import best_seconds, floors, row
from bench.trades import bench_trades
from bench.workloads import Workload, real_bars, real_trades, seeded_bars, seeded_trades
from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import MICRO_LOTS, Allocation, SessionLevels, profile_sessions, session_profiles, spread_rows

__all__ = ["bench_profiles"]

_PEER = "market_profile"
_PEER_COMMAND = "pip install MarketProfile"
_PEER_SESSIONS = 40  # it takes milliseconds per session


def bench_profiles(
    *,
    sessions: int = 3_900,
    trades: int = 5_000_000,
    repeat: int = 5,
    seed: int = 0,
    real_data: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """Bars (or trades) a second of every engine, side by side, on one core but for those named otherwise.

    Parameters
    ----------
    sessions
        How many sessions of 1,380 one-minute bars to make: 3,900 are 15 years, 5.4 million bars.
    trades
        How many trades to make, a million a session.
    repeat
        Calls timed, of which the fastest counts.
    seed
        Of what is made.
    real_data
        Folder with ``es_5m_2015_2021.parquet`` and ``es_ticks_2013_09.parquet``, which then are workloads too (each
        where it is there); without it, the folder that the
        environment variable ``VPOC_REAL_DATA`` names, if it does.

    Returns
    -------
    list of dict
        A row an engine and workload: ``engine``, ``workload``, ``bars_per_second`` (None: skipped),
        ``ratio_to_floor`` (its time over that of reading its arrays once), ``agrees`` (whether its
        results are exactly those of the definition; None for the floor), ``note``.
    """
    if sessions < 1 or repeat < 1 or trades < 1:
        raise ConfigurationError(f"sessions is {sessions}, trades {trades} and repeat {repeat}; all must be 1 or more")
    instrument = load_instruments()["ES"]
    minutes = seeded_bars(instrument, sessions, seed, "eth")
    workloads = [minutes]
    folder = real_data or os.environ.get("VPOC_REAL_DATA")
    if folder and (real := real_bars(instrument, Path(folder))) is not None:
        workloads.append(real)
    rows = [measured for workload in workloads for measured in _own_and_numpy(workload, repeat)]
    rows += bench_rows(minutes, repeat)
    rows += bench_trades(seeded_trades(instrument, trades, seed), repeat)
    if folder and (ticks := real_trades(instrument, Path(folder))) is not None:
        rows += bench_trades(ticks, repeat)
    few = minutes.head(min(_PEER_SESSIONS, sessions), f"1-minute, {min(_PEER_SESSIONS, sessions)} sessions, close only")
    return rows + _close_only(few, repeat)


def _own_and_numpy(workload: Workload, repeat: int) -> list[dict[str, Any]]:
    low, high, steps, starts = workload.low, workload.high, workload.steps, workload.starts
    definition = numpy_profiles(low, high, steps, starts, workload.stops)
    levels = profile_sessions(low, high, steps, starts)
    right = equal_levels(levels, definition)
    numpy_right = all(
        lowest == own_lowest and np.array_equal(rows, own_rows)
        for (lowest, rows), (own_lowest, own_rows) in zip(
            definition, (_own_rows(workload, k) for k in range(len(starts))), strict=True
        )
    )
    low32, high32, steps32 = (array.astype(np.int32) for array in (low, high, steps))
    name, bars = workload.name, workload.bars
    floor, read = floors(name, bars, (low, high, steps), repeat)
    floor32, read32 = floors(name, bars, (low32, high32, steps32), repeat, "int32 ")
    return [
        *read,
        *read32[:1],
        row(
            "numba, int64 arrays",
            name,
            bars,
            best_seconds(lambda: profile_sessions(low, high, steps, starts), repeat),
            floor=floor,
            agrees=right,
            note="profiles and value areas",
        ),
        row(
            "numba, int32 arrays",
            name,
            bars,
            best_seconds(lambda: profile_sessions(low32, high32, steps32, starts), repeat),
            floor=floor32,
            agrees=right and same_levels(levels, profile_sessions(low32, high32, steps32, starts)),
            note="profiles and value areas; to the floor of int32 arrays",
        ),
        *other_engines(name, low, high, steps, starts, repeat, floor=floor, right=right),
        _from_frame(workload, levels, repeat, floor=floor, allocation="uniform"),
        row(
            "NumPy difference array",
            name,
            bars,
            best_seconds(lambda: numpy_profiles(low, high, steps, starts, workload.stops), min(repeat, 2)),
            floor=floor,
            agrees=numpy_right,
            note="profiles only, a Python loop over sessions",
        ),
    ]


def _close_only(workload: Workload, repeat: int) -> list[dict[str, Any]]:
    # The peer knows the close only. Its value area goes by single traded prices, leaves out empty ticks, and
    # goes on where exactly 70 % are held.
    close, steps, starts = workload.close, workload.steps, workload.starts
    name, bars = workload.name, workload.bars
    floor, read = floors(name, bars, (close, steps), repeat)
    levels = profile_sessions(close, close, steps, starts)
    own = [
        *read,
        row(
            "numba, int64 arrays",
            name,
            bars,
            best_seconds(lambda: profile_sessions(close, close, steps, starts), repeat),
            floor=floor,
            agrees=equal_levels(levels, numpy_profiles(close, close, steps, starts, workload.stops)),
            note="profiles and value areas",
        ),
        _from_frame(workload, levels, repeat, floor=floor, allocation="close"),
    ]
    if importlib.util.find_spec(_PEER) is None:
        return [*own, row("py-market-profile", name, bars, None, note=f"skipped: not installed; {_PEER_COMMAND}")]
    frames = _peer_frames(workload)
    found = _peer_profiles(frames, workload.instrument)
    tick = workload.instrument.to_ticks
    rows_right = vpoc_right = area_right = 0
    for k, peer in enumerate(found):
        lowest, rows = spread_rows(*(array[starts[k] : workload.stops[k]] for array in (close, close, steps)))
        ticks = tick(peer.profile.index.to_numpy())
        dense = np.zeros(len(rows), dtype=np.int64)
        dense[ticks - lowest] = peer.profile.to_numpy() * MICRO_LOTS
        rows_right += np.array_equal(dense, rows)
        vpoc_right += int(tick(peer.poc_price)) == levels.vpoc[k]
        area_right += tuple(tick(peer.value_area)) == (levels.val[k], levels.vah[k])
    sessions = len(starts)
    seconds = best_seconds(lambda: _peer_profiles(frames, workload.instrument), min(repeat, 2))
    for each in own:
        if each["agrees"] is not None:
            each["note"] += f"; {each['bars_per_second'] * seconds / bars:,.0f} times py-market-profile"
    peer_row = row(
        "py-market-profile",
        name,
        bars,
        seconds,
        floor=floor,
        agrees=rows_right == vpoc_right == area_right == sessions,
        note=f"of {sessions} sessions right: volumes {rows_right}, VPOC {vpoc_right}, value area {area_right}",
    )
    return [*own, peer_row]


def _from_frame(
    workload: Workload, levels: SessionLevels, repeat: int, *, floor: float, allocation: Allocation
) -> dict[str, Any]:
    frame, instrument = workload.frame, workload.instrument

    def call() -> pd.DataFrame:
        return session_profiles(frame, instrument, hours="eth", allocation=allocation)

    profiles = call()
    right = len(profiles) == len(workload.starts) and all(
        np.array_equal(profiles[name], instrument.to_prices(getattr(levels, name)))
        for name in ("vpoc", "val", "vah", "low", "high")
    )
    return row(
        "session_profiles, frame to frame",
        workload.name,
        workload.bars,
        best_seconds(call, repeat),
        floor=floor,
        agrees=right,
        note="with all checks",
    )


def _own_rows(workload: Workload, k: int) -> tuple[int, NDArray[np.int64]]:
    part = slice(int(workload.starts[k]), int(workload.stops[k]))
    return spread_rows(workload.low[part], workload.high[part], workload.steps[part])


def _peer_frames(workload: Workload) -> list[pd.DataFrame]:
    renamed = workload.frame.set_index("timestamp").rename(columns=str.capitalize)
    bounds = zip(workload.starts.tolist(), workload.stops.tolist(), strict=True)
    return [renamed.iloc[start:stop] for start, stop in bounds]


def _peer_profiles(frames: list[pd.DataFrame], instrument: Instrument) -> list[Any]:
    from market_profile import MarketProfile  # installed for the benchmark only

    return [MarketProfile(frame, tick_size=instrument.tick_size)[0 : len(frame)] for frame in frames]
