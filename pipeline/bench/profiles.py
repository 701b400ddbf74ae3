"""Profiles and value areas: ours from arrays and from frames, NumPy, py-market-profile, and the floor."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.bench.timing import best_seconds, row
from pipeline.errors import ConfigurationError
from pipeline.market.bars import require_bars
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.sessions import session_schedule
from pipeline.profiles import MICRO_LOTS, SessionLevels, profile_sessions, session_profiles, spread_rows

__all__ = ["bench_profiles"]

_PEER = "market_profile"
_PEER_COMMAND = "pip install MarketProfile"
_PEER_SESSIONS = 40  # it takes milliseconds a session
_WALKED = 200  # sessions whose value area is walked in plain Python for comparison
_REAL_FILE = "es_5m_2015_2021.parquet"


@dataclass(frozen=True)
class _Workload:
    """Bars of many sessions, as a frame and as the arrays made from it."""

    name: str
    instrument: Instrument
    frame: pd.DataFrame
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    close: NDArray[np.int64]
    steps: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def bars(self) -> int:
        return len(self.steps)

    @property
    def stops(self) -> NDArray[np.int64]:
        return np.append(self.starts[1:], self.bars)

    def head(self, sessions: int, name: str) -> "_Workload":
        count = int(self.starts[sessions]) if sessions < len(self.starts) else self.bars
        arrays = (self.low[:count], self.high[:count], self.close[:count], self.steps[:count])
        return _Workload(name, self.instrument, self.frame.iloc[:count], *arrays, self.starts[:sessions])


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
    minutes = _one_minute_bars(instrument, sessions, seed)
    workloads = [minutes]
    folder = real_data or os.environ.get("VPOC_REAL_DATA")
    if folder and (path := Path(folder) / _REAL_FILE).exists():
        workloads.append(_real_bars(instrument, path))
    rows = [measured for workload in workloads for measured in _own_and_numpy(workload, repeat)]
    few = minutes.head(min(_PEER_SESSIONS, sessions), f"1-minute, {min(_PEER_SESSIONS, sessions)} sessions, close only")
    return rows + _close_only(few, repeat)


def _own_and_numpy(workload: _Workload, repeat: int) -> list[dict[str, Any]]:
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
    floor = best_seconds(lambda: _read_once(low, high, steps), repeat)
    narrow = [array.astype(np.int32) for array in (low, high, steps)]
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
            best_seconds(lambda: profile_sessions(*narrow, starts), repeat),
            floor=floor,
            agrees=right and _same(levels, profile_sessions(*narrow, starts)),
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


def _close_only(workload: _Workload, repeat: int) -> list[dict[str, Any]]:
    close, steps, starts = workload.close, workload.steps, workload.starts
    name, bars = workload.name, workload.bars
    floor = best_seconds(lambda: _read_once(close, close, steps), repeat)
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
        note=(
            f"of {sessions} sessions the volumes agree in {rows_right}, the VPOC in {vpoc_right}, the value area in "
            f"{area_right}: it walks traded prices one by one, leaves out empty ticks, and goes past 70 %"
        ),
    )
    return [own, peer_row]


def _own_rows(workload: _Workload, k: int) -> tuple[int, NDArray[np.int64]]:
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


def _peer_frames(workload: _Workload) -> list[pd.DataFrame]:
    renamed = workload.frame.set_index("timestamp").rename(columns=str.capitalize)
    bounds = zip(workload.starts.tolist(), workload.stops.tolist(), strict=True)
    return [renamed.iloc[start:stop] for start, stop in bounds]


def _peer_profiles(frames: list[pd.DataFrame], instrument: Instrument) -> list[Any]:
    from market_profile import MarketProfile  # installed for the benchmark only

    return [MarketProfile(frame, tick_size=instrument.tick_size)[0 : len(frame)] for frame in frames]


@njit(cache=True, nogil=True)
def _read_once(low, high, steps):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for i in range(low.size):
        total += low[i] + high[i] + steps[i]
    return total


def _one_minute_bars(instrument: Instrument, sessions: int, seed: int) -> _Workload:
    """A seeded walk over whole trade dates of 23 hours, busier at their ends, as ES is."""
    schedule = session_schedule(instrument, "2005-01-03", "2025-12-31")
    whole = schedule[schedule["close"] - schedule["open"] == pd.Timedelta(hours=23)].iloc[:sessions]
    minutes = 23 * 60
    count = len(whole) * minutes
    random = np.random.default_rng(seed)
    busy = np.tile(1.2 * (1.3 + np.cos(np.linspace(0, 2 * np.pi, minutes))), len(whole))
    close = 20_000 + np.cumsum(np.rint(random.standard_normal(count) * busy).astype(np.int64))
    opened = np.append(close[:1], close[:-1])
    high = np.maximum(opened, close) + random.poisson(busy)
    low = np.minimum(opened, close) - random.poisson(busy)
    steps = (300 * (1 + high - low) * random.lognormal(0, 0.5, count)).astype(np.int64) + 1
    begins = pd.DatetimeIndex(whole["open"]).as_unit("ns").asi8
    instants = (begins[:, None] + np.arange(minutes) * 60_000_000_000).ravel()
    frame = pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(instants, tz="UTC"),
            "open": instrument.to_prices(opened),
            "high": instrument.to_prices(high),
            "low": instrument.to_prices(low),
            "close": instrument.to_prices(close),
            "volume": steps.astype(np.float64),
        }
    )
    name = f"1-minute, {len(whole):,} sessions, {count / 1e6:.1f} M bars"
    return _Workload(name, instrument, frame, low, high, close, steps, np.arange(len(whole)) * minutes)


def _real_bars(instrument: Instrument, path: Path) -> _Workload:
    """Whole trade dates of the real file; sessions of two contracts and bars outside every session left out."""
    columns = ["timestamp", "open", "high", "low", "close", "volume"]
    bars = pd.read_parquet(path, columns=[*columns, "contract"])
    schedule = session_schedule(instrument, bars["timestamp"].min().date(), bars["timestamp"].max().date())
    opens = pd.DatetimeIndex(schedule["open"]).as_unit("ns").asi8
    closes = pd.DatetimeIndex(schedule["close"]).as_unit("ns").asi8
    instants = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    session = np.searchsorted(opens, instants, side="right") - 1
    kept = (session >= 0) & (instants < closes[session]) & (bars["volume"] > 0).to_numpy()
    mixed = bars[kept].groupby(session[kept])["contract"].nunique()
    kept &= ~np.isin(session, mixed[mixed > 1].index)
    frame = require_bars(bars.loc[kept, columns])
    starts = np.flatnonzero(np.append(True, np.diff(session[kept]) > 0))
    ticks = (instrument.to_ticks(frame[name]) for name in ("low", "high", "close"))
    name = f"5-minute real ES, {len(starts):,} sessions, {len(frame) / 1e6:.2f} M bars"
    return _Workload(name, instrument, frame, *ticks, instrument.to_steps(frame["volume"]), starts)
