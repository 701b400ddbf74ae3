"""Small frames of bars and orders, written in ticks of ES."""

import pandas as pd

TICK = 0.25
DAY = "2021-03-16"
BASE = 16_000  # 4,000 points


def session_bars(
    rows: list[tuple[int, int, int, int]], day: str = DAY, start: str = "08:30", contract: str | None = None
) -> pd.DataFrame:
    """Five-minute bars of one day from (open, high, low, close) in ticks, from a Chicago clock time on."""
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"], dtype="float64") * TICK
    times = pd.date_range(f"{day} {start}", periods=len(rows), freq="5min", tz="America/Chicago")
    frame.insert(0, "timestamp", times.tz_convert("UTC").as_unit("ns"))
    frame["volume"] = 1.0
    if contract is not None:
        frame["contract"] = contract
    return frame


def days(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def order(side: int, entry: int, stop: int, target: int, day: str = DAY, **more: object) -> dict[str, object]:
    """One order, prices in ticks."""
    prices = {"entry": entry * TICK, "stop": stop * TICK, "target": target * TICK}
    return {"session": pd.Timestamp(day), "side": side, **prices, **more}


def book(*orders: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(orders))
