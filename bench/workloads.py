"""Bars to measure with: a seeded walk, and the real file where there is one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.bars import require_bars
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, label_sessions, session_schedule

__all__ = ["Trades", "Workload", "real_bars", "real_trades", "seeded_bars", "seeded_trades"]

_REAL_FILE = "es_5m_2015_2021.parquet"
_REAL_TRADES = "es_ticks_2013_09.parquet"
_TRADES_A_SESSION = 1_000_000
_MINUTE = 60_000_000_000  # nanoseconds


@dataclass(frozen=True)
class Workload:
    """Bars of many sessions, as a frame and as the arrays made from it."""

    name: str
    instrument: Instrument
    frame: pd.DataFrame
    open: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    close: NDArray[np.int64]
    steps: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def bars(self) -> int:
        """Number of bars."""
        return len(self.steps)

    @property
    def stops(self) -> NDArray[np.int64]:
        """End of each session: the index of the first bar after it."""
        return np.append(self.starts[1:], self.bars)

    def head(self, sessions: int, name: str) -> "Workload":
        """The first sessions of it."""
        count = int(self.starts[sessions]) if sessions < len(self.starts) else self.bars
        return Workload(
            name=name,
            instrument=self.instrument,
            frame=self.frame.iloc[:count],
            open=self.open[:count],
            low=self.low[:count],
            high=self.high[:count],
            close=self.close[:count],
            steps=self.steps[:count],
            starts=self.starts[:sessions],
        )


@dataclass(frozen=True)
class Trades:
    """Trades of some sessions, in memory."""

    name: str
    price: NDArray[np.int64]  # ticks
    steps: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def stops(self) -> NDArray[np.int64]:
        """End of each session: the index of the first bar after it."""
        return np.append(self.starts[1:], len(self.steps))


def seeded_trades(instrument: Instrument, count: int, seed: int) -> Trades:
    """Trades whose price stays, or goes up or down a tick, as between bid and ask; a million a session."""
    random = np.random.default_rng(seed)
    moves = (random.integers(0, 64, count, dtype=np.int8) == 0) * random.choice(np.array([-1, 1], np.int8), count)
    price = 20_000 + np.cumsum(moves, dtype=np.int64) + random.integers(0, 2, count)
    steps = np.minimum(random.geometric(0.4, count), 500).astype(np.int64)
    starts = np.arange(0, count, _TRADES_A_SESSION)
    return Trades(
        f"{instrument.symbol} trades, made, {len(starts)} sessions, {count / 1e6:.2f} M", price, steps, starts
    )


def real_trades(instrument: Instrument, folder: Path) -> Trades | None:
    """The trades of the real file that lie in a session; None where the folder has no such file."""
    path = folder / _REAL_TRADES
    if not path.exists():
        return None
    found = pd.read_parquet(path, columns=["timestamp", "price", "volume"])
    session = label_sessions(found["timestamp"], instrument).position
    inside = session >= 0
    starts = np.flatnonzero(np.append(True, np.diff(session[inside]) > 0))
    kept = found[inside]
    return Trades(
        name=f"real ES trades, {len(starts)} session{'s' * (len(starts) > 1)}, {len(kept) / 1e6:.2f} M",
        price=instrument.to_ticks(kept["price"]),
        steps=instrument.to_steps(kept["volume"]),
        starts=starts,
    )


def seeded_bars(instrument: Instrument, sessions: int, seed: int, hours: Hours) -> Workload:
    """One-minute bars of a walk, busier at a session's ends, as ES is: whole trade dates, or regular hours.

    Not a market to learn from (that is :func:`pipeline.market.simulate_market`): made in a second, for its shape.
    """
    opens, closes = ("rth_open", "rth_close") if hours == "rth" else ("open", "close")
    schedule = session_schedule(instrument, "2005-01-03", "2025-12-31")
    length = schedule[closes] - schedule[opens]
    whole = schedule[length == length.max()].iloc[:sessions]
    minutes = int(length.max() / pd.Timedelta(minutes=1))
    count = len(whole) * minutes
    random = np.random.default_rng(seed)
    busy = np.tile(1.2 * (1.3 + np.cos(np.linspace(0, 2 * np.pi, minutes))), len(whole))
    close = 20_000 + np.cumsum(np.rint(random.standard_normal(count) * busy).astype(np.int64))
    opened = np.append(close[:1], close[:-1])
    high = np.maximum(opened, close) + random.poisson(busy)
    low = np.minimum(opened, close) - random.poisson(busy)
    steps = (300 * (1 + high - low) * random.lognormal(0, 0.5, count)).astype(np.int64) + 1
    begins = pd.DatetimeIndex(whole[opens]).as_unit("ns").asi8
    frame = pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex((begins[:, None] + np.arange(minutes) * _MINUTE).ravel(), tz="UTC"),
            "open": instrument.to_prices(opened),
            "high": instrument.to_prices(high),
            "low": instrument.to_prices(low),
            "close": instrument.to_prices(close),
            "volume": steps.astype(np.float64),
        }
    )
    return Workload(
        name=f"1-minute, {len(whole):,} sessions, {count / 1e6:.1f} M bars",
        instrument=instrument,
        frame=frame,
        open=opened,
        low=low,
        high=high,
        close=close,
        steps=steps,
        starts=np.arange(len(whole)) * minutes,
    )


def real_bars(instrument: Instrument, folder: Path) -> Workload | None:
    """Whole trade dates of the real file; sessions of two contracts and bars outside every session left out.

    None where the folder has no such file.
    """
    path = folder / _REAL_FILE
    if not path.exists():
        return None
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
    return Workload(
        name=f"5-minute real ES, {len(starts):,} sessions, {len(frame) / 1e6:.2f} M bars",
        instrument=instrument,
        frame=frame,
        open=instrument.to_ticks(frame["open"]),
        low=instrument.to_ticks(frame["low"]),
        high=instrument.to_ticks(frame["high"]),
        close=instrument.to_ticks(frame["close"]),
        steps=instrument.to_steps(frame["volume"]),
        starts=starts,
    )
