"""Bars prepared once give what the bars themselves give."""

import pandas as pd
import pytest

from pipeline.backtest import Account, PreparedBars, simulate
from pipeline.errors import ConfigurationError
from pipeline.market import Hours, Instrument, load_instruments, simulate_market
from pipeline.research import run_research
from pipeline.strategies.value_area_fade import ValueAreaFade


def test_simulate_on_prepared_bars_gives_what_the_bars_give_whatever_was_run_before(es: Instrument) -> None:
    bars = simulate_market(es, "2019-01-02", 80, 5)
    orders = run_research(bars, es).results[ValueAreaFade.baseline].orders.drop(columns=["status", "reason"])
    # One order for a contract that its session does not have, one for a session without bars.
    orders.loc[0, "contract"] = "none"
    orders.loc[1, "session"] = pd.Timestamp("2019-01-01")
    prepared = PreparedBars(bars, es)
    runs: list[tuple[Hours, Account]] = [
        (hours, Account(hold_overnight=overnight, entry_cutoff=cutoff))
        for cutoff in (None, "12:00")
        for overnight in (False, True)
        for hours in ("rth", "eth")
    ]

    for hours, account in [*runs, *runs[::-1]]:
        ours, plain = (simulate(given, orders, es, account, hours=hours) for given in (prepared, bars))
        pd.testing.assert_frame_equal(ours.trades, plain.trades, check_exact=True)
        pd.testing.assert_frame_equal(ours.orders, plain.orders, check_exact=True)
        pd.testing.assert_series_equal(ours.equity, plain.equity, check_exact=True)
        pd.testing.assert_series_equal(ours.daily_returns, plain.daily_returns, check_exact=True)
        assert plain.orders["reason"].iloc[:2].tolist() == ["contract_rolled", "no_bars"]


def test_simulate_on_bars_prepared_for_another_instrument_is_refused(es: Instrument) -> None:
    bars = simulate_market(es, "2019-01-02", 2, 5)
    orders = pd.DataFrame(columns=["session", "side", "entry", "stop", "target"])

    with pytest.raises(ConfigurationError, match="prepared for ES, not for MES"):
        simulate(PreparedBars(bars, es), orders, load_instruments()["MES"], Account())


def test_simulate_bars_written_into_later_leave_the_result_as_it_was(es: Instrument) -> None:
    bars = simulate_market(es, "2019-01-02", 2, 5)
    orders = pd.DataFrame(columns=["session", "side", "entry", "stop", "target"])
    times = pd.DatetimeIndex(bars["timestamp"].to_list(), name="timestamp").as_unit("ns")
    prepared = PreparedBars(bars, es)
    before = simulate(prepared, orders, es, Account())

    bars.loc[0, "timestamp"] -= pd.Timedelta(minutes=1)

    assert before.equity.index.equals(times)
    assert simulate(prepared, orders, es, Account()).equity.index.equals(times)


def test_simulate_bars_with_their_times_as_index_give_the_same(es: Instrument) -> None:
    bars = simulate_market(es, "2019-01-02", 2, 5)
    orders = pd.DataFrame(columns=["session", "side", "entry", "stop", "target"])

    ours, plain = (simulate(given, orders, es, Account()) for given in (bars.set_index("timestamp"), bars))

    pd.testing.assert_series_equal(ours.equity, plain.equity, check_exact=True)


def test_prepared_bars_end_with_their_own_length_and_a_single_one_at_its_open(es: Instrument) -> None:
    short, long = (
        simulate_market(es, day, 2, 5, bar=bar) for day, bar in (("2019-01-02", "5min"), ("2019-01-08", "30min"))
    )

    ends = PreparedBars(pd.concat([short, long], ignore_index=True), es).bar_ends

    lasts = pd.concat([short["timestamp"] + pd.Timedelta("5min"), long["timestamp"] + pd.Timedelta("30min")])
    assert ends.tolist() == pd.DatetimeIndex(lasts).as_unit("ns").asi8.tolist()
    one = PreparedBars(short.iloc[:1], es)
    assert one.bar_ends.tolist() == one.timestamps.asi8.tolist()
