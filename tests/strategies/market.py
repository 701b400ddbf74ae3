"""Small made-up sessions for the tests of strategies: histories and bars by hand, in ticks of ES, and their mirror."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.market import Instrument, find_instrument, session_schedule
from pipeline.strategy import HistorySettings, Seen, Strategy
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.signals import signals_frame

ES = find_instrument("ES")
SETTINGS = HistorySettings()
_PRICES = ("open", "high", "low", "close", "vpoc", "val", "vah")
_USUAL = {
    **{"open": 16_000, "high": 16_040, "low": 15_960, "close": 16_000, "vpoc": 16_000, "val": 15_980, "vah": 16_020},
    **{"atr": 100.0, "slope": 1.0, "r_squared": 0.9, "contract": "H"},
    **{"runs_p_value": 0.5, "direction_probability": 0.5, "calm": True},
}

Bar = tuple[int, int, int, int]


@lru_cache
def calendar(start: str = "2024-01-02") -> pd.DataFrame:
    """ES's sessions of the year after a date: 2024-01-02 is a Tuesday, followed by three full sessions."""
    return session_schedule(ES, start, pd.Timestamp(start) + pd.Timedelta("400D"))


def made_history(*rows: Mapping[str, Any], start: str = "2024-01-02") -> pd.DataFrame:
    """A history by hand: a session a row, from ``start`` on; prices and ``atr`` in ticks, the usual where not said."""
    frame = pd.DataFrame([{**_USUAL, **row} for row in rows], index=calendar(start).index[: len(rows)])
    move = frame["vpoc"].diff().where(frame["contract"] == frame["contract"].shift())
    frame.insert(7, "vpoc_move", move)
    for name in _PRICES:
        frame[name] = ES.to_prices(frame[name])
    frame["atr_14"] = frame.pop("atr") * ES.tick_size
    return frame


def made_bars(
    session: int,
    bars: Iterable[Bar],
    *,
    minutes: int = 30,
    first: int = 0,
    contract: str = "H",
    start: str = "2024-01-02",
) -> pd.DataFrame:
    """Bars of one session by hand (open, high, low, close in ticks), one after another from bar number ``first`` on.

    ``session`` counts from ``start``: what is decided on row 0 of a history trades in session 1.
    """
    opened = calendar(start)["rth_open"].iloc[session]
    rows = list(bars)
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    for name in frame:
        frame[name] = ES.to_prices(frame[name])
    times = [opened + pd.Timedelta(minutes=minutes * (first + number)) for number in range(len(rows))]
    frame.insert(0, "timestamp", pd.DatetimeIndex(times).as_unit("ns"))
    return frame.assign(volume=10.0, contract=contract)


def flat(price: int, count: int) -> list[Bar]:
    """Bars that stay at a price."""
    return [(price,) * 4] * count


def seen_of(history: pd.DataFrame, *bars: pd.DataFrame, **options: Any) -> Seen:
    """What a strategy sees of a history and of bars."""
    held = pd.concat(bars, ignore_index=True) if bars else None
    return Seen.of(history, ES, SETTINGS, held, **options)


def signals(strategy: Strategy, seen: Seen) -> pd.DataFrame:
    """The signals of a strategy, with prices in ticks."""
    frame = signals_frame(checked_setups(strategy, seen), seen)
    for name in ("entry", "stop", "target"):
        frame[name] = (frame[name] / ES.tick_size).astype("Int64")
    return frame


def told(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a frame as rows of plain values, None where empty."""
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[list(names)].astype(object).itertuples(index=False)
    ]


def mirrored_ticks(values: Any) -> Any:
    """Prices in ticks about 16,000."""
    return 32_000 - np.asarray(values)


def mirrored(frame: pd.DataFrame, instrument: Instrument = ES) -> pd.DataFrame:
    """A history or bars upside down: what rose falls."""
    turned = {"high": "low", "low": "high", "val": "vah", "vah": "val"}
    found = frame.copy()
    for name in _PRICES:
        if name in frame:
            ticks = mirrored_ticks(instrument.to_ticks(frame[turned.get(name, name)]))
            found[name] = instrument.to_prices(ticks)
    for name in ("slope", "vpoc_move"):
        if name in frame:
            found[name] = -frame[name]
    if "direction_probability" in frame:
        found["direction_probability"] = 1 - frame["direction_probability"]
    return found


def sides_swapped(frame: pd.DataFrame) -> pd.DataFrame:
    """Signals (in ticks) of a mirrored market as those of the market should be, longs first."""
    found = frame.assign(side=-frame["side"], **{name: 32_000 - frame[name] for name in ("entry", "stop", "target")})
    return in_order(found)


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Signals by session, time and side."""
    keys = [name for name in ("session", "decided_at") if name in frame]
    order = frame.assign(_short=-frame["side"]).sort_values([*keys, "_short"], kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def walk(
    rng: np.random.Generator, sessions: int, bars: int = 13, minutes: int = 30
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A random history and random bars of its sessions and the one after; some sessions or first bars are missing."""
    parts, rows, price = [], [], 16_000
    for number in range(sessions + 1):
        price += int(rng.integers(-40, 41))
        made = []
        for _ in range(bars):
            open_, close = price, price + int(rng.integers(-25, 26))
            up, down = int(rng.integers(0, 8)), int(rng.integers(0, 8))
            made.append((open_, max(open_, close) + up, min(open_, close) - down, close))
            price = close
        high, low = max(bar[1] for bar in made), min(bar[2] for bar in made)
        val, vpoc, vah = sorted(int(value) for value in rng.integers(low, high + 1, 3))
        known = number >= 3
        rows.append(
            {
                **{"open": made[0][0], "high": high, "low": low, "close": price, "vpoc": vpoc, "val": val, "vah": vah},
                "atr": float(rng.integers(40, 200)) if known else np.nan,
                "slope": float(rng.normal()) if known else np.nan,
                "r_squared": float(rng.random()) if known else np.nan,
                "direction_probability": int(rng.integers(1, 64)) / 64,
                "calm": bool(rng.random() < 0.5),
                "contract": "H" if number < sessions // 2 else "M",
            }
        )
        skipped = int(rng.integers(0, 4)) if rng.random() < 0.2 else 0
        if rng.random() > 0.1:
            contract = str(rows[-1]["contract"])
            parts.append(made_bars(number, made[skipped:], minutes=minutes, first=skipped, contract=contract))
    return made_history(*rows[:-1]), pd.concat(parts, ignore_index=True)
