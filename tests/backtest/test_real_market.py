"""Fills on real ES: the same as the oracle's, and as sober as the market is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, BookOrders, Desk, simulate, simulate_desk
from pipeline.market import Instrument, next_session
from pipeline.profiles import session_profiles
from tests.backtest.agreement import assert_agrees, assert_same_as_alone
from tests.backtest.frames import TICK


@pytest.fixture(scope="module")
def bars(real_data: Path) -> pd.DataFrame:
    return pd.read_parquet(real_data / "es_5m_2015_2021.parquet")


@pytest.fixture(scope="module")
def fades(bars: pd.DataFrame, es: Instrument) -> pd.DataFrame:
    """Both edges of the value area faded in the session after, with a stop at half the way to the target."""
    profiles = session_profiles(bars, es)
    width = profiles["vah"] - profiles["val"]
    stop = np.floor(width / 2 / TICK) * TICK
    edges = profiles.assign(stop=stop, next=next_session(profiles.index, es))[stop >= 4 * TICK].reset_index(drop=True)
    long = {"side": 1, "entry": edges["val"], "stop": edges["val"] - edges["stop"], "target": edges["vah"]}
    short = {"side": -1, "entry": edges["vah"], "stop": edges["vah"] + edges["stop"], "target": edges["val"]}
    orders = [pd.DataFrame({"session": edges["next"], **side, "contract": edges["contract"]}) for side in (long, short)]
    return pd.concat(orders).sort_values(["session", "side"], ascending=[True, False]).reset_index(drop=True)


@pytest.mark.parametrize("hours", ["rth", "eth"])
@pytest.mark.parametrize(
    "account",
    [Account(), Account(25_000, 0.05, max_positions=2, hold_overnight=True, trade_through_ticks=0)],
    ids=["by day", "overnight"],
)
def test_simulate_real_quarter_agrees_with_the_oracle(
    bars: pd.DataFrame, fades: pd.DataFrame, es: Instrument, hours: str, account: Account
) -> None:
    # Over the roll of March 2020, and the widest bars of the decade.
    quarter = bars[bars["timestamp"].between("2020-02-10", "2020-04-10")].reset_index(drop=True)
    orders = fades[fades["session"].between("2020-02-10", "2020-04-10")].assign(quantity=None)

    result = assert_agrees(quarter, orders, es, account, hours)

    assert len(result.trades) > 5


def test_simulate_real_fades_of_seven_years_earn_nothing(
    bars: pd.DataFrame, fades: pd.DataFrame, es: Instrument
) -> None:
    result = simulate(bars, fades.assign(quantity=1), es, Account(1_000_000))

    trades = result.trades
    gained = trades["pnl"].clip(lower=0).sum() / -trades["pnl"].clip(upper=0).sum()
    assert len(result.orders) == len(fades)
    assert 1_000 < len(trades) < 2_500
    assert 0.7 < gained < 1.05
    assert 0.25 < (trades["pnl"] > 0).mean() < 0.40
    assert result.equity.iloc[-1] == pytest.approx(1_000_000 + trades["pnl"].sum(), abs=1e-4)
    assert (result.orders["status"] == "gapped_past_stop").sum() > 300
    stopped = trades[trades["exit_reason"] == "stop"]
    assert (stopped["pnl"] < 0).all()


def test_simulate_real_intrabar_bars_decide_what_wide_bars_leave_open(real_data: Path, es: Instrument) -> None:
    minutes = pd.read_parquet(real_data / "es_1m_esh25.parquet")
    minutes["timestamp"] = minutes["timestamp"].dt.as_unit("ns")
    start = minutes["timestamp"].dt.floor("30min")
    columns = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    wide = minutes.groupby(start).agg(columns).reset_index()
    profiles = session_profiles(minutes, es)
    middle = es.to_prices(es.to_ticks((profiles["high"] + profiles["low"]) / 2))
    bracket = {"entry": middle, "stop": middle - 3, "target": middle + 3}
    orders = pd.DataFrame({"session": profiles.index, "side": 1, "quantity": 1, **bracket})

    coarse = simulate(wide, orders, es, Account())
    decided = simulate(wide, orders, es, Account(), intrabar_bars=minutes)

    assert coarse.trades["ambiguous"].sum() > 0
    assert decided.trades["ambiguous"].sum() < coarse.trades["ambiguous"].sum()
    sure = coarse.trades[~coarse.trades["ambiguous"]]
    pd.testing.assert_frame_equal(decided.trades.loc[sure.index], sure)


@pytest.mark.parametrize(
    ("desk", "positions"),
    [
        (Desk(), 1),
        (Desk(initial_capital=25_000, risk_per_trade=0.05, hold_overnight=True, trade_through_ticks=0), 2),
    ],
    ids=["by day", "overnight"],
)
def test_simulate_desk_one_book_on_seven_real_years_gives_what_simulate_gives(
    bars: pd.DataFrame, fades: pd.DataFrame, es: Instrument, desk: Desk, positions: int
) -> None:
    one = BookOrders("fade", es, bars, fades, max_positions=positions)

    alone = simulate(bars, fades, es, desk.account_of(one))

    assert len(alone.trades) > 50
    assert_same_as_alone(simulate_desk([one], desk), alone)
