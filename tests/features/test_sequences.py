"""Sequences: cells by hand, cut off and begun later to the bit, rolls, and the market upside down."""

import doctest
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.features import FeatureInputs
from pipeline.features.sequences import sequence_features, sequence_timeframes
from pipeline.market import Instrument, load_instruments, session_schedule, simulate_market
from pipeline.strategy import HistorySettings, make_candidates, session_history
from tests.conftest import ROOT
from tests.features.small_market import bars_by_session

# Average true ranges of two sessions, so that a hand can work them out.
SHORT = HistorySettings(atr_window=2)


def decisions(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        {"decided_on": pd.to_datetime([day for day, _ in rows]), "side": [side for _, side in rows]},
        index=[f"{day} {side:+d}" for day, side in rows],
    )


def both_sides(inputs: FeatureInputs) -> pd.DataFrame:
    """A long and a short decided on every session, whether the strategy would offer them or not."""
    return pd.DataFrame({"decided_on": inputs.sessions.repeat(2), "side": np.tile([1, -1], len(inputs.sessions))})


def bits(frame: pd.DataFrame) -> np.ndarray:
    """Floats as integers, so that −0.0 is not 0.0; every NaN alike."""
    return np.where(frame.isna(), np.nan, frame.to_numpy(np.float64)).view(np.int64)


def three_ticks(es: Instrument, middles: list[int], contracts: list[str] | None = None) -> pd.DataFrame:
    """A session a bar of three ticks and volume 300: its VPOC is the middle, its value area all three."""
    bars = bars_by_session(es, [[(middle, middle + 1, middle - 1, middle, 300)] for middle in middles])
    return bars if contracts is None else bars.assign(contract=contracts)


@pytest.fixture(scope="module")
def simulated(es: Instrument) -> FeatureInputs:
    return FeatureInputs.from_bars(simulate_market(es, "2020-01-02", sessions=150, seed=4), es)


@pytest.fixture(scope="module")
def simulated_rows(simulated: FeatureInputs) -> pd.DataFrame:
    return sequence_features(simulated, both_sides(simulated))


# Cells by hand.


@pytest.fixture(scope="module")
def week_and_a_half(es: Instrument) -> FeatureInputs:
    """From Monday the first of February 2021: Monday to Friday, Monday and Tuesday; a roll on the second Tuesday."""
    sessions = [
        [(1000, 1004, 996, 1000, 900)],
        [(1000, 1006, 998, 1004, 900)],
        [(1004, 1010, 1002, 1008, 900)],
        [(1008, 1012, 1004, 1004, 900)],
        [(1004, 1008, 1000, 1002, 900)],
        # Ticks 1004 to 1013 with 100 each, and 1000 more at 1006: the value area is 1006 to 1010.
        [(1004, 1013, 1004, 1012, 1000), (1006, 1006, 1006, 1006, 1000)],
        [(1506, 1511, 1503, 1510, 900)],
    ]
    bars = bars_by_session(es, sessions)
    bars["contract"] = np.where(bars["timestamp"] < pd.Timestamp("2021-02-09", tz="UTC"), "ESH21", "ESM21")
    return FeatureInputs.from_bars(bars, es, SHORT)


def test_session_cells_are_by_hand(week_and_a_half: FeatureInputs, es: Instrument) -> None:
    inputs = week_and_a_half
    edges = es.to_ticks(inputs.history.loc["2021-02-05":"2021-02-08", ["val", "vpoc", "vah"]].to_numpy(np.float64))
    rows = sequence_features(inputs, decisions(("2021-02-08", 1), ("2021-02-08", -1)))
    long, short = rows.iloc[0], rows.iloc[1]
    # True ranges of Friday, 1008 − 1000, and of Monday, 1013 less Friday's close of 1002.
    atr = 9.5

    assert edges.tolist() == [[1002, 1004, 1008], [1006, 1006, 1010]]
    assert inputs.atr[5] == atr * 0.25
    expected = {
        "move": 4 / atr,
        "gap": 2 / atr,
        "range": 9 / atr,
        "close_in_range": (1006 - 1008.5) / 10,
        "vpoc_move": 2 / atr,
        "close_to_vpoc": 0.0,
        "close_to_entry": 0.0,
        "close_to_target": 4 / atr,
        "value_width": 5 / atr,
        "value_skew": 4 / 5,
        "value_overlap": 3 / 5,
        "value_relation": 1.0,
    }
    for name, value in expected.items():
        assert long[f"session_00_{name}"] == value, name
    signed = {"move", "gap", "close_in_range", "vpoc_move", "close_to_vpoc", "value_skew", "value_relation"}
    for name in expected:
        other = {"close_to_entry": "close_to_target", "close_to_target": "close_to_entry"}.get(name, name)
        assert short[f"session_00_{name}"] == (-1 if name in signed else 1) * long[f"session_00_{other}"], name
    # Friday's close of 1002 in 1000 to 1008, and its move from 1004; the true range of Thursday was 8.
    assert long["session_01_close_in_range"] == (1002 - 1004) / 9
    assert long["session_01_move"] == -2 / 8
    # Volume needs twenty sessions before.
    assert np.isnan(long["session_00_volume"])


def test_steps_of_an_older_session_are_those_it_had_itself(simulated_rows: pd.DataFrame) -> None:
    channels = [name.removeprefix("session_00_") for name in simulated_rows if name.startswith("session_00_")]
    longs = simulated_rows.iloc[::2].reset_index(drop=True)

    for lag in (1, 7, 19):
        then, now = (longs[[f"session_{step:02d}_{name}" for name in channels]].to_numpy() for step in (lag, 0))
        assert np.array_equal(then[lag:], now[:-lag], equal_nan=True)
        assert np.isnan(then[:lag]).all()


def test_session_cells_at_a_roll_compare_nothing(week_and_a_half: FeatureInputs) -> None:
    row = sequence_features(week_and_a_half, decisions(("2021-02-09", 1))).iloc[0]

    compared = ["move", "gap", "vpoc_move", "value_overlap", "value_relation"]
    assert row[[f"session_00_{name}" for name in compared]].isna().all()
    # High less low alone is the true range of the first session of a contract: (11 + 8) / 2.
    assert row["session_00_range"] == 8 / 9.5
    assert row["session_01_move"] == 4 / 9.5


def test_week_cells_are_by_hand_with_the_contracts_end_to_end(week_and_a_half: FeatureInputs, es: Instrument) -> None:
    monday, tuesday = sequence_features(week_and_a_half, decisions(("2021-02-08", 1), ("2021-02-09", 1))).iloc
    vpoc = es.to_ticks(week_and_a_half.history["vpoc"])
    width = es.to_ticks(week_and_a_half.history["vah"]) - es.to_ticks(week_and_a_half.history["val"]) + 1

    assert monday["week_00_sessions"] == 1
    assert monday["week_00_move"] == 4 / 9.5
    assert monday["week_00_range"] == 9 / 9.5
    # The new contract's first open, 1506, is put on the old one's last close, 1006: 500 ticks down. So Tuesday goes
    # from 1003 to 1011 and closes at 1010.
    assert tuesday["week_00_sessions"] == 2
    assert tuesday["week_00_move"] == (1010 - 1002) / 9.5
    assert tuesday["week_00_range"] == (1013 - 1003) / 9.5
    assert tuesday["week_00_close_in_range"] == (1010 - 1008) / 11
    assert tuesday["week_00_vpoc_move"] == (vpoc[6] - 500 - vpoc[4]) / 9.5
    mean_vpoc = (2000 * 1006 + 900 * (vpoc[6] - 500)) / 2900
    assert tuesday["week_00_close_to_value"] == pytest.approx((1010 - mean_vpoc) / 9.5, rel=1e-12)
    assert tuesday["week_00_value_width"] == (width[5] + width[6]) / 2 / 9.5
    # Of the first week of the data the beginning may be missing.
    assert tuesday.filter(like="week_01").isna().all()


def test_older_week_is_the_whole_week_and_the_running_one_goes_to_the_decision(
    simulated: FeatureInputs, simulated_rows: pd.DataFrame
) -> None:
    longs = simulated_rows.iloc[::2].set_axis(simulated.sessions)
    week = simulated.sessions.to_period("W-SUN")
    channels = [name.removeprefix("week_00_") for name in simulated_rows if name.startswith("week_00_")]
    for place in range(60, 150):
        lag = 1 + place % 7
        last = simulated.sessions[week == week[place] - lag][-1]
        then = longs.iloc[place][[f"week_{lag:02d}_{name}" for name in channels]]
        whole = longs.loc[last, [f"week_00_{name}" for name in channels]]
        assert np.array_equal(then, whole, equal_nan=True)
        assert longs["week_00_sessions"].iloc[place] == (week[: place + 1] == week[place]).sum()


def test_week_without_a_session_is_not_a_step(es: Instrument) -> None:
    bars = three_ticks(es, [1000 + 3 * (k % 4) for k in range(30)])
    hole = bars["timestamp"].dt.strftime("%G-%V") == "2021-07"
    inputs = FeatureInputs.from_bars(bars[~hole].reset_index(drop=True), es, SHORT)

    row = sequence_features(inputs, decisions(("2021-02-24", 1))).iloc[0]

    assert hole.sum() == 5
    assert row["week_00_sessions"] == 3
    assert row.filter(like="week_01").isna().all()
    assert row["week_02_sessions"] == 5


def test_volumes_are_against_the_twenty_sessions_before(simulated: FeatureInputs, simulated_rows: pd.DataFrame) -> None:
    volume = simulated.history["volume"].to_numpy()
    longs = simulated_rows.iloc[::2].set_axis(simulated.sessions)
    week = simulated.sessions.to_period("W-SUN")

    assert longs["session_00_volume"].iloc[:20].isna().all()
    for place in range(20, 150, 9):
        assert longs["session_00_volume"].iloc[place] == pytest.approx(
            volume[place] / volume[place - 20 : place].mean()
        )
        first = int(np.flatnonzero(week == week[place])[0])
        usual = volume[first - 20 : first].mean() if first >= 20 else np.nan
        assert longs["week_00_volume"].iloc[place] == pytest.approx(
            volume[first : place + 1].mean() / usual, nan_ok=True
        )


@pytest.fixture(scope="module")
def half_hours(es: Instrument) -> FeatureInputs:
    """Two quiet days, then Wednesday in half hours: flat, up, none in the third, down; Thursday a single bar."""
    wednesday = [(1000, 1002, 998, 1000, 100)] * 6 + [(1000, 1010, 1000, 1010, 300)] * 6
    wednesday += [(1010, 1010, 1010, 1010, 0)] * 6 + [(1009, 1009, 1003, 1003, 200)] * 6
    quiet = [(1000, 1010, 1000, 1000, 100)]
    bars = bars_by_session(es, [quiet, quiet, wednesday, quiet])
    return FeatureInputs.from_bars(bars, es, SHORT)


def test_half_hour_cells_are_by_hand(half_hours: FeatureInputs, es: Instrument) -> None:
    wednesday, thursday = sequence_features(half_hours, decisions(("2021-02-03", 1), ("2021-02-04", 1))).iloc
    day = half_hours.history.loc["2021-02-03"]
    vpoc, val, vah = es.to_ticks(day[["vpoc", "val", "vah"]].to_numpy(np.float64))
    atr = (10 + 12) / 2

    assert day["volume"] == 3600
    # The first half hour of thirteen is step 12, the fourth is step 9.
    assert wednesday["bar30_12_move"] == 0
    assert wednesday["bar30_12_range"] == 4 / atr
    assert wednesday["bar30_12_volume"] == 600 / 3600
    assert wednesday["bar30_11_move"] == (1010 - 1000) / atr
    assert wednesday["bar30_11_volume"] == 1800 / 3600
    assert wednesday["bar30_11_close_to_vpoc"] == (1010 - vpoc) / atr
    assert wednesday["bar30_11_close_to_entry"] == (1010 - val) / atr
    assert wednesday["bar30_11_close_to_target"] == (vah - 1010) / atr
    assert wednesday.filter(like="bar30_10").isna().all()
    assert wednesday["bar30_09_move"] == (1003 - 1010) / atr
    assert wednesday.filter(regex="bar30_0[0-8]").isna().all()
    # A day later the same half hours are thirteen steps further back.
    for name in ("move", "range", "volume", "close_to_vpoc", "close_to_entry"):
        assert thursday[f"bar30_25_{name}"] == wednesday[f"bar30_12_{name}"]
        assert thursday[f"bar30_24_{name}"] == wednesday[f"bar30_11_{name}"]


def test_half_hours_are_counted_back_from_an_early_close(es: Instrument) -> None:
    # Thanksgiving 2021 closes at noon in Chicago and the day after at a quarter past, after seven whole half hours.
    # Each half hour trades one tick higher than the one before.
    schedule = session_schedule(es, "2021-11-23", "2021-11-26")
    times = [
        pd.date_range(one.rth_open, one.rth_close - pd.Timedelta("30min"), freq="30min")
        for one in schedule.itertuples()
    ]
    price = es.to_prices(1000 + np.concatenate([np.arange(len(day)) for day in times]))
    bars = pd.DataFrame({"timestamp": np.concatenate(times), "open": price, "high": price, "low": price})
    inputs = FeatureInputs.from_bars(bars.assign(close=price, volume=10.0), es, SHORT)

    friday = sequence_features(inputs, decisions(("2021-11-26", 1))).iloc[0].filter(like="bar30")
    moves = friday.filter(like="move") * inputs.atr[-1] / 0.25

    assert [len(day) for day in times] == [13, 13, 7, 7]
    assert moves[:7].tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert moves[7:13].isna().all()
    assert friday.filter(regex="_(1[3-9])_").notna().all()
    assert friday.filter(regex="_(2[0-5])_").isna().all()
    assert friday["bar30_00_volume"] == 1 / 7


def test_around_the_clock_has_the_last_thirteen_half_hours(real_data) -> None:  # type: ignore[no-untyped-def]
    bars = pd.read_parquet(real_data / "btc_usdt_1m_2021_04.parquet")
    inputs = FeatureInputs.from_bars(bars, load_instruments()["BTCUSDT"], structure=False, naked=False)
    last = str(inputs.sessions[-2].date())

    row = sequence_features(inputs, decisions((last, 1))).iloc[0]

    day = inputs.hour_bars[inputs.hour_bars["session"] == inputs.sessions[-2]]
    half = day[day["timestamp"] >= day["timestamp"].iloc[-1].floor("30min")]
    assert row["bar30_00_volume"] == pytest.approx(half["volume"].sum() / day["volume"].sum())
    assert row.filter(regex="^(session_0|bar30)").notna().all()
    assert row["week_00_sessions"] <= 7


def test_hourly_bars_make_no_half_hours_and_the_rest_all_the_same(es: Instrument) -> None:
    bars = bars_by_session(es, [[(1000, 1004, 996, 1000, 90)] * 6] * 10, minutes=60)
    inputs = FeatureInputs.from_bars(bars, es, SHORT)

    row = sequence_features(inputs, decisions(("2021-02-11", 1))).iloc[0]

    assert row.filter(like="bar30").isna().all()
    assert row["session_00_range"] == 1


# Point in time, memory, rolls.


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_data_cut_off_gives_the_same_rows_to_the_bit(es: Instrument, simulated: FeatureInputs, hours: str) -> None:
    inputs = (
        simulated
        if hours == "rth"
        else FeatureInputs.from_bars(simulated.bars, es, HistorySettings(hours="eth"), structure=False, naked=False)
    )
    decided = both_sides(inputs)
    whole = bits(sequence_features(inputs, decided))

    # Within a week, at its end and beginning, before, at and after a roll.
    roll = int(np.flatnonzero(inputs.rolled)[2])
    for cut in (30, 61, 62, 63, 64, 65, roll - 1, roll, roll + 1, 148):
        known = inputs.until(inputs.sessions[cut])
        assert np.array_equal(bits(sequence_features(known, decided.iloc[: 2 * cut + 2])), whole[: 2 * cut + 2])


def test_data_that_starts_later_gives_the_same_values_or_none(simulated: FeatureInputs) -> None:
    whole = sequence_features(simulated, both_sides(simulated))
    for start in (1, 2, 3, 4, 5, 40, 61, 80):
        late = simulated.since(simulated.sessions[start])
        rows = sequence_features(late, both_sides(late))
        same = whole.iloc[2 * start :].reset_index(drop=True)
        known = rows.notna().to_numpy()
        assert np.array_equal(bits(rows)[known], bits(same)[known])
        # Nine weeks and the twenty sessions before them.
        assert np.array_equal(bits(rows)[2 * 66 :], bits(same)[2 * 66 :])


def test_real_es_cut_off_gives_the_same_rows_to_the_bit(real_data, es: Instrument) -> None:  # type: ignore[no-untyped-def]
    bars = pd.read_parquet(
        real_data / "es_5m_2015_2021.parquet", filters=[("timestamp", ">=", pd.Timestamp("2020-01-01", tz="UTC"))]
    )
    inputs = FeatureInputs.from_bars(bars, es, structure=False, naked=False)
    candidates = make_candidates(inputs.history, es)
    whole = sequence_features(inputs, candidates)
    rolls = np.flatnonzero(inputs.rolled)

    cuts = [100, int(rolls[2]) - 1, int(rolls[2]), int(rolls[4]), int(inputs.sessions.get_indexer(["2020-11-27"])[0])]
    for cut in [*cuts, len(inputs.sessions) - 2]:
        known = inputs.until(inputs.sessions[cut])
        then = make_candidates(known.history, es)
        rows = sequence_features(known, then)
        assert len(rows) > 100
        assert np.array_equal(bits(rows), bits(whole.iloc[: len(rows)]))
    assert whole.iloc[140:].filter(like="session").notna().mean().min() > 0.9
    assert not np.isinf(whole.to_numpy()).any()


def test_step_between_contracts_is_not_seen(simulated: FeatureInputs, es: Instrument) -> None:
    bars = simulated.bars
    changed = bars.copy()
    changed.loc[changed["contract"] == "ESM20", ["open", "high", "low", "close"]] += 80.0
    decided = both_sides(simulated)

    before, after = (
        sequence_features(FeatureInputs.from_bars(each, es, structure=False, naked=False), decided)
        for each in (bars, changed)
    )

    assert changed["contract"].eq("ESM20").any()
    assert changed["contract"].eq("ESU20").any()
    assert np.array_equal(bits(before), bits(after))


# Both sides.


def upside_down(inputs: FeatureInputs) -> FeatureInputs:
    """The market reflected; so are its profiles, as value areas and VPOCs break ties towards one side."""
    top = 2 * float(inputs.bars["close"].iloc[0])
    bars, profiles = inputs.bars, inputs.profiles
    bars = bars.assign(
        open=top - bars["open"], close=top - bars["close"], high=top - bars["low"], low=top - bars["high"]
    )
    profiles = profiles.assign(
        vpoc=top - profiles["vpoc"],
        val=top - profiles["vah"],
        vah=top - profiles["val"],
        low=top - profiles["high"],
        high=top - profiles["low"],
    )
    history = session_history(bars, profiles, inputs.instrument, inputs.settings)
    return FeatureInputs(bars, profiles, history, inputs.instrument, inputs.settings)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_long_here_is_the_short_of_the_market_upside_down_to_the_bit(es: Instrument, seed: int) -> None:
    inputs = FeatureInputs.from_bars(
        simulate_market(es, "2020-01-02", sessions=50, seed=seed), es, SHORT, structure=False, naked=False
    )
    decided = both_sides(inputs)

    here, there = (sequence_features(each, decided) for each in (inputs, upside_down(inputs)))

    assert np.array_equal(bits(here.iloc[::2]), bits(there.iloc[1::2]))
    assert np.array_equal(bits(here.iloc[1::2]), bits(there.iloc[::2]))
    assert here.iloc[-2:].notna().mean(axis=None) > 0.8
    moves = here.filter(like="_move").to_numpy()
    assert np.nanmax(np.abs(moves)) > 1


# Shape and mistakes.


def test_columns_are_timeframes_lags_and_channels_and_rows_are_the_candidates() -> None:
    frames = sequence_timeframes()

    assert [(one.name, one.steps, len(one.channels)) for one in frames] == [
        ("session", 20, 13),
        ("week", 8, 8),
        ("bar30", 26, 6),
    ]
    columns = [name for one in frames for name in one.columns]
    assert len(set(columns)) == len(columns) == 480
    assert columns[0] == "session_00_move"
    assert columns[-1] == "bar30_25_close_to_target"


def test_order_and_index_of_candidates_are_kept(simulated: FeatureInputs, simulated_rows: pd.DataFrame) -> None:
    mixed = both_sides(simulated).sample(frac=1, random_state=2)

    rows = sequence_features(simulated, mixed)

    assert rows.index.equals(mixed.index)
    assert np.array_equal(bits(rows), bits(simulated_rows.loc[mixed.index]))
    assert (rows.dtypes == np.float64).all()


def test_no_candidates_give_no_rows_and_all_columns(simulated: FeatureInputs) -> None:
    rows = sequence_features(simulated, both_sides(simulated).iloc[:0], sessions=3, weeks=2)

    assert rows.shape == (0, 3 * 13 + 2 * 8 + 26 * 6)


def test_fewer_sessions_are_the_newest_of_more(simulated: FeatureInputs, simulated_rows: pd.DataFrame) -> None:
    rows = sequence_features(simulated, both_sides(simulated), sessions=5, weeks=3)

    assert np.array_equal(bits(rows), bits(simulated_rows[rows.columns]))


@pytest.mark.parametrize(("name", "steps"), [*itertools.product(["sessions", "weeks"], [0, 100, 2.5, True])])
def test_impossible_number_of_steps_is_one_sentence(simulated: FeatureInputs, name: str, steps: object) -> None:
    with pytest.raises(ConfigurationError, match=f"sequences of {steps} {name} were asked for; give 1 to 99"):
        sequence_features(simulated, both_sides(simulated), **{name: steps})


def test_candidates_that_do_not_fit_are_one_sentence(simulated: FeatureInputs) -> None:
    with pytest.raises(DataError, match="decided on 1999-03-01, which the inputs don't hold"):
        sequence_features(simulated, decisions(("1999-03-01", 1)))
    with pytest.raises(DataError, match="the side 0; it must be 1"):
        sequence_features(simulated, decisions(("2020-03-02", 0)))
    with pytest.raises(DataError, match="no column decided_on"):
        sequence_features(simulated, pd.DataFrame({"side": [1]}))


def test_page_lists_every_channel_and_its_example_runs_as_written() -> None:
    page = ROOT / "docs" / "sequences.md"
    text = page.read_text(encoding="utf-8")

    for frame in sequence_timeframes():
        assert f"| `{frame.name}` | {frame.steps} |" in text
        section = text.split(f"### `{frame.name}`\n")[1].split("\n#")[0]
        for one in frame.channels:
            turned = "× side" if one.signed else "own edge" if one.mirror else ""
            assert f"| `{one.name}` | {one.description} | {turned} |" in section
    assert doctest.testfile(str(page), module_relative=False).failed == 0
