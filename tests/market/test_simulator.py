"""The simulated market: the same bytes, clean bars, a martingale; and the planted edge where it was planted."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.market.cleaning import clean_bars
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.quarterly_futures import session_contracts
from pipeline.market.sessions import label_sessions, session_schedule
from pipeline.market.simulator import BAR_MINUTES, simulate_market
from pipeline.market.simulator.walk import _value_area
from pipeline.profiles import session_profiles

SYMBOLS = ["ES", "MES", "NQ", "MNQ", "SPY", "BTCUSDT", "XRPUSDT", "XRPBTC"]
# Of seed 7 on 2020-01-02. A change here changes every simulated figure anyone has written down.
FIRST_BAR = [np.float64(4000.25), np.float64(4002.0), np.float64(4000.25), np.float64(4002.0), np.float64(711.0)]
LAST_BAR = [np.float64(4034.75), np.float64(4034.75), np.float64(4034.0), np.float64(4034.0), np.float64(1254.0)]


def _steps(values: pd.Series, instrument: Instrument) -> np.ndarray:
    steps = values.to_numpy() / instrument.volume_step
    np.testing.assert_allclose(steps, np.rint(steps), rtol=1e-9)
    return np.rint(steps).astype(np.int64)


# -- the same bytes ----------------------------------------------------------------------------------------


def test_simulate_market_same_seed_is_identical_on_any_thread(es: Instrument) -> None:
    here = simulate_market(es, "2020-01-02", 30, 7, edge=0.3)

    with ThreadPoolExecutor(2) as pool:
        there = list(pool.map(lambda _: simulate_market(es, "2020-01-02", 30, 7, edge=0.3), range(4)))

    for bars in there:
        pd.testing.assert_frame_equal(bars, here, check_exact=True)


def test_simulate_market_known_seed_gives_known_bars(es: Instrument) -> None:
    bars = simulate_market(es, "2020-01-02", 1, 7)

    assert len(bars) == 276
    assert bars["timestamp"].iloc[0] == pd.Timestamp("2020-01-01 23:00", tz="UTC")
    assert bars.iloc[0][["open", "high", "low", "close", "volume"]].tolist() == FIRST_BAR
    assert bars.iloc[-1][["open", "high", "low", "close", "volume"]].tolist() == LAST_BAR


@settings(max_examples=15, deadline=None)
@given(
    short=st.integers(1, 20), more=st.integers(1, 60), seed=st.integers(0, 2**70), edge=st.sampled_from([0.0, 0.4, 1.0])
)
def test_simulate_market_longer_begins_with_shorter(short: int, more: int, seed: int, edge: float) -> None:
    es = load_instruments()["ES"]
    small = simulate_market(es, "2019-11-20", short, seed, edge)

    large = simulate_market(es, "2019-11-20", short + more, seed, edge)

    pd.testing.assert_frame_equal(large.iloc[: len(small)], small, check_exact=True)


@pytest.mark.parametrize(("bar", "pandas_rule"), [("5min", "5min"), ("15min", "15min"), ("1h", "60min")])
def test_simulate_market_bars_of_any_length_are_one_market(es: Instrument, bar: str, pandas_rule: str) -> None:
    minutes = simulate_market(es, "2020-03-02", 12, 3, 0.5, "1min").set_index("timestamp")

    bars = simulate_market(es, "2020-03-02", 12, 3, 0.5, bar).set_index("timestamp")

    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "contract": "first"}
    how |= {"num_trades": "sum", "bid_volume": "sum", "ask_volume": "sum"}
    expected = minutes.resample(pandas_rule).agg(how).dropna()
    pd.testing.assert_frame_equal(bars, expected, check_exact=True, check_freq=False)


def test_simulate_market_other_seed_or_symbol_is_another_market(es: Instrument) -> None:
    mes = load_instruments()["MES"]

    markets = [simulate_market(i, "2020-01-02", 3, s)["close"] for i, s in ((es, 0), (es, 1), (mes, 0))]

    changes = [close.diff().dropna() for close in markets]
    assert all(abs(a.corr(b)) < 0.15 for a, b in ((changes[0], changes[1]), (changes[0], changes[2])))


def test_simulate_market_edge_of_nothing_is_the_null_market(es: Instrument) -> None:
    null = simulate_market(es, "2020-01-02", 20, 5)

    pd.testing.assert_frame_equal(simulate_market(es, "2020-01-02", 20, 5, edge=1e-300), null, check_exact=True)


# -- clean by construction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bar", ["1min", "5min", "1h"])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_simulate_market_any_instrument_gives_clean_bars(symbol: str, bar: str) -> None:
    instrument = load_instruments()[symbol]

    bars = simulate_market(instrument, "2020-11-20", 25, 11, 0.5, bar)

    assert str(bars["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert bars["timestamp"].is_monotonic_increasing
    assert bars["timestamp"].is_unique
    assert not bars.isna().any(axis=None)
    prices = bars[["open", "high", "low", "close"]]
    assert (bars["high"] == prices.max(axis=1)).all()
    assert (bars["low"] == prices.min(axis=1)).all()
    assert (prices > 0).all(axis=None)
    assert not instrument.off_tick(prices.to_numpy()).any()
    volume, bid, ask = (_steps(bars[name], instrument) for name in ("volume", "bid_volume", "ask_volume"))
    assert volume.min() >= 1
    assert min(bid.min(), ask.min()) >= 0
    np.testing.assert_array_equal(bid + ask, volume)
    assert bars["num_trades"].min() >= 1
    assert (bars["num_trades"].to_numpy() <= volume).all()
    cleaned = clean_bars(bars, instrument, off_tick="reject")
    assert cleaned.quarantine.empty
    pd.testing.assert_frame_equal(cleaned.bars[bars.columns], bars, check_exact=True)


@pytest.mark.parametrize("symbol", ["ES", "SPY", "BTCUSDT"])
def test_simulate_market_every_session_is_whole(symbol: str) -> None:
    instrument = load_instruments()[symbol]

    bars = simulate_market(instrument, "2020-11-14", 40, 2)

    labels = label_sessions(bars["timestamp"], instrument)
    schedule = session_schedule(instrument, "2020-11-14", "2021-02-28").iloc[:40]
    counts = bars.groupby(labels.sessions)["close"].size()
    expected = ((schedule["close"] - schedule["open"]) / pd.Timedelta("5min")).astype(np.int64)
    assert counts.index.tolist() == schedule.index.tolist()
    assert counts.tolist() == expected.tolist()


def test_simulate_market_holiday_and_early_close_follow_the_calendar(es: Instrument) -> None:
    bars = simulate_market(es, "2019-11-27", 3, 1)

    local = bars["timestamp"].dt.tz_convert("America/Chicago")
    session = label_sessions(bars["timestamp"], es).sessions
    last = {str(day.date()): str(times.iloc[-1].time()) for day, times in local.groupby(session)}
    assert last == {"2019-11-27": "15:55:00", "2019-11-28": "11:55:00", "2019-11-29": "12:10:00"}


def test_simulate_market_start_on_a_weekend_begins_on_monday(es: Instrument) -> None:
    bars = simulate_market(es, "2020-02-01", 1, 1)

    assert label_sessions(bars["timestamp"], es).sessions.unique().tolist() == [pd.Timestamp("2020-02-03")]


def test_simulate_market_few_ticks_of_price_never_reach_zero(es: Instrument) -> None:
    coarse = Instrument(**{**es.model_dump(), "tick_size": 1000.0})

    lows = np.array([simulate_market(coarse, "2020-01-02", 60, seed)["low"].min() for seed in range(10)])

    assert lows.min() == 1000.0


# -- contracts ---------------------------------------------------------------------------------------------


def test_session_contracts_a_year_gives_codes_and_roll_dates() -> None:
    sessions = pd.bdate_range("2024-12-02", "2025-12-31")

    codes, rolls = session_contracts(sessions, "ES")

    starts = {str(sessions[row].date()): codes[row] for row in np.flatnonzero(rolls)}
    assert codes[0] == "ESZ24"
    assert starts == {
        "2024-12-12": "ESH25",
        "2025-03-13": "ESM25",
        "2025-06-12": "ESU25",
        "2025-09-11": "ESZ25",
        "2025-12-11": "ESH26",
    }


def test_simulate_market_session_holds_one_contract(es: Instrument) -> None:
    bars = simulate_market(es, "2020-01-02", 130, 4)

    per_session = bars.groupby(label_sessions(bars["timestamp"], es).sessions)["contract"]
    assert per_session.nunique().eq(1).all()
    assert per_session.first().unique().tolist() == ["ESH20", "ESM20", "ESU20"]
    assert bars["contract"].dtype == "str"


@pytest.mark.parametrize(("symbol", "expected"), [("NQ", True), ("SPY", False), ("BTCUSDT", False)])
def test_simulate_market_only_futures_have_contracts(symbol: str, expected: bool) -> None:
    bars = simulate_market(load_instruments()[symbol], "2020-01-02", 2, 4)

    assert ("contract" in bars.columns) is expected


# -- a martingale ------------------------------------------------------------------------------------------

MARKETS, SESSIONS = 24, 260


def _moves(es: Instrument, edge: float) -> pd.DataFrame:
    """Moves of bars after the first of a session, in units of the session's usual one, and where they began."""
    frames = []
    for seed in range(MARKETS):
        bars = simulate_market(es, "2020-01-02", SESSIONS, 1000 + seed, edge)
        labels = label_sessions(bars["timestamp"], es)
        close = pd.Series(es.to_ticks(bars["close"]))
        begin = close.shift().where(pd.Series(labels.position).diff() == 0)
        move = close - begin
        profiles = session_profiles(bars, es)
        same = profiles["contract"] == profiles["contract"].shift()
        areas = profiles[["val", "vah"]].shift().where(same).reindex(labels.sessions)
        width = ((areas["vah"] - areas["val"]) / es.tick_size).to_numpy()
        below = es.to_ticks(areas["val"].fillna(0)) - begin.to_numpy()
        above = begin.to_numpy() - es.to_ticks(areas["vah"].fillna(0))
        scale = move.abs().groupby(labels.position).transform("mean")
        place = np.select([np.isnan(width), (below >= 0) & (below <= width), (above >= 0) & (above <= width)],
                          ["none", "below", "above"], "elsewhere")  # fmt: skip
        frames.append(pd.DataFrame({
            "move": move / scale, "hour": bars["timestamp"].dt.hour, "place": place, "regular": labels.regular,
            "before": np.sign(move.shift()),
        }).dropna(subset=["move", "before"]))  # fmt: skip
    return pd.concat(frames)


def _t(moves: pd.Series) -> float:
    return float(moves.mean() / moves.std() * np.sqrt(len(moves)))


def test_simulate_market_without_edge_is_a_martingale(es: Instrument) -> None:
    moves = _moves(es, 0.0)

    # Some thirty statistics that should be standard normal; 3.5 is one false alarm in seventy.
    regular = moves[moves["regular"]]
    statistics = {"all": _t(moves["move"])}
    for column, frame in (("hour", moves), ("before", moves), ("place", regular)):
        statistics |= {(column, key): _t(group) for key, group in frame.groupby(column)["move"]}
    assert {key: t for key, t in statistics.items() if abs(t) > 3.5} == {}
    by_hour = [t for key, t in statistics.items() if key[0] == "hour"]
    assert 0.4 < np.mean(np.square(by_hour)) < 2.1


def test_simulate_market_with_edge_is_drawn_to_the_value_area_and_nowhere_else(es: Instrument) -> None:
    moves = _moves(es, 0.5)

    statistics = {key: _t(group) for key, group in moves.groupby(["regular", "place"])["move"]}
    assert statistics[True, "below"] > 10
    assert statistics[True, "above"] < -10
    assert abs(statistics[False, "below"]) < 3.5
    assert abs(statistics[False, "above"]) < 3.5


def test_simulate_market_overnight_gaps_are_symmetric(es: Instrument) -> None:
    signs = []
    for seed in range(20):
        bars = simulate_market(es, "2020-01-02", 120, seed)
        labels = label_sessions(bars["timestamp"], es)
        opens = (np.diff(labels.position) != 0) & (bars["contract"].to_numpy()[1:] == bars["contract"].to_numpy()[:-1])
        gap = bars["open"].to_numpy()[1:] - bars["close"].to_numpy()[:-1]
        signs.append(np.sign(gap[opens]))

    every = np.concatenate(signs)
    assert abs(every.sum()) / np.sqrt(np.count_nonzero(every)) < 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_planted_value_area_is_the_profiles_own(seed: int) -> None:
    es = load_instruments()["ES"]
    bars = simulate_market(es, "2020-01-06", 1, seed, bar="1min")
    regular = bars[label_sessions(bars["timestamp"], es).regular]

    found = _value_area(
        es.to_ticks(regular["low"]), es.to_ticks(regular["high"]), regular["volume"].to_numpy().astype(np.int64)
    )

    expected = session_profiles(bars, es)[["val", "vah"]].iloc[0]
    # It counts in floats, so a pair of rows within a rounding of its rival can go the other way.
    np.testing.assert_allclose(np.array(found), es.to_ticks(expected), atol=2)


# -- looks like a market -----------------------------------------------------------------------------------


def test_simulate_market_has_the_markets_stylised_facts(es: Instrument) -> None:
    bars = simulate_market(es, "2015-01-02", 750, 1)

    labels = label_sessions(bars["timestamp"], es)
    returns = np.log(bars["close"] / bars["open"])
    daily = bars.groupby(labels.position).agg(high=("high", "max"), low=("low", "min"), close=("close", "last"))
    ranges = (daily["high"] - daily["low"]) / daily["close"]
    realised = np.log((returns**2).groupby(labels.position).sum())
    bar_range = np.log(bars["high"] - bars["low"] + es.tick_size)
    assert 0.006 < ranges.median() < 0.016
    assert returns.kurt() > 10
    assert abs(returns.autocorr(1)) < 0.05
    assert all(returns.abs().autocorr(lag) > 0.1 for lag in (1, 6, 276))
    assert all(realised.autocorr(lag) > least for lag, least in ((1, 0.6), (10, 0.3)))
    assert returns[labels.regular].std() > 1.5 * returns[~labels.regular].std()
    assert np.log(bars["volume"]).corr(bar_range) > 0.6
    assert bars["volume"][labels.regular].median() > 8 * bars["volume"][~labels.regular].median()


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessions": 0}, "sessions is 0; it must be a whole number from 1 to 20,000"),
        ({"sessions": -3}, "sessions is -3"),
        ({"sessions": 2.5}, "sessions is 2.5"),
        ({"sessions": 20_001}, "sessions is 20001"),
        ({"seed": -1}, "seed is -1; it must be a whole number that is not negative"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"edge": -0.1}, r"edge is -0.1; it must be a number from 0 \(none\) to 1 \(strong\)"),
        ({"edge": 1.1}, "edge is 1.1"),
        ({"edge": float("nan")}, "edge is nan"),
        ({"bar": "7min"}, "bar is '7min'; it must be one of 1min, 2min"),
        ({"bar": 5}, "bar is 5"),
        ({"start": "spring"}, "start is 'spring'; it must be a date such as 2020-01-02"),
        ({"start": "1492-01-01"}, "it must be a date from 1990 to 2100"),
        ({"start": None}, "start is None"),
    ],
)
def test_simulate_market_bad_argument_raises_configuration_error(
    es: Instrument, change: dict[str, object], message: str
) -> None:
    arguments = {"start": "2020-01-02", "sessions": 2, "seed": 1} | change

    with pytest.raises(ConfigurationError, match=message):
        simulate_market(es, **arguments)


def test_bar_minutes_every_length_divides_the_hour() -> None:
    assert all(60 % minutes == 0 for minutes in BAR_MINUTES.values())
