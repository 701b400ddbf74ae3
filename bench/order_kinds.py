"""Every kind of order and managed exit at once: a workload for the fills engine, and its tables in plain Python."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.workloads import Workload
from pipeline.backtest import Account

__all__ = ["End", "kinds_frame", "plain_session"]

End = tuple[str, int, int, int, int, str, bool]  # status, entry bar and tick, exit bar and tick, reason, ambiguous

_PER_SESSION = 6


def kinds_frame(bars: Workload, val: NDArray[np.int64], vah: NDArray[np.int64]) -> pd.DataFrame:
    """Six orders for every session but the first, in prices.

    Stop orders out of the value area of the session before, one cancelling the other, with trailing stops and no
    target; limits back into it, one with break-even and one that gives back; a market order an hour in for at most 90
    bars; and a stop order that is live for two hours, with all managed exits at once.
    """
    width = np.maximum(vah - val, 8)
    middle = (val + vah) // 2
    count = len(val)
    zone = bars.instrument.time_zone
    times = pd.DatetimeIndex(bars.frame["timestamp"])
    opens = times[bars.starts[1:]]
    days = opens.tz_convert(zone).tz_localize(None).normalize()
    open_ticks = bars.open[bars.starts[1:]].astype(np.int64)
    names = days.strftime("%Y%m%d").to_numpy(dtype=object)
    none, nothing = np.full(count, np.nan), pd.Series(pd.NaT, index=range(count), dtype="datetime64[ns, UTC]")
    later = [pd.Series((opens + pd.Timedelta(minutes=minutes)).as_unit("ns")) for minutes in (60, 180)]
    plain = {
        "session": days,
        "type": "limit",
        "quantity": 1,
        "live_from": nothing,
        "live_until": nothing,
        "group": None,
        "trail_ticks": none,
        "breakeven_ticks": none,
        "give_back_percent": none,
        "give_back_from_ticks": none,
        "max_bars": none,
    }
    trailing = {"type": "stop", "group": names, "target": none, "trail_ticks": width // 2}
    back = {"give_back_percent": 50.0, "give_back_from_ticks": 8}
    orders = [
        {"side": 1, "entry": vah + 1, "stop": middle, **trailing},
        {"side": -1, "entry": val - 1, "stop": middle, **trailing},
        {"side": 1, "entry": val, "stop": val - width // 2, "target": vah, "breakeven_ticks": width // 4},
        {"side": -1, "entry": vah, "stop": vah + width // 2, "target": val, **back},
        {
            "side": 1,
            "type": "market",
            "entry": none,
            "stop": open_ticks - 2 * width,
            "target": open_ticks + 2 * width,
            "live_from": later[0],
            "max_bars": 90,
        },
        {
            "side": -1,
            "type": "stop",
            "entry": open_ticks - 4,
            "stop": open_ticks + width,
            "target": open_ticks - 3 * width,
            "live_from": later[0],
            "live_until": later[1],
            "trail_ticks": width,
            "breakeven_ticks": 12,
            "max_bars": 120,
            **back,
        },
    ]
    frame = pd.concat([pd.DataFrame({**plain, **order}) for order in orders]).sort_index(kind="stable")
    frame[["entry", "stop", "target"]] *= bars.instrument.tick_size
    return frame.reset_index(drop=True)


@dataclass
class _Position:
    entry_bar: int
    fill: int
    best: int
    stop: int
    bars: int = 0
    due: str = ""


def plain_session(bars: Workload, orders: pd.DataFrame, session: int, account: Account) -> list[End]:
    """A session's orders by the contract's tables, in plain Python; room for all, and each of a size of one."""
    rows = orders.iloc[_PER_SESSION * (session - 1) : _PER_SESSION * session]
    ticks = {name: rows[name].to_numpy() / bars.instrument.tick_size for name in ("entry", "stop", "target")}
    given: list[dict[str, Any]] = [
        {
            **{name: None if pd.isna(value) else value for name, value in row._asdict().items()},
            **{name: None if pd.isna(values[k]) else row.side * round(values[k]) for name, values in ticks.items()},
        }
        for k, row in enumerate(rows.itertuples(index=False))
    ]
    times = bars.frame["timestamp"]
    found: list[End | None] = [None] * len(given)
    held: dict[int, _Position] = {}
    first, last = int(bars.starts[session]), int(bars.stops[session]) - 1
    ranked = sorted(range(len(given)), key=lambda k: -given[k]["side"])
    for bar in range(first, last + 1):
        seen = {}
        for side in (1, -1):
            upper, lower = (bars.high, bars.low) if side > 0 else (bars.low, bars.high)
            seen[side] = tuple(side * int(prices[bar]) for prices in (bars.open, upper, lower, bars.close))
        for k, position in list(held.items()):
            side = given[k]["side"]
            out = _leaves(given[k], position, seen[side], account, "before", bar == last)
            if out is not None:
                found[k] = _closed(held.pop(k), bar, side, out)
        live = [
            k
            for k in ranked
            if found[k] is None
            and k not in held
            and not (given[k]["live_from"] is not None and times[bar] < given[k]["live_from"])
            and not (given[k]["live_until"] is not None and times[bar] >= given[k]["live_until"])
        ]
        meets = {k: _meets(given[k], seen[given[k]["side"]], account) for k in live}
        for k, how in meets.items():
            if how in ("gapped_past_stop", "cancelled"):
                found[k] = how, 0, 0, 0, 0, "", False
        for k in sorted(
            live, key=lambda k: meets[k] != "open"
        ):  # room for all: what opens first can take no one's place
            if found[k] is not None or meets[k] not in ("open", "inside"):
                continue
            order, side = given[k], given[k]["side"]
            price = seen[side][0] if meets[k] == "open" else order["entry"]
            price += 0 if order["type"] == "limit" else account.slippage_ticks
            position = _Position(bar, price, price, order["stop"])
            since = "open" if meets[k] == "open" else "above" if order["type"] == "limit" else "below"
            out = _leaves(order, position, seen[side], account, since, bar == last)
            if out is None:
                held[k] = position
            else:
                found[k] = _closed(position, bar, side, out)
            for other in range(len(given)):
                if order["group"] is not None and given[other]["group"] == order["group"] and other != k:
                    found[other] = found[other] or ("cancelled", 0, 0, 0, 0, "", False)
        for k, position in held.items():
            _settle(given[k], position, seen[given[k]["side"]][3])
    return [end or ("not_reached", 0, 0, 0, 0, "", False) for end in found]


def _closed(position: _Position, bar: int, side: int, out: tuple[str, int, bool]) -> End:
    reason, price, ambiguous = out
    return "closed", position.entry_bar, side * position.fill, bar, side * price, reason, ambiguous


def _meets(order: dict[str, Any], bar: tuple[int, ...], account: Account) -> str:
    open_, high, low, _ = bar
    if order["type"] == "limit":
        if open_ <= order["stop"]:
            return "gapped_past_stop"
        if open_ <= order["entry"]:
            return "open"
        return "inside" if low <= order["entry"] - account.trade_through_ticks else ""
    if order["target"] is not None and open_ >= order["target"]:
        return "cancelled"
    if order["type"] == "market":
        return "gapped_past_stop" if open_ <= order["stop"] else "open"
    return "open" if open_ >= order["entry"] else "inside" if high >= order["entry"] else ""


def _leaves(
    order: dict[str, Any], position: _Position, bar: tuple[int, ...], account: Account, since: str, last: bool
) -> tuple[str, int, bool] | None:
    open_, high, low, close = bar
    slippage, target, stop = account.slippage_ticks, order["target"], position.stop
    stopped = "stop" if stop == order["stop"] else "trailed_stop"
    if since == "before":
        if open_ <= stop:
            return stopped, open_ - slippage, False
        if target is not None and open_ >= target:
            return "target", open_, False
        if position.due:
            return position.due, open_ - slippage, False
    extreme = close if since == "above" else high
    reached = target is not None and extreme >= target + account.trade_through_ticks
    if since == "below":
        if close <= stop:
            return stopped, stop - slippage, False
        if low <= stop < open_:
            return stopped, stop - slippage, True
    elif low <= stop:
        return stopped, stop - slippage, reached and since != "above"
    if reached:
        return "target", target, False
    return ("close", close - slippage, False) if last else None


def _settle(order: dict[str, Any], position: _Position, close: int) -> None:
    position.bars += 1
    position.best = max(position.best, close)
    if order["trail_ticks"] is not None:
        position.stop = max(position.stop, position.best - int(order["trail_ticks"]))
    if order["breakeven_ticks"] is not None and close - position.fill >= order["breakeven_ticks"]:
        position.stop = max(position.stop, position.fill)
    if order["max_bars"] is not None and position.bars >= order["max_bars"]:
        position.due = "time"
    gain = position.best - position.fill
    gave = 100 * (position.best - close)
    asked = order["give_back_percent"]
    if asked is not None and gain >= order["give_back_from_ticks"] and gave >= asked * gain:
        position.due = "give_back"
