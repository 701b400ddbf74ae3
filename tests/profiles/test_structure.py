"""Session structure from frames: initial balance, contracts, point in time, foreign and bad input, real bars."""

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Hours, Instrument, load_instruments
from pipeline.profiles import select_sessions, session_profiles
from pipeline.profiles.structure import session_structure, single_prints, volume_nodes
from tests.profiles.frames import frame
from tests.strategy.market import toy_bars
from tests.strategy.replay import leaking_columns, warm_up_differences

DTYPES = {
    "shape": "str",
    "hvn_count": "int64",
    "lvn_count": "int64",
    "hvn_above": "float64",
    "hvn_below": "float64",
    "lvn_above": "float64",
    "lvn_below": "float64",
    "ib_high": "float64",
    "ib_low": "float64",
    "ib_range_ticks": "float64",
    "ib_extension_up_ticks": "float64",
    "ib_extension_down_ticks": "float64",
    "ib_broken_up": "bool",
    "ib_broken_down": "bool",
    "single_print_ticks": "int64",
    "single_print_zones": "int64",
    "selling_tail_ticks": "int64",
    "buying_tail_ticks": "int64",
    "poor_high": "bool",
    "poor_low": "bool",
    "value_area_overlap": "float64",
    "value_area_relation": "str",
    "vpoc_migration_ticks": "float64",
    "vpoc_direction": "float64",
    "vpoc_run": "float64",
}
BALANCE = [name for name in DTYPES if name.startswith("ib_")]


def _structure(bars: pd.DataFrame, instrument: Instrument, hours: Hours = "rth", **settings: object) -> pd.DataFrame:
    profiles = session_profiles(bars, instrument, hours=hours)
    return session_structure(bars, profiles, instrument, hours=hours, **settings)  # type: ignore[arg-type]


def _day(es: Instrument) -> pd.DataFrame:
    """Half-hour bars of 2024-03-05: two of the initial balance, one beyond it above, one back, one beyond it below."""
    return frame(
        [(100, 110, 105, 900), (104, 112, 108, 500), (111, 118, 116, 80), (108, 113, 109, 600), (97, 112, 98, 160)],
        minutes=30,
    )


def test_session_structure_one_day_by_hand(es: Instrument) -> None:
    row = _structure(_day(es), es).iloc[0]

    # 100-112 in the first hour; later up to 118, down to 97.
    assert row[BALANCE].tolist() == [28.0, 25.0, 12.0, 6.0, 3.0, True, True]
    # 111 to 118 alone holds the third bracket from 114 on: the selling tail; 97 to 99 the fifth: the buying tail.
    assert (row["selling_tail_ticks"], row["buying_tail_ticks"]) == (5, 3)
    assert (row["poor_high"], row["poor_low"], row["single_print_ticks"]) == (False, False, 0)
    # Levels against the close of 98: the only node is the bulge above.
    assert (row["hvn_count"], row["lvn_count"], np.isnan(row["hvn_below"])) == (1, 0, True)
    assert row["shape"] == "D"


def test_session_structure_columns_and_types_are_as_documented(es: Instrument) -> None:
    plain, rolled = _structure(_day(es), es), _structure(toy_bars(es, sessions=8), es)

    assert {name: str(kind) for name, kind in plain.dtypes.items()} == DTYPES
    assert {name: str(kind) for name, kind in rolled.dtypes.items()} == {"contract": "str", **DTYPES}
    assert (plain.index.name, str(plain.index.dtype)) == ("session", "datetime64[ns]")


def test_session_structure_first_minute_after_the_hour_is_not_an_initial_balance(es: Instrument) -> None:
    bars = frame([(100, 101, 100, 5), (99, 103, 100, 5)])
    bars["timestamp"] = pd.to_datetime(["2024-03-05 15:29Z", "2024-03-05 15:30Z"]).as_unit("ns")

    assert _structure(bars, es)[BALANCE].iloc[0].tolist() == [25.25, 25.0, 1.0, 2.0, 1.0, True, True]
    short = _structure(bars, es, initial_balance_minutes=59)[BALANCE].iloc[0]
    assert short.isna().tolist() == [True] * 5 + [False] * 2
    assert short.tolist()[5:] == [False, False]


def test_session_structure_touching_the_initial_balance_is_not_a_break(es: Instrument) -> None:
    bars = frame([(100, 105, 100, 5), (100, 105, 100, 5), (100, 105, 100, 5)], minutes=60)

    row = _structure(bars, es).iloc[0]

    assert row[BALANCE].tolist() == [26.25, 25.0, 5.0, 0.0, 0.0, False, False]
    assert (row["poor_high"], row["poor_low"]) == (True, True)


def test_session_structure_whole_trade_date_takes_the_hour_from_the_regular_open(es: Instrument) -> None:
    bars = pd.concat([frame([(50, 200, 60, 5)], start="2024-03-05 08:00Z"), _day(es)], ignore_index=True)

    row = _structure(bars, es, "eth").iloc[0]

    assert row[BALANCE].tolist() == [28.0, 25.0, 12.0, 6.0, 3.0, True, True]


def test_session_structure_session_of_one_bar_is_all_tail(es: Instrument) -> None:
    row = _structure(frame([(100, 103, 101, 8)]), es).iloc[0]

    assert row[["shape", "hvn_count", "lvn_count", "selling_tail_ticks", "buying_tail_ticks"]].tolist() == (
        ["D", 1, 0, 4, 4]
    )
    assert row[BALANCE].tolist() == [25.75, 25.0, 3.0, 0.0, 0.0, False, False]


def test_session_structure_all_volume_at_one_price(es: Instrument) -> None:
    row = _structure(frame([(100, 100, 100, 8)] * 70), es).iloc[0]

    assert row[["shape", "hvn_count", "hvn_above", "hvn_below", "poor_high", "poor_low"]].tolist() == (
        ["D", 1, 25.0, 25.0, True, True]
    )
    assert row["single_print_ticks"] == 0


def test_session_structure_bars_without_volume_touch_nothing(es: Instrument) -> None:
    bars = _day(es)
    quiet = frame([(0, 900, 450, 0)], start="2024-03-05 17:00Z")

    pd.testing.assert_frame_equal(_structure(pd.concat([bars, quiet], ignore_index=True), es), _structure(bars, es))


def test_session_structure_around_the_clock_starts_at_the_session_s_open() -> None:
    btc = load_instruments()["BTCUSDT"]
    times = pd.to_datetime(["2021-04-05 00:00Z", "2021-04-05 00:59Z", "2021-04-05 01:00Z"]).as_unit("ns")
    bars = pd.DataFrame(
        {"timestamp": times, "low": [1.0, 1.1, 0.9], "high": [1.2, 1.3, 1.3], "close": 1.1, "volume": [3.0, 2.0, 1.0]}
    )

    row = _structure(bars, btc).iloc[0]

    assert row[["ib_high", "ib_low", "ib_extension_up_ticks", "ib_extension_down_ticks"]].tolist() == [1.3, 1.0, 0, 10]


def test_session_structure_without_bars_in_regular_hours_has_no_initial_balance(es: Instrument) -> None:
    # On an expiry Friday the contract stops before the regular open.
    bars = frame([(100, 110, 105, 9), (100, 120, 105, 9)], start="2024-03-15 12:00Z", minutes=30)

    row = _structure(bars, es, "eth").iloc[0]

    assert row[BALANCE].isna().tolist() == [True] * 5 + [False] * 2
    assert row[BALANCE].tolist()[5:] == [False, False]


def test_session_structure_roll_compares_nothing_and_counts_one_contract(es: Instrument) -> None:
    bars = toy_bars(es, sessions=12, roll_every=5)

    found = _structure(bars, es)

    rolled = found["contract"] != found["contract"].shift()
    for name in ("value_area_relation", "value_area_overlap", "vpoc_migration_ticks", "vpoc_direction", "vpoc_run"):
        assert found[name].isna().tolist() == rolled.tolist()
    # The first regular bar of a roll is the old contract's, 160 ticks away: nothing of it is left.
    first = found.index[rolled][1]
    alone = bars[bars["contract"] == found["contract"][first]].reset_index(drop=True)
    columns = [name for name in found.columns if not name.startswith(("value_area", "vpoc"))]
    pd.testing.assert_series_equal(found.loc[first, columns], _structure(alone, es).loc[first, columns])


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_session_structure_cut_off_at_any_session_is_the_same_to_the_bit(es: Instrument, hours: Hours) -> None:
    bars = toy_bars(es, sessions=140)

    cutoffs = (1, 2, 8, 31, 63, 64, 65, 84, 126, 127, 139)
    assert leaking_columns(lambda held: _structure(held, es, hours), bars, es, cutoffs, key="index") == set()


def test_session_structure_remembers_the_session_before_and_only_a_run_more(es: Instrument) -> None:
    bars = toy_bars(es, sessions=140)

    late = warm_up_differences(lambda held: _structure(held, es), bars, es, (1, 30, 62, 63, 64), 2)

    assert late <= {"vpoc_run"}


def test_session_structure_prices_shifted_by_ticks_shift_prices_and_nothing_else(es: Instrument) -> None:
    bars = toy_bars(es, sessions=30)
    shifted = bars.assign(**{name: bars[name] + 1000.0 for name in ("open", "high", "low", "close")})
    prices = ["hvn_above", "hvn_below", "lvn_above", "lvn_below", "ib_high", "ib_low"]

    plain, other = _structure(bars, es), _structure(shifted, es)

    pd.testing.assert_frame_equal(other[prices] - 1000.0, plain[prices])
    pd.testing.assert_frame_equal(other.drop(columns=prices), plain.drop(columns=prices))


def test_session_structure_foreign_frame_gives_the_same(es: Instrument) -> None:
    bars = _day(es)
    foreign = bars.set_index(pd.DatetimeIndex(bars["timestamp"]).tz_convert("Asia/Tokyo").as_unit("us"))
    foreign = foreign[["volume", "close", "low", "high"]].astype({"volume": "int32"})

    pd.testing.assert_frame_equal(_structure(foreign, es), _structure(bars, es))


def test_session_structure_volume_on_the_close_takes_nodes_from_closes_and_prints_from_ranges(es: Instrument) -> None:
    bars = _day(es)
    profiles = session_profiles(bars, es, allocation="close")

    found = session_structure(bars, profiles, es, allocation="close").iloc[0]

    assert (found["selling_tail_ticks"], found["buying_tail_ticks"], found["ib_high"]) == (5, 3, 28.0)
    # 98, 105 and, of the neighbours 108 and 109, the fuller; 116 stands out by 80, less than a tenth of 900.
    assert (found["hvn_count"], found["lvn_count"], found["hvn_above"]) == (3, 2, 24.5)


def test_session_structure_of_some_sessions_is_that_of_all_but_for_the_first(es: Instrument) -> None:
    bars = toy_bars(es, sessions=30)
    profiles = session_profiles(bars, es)

    some = session_structure(bars, profiles.iloc[5:20], es)

    whole = session_structure(bars, profiles, es)
    pd.testing.assert_frame_equal(some.iloc[1:].drop(columns="vpoc_run"), whole.iloc[6:20].drop(columns="vpoc_run"))


def test_session_structure_without_sessions_is_empty_with_its_columns(es: Instrument) -> None:
    empty = frame([])

    found = _structure(empty, es)

    assert (len(found), {name: str(kind) for name, kind in found.dtypes.items()}) == (0, DTYPES)
    profiles = session_profiles(empty, es)
    assert len(volume_nodes(empty, profiles, es)) == len(single_prints(empty, profiles, es)) == 0


def test_session_structure_profiles_of_other_hours_bars_or_allocation_are_refused(es: Instrument) -> None:
    bars = pd.concat([frame([(50, 200, 60, 5)], start="2024-03-05 08:00Z"), _day(es)], ignore_index=True)
    profiles = session_profiles(bars, es)

    with pytest.raises(DataError, match=r"session 2024-03-05 holds volume 2240, its bars in eth hours 2245; make"):
        session_structure(bars, profiles, es, hours="eth")
    with pytest.raises(DataError, match="session 2024-03-05 is not that of its bars with allocation 'close'"):
        session_structure(bars, profiles, es, allocation="close")
    with pytest.raises(DataError, match="session 2024-03-05 has no bars"):
        session_structure(bars.iloc[:0], profiles, es)
    with pytest.raises(DataError, match="bars carry a contract and profiles don't"):
        session_structure(bars.assign(contract="H"), profiles, es)
    with pytest.raises(DataError, match="profiles carry a contract and bars don't"):
        session_structure(bars, profiles.assign(contract="H"), es)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hours": "all"}, "hours is 'all'"),
        ({"allocation": "vwap"}, "allocation is 'vwap'"),
        ({"node_window": 4}, "node_window is 4"),
        ({"node_prominence_basis_points": 0}, "node_prominence_basis_points is 0"),
        ({"initial_balance_minutes": 0}, "initial_balance_minutes is 0"),
        ({"tpo_minutes": 0.5}, "tpo_minutes is 0.5"),
    ],
)
def test_session_structure_impossible_setting_is_refused(es: Instrument, setting: dict, message: str) -> None:
    bars = _day(es)

    with pytest.raises(ConfigurationError, match=message):
        session_structure(bars, session_profiles(bars, es), es, **setting)


def test_volume_nodes_lists_what_the_structure_counts(es: Instrument) -> None:
    bars = toy_bars(es, sessions=40)
    profiles = session_profiles(bars, es)

    nodes = volume_nodes(bars, profiles, es)
    found = session_structure(bars, profiles, es)

    for kind, name in (("high", "hvn_count"), ("low", "lvn_count")):
        counts = nodes[nodes["kind"] == kind].groupby("session").size().reindex(found.index, fill_value=0)
        assert counts.tolist() == found[name].tolist()
    assert [str(kind) for kind in nodes.dtypes] == ["datetime64[ns]", "str", "float64", "float64", "float64"]
    assert nodes["prominence"].between(0.1, 1.0).all()
    close = select_sessions(bars, es, found.index[0], found.index[-1]).groupby("session")["close"].last()
    distance = nodes["price"] - nodes["session"].map(close)
    for kind, name in (("high", "hvn"), ("low", "lvn")):
        for side, chosen in (("above", distance >= 0), ("below", distance <= 0)):
            prices = nodes[(nodes["kind"] == kind) & chosen].groupby("session")["price"]
            nearest = (prices.min() if side == "above" else prices.max()).reindex(found.index)
            assert nearest.equals(found[f"{name}_{side}"].rename("price"))


def test_volume_nodes_volume_is_the_decimal_that_the_levels_show() -> None:
    coin = load_instruments()["BTCUSDT"]
    bars = frame([(100, 100, 100, 1), (102, 102, 102, 1)]).assign(volume=[0.000005, 0.000015])

    nodes = volume_nodes(bars, session_profiles(bars, coin), coin, node_window=1)

    assert nodes["volume"].tolist() == [0.000005, 0.000015, 0.0]


def test_single_prints_lists_what_the_structure_counts(es: Instrument) -> None:
    bars = frame([(10, 14, 12, 5), (12, 20, 19, 5), (18, 19, 19, 5)], minutes=30)
    profiles = session_profiles(bars, es)

    zones = single_prints(bars, profiles, es)

    assert zones.to_dict("records") == [
        {"session": pd.Timestamp("2024-03-05"), "low": 3.75, "high": 4.25, "ticks": 3, "bracket": 1}
    ]
    assert session_structure(bars, profiles, es)[["single_print_ticks", "single_print_zones"]].iloc[0].tolist() == [
        3,
        1,
    ]


def test_real_es_breaks_its_initial_balance_as_often_as_published(real_data, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")

    found = _structure(bars, es)

    up, down = found["ib_broken_up"], found["ib_broken_down"]
    # A five-year study of ES (2012) found 98 % either side, 28 % both; another, 2015 to 2025, 97.8 % either side.
    assert ((up | down).mean().round(3), (up & down).mean().round(3)) == (0.977, 0.286)
    assert found["shape"].value_counts().sum() == len(found) == 1782
    assert (found["value_area_relation"].isna().sum(), found["contract"].nunique()) == (29, 29)


def test_real_es_cut_off_at_any_session_is_the_same_to_the_bit(real_data, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:40_000]

    cutoffs = (1, 20, 53, 54, 55, 100, 117, 118, 119, 130)
    assert leaking_columns(lambda held: _structure(held, es), bars, es, cutoffs, key="index") == set()
