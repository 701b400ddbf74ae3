"""Random markets against the slow oracle, and what must hold on any of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.market import Instrument
from tests.backtest.agreement import assert_agrees
from tests.backtest.frames import BASE, TICK, book, order
from tests.examples import at_least

DATES = ("2021-03-11", "2021-03-12", "2021-03-15", "2021-03-16", "2021-03-17", "2021-03-18")


def random_market(rng: np.random.Generator, calm: int = 6) -> pd.DataFrame:
    """Bars of several days, some outside regular hours, contracts rolling now and then; prices in ticks."""
    times: list[pd.Timestamp] = []
    for date in DATES[: rng.integers(2, len(DATES) + 1)]:
        for clock, most in (("07:00", 2), ("08:30", 6), ("15:00", 2)):
            count = int(rng.integers(0, most + 1))
            times += list(pd.date_range(f"{date} {clock}", periods=count, freq="5min", tz="America/Chicago"))
    n = len(times)
    opens = BASE + np.cumsum(rng.integers(-calm, calm + 1, n))
    closes = opens + rng.integers(-calm, calm + 1, n)
    highs = np.maximum(opens, closes) + rng.integers(0, calm, n)
    lows = np.minimum(opens, closes) - rng.integers(0, calm, n)
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(times, tz="America/Chicago").tz_convert("UTC").as_unit("ns"),
            "open": opens,
            "high": highs,
            "low": lows,
            "close": closes,
            "contract": np.array(["H", "M", "U", "Z"])[np.minimum(np.cumsum(rng.random(n) < 0.04), 3)],
        }
    )


def random_orders(rng: np.random.Generator, fixed: float, most: int = 3) -> pd.DataFrame:
    rows = []
    for date in DATES:
        for _ in range(rng.integers(0, most + 1)):
            side, entry = int(rng.choice([1, -1])), BASE + int(rng.integers(-12, 13))
            stop, target = entry - side * int(rng.integers(1, 12)), entry + side * int(rng.integers(1, 16))
            quantity = int(rng.integers(1, 5)) if rng.random() < fixed else None
            contract = str(rng.choice(["H", "M"])) if rng.random() < 0.15 else None
            rows.append(order(side, entry, stop, target, date, quantity=quantity, contract=contract))
    rng.shuffle(rows)
    return book(*rows) if rows else book(order(1, BASE, BASE - 8, BASE + 8, DATES[0], quantity=1, contract=None))


def in_points(market: pd.DataFrame) -> pd.DataFrame:
    return market.assign(**{name: market[name] * TICK for name in ("open", "high", "low", "close")})


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    return Account(
        initial_capital=draw(st.sampled_from([10_040, 20_060, 30_090, 61_000, 100_000, 1_000_000])),
        risk_per_trade=draw(st.sampled_from([0.01, 0.02, 0.005, 0.2])),
        max_contracts=draw(st.sampled_from([None, 1, 3])),
        max_positions=draw(st.integers(1, 3)),
        slippage_ticks=draw(st.integers(0, 2)),
        trade_through_ticks=draw(st.integers(0, 2)),
        hold_overnight=draw(st.booleans()),
        entry_cutoff=draw(st.sampled_from([None, None, "08:30", "08:40", "08:47"])),
        margin_day=draw(st.sampled_from([0.1, 0.05])),
    )


@at_least(300)
@given(
    seed=st.integers(0, 2**32),
    account=accounts(),
    hours=st.sampled_from(["rth", "rth", "eth"]),
    fixed=st.sampled_from([0, 0.5, 1]),
)
def test_simulate_random_market_agrees_with_the_oracle(
    seed: int, account: Account, hours: str, fixed: float, es: Instrument
) -> None:
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, fixed)

    assert_agrees(in_points(market), orders, es, account, hours)


MARKETS = settings(max_examples=60, deadline=None)


@MARKETS
@given(seed=st.integers(0, 2**32), account=accounts(), hours=st.sampled_from(["rth", "eth"]))
def test_simulate_any_market_conserves_money_and_ends_every_order_once(
    seed: int, account: Account, hours: str, es: Instrument
) -> None:
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, 0.5)

    result = simulate(in_points(market), orders, es, account, hours=hours)

    assert len(result.equity) == len(market)
    if len(market):
        assert result.equity.iloc[-1] == pytest.approx(account.initial_capital + result.trades["pnl"].sum(), abs=1e-6)
        growth = np.prod(1 + result.daily_returns)
        if (result.session_equity > 0).all():
            assert growth == pytest.approx(result.equity.iloc[-1] / account.initial_capital)
    closed = result.orders.index[result.orders["status"] == "closed"]
    assert sorted(result.trades["order"]) == closed.tolist()
    assert result.orders["status"].isin(["closed", "not_reached", "gapped_past_stop", "skipped", "cancelled"]).all()
    told = ["gapped_past_stop", "skipped", "cancelled"]
    assert (result.orders["reason"] != "").eq(result.orders["status"].isin(told)).all()
    assert result.trades["entry_time"].is_monotonic_increasing
    assert (result.trades["entry_time"] <= result.trades["exit_time"]).all()
    assert (result.trades["commission"] == 10 * result.trades["quantity"]).all()
    gained = result.trades["side"] * (result.trades["exit_price"] - result.trades["entry_price"])
    # The trap: a stop that earns.
    assert (gained[result.trades["exit_reason"] == "stop"] < 0).all()
    assert (gained[result.trades["exit_reason"] == "target"] > 0).all()


def outcomes(result: BacktestResult) -> tuple[list, list]:
    trades = result.trades[["order", "quantity", "entry_time", "exit_time", "exit_reason", "ambiguous", "pnl"]]
    return trades.to_numpy().tolist(), result.orders[["status", "reason"]].to_numpy().tolist()


UNCOUPLED = {"max_positions": 50, "margin_day": {"2020-01-01": 100}, "margin_overnight": {"2020-01-01": 100}}


@MARKETS
@given(seed=st.integers(0, 2**32), overnight=st.booleans(), through=st.integers(0, 2), shift=st.integers(-900, 900))
def test_simulate_mirrored_and_shifted_prices_give_the_same_trades(
    seed: int, overnight: bool, through: int, shift: int, es: Instrument
) -> None:
    # Fixed sizes, dollar margins and room for all, so that nothing but the fills depends on price or side.
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, 1)
    account = Account(1_000_000, hold_overnight=overnight, trade_through_ticks=through, **UNCOUPLED)
    prices = ["entry", "stop", "target"]

    plain = simulate(in_points(market), orders, es, account)
    moved = market.assign(**{name: market[name] + shift for name in ("open", "high", "low", "close")})
    shifted = simulate(in_points(moved), orders.assign(**(orders[prices] + shift * TICK)), es, account)
    glass = 2 * BASE
    turned = market.assign(
        open=glass - market["open"],
        close=glass - market["close"],
        high=glass - market["low"],
        low=glass - market["high"],
    )
    mirrored = simulate(
        in_points(turned), orders.assign(side=-orders["side"], **(glass * TICK - orders[prices])), es, account
    )

    assert outcomes(shifted) == outcomes(plain)
    by_order = [sorted(outcomes(result)[0]) for result in (mirrored, plain)]
    assert by_order[0] == by_order[1]
    assert outcomes(mirrored)[1] == outcomes(plain)[1]


@MARKETS
@given(seed=st.integers(0, 2**32), account=accounts(), cut=st.integers(1, 5))
def test_simulate_what_comes_later_changes_nothing_before(
    seed: int, account: Account, cut: int, es: Instrument
) -> None:
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, 0.5)
    account = account.model_copy(update={"hold_overnight": False})
    last = pd.Timestamp(DATES[cut]) + pd.Timedelta(hours=17)
    early = market[market["timestamp"] < last.tz_localize("America/Chicago")]

    full = simulate(in_points(market), orders, es, account)
    known = simulate(in_points(early), orders, es, account)

    np.testing.assert_array_equal(known.equity, full.equity.iloc[: len(early)])
    kept = full.trades[full.trades["entry_time"].isin(early["timestamp"])]
    pd.testing.assert_frame_equal(known.trades, kept.reset_index(drop=True), check_dtype=len(early) > 0)


@MARKETS
@given(seed=st.integers(0, 2**32), account=accounts())
def test_simulate_rows_in_any_order_end_the_same_where_each_side_is_alone(
    seed: int, account: Account, es: Instrument
) -> None:
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, 0.5)
    orders = orders.drop_duplicates(["session", "side"])

    first = simulate(in_points(market), orders, es, account)
    second = simulate(in_points(market), orders.sample(frac=1, random_state=seed % 1000), es, account)

    pd.testing.assert_frame_equal(second.trades, first.trades)
    pd.testing.assert_frame_equal(second.orders.sort_index(), first.orders.sort_index())


@MARKETS
@given(seed=st.integers(0, 2**32))
def test_simulate_wider_trade_through_never_fills_more_orders(seed: int, es: Instrument) -> None:
    rng = np.random.default_rng(seed)
    market, orders = random_market(rng), random_orders(rng, 1)

    filled = [
        len(simulate(in_points(market), orders, es, Account(1e6, trade_through_ticks=k, **UNCOUPLED)).trades)
        for k in range(4)
    ]

    assert filled == sorted(filled, reverse=True)
