"""A small made-up market for the tests of this package: few bars a session, quarterly rolls with a price step."""

import numpy as np
import pandas as pd

from pipeline.market import Instrument, label_sessions, session_schedule
from pipeline.strategy import HistorySettings, session_history


def toy_bars(es: Instrument, sessions: int = 340, seed: int = 7, roll_every: int = 63) -> pd.DataFrame:
    """Two evening bars and five regular ones a session; the first regular bar of a roll is the old contract's."""
    rng = np.random.default_rng(seed)
    schedule = session_schedule(es, "2019-01-02", "2021-12-31").iloc[:sessions]
    rows = []
    price = 12_000
    for number, (opens, regular) in enumerate(zip(schedule["open"], schedule["rth_open"], strict=True)):
        contract, step = f"C{number // roll_every}", 0
        times = [opens, opens + pd.Timedelta("5min"), *(regular + pd.Timedelta("5min") * k for k in range(5))]
        for position, time in enumerate(times):
            move = int(rng.normal(0, 12))
            low, high = min(0, move) - int(rng.integers(0, 6)), max(0, move) + int(rng.integers(0, 6))
            old = number and number % roll_every == 0 and position == 2
            step = 160 if number and number % roll_every == 0 and position == 3 else 0
            price += step
            volume = 3.0 if old else float(rng.integers(50, 500))
            name = f"C{number // roll_every - 1}" if number % roll_every == 0 and number and position < 3 else contract
            rows.append((time, price, price + high, price + low, price + move, volume, name))
            price += move
    frame = pd.DataFrame(rows, columns=["timestamp", "open", "high", "low", "close", "volume", "contract"])
    for column in ("open", "high", "low", "close"):
        frame[column] = es.to_prices(frame[column])
    frame["timestamp"] = pd.DatetimeIndex(frame["timestamp"]).as_unit("ns")
    return frame


def toy_profiles(bars: pd.DataFrame, es: Instrument, hours: str = "rth") -> pd.DataFrame:
    """Profiles by hand: VPOC at the busiest bar's close, value area the middle half of the range around it."""
    labels = label_sessions(bars["timestamp"], es)
    kept = bars.assign(session=labels.sessions)[labels.mask(hours)]
    rows = {}
    for session, held in kept.groupby("session"):
        own = held
        if "contract" in held:
            by_contract = held.groupby("contract")["volume"].sum()
            own = held[held["contract"] == by_contract.idxmax()]
        low, high = es.to_ticks(own["low"].min()), es.to_ticks(own["high"].max())
        vpoc = es.to_ticks(own["close"].iloc[int(own["volume"].to_numpy().argmax())])
        quarter = (high - low) // 4
        val, vah = min(vpoc, low + quarter), max(vpoc, high - quarter)
        prices = [float(es.to_prices(tick)) for tick in (vpoc, val, vah, low, high)]
        volume = float(own["volume"].sum())
        rows[session] = [*prices, volume, volume, *own.get("contract", pd.Series(dtype=str)).iloc[:1]]
    columns = ["vpoc", "val", "vah", "low", "high", "volume", "value_area_volume"]
    columns += ["contract"] if "contract" in bars else []
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame.index = pd.DatetimeIndex(frame.index, name="session").as_unit("ns")
    return frame


def toy_history(
    bars: pd.DataFrame, es: Instrument, settings: HistorySettings | None = None, hours: str = "rth"
) -> pd.DataFrame:
    return session_history(bars, toy_profiles(bars, es, hours), es, settings, hours=hours)


def flat_history(es: Instrument, vpoc_ticks: list[int], **columns: object) -> pd.DataFrame:
    """A history by hand, one session a VPOC, from 2019-01-02 on: every gate neutral unless said."""
    index = session_schedule(es, "2019-01-02", "2023-12-31").index[: len(vpoc_ticks)]
    vpoc = es.to_prices(vpoc_ticks)
    defaults = {
        "vpoc": vpoc,
        "val": vpoc - 5.0,
        "vah": vpoc + 5.0,
        "atr_14": 10.0,
        "slope": 1.0,
        "r_squared": 0.9,
        "runs_p_value": 0.5,
        "direction_probability": 0.5,
        "calm": True,
    }
    return pd.DataFrame({**defaults, **columns}, index=index)
