"""Signals on bars cut off, and fills where the bars after are another market."""

from functools import cache

import pandas as pd
import pytest

from pipeline.audit import trading_replay
from pipeline.audit.trading_replay import check_fill_replay, check_signal_replay, fill_cutoffs, signal_cutoffs
from pipeline.backtest import Account, BacktestResult
from pipeline.market import load_instruments, simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategy import TradingRules, make_candidates, make_signals, session_history
from tests.audit.chain_plants import PLANTS

# Some equity, so that sizes differ by the share at risk.
ACCOUNT = Account(initial_capital=1e6)
RULES = TradingRules()


@cache
def market() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Bars, session history and candidates."""
    es = load_instruments()["ES"]
    bars = simulate_market(es, "2021-01-04", 130, 5, bar="15min")
    history = session_history(bars, session_profiles(bars, es), es)
    return bars, history, make_candidates(history, es)


def signalled() -> pd.DataFrame:
    return trading_replay.make_signals(market()[1], load_instruments()["ES"], RULES)


def cutoffs_of(signals: pd.DataFrame) -> pd.DatetimeIndex:
    return signal_cutoffs(signals, market()[1], load_instruments()["ES"], 0)


def traded(account: Account = ACCOUNT) -> BacktestResult:
    bars, _, candidates = market()
    return trading_replay.simulate(bars, candidates, load_instruments()["ES"], account)


def test_signals_on_cut_bars_are_those_of_all_bars() -> None:
    signals = signalled()

    sessions = cutoffs_of(signals)

    assert check_signal_replay(market()[0], load_instruments()["ES"], RULES, signals, sessions) == []
    assert 20 < len(sessions) < 40


@pytest.mark.parametrize(
    ("plant", "column"), [("gate_of_next_session", "trend"), ("confidence_of_next_session", "confidence")]
)
def test_signals_of_a_gate_that_sees_the_next_session_are_caught_by_name(
    plant: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS[plant](monkeypatch.setattr)
    signals = signalled()

    found = check_signal_replay(market()[0], load_instruments()["ES"], RULES, signals, cutoffs_of(signals))

    assert column in {finding.feature for finding in found}
    assert {finding.check for finding in found} == {"signals"}


@pytest.mark.parametrize(
    "account", [ACCOUNT, Account(initial_capital=1e6, hold_overnight=True, max_positions=3)], ids=["day", "overnight"]
)
def test_fills_up_to_a_bar_are_the_same_whatever_comes_after(account: Account) -> None:
    bars, _, candidates = market()
    result = traded(account)

    cutoffs = fill_cutoffs(bars, result, 0)

    assert check_fill_replay(bars, candidates, result, "rth", cutoffs) == []
    assert len(cutoffs) > 15
    held = result.trades[result.trades["entry_time"].isin(cutoffs) & ~result.trades["exit_time"].isin(cutoffs)]
    assert len(held) or len(result.trades)
    assert {pd.Timestamp(bar) for bar in result.trades.loc[[result.trades["pnl"].idxmin()], "exit_time"]} <= set(
        cutoffs
    )


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        ("fills_that_see_the_next_close", {"equity"}),
        ("orders_that_know_their_loss", {"equity", "trades"}),
        ("order_ends_by_the_whole_run", {"reason"}),
        ("sizes_by_the_whole_run", {"equity", "quantity"}),
    ],
)
def test_fills_that_know_what_comes_after_are_caught_by_name(
    plant: str, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS[plant](monkeypatch.setattr)
    bars, _, candidates = market()
    result = traded()

    found = check_fill_replay(bars, candidates, result, "rth", fill_cutoffs(bars, result, 0))

    assert {finding.feature for finding in found} & named
    assert {finding.check for finding in found} == {"fills"}


def test_fill_cutoffs_of_no_trades_are_the_last_bars_of_rare_days() -> None:
    bars, _, candidates = market()
    result = trading_replay.simulate(bars, candidates.iloc[:0], load_instruments()["ES"], ACCOUNT)

    cutoffs = fill_cutoffs(bars, result, 0)

    local = cutoffs.tz_convert("America/Chicago")
    assert set(local.strftime("%H:%M")) <= {"15:45", "12:00", "11:45", "12:45"}
    # The roll of June 2021, as the simulator makes it, and the first session of daylight saving.
    assert pd.Timestamp("2021-03-15").date() in set(local.date)
    assert 8 < len(cutoffs) < 18


def test_decisions_after_a_missing_bar_are_no_look_ahead() -> None:
    es, rules = load_instruments()["ES"], TradingRules.of("initial_balance_breakout")
    bars = simulate_market(es, "2021-01-04", 40, 5, bar="5min")
    local = bars["timestamp"].dt.tz_convert(es.time_zone)
    # The last bar before each decision, an hour after the open.
    bars = bars[(local.dt.hour != 9) | (local.dt.minute != 25)].reset_index(drop=True)
    history = session_history(bars, session_profiles(bars, es), es)
    signals = make_signals(history, es, rules, bars)

    assert check_signal_replay(bars, es, rules, signals, history.index[20:30]) == []
    assert signals["decided_on"].isin(history.index[20:30]).any()
