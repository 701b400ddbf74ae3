"""Profiles and value areas: ours from arrays and from frames, NumPy, py-market-profile, and the floor."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.bench.timing import best_seconds, read_once, row
from pipeline.bench.workloads import Workload, real_bars, seeded_bars
from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import MICRO_LOTS, SessionLevels, profile_sessions, session_profiles, spread_rows

__all__ = ["bench_profiles"]

_PEER = "market_profile"
_PEER_COMMAND = "pip install MarketProfile"
_PEER_SESSIONS = 40  # it takes milliseconds a session
_WALKED = 200  # sessions whose value area is walked in plain Python for comparison


def bench_profiles(
    *, sessions: int = 3_900, repeat: int = 5, seed: int = 0, real_data: str | os.PathLike[str] | None = None
) -> list[dict[str, Any]]:
    """Bars a second of every engine, side by side, on one core.

    Parameters
    ----------
    sessions
        How many sessions of 1,380 one-minute bars to make: 3,900 are 15 years, 5.4 million bars.
    repeat
        Calls timed, of which the fastest counts.
    seed
        Of the bars made.
    real_data
        Folder with ``es_5m_2015_2021.parquet``, which then is a workload too; without it, the folder that the
        environment variable ``VPOC_REAL_DATA`` names, if it does.

    Returns
    -------
    list of dict
        A row an engine and workload: ``engine``, ``workload``, ``bars_per_second`` (None: skipped),
        ``ratio_to_floor`` (its time over that of reading low, high and volume once), ``agrees`` (whether its
        results are exactly those of the definition; None for the floor), ``note``.
    """
    if sessions < 1 or repeat < 1:
        raise ConfigurationError(f"sessions is {sessions} and repeat {repeat}; both must be 1 or more")
    instrument = load_instruments()["ES"]
    minutes = seeded_bars(instrument, sessions, seed, "eth")
    workloads = [minutes]
    folder = real_data or os.environ.get("VPOC_REAL_DATA")
    if folder and (real := real_bars(instrument, Path(folder))) is not None:
        workloads.append(real)
    rows = [measured for workload in workloads for measured in _own_and_numpy(workload, repeat)]
    few = minutes.head(min(_PEER_SESSIONS, sessions), f"1-minute, {min(_PEER_SESSIONS, sessions)} sessions, close only")
    return rows + _close_only(few, repeat)


def _own_and_numpy(workload: Workload, repeat: int) -> list[dict[str, Any]]:
    low, high, steps, starts = workload.low, workload.high, workload.steps, workload.starts
    instrument, frame = workload.instrument, workload.frame
    definition = _numpy_profiles(low, high, steps, starts, workload.stops)
    levels = profile_sessions(low, high, steps, starts)
    right = _equal_levels(levels, definition)
    numpy_right = all(
        lowest == own_lowest and np.array_equal(rows, own_rows)
        for (lowest, rows), (own_lowest, own_rows) in zip(
            definition, (_own_rows(workload, k) for k in range(len(starts))), strict=True
        )
    )
    profiles = session_profiles(frame, instrument, hours="eth")
    frame_right = len(profiles) == len(starts) and all(
        np.array_equal(profiles[name], instrument.to_prices(getattr(levels, name)))
        for name in ("vpoc", "val", "vah", "low", "high")
    )
    floor = best_seconds(lambda: read_once(low, high, steps), repeat)
    low32, high32, steps32 = (array.astype(np.int32) for array in (low, high, steps))
    name, bars = workload.name, workload.bars
    timed = [
        row("floor: read the arrays once", name, bars, floor, floor=floor),
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
            floor=floor,
            agrees=right and _same(levels, profile_sessions(low32, high32, steps32, starts)),
            note="profiles and value areas",
        ),
        row(
            "session_profiles",
            name,
            bars,
            best_seconds(lambda: session_profiles(frame, instrument, hours="eth"), repeat),
            floor=floor,
            agrees=frame_right,
            note="frame to frame, with all checks",
        ),
        row(
            "NumPy difference array",
            name,
            bars,
            best_seconds(lambda: _numpy_profiles(low, high, steps, starts, workload.stops), min(repeat, 2)),
            floor=floor,
            agrees=numpy_right,
            note="profiles only, a Python loop over sessions",
        ),
    ]
    return timed


def _close_only(workload: Workload, repeat: int) -> list[dict[str, Any]]:
    # The peer knows the close only. Its value area goes by single traded prices, leaves out empty ticks, and
    # goes on where exactly 70 % are held.
    close, steps, starts = workload.close, workload.steps, workload.starts
    name, bars = workload.name, workload.bars
    floor = best_seconds(lambda: read_once(close, close, steps), repeat)
    levels = profile_sessions(close, close, steps, starts)
    own = row(
        "numba, int64 arrays",
        name,
        bars,
        best_seconds(lambda: profile_sessions(close, close, steps, starts), repeat),
        floor=floor,
        agrees=_equal_levels(levels, _numpy_profiles(close, close, steps, starts, workload.stops)),
        note="profiles and value areas",
    )
    if importlib.util.find_spec(_PEER) is None:
        return [own, row("py-market-profile", name, bars, None, note=f"skipped: not installed; {_PEER_COMMAND}")]
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
    peer_row = row(
        "py-market-profile",
        name,
        bars,
        best_seconds(lambda: _peer_profiles(frames, workload.instrument), min(repeat, 2)),
        floor=floor,
        agrees=rows_right == vpoc_right == area_right == sessions,
        note=f"of {sessions} sessions right: volumes {rows_right}, VPOC {vpoc_right}, value area {area_right}",
    )
    return [own, peer_row]


def _own_rows(workload: Workload, k: int) -> tuple[int, NDArray[np.int64]]:
    part = slice(int(workload.starts[k]), int(workload.stops[k]))
    return spread_rows(workload.low[part], workload.high[part], workload.steps[part])


def _numpy_profiles(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    steps: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> list[tuple[int, NDArray[np.int64]]]:
    """Every session's profile by a difference array: bincount of whole numbers in floats, exact below 2**53."""
    profiles = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        bottom, top = low[start:stop], high[start:stop]
        micro = steps[start:stop] * MICRO_LOTS
        lowest = int(bottom.min())
        size = int(top.max()) - lowest + 2
        each, rest = np.divmod(micro, top - bottom + 1)
        first = bottom - lowest
        change = np.bincount(first, each + 1, size)
        change -= np.bincount(first + rest, minlength=size)
        change -= np.bincount(top - lowest + 1, each, size)
        profiles.append((lowest, np.cumsum(change)[:-1].astype(np.int64)))
    return profiles


def _equal_levels(levels: SessionLevels, definition: list[tuple[int, NDArray[np.int64]]]) -> bool:
    for k, (lowest, rows) in enumerate(definition):
        most = np.flatnonzero(rows == rows.max())
        distance = np.abs(2 * most - (len(rows) - 1))
        vpoc = int(most[distance.argmin()])
        if (levels.low[k], levels.high[k], levels.vpoc[k], levels.total[k]) != (
            lowest,
            lowest + len(rows) - 1,
            lowest + vpoc,
            rows.sum(),
        ):
            return False
        if k < _WALKED and (levels.val[k], levels.vah[k], levels.held[k]) != _walk(lowest, rows.tolist(), vpoc):
            return False
    return True


def _walk(lowest: int, rows: list[int], vpoc: int) -> tuple[int, int, int]:
    """The value area in plain Python, two rows at a time."""
    val = vah = vpoc
    held, total = rows[vpoc], sum(rows)
    while held * 10_000 < 7_000 * total:
        above, below = rows[vah + 1 : vah + 3], rows[max(val - 2, 0) : val]
        if above and (not below or sum(above) >= sum(below)):
            held, vah = held + sum(above), vah + len(above)
        else:
            held, val = held + sum(below), val - len(below)
    return lowest + val, lowest + vah, held


def _same(left: SessionLevels, right: SessionLevels) -> bool:
    return all(np.array_equal(value, getattr(right, name)) for name, value in vars(left).items())


def _peer_frames(workload: Workload) -> list[pd.DataFrame]:
    renamed = workload.frame.set_index("timestamp").rename(columns=str.capitalize)
    bounds = zip(workload.starts.tolist(), workload.stops.tolist(), strict=True)
    return [renamed.iloc[start:stop] for start, stop in bounds]


def _peer_profiles(frames: list[pd.DataFrame], instrument: Instrument) -> list[Any]:
    from market_profile import MarketProfile  # installed for the benchmark only

    return [MarketProfile(frame, tick_size=instrument.tick_size)[0 : len(frame)] for frame in frames]
