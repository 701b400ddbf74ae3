"""The fills engine: the compiled replay on arrays, and the public call from frames to frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.order_kinds import End, kinds_frame, plain_session
from bench.timing import best_seconds, read_once, row
from bench.workloads import Workload, seeded_bars
from pipeline.backtest import Account, BacktestResult, PreparedBars, simulate
from pipeline.backtest.orders import read_orders
from pipeline.backtest.outcomes import CLOSED, EXIT_REASONS, STATUSES
from pipeline.backtest.replay import replay
from pipeline.backtest.replayed import (
    CLOSE_BAR,
    SESSION_END,
    TRADABLE,
    Bars,
    Margins,
    Orders,
    Rules,
)
from pipeline.errors import ConfigurationError
from pipeline.market.instruments import load_instruments
from pipeline.profiles import profile_sessions

__all__ = ["bench_backtest"]

_COMPARED = 200  # sessions gone through in plain Python


@dataclass(frozen=True)
class _Orders:
    """Two orders per session, the long first, in ticks, shape (orders,)."""

    session: NDArray[np.int64]
    side: NDArray[np.int64]
    entry: NDArray[np.int64]
    stop: NDArray[np.int64]
    target: NDArray[np.int64]


def bench_backtest(*, sessions: int = 2_500, repeat: int = 5, seed: int = 0) -> list[dict[str, Any]]:
    """Bars a second through the fill rules, on one core, checked against the tables in plain Python.

    Every session has a long at the value area's low of the session before and a short at its high, one
    contract each, so that four in five sessions trade; in a workload of its own it has six orders of every kind, with
    every managed exit.

    Parameters
    ----------
    sessions
        How many regular sessions of 390 one-minute bars: 2,500 are ten years, a million bars.
    repeat
        Calls timed, of which the fastest counts.
    seed
        Of the bars.

    Returns
    -------
    list of dict
        As :func:`bench.bench_profiles`.
    """
    if sessions < 2 or repeat < 1:
        raise ConfigurationError(f"sessions is {sessions} and repeat {repeat}; give 2 sessions and 1 repeat or more")
    bars = seeded_bars(load_instruments()["ES"], sessions, seed, "rth")
    orders = _fades(bars)
    account = Account(initial_capital=1e9, max_positions=2)
    frame = _frame(bars, orders)
    result = simulate(bars.frame, frame, bars.instrument, account)
    arrays = _replay_arguments(bars, orders, account)
    _, ends, _ = replay(*arrays)
    name = f"{bars.name}, {len(orders.side):,} orders"
    floor = best_seconds(lambda: read_once(bars.low, bars.high, bars.close), repeat)
    compared = np.flatnonzero(orders.session < _COMPARED).tolist()
    plain = [_plain_order(bars, orders, order, account) for order in compared]
    return [
        row("floor: read three arrays once", name, bars.bars, floor, floor=floor),
        row(
            "replay, arrays",
            name,
            bars.bars,
            best_seconds(lambda: replay(*arrays), repeat),
            floor=floor,
            agrees=[_replayed(ends, order) for order in compared] == plain,
            note="fills, sizes, margin and equity per bar",
        ),
        row(
            "simulate, frames to frames",
            name,
            bars.bars,
            best_seconds(lambda: simulate(bars.frame, frame, bars.instrument, account), repeat),
            floor=floor,
            agrees=_simulated(bars, result, compared) == plain,
            note="with all checks",
        ),
        row(
            "the table in plain Python",
            f"the same, first {min(_COMPARED, sessions)} sessions",
            int(bars.stops[min(_COMPARED, sessions) - 1]),
            best_seconds(lambda: [_plain_order(bars, orders, order, account) for order in compared], min(repeat, 2)),
            agrees=True,
            note="fills only; what the others are compared with",
        ),
        *_bench_kinds(bars, repeat),
    ]


def _bench_kinds(bars: Workload, repeat: int) -> list[dict[str, Any]]:
    """Everything in use at once."""
    levels = profile_sessions(bars.low, bars.high, bars.steps, bars.starts)
    frame = kinds_frame(bars, levels.val[:-1], levels.vah[:-1])
    account = Account(initial_capital=1e9, max_positions=6)
    prepared = PreparedBars(bars.frame, bars.instrument)
    book = read_orders(frame, bars.instrument, account)
    result = simulate(prepared, frame, bars.instrument, account)
    compared = range(1, min(_COMPARED, len(bars.starts)))
    plain = [end for session in compared for end in plain_session(bars, frame, session, account)]
    agrees = _simulated(bars, result, list(range(len(plain)))) == plain
    name = f"{bars.name}, {len(frame):,} orders of every kind, all managed exits"
    floor = best_seconds(lambda: read_once(bars.low, bars.high, bars.close), repeat)
    return [
        row(
            "replay, checked orders",
            name,
            bars.bars,
            best_seconds(lambda: prepared.run(book, account, "rth"), repeat),
            floor=floor,
            agrees=agrees,
            note="fills, sizes, margin and equity per bar",
        ),
        row(
            "simulate, frames to frames",
            name,
            bars.bars,
            best_seconds(lambda: simulate(bars.frame, frame, bars.instrument, account), repeat),
            floor=floor,
            agrees=agrees,
            note="with all checks",
        ),
    ]


def _fades(bars: Workload) -> _Orders:
    levels = profile_sessions(bars.low, bars.high, bars.steps, bars.starts)
    val, vah = levels.val[:-1], levels.vah[:-1]
    risk = np.maximum((vah - val) // 2, 1)
    return _Orders(
        session=np.repeat(np.arange(1, len(bars.starts)), 2),
        side=np.tile([1, -1], len(val)),
        entry=np.stack([val, vah], axis=1).ravel(),
        stop=np.stack([val - risk, vah + risk], axis=1).ravel(),
        target=np.stack([np.maximum(vah, val + 1), np.minimum(val, vah - 1)], axis=1).ravel(),
    )


def _frame(bars: Workload, orders: _Orders) -> pd.DataFrame:
    zone = bars.instrument.time_zone
    days = pd.DatetimeIndex(bars.frame["timestamp"].iloc[bars.starts]).tz_convert(zone).tz_localize(None).normalize()
    to_prices = bars.instrument.to_prices
    return pd.DataFrame(
        {
            "session": days[orders.session],
            "side": orders.side,
            "entry": to_prices(orders.entry),
            "stop": to_prices(orders.stop),
            "target": to_prices(orders.target),
            "quantity": 1,
        }
    )


def _replay_arguments(bars: Workload, orders: _Orders, account: Account) -> tuple[Bars, Orders, Margins, Rules]:
    sessions, many = len(bars.starts), len(orders.side)
    flags = np.full(bars.bars, TRADABLE, dtype=np.uint8)
    flags[bars.stops - 1] |= SESSION_END | CLOSE_BAR
    ticks = np.stack([bars.open, bars.high, bars.low, bars.close]).astype(np.int32)
    rate, nothing = np.full(sessions, 0.1), np.zeros(sessions)
    return (
        Bars(ticks, flags, bars.starts, np.empty((4, 0), np.int64), np.empty((2, 0), np.int64)),
        Orders(
            orders.side,
            np.zeros(many, np.int64),
            orders.entry,
            orders.stop,
            orders.target,
            np.ones(many, np.int64),
            np.full(many, account.risk_per_trade),
            bars.starts[orders.session],
            bars.stops[orders.session],
            np.arange(many),
            np.empty((0, 5), np.int64),
            np.stack([bars.starts[1:], bars.stops[1:], np.arange(0, many, 2)]),
        ),
        Margins(rate, nothing, rate, nothing),
        Rules(
            account.initial_capital,
            bars.instrument.tick_value,
            bars.instrument.commission_per_side,
            bars.instrument.commission_rate,
            account.slippage_ticks,
            account.trade_through_ticks,
            account.max_positions,
            0,
            False,
        ),
    )


def _replayed(ends: NDArray[np.int64], order: int) -> End:
    status, _, _, *places, reason, ambiguous = ends[:, order].tolist()
    entry_bar, entry, exit_bar, exit_ = places
    if status != CLOSED:
        return STATUSES[status], 0, 0, 0, 0, "", False
    return STATUSES[status], entry_bar, entry, exit_bar, exit_, EXIT_REASONS[reason], bool(ambiguous)


def _simulated(bars: Workload, result: BacktestResult, compared: list[int]) -> list[End]:
    found: list[End] = [(result.orders["status"].iloc[order], 0, 0, 0, 0, "", False) for order in compared]
    trades = result.trades[result.trades["order"].isin(compared)]
    times = pd.DatetimeIndex(bars.frame["timestamp"])
    ticks = bars.instrument.to_ticks
    for order, entry, exit_, entered, left, reason, ambiguous in zip(
        trades["order"].tolist(),
        ticks(trades["entry_price"]).tolist(),
        ticks(trades["exit_price"]).tolist(),
        times.searchsorted(pd.DatetimeIndex(trades["entry_time"])).tolist(),
        times.searchsorted(pd.DatetimeIndex(trades["exit_time"])).tolist(),
        trades["exit_reason"].tolist(),
        trades["ambiguous"].tolist(),
        strict=True,
    ):
        found[compared.index(order)] = ("closed", entered, entry, left, exit_, reason, ambiguous)
    return found


def _plain_order(bars: Workload, orders: _Orders, order: int, account: Account) -> End:
    """One order through its session, by the contract's table; a short in the mirror of negated prices."""
    side = int(orders.side[order])
    entry, stop, target = (side * int(getattr(orders, name)[order]) for name in ("entry", "stop", "target"))
    through, slippage = account.trade_through_ticks, account.slippage_ticks
    upper, lower = (bars.high, bars.low) if side > 0 else (bars.low, bars.high)
    session = int(orders.session[order])
    last = int(bars.stops[session]) - 1
    entered: tuple[int, int] | None = None

    def closed(bar: int, price: int, reason: str, ambiguous: bool = False) -> End:
        assert entered is not None  # noqa: S101
        return "closed", entered[0], side * entered[1], bar, side * price, reason, ambiguous

    for bar in range(int(bars.starts[session]), last + 1):
        open_, close = side * int(bars.open[bar]), side * int(bars.close[bar])
        high, low = side * int(upper[bar]), side * int(lower[bar])
        inside = False
        if entered is None:
            if open_ <= stop:
                return "gapped_past_stop", 0, 0, 0, 0, "", False
            if open_ > entry and low > entry - through:
                continue
            inside = open_ > entry
            entered = bar, min(open_, entry)
        elif open_ <= stop:
            return closed(bar, open_ - slippage, "stop")
        elif open_ >= target:
            return closed(bar, open_, "target")
        reached = (close if inside else high) >= target + through
        if low <= stop:
            return closed(bar, stop - slippage, "stop", reached and not inside)
        if reached:
            return closed(bar, target, "target")
        if bar == last:
            return closed(bar, close - slippage, "close")
    return "not_reached", 0, 0, 0, 0, "", False
