"""Naked VPOCs: by hand, against brute force, at the roll, and never knowing later bars."""

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Hours, Instrument, label_sessions
from pipeline.profiles import session_profiles
from pipeline.profiles.naked import naked_at_close, naked_vpocs
from tests.profiles.frames import frame
from tests.strategy.market import toy_bars
from tests.strategy.replay import leaking_columns

VPOC_DTYPES = {
    "vpoc": "float64",
    "state": "str",
    "tested_on": "datetime64[ns]",
    "tested_at": "datetime64[ns, UTC]",
    "rolled_on": "datetime64[ns]",
    "age": "int64",
}
CLOSE_DTYPES = {
    "close": "float64",
    "naked_count": "int64",
    "naked_above": "float64",
    "naked_above_ticks": "float64",
    "naked_above_age": "float64",
    "naked_below": "float64",
    "naked_below_ticks": "float64",
    "naked_below_age": "float64",
}


def _bars(rows: list[tuple[str, int, int]], contracts: str = "") -> pd.DataFrame:
    """Bars by time, low and high in ticks, closing at the low."""
    bars = frame([(low, high, low, 10) for _, low, high in rows])
    bars["timestamp"] = pd.to_datetime([f"2024-03-{time}Z" for time, *_ in rows]).as_unit("ns")
    if contracts:
        bars["contract"] = pd.array(list(contracts), dtype="str")
    return bars


def _days(*ranges: tuple[int, int]) -> list[tuple[str, int, int]]:
    """One regular bar a day, from Monday 2024-03-04 on, weekdays only."""
    days = pd.bdate_range("2024-03-04", periods=len(ranges))
    return [(f"{day.day:02d} 15:00", *each) for day, each in zip(days, ranges, strict=True)]


def _both(
    bars: pd.DataFrame, es: Instrument, hours: Hours = "rth", tested_in: Hours = "eth", **settings: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    profiles = session_profiles(bars, es, hours=hours)
    vpocs = naked_vpocs(profiles, bars, es, hours=hours, tested_in=tested_in)
    return vpocs, naked_at_close(profiles, bars, es, hours=hours, tested_in=tested_in, **settings)


def test_naked_vpocs_five_days_by_hand(es: Instrument) -> None:
    # The VPOCs are 100, 120, 110, 119, 90: 100 is passed on Thursday, 110 on Friday, 120 and 119 are never touched.
    bars = _bars(_days((100, 100), (120, 120), (110, 110), (99, 105), (90, 110)))
    profiles = session_profiles(bars, es).assign(vpoc=es.to_prices([100, 120, 110, 102, 95]))

    vpocs = naked_vpocs(profiles, bars, es)

    assert vpocs["state"].tolist() == ["tested", "naked", "tested", "tested", "naked"]
    assert vpocs["tested_on"].dt.day.tolist()[::2] == pytest.approx([7, 8, np.nan], nan_ok=True)
    assert vpocs["tested_at"].iloc[0] == pd.Timestamp("2024-03-07 15:00Z")
    assert vpocs["age"].tolist() == [3, 3, 2, 1, 0]
    assert vpocs["rolled_on"].isna().all()


def test_naked_at_close_five_days_by_hand(es: Instrument) -> None:
    bars = _bars(_days((100, 100), (120, 120), (110, 110), (105, 105), (101, 104)))

    _, close = _both(bars, es)

    assert close["naked_count"].tolist() == [0, 1, 2, 3, 4]
    assert close["close"].tolist() == es.to_prices([100, 120, 110, 105, 101]).tolist()
    below = close["naked_below_ticks"].tolist()
    assert below == pytest.approx([np.nan, 20, 10, 5, 1], nan_ok=True)
    assert close["naked_above_ticks"].tolist() == pytest.approx([np.nan, np.nan, 10, 5, 4], nan_ok=True)
    assert close["naked_above_age"].tolist() == pytest.approx([np.nan, np.nan, 1, 1, 1], nan_ok=True)
    assert close["naked_below_age"].tolist() == pytest.approx([np.nan, 1, 2, 3, 4], nan_ok=True)
    assert close["naked_above"].iloc[-1] == es.to_prices(105)


def test_naked_at_close_minimum_age_counts_from_it_on(es: Instrument) -> None:
    bars = _bars(_days((100, 100), (120, 120), (110, 110)))

    counts = {age: _both(bars, es, minimum_age=age)[1]["naked_count"].tolist() for age in range(4)}

    assert counts == {0: [1, 2, 3], 1: [0, 1, 2], 2: [0, 0, 1], 3: [0, 0, 0]}
    _, own = _both(bars, es, minimum_age=0)
    # A level at the close itself lies at distance 0 on both sides.
    assert own[["naked_above_ticks", "naked_below_ticks"]].to_numpy().tolist() == [[0.0, 0.0]] * 3


def test_naked_at_close_two_at_one_price_gives_the_younger(es: Instrument) -> None:
    # Tuesday trades around 100 without touching it; Wednesday's VPOC is 100 again only in the table.
    bars = _bars(_days((100, 100), (110, 110), (112, 112), (114, 114)))
    profiles = session_profiles(bars, es).assign(vpoc=es.to_prices([100, 100, 112, 114]))

    close = naked_at_close(profiles, bars, es)

    assert close["naked_below_age"].tolist()[1:3] == [1.0, 1.0]
    assert close["naked_count"].tolist() == [0, 1, 2, 3]


def test_naked_vpocs_touch_at_the_edge_of_a_bar_tests(es: Instrument) -> None:
    for low, high, state in ((100, 105, "tested"), (95, 100, "tested"), (101, 105, "naked"), (95, 99, "naked")):
        vpocs, _ = _both(_bars(_days((100, 100), (low, high))), es)
        assert vpocs["state"].iloc[0] == state


def test_naked_vpocs_price_jumped_over_stays_naked(es: Instrument) -> None:
    bars = _bars([("04 15:00", 100, 100), ("05 15:00", 90, 99), ("05 15:05", 101, 110)])

    assert _both(bars, es)[0]["state"].iloc[0] == "naked"


def test_naked_vpocs_bar_without_volume_tests_nothing(es: Instrument) -> None:
    bars = _bars(_days((100, 100), (95, 105), (110, 110)))
    bars.loc[1, "volume"] = 0.0

    assert _both(bars, es)[0]["state"].tolist() == ["naked", "naked"]


def test_naked_vpocs_evening_trade_tests_only_where_it_counts(es: Instrument) -> None:
    # Regular close is 21:00 UTC; 23:00 belongs to Tuesday's trade date, 21:30 to Monday's own.
    for time, tested_on, age in (("04 21:30", 4, 0), ("04 23:30", 5, 1)):
        bars = _bars([("04 15:00", 100, 100), (time, 95, 105), ("05 15:00", 110, 110)])
        any_trade, regular = (_both(bars, es, tested_in=hours)[0].iloc[0] for hours in ("eth", "rth"))
        assert (any_trade["state"], any_trade["tested_on"].day, any_trade["age"]) == ("tested", tested_on, age)
        assert (regular["state"], regular["age"]) == ("naked", 1)


def test_naked_vpocs_its_own_hours_do_not_test_it(es: Instrument) -> None:
    bars = _bars([("04 15:00", 100, 100), ("04 20:55", 100, 100), ("04 08:00", 100, 100)]).sort_values("timestamp")

    assert _both(bars.reset_index(drop=True), es)[0]["state"].tolist() == ["naked"]


def test_naked_vpocs_date_without_a_profile_tests_too(es: Instrument) -> None:
    # Tuesday has evening trade only: no profile of regular hours, yet the price was traded.
    bars = _bars([("04 15:00", 100, 100), ("05 08:00", 95, 105), ("06 15:00", 110, 110)])

    vpocs, close = _both(bars, es)

    assert (vpocs["tested_on"].iloc[0].day, vpocs["age"].iloc[0]) == (5, 1)
    assert close["naked_count"].tolist() == [0, 0]


def test_naked_vpocs_roll_gives_them_up(es: Instrument) -> None:
    rows = [*_days((100, 100), (120, 120), (100, 100), (120, 120)), ("07 16:00", 100, 120)]

    bars = _bars(rows, "HHMMH")
    bars.loc[4, "volume"] = 1.0  # less than the new contract's of that session

    vpocs, close = _both(bars, es)

    assert vpocs["state"].tolist() == ["rolled", "rolled", "naked", "naked"]
    assert vpocs["rolled_on"].dt.day.tolist()[:2] == [6, 6]
    assert vpocs["age"].tolist() == [2, 1, 1, 0]
    assert close["naked_count"].tolist() == [0, 1, 0, 1]


def test_naked_vpocs_contract_that_returns_finds_its_old_vpocs_given_up(es: Instrument) -> None:
    vpocs, close = _both(_bars(_days((100, 100), (200, 200), (100, 100)), "HMH"), es)

    assert vpocs["state"].tolist() == ["rolled", "rolled", "naked"]
    assert close["naked_count"].tolist() == [0, 0, 0]


def _slow_tests(
    bars: pd.DataFrame, profiles: pd.DataFrame, es: Instrument, hours: Hours, tested_in: Hours
) -> list[tuple[str, pd.Timestamp | None]]:
    labels = label_sessions(bars["timestamp"], es)
    closes = labels.schedule["rth_close" if hours == "rth" else "close"]
    counts = labels.mask(tested_in)
    sessions = labels.sessions
    found: list[tuple[str, pd.Timestamp | None]] = []
    for place, (session, profile) in enumerate(profiles.iterrows()):
        later = profiles.iloc[place:]
        rolls = later.index[later["contract"] != profile["contract"]]
        outcome: tuple[str, pd.Timestamp | None] = ("rolled", rolls[0]) if len(rolls) else ("naked", None)
        for row, bar in enumerate(bars.itertuples()):
            if not counts[row] or bar.timestamp < closes[session] or bar.contract != profile["contract"]:
                continue
            if len(rolls) and sessions[row] >= rolls[0]:
                break
            if bar.volume > 0 and bar.low <= profile["vpoc"] <= bar.high:
                outcome = ("tested", sessions[row])
                break
        found.append(outcome)
    return found


@pytest.mark.parametrize(("hours", "tested_in"), [("rth", "eth"), ("rth", "rth"), ("eth", "eth"), ("eth", "rth")])
def test_naked_vpocs_made_up_market_equals_brute_force(es: Instrument, hours: Hours, tested_in: Hours) -> None:
    bars = toy_bars(es, sessions=60, roll_every=20, seed=3)
    profiles = session_profiles(bars, es, hours=hours)

    vpocs = naked_vpocs(profiles, bars, es, hours=hours, tested_in=tested_in)
    close = naked_at_close(profiles, bars, es, hours=hours, tested_in=tested_in)

    slow = _slow_tests(bars, profiles, es, hours, tested_in)
    ends = vpocs["tested_on"].fillna(vpocs["rolled_on"])
    assert list(zip(vpocs["state"], ends.astype(object).where(ends.notna(), None), strict=True)) == slow
    calendar = label_sessions(bars["timestamp"], es).schedule.index
    for place, session in enumerate(profiles.index):
        naked = [
            (profiles["vpoc"].iloc[k], calendar.get_loc(session) - calendar.get_loc(profiles.index[k]))
            for k, (_, end) in enumerate(slow[:place])
            if (end is None or end > session) and profiles["contract"].iloc[k] == profiles["contract"].iloc[place]
        ]
        row = close.iloc[place]
        assert row["naked_count"] == len(naked)
        for side, keep in (("above", lambda price, at: price >= at), ("below", lambda price, at: price <= at)):
            near = [(abs(price - row["close"]), age, price) for price, age in naked if keep(price, row["close"])]
            expected = min(near) if near else (np.nan, np.nan, np.nan)
            got = (row[f"naked_{side}_ticks"] * es.tick_size, row[f"naked_{side}_age"], row[f"naked_{side}"])
            assert got == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize(("hours", "tested_in"), [("rth", "eth"), ("rth", "rth"), ("eth", "eth")])
def test_naked_at_close_cut_off_at_any_session_is_the_same_to_the_bit(
    es: Instrument, hours: Hours, tested_in: Hours
) -> None:
    bars = toy_bars(es, sessions=140)
    cutoffs = (1, 2, 8, 31, 62, 63, 64, 65, 84, 126, 127, 139)

    def build(held: pd.DataFrame) -> pd.DataFrame:
        return _both(held, es, hours, tested_in)[1]

    assert leaking_columns(build, bars, es, cutoffs, key="index") == set()


@pytest.mark.parametrize("tested_in", ["eth", "rth"])
def test_naked_vpocs_cut_off_knows_what_was_tested_by_then_and_no_more(es: Instrument, tested_in: Hours) -> None:
    bars = toy_bars(es, sessions=140)
    full, _ = _both(bars, es, tested_in=tested_in)
    sessions = label_sessions(bars["timestamp"], es).sessions
    for cutoff in (1, 5, 62, 63, 64, 100, 127):
        last = full.index[cutoff - 1]
        cut, _ = _both(bars[sessions <= last].reset_index(drop=True), es, tested_in=tested_in)
        known = full[full.index <= last]
        ended = (known["tested_on"] <= last) | (known["rolled_on"] <= last)
        pd.testing.assert_frame_equal(cut[ended], known[ended])
        assert (cut.loc[~ended, "state"] == "naked").all()


def test_naked_tables_have_the_types_documented_and_agree_on_an_empty_frame(es: Instrument) -> None:
    for bars in (frame([]), _bars(_days((100, 100)))):
        vpocs, close = _both(bars, es)
        assert {name: str(kind) for name, kind in vpocs.dtypes.items()} == VPOC_DTYPES
        assert {name: str(kind) for name, kind in close.dtypes.items()} == CLOSE_DTYPES
        assert len(vpocs) == len(close) == len(bars)
    rolled, _ = _both(_bars(_days((100, 100)), "H"), es)
    assert str(rolled["contract"].dtype) == "str"


def test_naked_vpocs_bad_input_is_refused(es: Instrument) -> None:
    bars = _bars(_days((100, 100), (110, 110)))
    profiles = session_profiles(bars, es)

    with pytest.raises(ConfigurationError, match="tested_in is 'night'"):
        naked_vpocs(profiles, bars, es, tested_in="night")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="hours is 'day'"):
        naked_vpocs(profiles, bars, es, hours="day")  # type: ignore[arg-type]
    for age in (-1, 1.5, True):
        with pytest.raises(ConfigurationError, match="minimum_age is"):
            naked_at_close(profiles, bars, es, minimum_age=age)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="session 2024-03-05 holds volume 10, its bars in rth hours 0"):
        naked_vpocs(profiles, bars.iloc[:1], es)
    with pytest.raises(DataError, match="profiles carry a contract and bars don't"):
        naked_vpocs(profiles.assign(contract="H"), bars, es)


def test_real_es_every_vpoc_ends_in_one_state_and_few_stay_naked(real_data, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    profiles = session_profiles(bars, es)

    vpocs = naked_vpocs(profiles, bars, es, tested_in="rth")

    assert (vpocs["tested_on"].notna() == (vpocs["state"] == "tested")).all()
    assert (vpocs["rolled_on"].notna() == (vpocs["state"] == "rolled")).all()
    assert vpocs["state"].value_counts().to_dict() == {"tested": 1527, "rolled": 249, "naked": 6}
    assert vpocs.loc[vpocs["state"] == "tested", "age"].median() == 1


def test_real_es_naked_at_close_cut_off_at_any_session_is_the_same_to_the_bit(real_data, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:40_000]
    cutoffs = (1, 20, 53, 54, 55, 56, 57, 100, 117, 118, 119, 130)

    assert leaking_columns(lambda held: _both(held, es)[1], bars, es, cutoffs, key="index") == set()
