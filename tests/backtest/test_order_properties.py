"""Every kind of order and managed exit, all mixed, on random markets against the slow oracle."""

from fractions import Fraction

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.market import Instrument, label_sessions
from tests.backtest import order_oracle as oracle
from tests.backtest.frames import BASE, TICK
from tests.examples import at_least

DATES = ("2021-03-15", "2021-03-16", "2021-03-17")
_PRICES = ("open", "high", "low", "close")


def random_prices(rng: np.random.Generator, n: int, opens: np.ndarray, calm: int) -> dict[str, np.ndarray]:
    closes = opens + rng.integers(-calm, calm + 1, n)
    highs = np.maximum(opens, closes) + rng.integers(0, calm + 3, n)
    return {
        "open": opens,
        "high": highs,
        "low": np.minimum(opens, closes) - rng.integers(0, calm + 3, n),
        "close": closes,
    }


def random_market(rng: np.random.Generator, freq: str = "5min") -> pd.DataFrame:
    """Bars of up to three days, some outside regular hours, prices in ticks; at most one roll."""
    times: list[pd.Timestamp] = []
    for date in DATES if rng.random() < 0.9 else DATES[:1]:
        for clock, least, most in (("08:20", 0, 1), ("08:30", 6, 16), ("15:00", 0, 1)):
            count = int(rng.integers(least, most + 1)) if rng.random() < 0.95 else 0
            times += list(pd.date_range(f"{date} {clock}", periods=count, freq=freq, tz="America/Chicago"))
    n, calm = len(times), int(rng.integers(2, 6))
    opens = BASE + np.clip(np.cumsum(rng.integers(-calm, calm + 1, n)), -12, 12)
    frame = pd.DataFrame(random_prices(rng, n, opens, calm))
    frame.insert(0, "timestamp", pd.DatetimeIndex(times, tz="America/Chicago").tz_convert("UTC").as_unit("ns"))
    roll = rng.integers(0, n + 1) if rng.random() < 0.3 else n
    return frame.assign(contract=np.where(np.arange(n) < roll, "H", "M"))


def random_minutes(rng: np.random.Generator, market: pd.DataFrame) -> pd.DataFrame:
    """One-minute bars of some of the bars, which may or may not show what the wide bar did."""
    wide = np.repeat(np.arange(len(market)), rng.integers(0, 6, len(market)))
    place = np.arange(len(wide)) - np.searchsorted(wide, wide)
    prices = {name: market[name].to_numpy()[wide] for name in _PRICES}
    walk = prices["open"] + (prices["close"] - prices["open"]) * place // 4 + rng.integers(-4, 5, len(wide))
    frame = pd.DataFrame(random_prices(rng, len(wide), walk, 4)).clip(prices["low"], prices["high"], axis=0)
    times = market["timestamp"].iloc[wide].reset_index(drop=True)
    frame.insert(0, "timestamp", times + pd.to_timedelta(place, unit="min"))
    return frame.assign(contract=market["contract"].to_numpy()[wide])


def random_orders(rng: np.random.Generator, market: pd.DataFrame, rich: float) -> tuple[pd.DataFrame, list]:
    """Orders as a frame and as the oracle's."""
    times = market["timestamp"]

    def maybe(share: float, low: int, high: int) -> int | None:
        return int(rng.integers(low, high + 1)) if rng.random() < share else None

    asked = []
    windows = []
    for session, date in enumerate(DATES):
        grouped = rng.random() < rich
        for _ in range(rng.integers(1, 8)):
            side = int(rng.choice([1, -1]))
            kind = str(rng.choice(["limit", "stop", "market"])) if rng.random() < rich else "limit"
            entry = BASE + int(rng.integers(-10, 11))
            stop, target = entry - side * int(rng.integers(1, 7)), entry + side * int(rng.integers(1, 12))
            order = oracle.Order(session, side, kind, None if kind == "market" else entry, stop, target)
            order.target = None if rng.random() < 0.3 * rich else target
            order.quantity = maybe(0.6, 1, 3)
            order.group = f"{date} {rng.integers(0, 2)}" if grouped and rng.random() < 0.8 else None
            order.trail, order.breakeven = maybe(0.3 * rich, 1, 8), maybe(0.3 * rich, 1, 6)
            order.max_bars = maybe(0.3 * rich, 1, 5)
            if rng.random() < 0.4 * rich:
                order.give_back, order.give_back_from = int(rng.choice([10, 33, 50, 75, 100])), int(rng.integers(1, 5))
            window = [None, None]
            if rng.random() < 0.4 * rich:
                marks = np.sort(rng.choice(85, 2, replace=False))
                midnight = pd.Timestamp(f"{date} 08:15", tz="America/Chicago").tz_convert("UTC")
                window = [midnight + pd.Timedelta(minutes=int(mark)) for mark in marks]
                drop = rng.integers(0, 3)
                if drop < 2:
                    window[drop] = None
                order.first, order.last = (None if t is None else int(times.searchsorted(t)) for t in window)
            asked.append(order)
            windows.append(window)
    frame = pd.DataFrame(
        {
            "session": [DATES[order.session] for order in asked],
            "side": [order.side for order in asked],
            "type": [None if order.type == "limit" and k % 2 else order.type for k, order in enumerate(asked)],
            **{
                name: np.array([getattr(order, name) for order in asked], dtype=np.float64) * TICK
                for name in ("entry", "stop", "target")
            },
            "quantity": [order.quantity for order in asked],
            "live_from": pd.Series([window[0] for window in windows], dtype="datetime64[ns, UTC]"),
            "live_until": pd.Series([window[1] for window in windows], dtype="datetime64[ns, UTC]"),
            "group": [order.group for order in asked],
            "trail_ticks": [order.trail for order in asked],
            "breakeven_ticks": [order.breakeven for order in asked],
            "give_back_percent": [order.give_back for order in asked],
            "give_back_from_ticks": [order.give_back_from for order in asked],
            "max_bars": [order.max_bars for order in asked],
        }
    )
    return frame, asked


def bars_of_the_oracle(
    market: pd.DataFrame, minutes: pd.DataFrame | None, es: Instrument, hours: str
) -> list[oracle.Bar]:
    labels = label_sessions(pd.DatetimeIndex(market["timestamp"]), es)
    tradable = labels.mask(hours)  # type: ignore[arg-type]
    rows = []
    for n, bar in enumerate(market.itertuples()):
        day = DATES.index(str(labels.sessions[n].date()))
        prices = tuple(int(getattr(bar, name)) for name in _PRICES)
        rows.append(oracle.Bar(*prices, day, bool(tradable[n]), bar.contract))
        if minutes is not None and len(market) > 1:
            inside = minutes["timestamp"].between(bar.timestamp, bar.timestamp + pd.Timedelta("5min"), inclusive="left")
            for minute in minutes[inside].itertuples():
                rows[-1].finer.append(oracle.Bar(*(int(getattr(minute, name)) for name in _PRICES), day))
    return rows


def in_points(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: frame[name] * TICK for name in _PRICES})


def told(result: BacktestResult, market: pd.DataFrame) -> list[tuple]:
    bar = pd.Index(market["timestamp"])
    return [
        (
            trade.order,
            trade.quantity,
            bar.get_loc(trade.entry_time),
            trade.entry_price / TICK,
            bar.get_loc(trade.exit_time),
            trade.exit_price / TICK,
            trade.exit_reason,
            trade.ambiguous,
        )
        for trade in result.trades.itertuples()
    ]


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    return Account(
        initial_capital=draw(st.sampled_from([10_040, 30_090, 61_000, 100_000, 1_000_000, 1_000_000])),
        risk_per_trade=draw(st.sampled_from([0.01, 0.005, 0.2])),
        max_positions=draw(st.integers(1, 4)),
        slippage_ticks=draw(st.integers(0, 2)),
        trade_through_ticks=draw(st.integers(0, 2)),
        hold_overnight=draw(st.booleans()),
        entry_cutoff=draw(st.sampled_from([None, None, "08:30", "08:50", "09:07"])),
        margin_day=draw(st.sampled_from([0.1, 0.05])),
    )


@at_least(150)
@given(
    seed=st.integers(0, 2**32),
    account=accounts(),
    hours=st.sampled_from(["rth", "rth", "eth"]),
    rich=st.sampled_from([0.0, 0.5, 1.0, 1.0]),
    finer=st.booleans(),
)
def test_simulate_mixed_orders_agree_with_the_oracle(
    seed: int, account: Account, hours: str, rich: float, finer: bool, es: Instrument
) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng)
    orders, asked = random_orders(rng, market, rich)
    minutes = random_minutes(rng, market) if finer and len(market) else None
    bars = bars_of_the_oracle(market, minutes, es, hours)
    if account.entry_cutoff is not None:
        for order in asked:
            cutoff = pd.Timestamp(f"{DATES[order.session]} {account.entry_cutoff}", tz="America/Chicago")
            order.cutoff = int(market["timestamp"].searchsorted(cutoff.tz_convert("UTC")))
    rules = oracle.Rules(
        int(account.initial_capital),
        Fraction(str(account.risk_per_trade)),
        account.max_positions,
        account.slippage_ticks,
        account.trade_through_ticks,
        account.hold_overnight,
        Fraction(str(account.margin_day)),
        Fraction(str(account.margin_overnight)),
    )

    result = simulate(
        in_points(market),
        orders,
        es,
        account,
        hours=hours,  # type: ignore[arg-type]
        intrabar_bars=None if minutes is None else in_points(minutes),
    )
    trades, equity = oracle.run(bars, asked, rules)

    assert list(zip(result.orders["status"], result.orders["reason"], strict=True)) == [
        (order.status, order.reason) for order in asked
    ]
    trades.sort(key=lambda trade: (trade.entry_bar, -asked[trade.order].side, trade.order))
    assert told(result, market) == [
        (t.order, t.quantity, t.entry_bar, t.fill, t.exit_bar, t.exit, t.exit_reason, t.ambiguous) for t in trades
    ]
    np.testing.assert_allclose(result.equity, np.array(equity, dtype=np.float64), rtol=0, atol=1e-6)
