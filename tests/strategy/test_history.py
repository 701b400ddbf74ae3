import math
import statistics
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market import find_instrument
from pipeline.strategy import HistorySettings, session_history
from tests.strategy.market import toy_bars, toy_history, toy_profiles

NAN = math.nan
SMALL = HistorySettings(trend_window=3, direction_window=4, calm_short=2, calm_long=3, atr_window=2)


@pytest.fixture(scope="module")
def bars(es):
    return toy_bars(es, sessions=330)


@pytest.fixture(scope="module")
def history(bars, es):
    return toy_history(bars, es)


def five_sessions() -> pd.DataFrame:
    """Two regular bars a session, rolling from H to M between the third and the fourth."""
    table = [
        # session, open, high, low, close, volume, contract
        ("2021-03-08", 100.0, 102.0, 99.0, 101.0, 10, "H"),
        ("2021-03-08", 101.0, 103.0, 100.0, 102.0, 20, "H"),
        ("2021-03-09", 104.0, 106.0, 104.0, 105.0, 10, "H"),
        ("2021-03-09", 105.0, 105.0, 103.5, 104.0, 20, "H"),
        ("2021-03-10", 104.0, 104.0, 101.0, 101.0, 30, "H"),
        ("2021-03-10", 101.0, 101.5, 98.0, 99.0, 20, "M"),
        ("2021-03-11", 200.0, 201.0, 199.0, 200.0, 40, "M"),
        ("2021-03-11", 200.0, 202.0, 200.0, 201.0, 10, "M"),
        ("2021-03-12", 203.0, 205.0, 202.0, 204.0, 10, "M"),
        ("2021-03-12", 204.0, 206.0, 204.0, 206.0, 50, "M"),
    ]
    frame = pd.DataFrame(table, columns=["session", "open", "high", "low", "close", "volume", "contract"])
    clock = np.where(np.arange(len(frame)) % 2 == 0, "15:00", "15:05")
    frame.insert(0, "timestamp", pd.to_datetime(frame.pop("session") + " " + clock, utc=True))
    return frame


def test_session_history_columns_and_types(history):
    assert history.columns.tolist() == [
        *(
            "open",
            "high",
            "low",
            "close",
            "volume",
            "contract",
            "vpoc",
            "val",
            "vah",
            "vpoc_move",
            "log_return",
            "atr_14",
        ),
        *("slope", "r_squared", "runs_p_value", "longest_run", "direction_probability"),
        *("volatility_5", "volatility_20", "calm"),
    ]
    assert history.index.name == "session"
    assert history.index.dtype == "datetime64[ns]"
    assert history["calm"].dtype == bool
    assert history["contract"].dtype == "str"
    assert set(history.drop(columns=["calm", "contract"]).dtypes) == {np.dtype("float64")}


def test_session_history_small_case_by_hand(es):
    bars = five_sessions()

    history = session_history(bars, toy_profiles(bars, es), es, SMALL)

    def column(name: str) -> list:
        return history[name].tolist()

    assert column("contract") == ["H", "H", "H", "M", "M"]
    assert column("open") == [100, 104, 104, 200, 203]
    assert column("high") == [103, 106, 104, 202, 206]
    assert column("low") == [99, 103.5, 101, 199, 202]
    assert column("close") == [102, 104, 101, 201, 206]
    assert column("volume") == [30, 30, 30, 50, 60]
    assert column("vpoc") == [102, 104, 101, 200, 206]
    np.testing.assert_array_equal(history["vpoc_move"], [NAN, 8, -12, NAN, 24])
    log = [NAN, math.log(104 / 102), math.log(101 / 104), NAN, math.log(206 / 201)]
    np.testing.assert_allclose(history["log_return"], log, rtol=1e-12)
    # True ranges 4 (first), 106 - 102, 104 - 101, 3 (roll), 206 - 201
    np.testing.assert_array_equal(history["atr_2"], [NAN, 4.0, 3.5, 3.0, 4.0])
    # 0 8 -4; then one session of M; then H's last session alone beside 0 24 of M
    np.testing.assert_array_equal(history["slope"], [NAN, NAN, -2.0, -12.0, 24.0])
    np.testing.assert_allclose(history["r_squared"], [NAN, NAN, 16 / (2 * (224 / 3)), 1.0, 1.0], rtol=1e-9)
    np.testing.assert_array_equal(history["runs_p_value"], [NAN, NAN, 1, 1, 1])
    np.testing.assert_array_equal(history["longest_run"], [NAN, NAN, 1, 1, 1])
    # The one move that followed an up move was down.
    np.testing.assert_array_equal(history["direction_probability"], [0.5, 0.5, 0.5, 0.5, 1 / 3])
    deviation = statistics.stdev(log[1:3])
    np.testing.assert_allclose(history["volatility_2"], [NAN, NAN, deviation, NAN, NAN], rtol=1e-9)
    assert history["volatility_3"].isna().all()
    assert not history["calm"].any()


def test_session_history_every_column_equals_a_slow_oracle(bars, history, es):
    profiles = toy_profiles(bars, es)
    vpoc = es.to_ticks(profiles["vpoc"]).tolist()
    contract = profiles["contract"].tolist()
    own = bars.assign(day=bars["timestamp"].dt.tz_convert("America/Chicago"))
    own = own[(own["day"].dt.hour * 60 + own["day"].dt.minute).between(510, 899)]
    held = [day for _, day in own.groupby(own["day"].dt.date)]
    held = [day[day["contract"] == name] for day, name in zip(held, contract, strict=True)]
    close = [day["close"].iloc[-1] for day in held]
    high, low = [day["high"].max() for day in held], [day["low"].min() for day in held]
    same = [t > 0 and contract[t] == contract[t - 1] for t in range(len(vpoc))]
    moves = [vpoc[t] - vpoc[t - 1] if same[t] else None for t in range(len(vpoc))]
    returns = [math.log(close[t] / close[t - 1]) if same[t] else None for t in range(len(vpoc))]
    ranges = [
        max(high[t], close[t - 1]) - min(low[t], close[t - 1]) if same[t] else high[t] - low[t]
        for t in range(len(vpoc))
    ]

    def deviation(last: int, window: int) -> float:
        known = [value for value in returns[max(0, last - window + 1) : last + 1] if value is not None]
        return statistics.stdev(known) if len(known) >= 0.75 * window else NAN

    assert history["close"].tolist() == close
    assert history["open"].tolist() == [day["open"].iloc[0] for day in held]
    assert sum(not flag for flag in same) == 6
    for t in range(0, len(vpoc), 7):
        got = history.iloc[t]
        np.testing.assert_equal(got["vpoc_move"], NAN if moves[t] is None else moves[t])
        np.testing.assert_allclose(got["volatility_5"], deviation(t, 5), rtol=1e-9)
        np.testing.assert_allclose(got["volatility_20"], deviation(t, 20), rtol=1e-9)
        assert got["calm"] == (deviation(t, 5) < deviation(t, 20))
        np.testing.assert_allclose(got["atr_14"], statistics.mean(ranges[t - 13 : t + 1]) if t >= 13 else NAN)
        last_year = moves[max(0, t - 251) : t + 1]
        stretches: list[list[int]] = [[]]
        for move in last_year:
            if move is None:
                stretches.append([])
            elif move:
                stretches[-1].append(move)
        newest = stretches[-1][-1] if stretches[-1] else 0
        followers = [b > 0 for s in stretches for a, b in pairwise(s) if a * newest > 0]
        assert got["direction_probability"] == (1 + sum(followers)) / (2 + len(followers))
        if t >= 19:
            window = slice(t - 19, t + 1)
            dummies = (np.array(contract[window])[:, None] == np.unique(contract[window])).astype(float)
            design = np.column_stack([np.arange(20.0), dummies])
            fit = np.linalg.lstsq(design, np.array(vpoc[window], float), rcond=None)[0]
            np.testing.assert_allclose(got["slope"], fit[0], rtol=1e-7)
        else:
            assert got[["slope", "r_squared", "runs_p_value", "longest_run"]].isna().all()


def test_session_history_full_hours_take_the_evening_bars(bars, es):
    rth, eth = toy_history(bars, es), toy_history(bars, es, hours="eth")

    # On a roll the evening bars are the old contract's and stay out.
    rolled = rth["contract"] != rth["contract"].shift(fill_value="C0")
    assert (eth["volume"] > rth["volume"]).tolist() == (~rolled).tolist()
    assert (eth["high"] >= rth["high"]).all()
    assert (eth["open"] != rth["open"]).any()


def test_session_history_hours_default_to_the_settings(bars, es):
    settings = HistorySettings(hours="eth")

    found = session_history(bars, toy_profiles(bars, es, "eth"), es, settings)

    pd.testing.assert_frame_equal(found, toy_history(bars, es, hours="eth"))


def test_session_history_bars_without_contract_have_no_contract_and_no_roll(bars, es):
    plain = bars[bars["contract"] == "C0"].drop(columns="contract")

    history = toy_history(plain, es)

    assert "contract" not in history
    assert history["vpoc_move"].isna().sum() == 1


def test_session_history_foreign_frame_gives_the_same(bars, history, es):
    foreign = bars.sample(frac=1, axis=1, random_state=3).astype({"volume": "int64"}).set_index("timestamp")
    foreign.index = foreign.index.tz_convert("Europe/Berlin").as_unit("ms")

    pd.testing.assert_frame_equal(session_history(foreign, toy_profiles(bars, es), es), history)


def test_session_history_bar_without_volume_touches_nothing(bars, history, es):
    spoiled = bars.iloc[2].copy()
    spoiled["timestamp"] += pd.Timedelta("1min")
    spoiled[["high", "volume"]] = [99_999.0, 0.0]
    more = pd.concat([bars, spoiled.to_frame().T]).astype(bars.dtypes).sort_values("timestamp")

    pd.testing.assert_frame_equal(session_history(more, toy_profiles(bars, es), es), history)


def test_session_history_part_of_the_profiles_gives_those_sessions(bars, es):
    profiles = toy_profiles(bars, es).iloc[100:140]

    history = session_history(bars, profiles, es)

    assert history.index.equals(profiles.index)


def test_session_history_without_profiles_is_empty(bars, es):
    history = session_history(bars, toy_profiles(bars, es).iloc[:0], es)

    assert len(history) == 0
    assert {"atr_14", "slope", "calm", "contract"} <= set(history.columns)


def test_session_history_without_bars_is_empty(bars, es):
    history = session_history(bars.iloc[:0], toy_profiles(bars, es).iloc[:0], es)

    assert len(history) == 0
    assert history["calm"].dtype == bool


def test_session_history_shorter_than_the_trend_window_has_no_trend(bars, es):
    profiles = toy_profiles(bars, es).iloc[:19]

    history = session_history(bars, profiles, es)

    assert history[["slope", "r_squared", "runs_p_value", "longest_run"]].isna().all(axis=None)
    assert history["atr_14"].notna().sum() == 6


def test_session_history_prices_not_positive_have_no_log_return():
    oil = find_instrument("ES").model_copy(update={"allow_negative_prices": True})
    bars = five_sessions().assign(contract="H")
    bars[["open", "high", "low", "close"]] -= 103.0

    history = session_history(bars, toy_profiles(bars, oil), oil, SMALL)

    np.testing.assert_array_equal(history["log_return"].isna(), [True, True, True, True, False])
    assert history["vpoc_move"].notna().sum() == 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.drop(columns=["val", "vah"]), "profiles lack val, vah; make them with session_profiles"),
        (lambda p: p.reset_index(drop=True), "profiles are not indexed by session"),
        (lambda p: p.tz_localize("UTC"), "profiles are not indexed by session"),
        (lambda p: p.iloc[::-1], "profiles must have one row per session in order"),
        (
            lambda p: p.assign(volume=p["volume"] + 1),
            r"the profile of session 2019-01-02 holds volume \d+, its bars in rth",
        ),
        (
            lambda p: p.set_axis(p.index[:-1].append(pd.DatetimeIndex(["2031-01-02"]))),
            r"profiles hold session 2031-01-02, which has no bars with volume in rth hours \(1 such sessions\)",
        ),
        (lambda p: p.drop(columns="contract"), "session 2019-04-01 holds bars of two contracts"),
    ],
)
def test_session_history_wrong_profiles_name_the_place(bars, es, spoil, message):
    with pytest.raises(DataError, match=message):
        session_history(bars, spoil(toy_profiles(bars, es)), es)


def test_session_history_profiles_of_other_hours_are_refused(bars, es):
    with pytest.raises(DataError, match="build the profiles from the same bars and hours"):
        session_history(bars, toy_profiles(bars, es, "eth"), es, hours="rth")
