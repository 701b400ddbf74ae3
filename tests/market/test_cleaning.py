"""Every row is kept or quarantined with its one reason, and what was rounded or sorted is counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.cleaning import REASONS, CleaningReport, clean_bars, joined
from pipeline.market.instruments import Instrument, load_instruments

ES = load_instruments()["ES"]
GOOD = (100.0, 101.0, 99.0, 100.5, 10.0)
START = pd.Timestamp("2021-03-01 14:30", tz="UTC")  # a Monday, 08:30 in Chicago


def raw(*rows: tuple[float, ...], minutes: list[int] | None = None) -> pd.DataFrame:
    """Rows of open, high, low, close, volume, five minutes apart or at the minutes given."""
    frame = pd.DataFrame(list(rows), columns=["open", "high", "low", "close", "volume"], dtype=float)
    at = [5 * i for i in range(len(rows))] if minutes is None else minutes
    frame.insert(0, "timestamp", START + pd.to_timedelta(at, unit="min"))
    return frame.assign(source_file="es.csv", source_line=np.arange(2, len(rows) + 2))


def reasons(frame: pd.DataFrame, instrument: Instrument = ES, **options: str) -> list[str | None]:
    """The reason of each row given; None for those kept."""
    quarantine = clean_bars(frame, instrument, **options).quarantine
    found = dict(zip(quarantine["source_line"], quarantine["reason"], strict=True))
    return [found.get(line) for line in frame["source_line"]]


def test_good_bars_are_kept_as_they_are() -> None:
    clean = clean_bars(raw(GOOD, GOOD), ES)

    assert list(clean.bars) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert clean.bars["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert clean.bars.iloc[:, 1:].to_numpy().tolist() == [list(GOOD), list(GOOD)]
    assert clean.quarantine.empty
    assert list(clean.quarantine) == [*raw(GOOD).columns, "reason"]
    assert clean.report == CleaningReport(
        rows_in=2, kept=2, quarantined=dict.fromkeys(REASONS, 0), out_of_order=0, snapped=0, off_step_volume=0
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((np.nan, 101, 99, 100, 1), "missing_value"),
        ((100, np.inf, 99, 100, 1), "missing_value"),
        ((100, 101, -np.inf, 100, 1), "missing_value"),
        ((100, 101, 99, 100, np.nan), "missing_value"),
        ((100, 1e300, 99, 100, 1), "missing_value"),
        ((100, 101, 99, 100, 1e300), "missing_value"),
        ((100, 99.75, 99, 99.5, 1), "bad_ohlc"),
        ((100, 101, 99, 101.25, 1), "bad_ohlc"),
        ((100, 101, 100.25, 100.5, 1), "bad_ohlc"),
        ((100, 99, 101, 100, 1), "bad_ohlc"),
        ((100, 101, 0, 100, 1), "bad_price"),
        ((100, 101, 0.1, 100, 1), "bad_price"),
        ((-1, -1, -1, -1, 1), "bad_price"),
        ((100, 9e14, 99, 100, 1), "bad_price"),
        ((9e14, 9e14, 9e14, 9e14, 1), "bad_price"),
        ((1e6, 1_010_000.25, 1e6, 1e6, 1), "bad_price"),  # over 10,000 times the usual high of 101
        ((1e6, 1_010_000, 1e6, 1e6, 1), None),
        ((100, 9900.25, 99, 100, 1), "bad_price"),  # over 100 times its low
        ((100, 9900, 99, 100, 1), None),
        ((100, 101, 99, 100, 9e15), "missing_value"),
        ((100, 101, 99, 100, 2.0**42 + 1), "missing_value"),
        ((100, 101, 99, 100, 2.0**42), None),
        ((100, 101, 99, 100, -1), "negative_volume"),
        ((100, 101, 99, 100, 0), None),
        ((100, 100, 100, 100, 1), None),
    ],
)
def test_value_of_a_row_gives_its_reason(row: tuple[float, ...], reason: str | None) -> None:
    assert reasons(raw(GOOD, row, GOOD)) == [None, reason, None]


def test_row_with_several_faults_gets_the_first_reason() -> None:
    assert reasons(raw((np.nan, -1, 5, 5, -1), (-1, -2, 5, 5, -1), (-1, -1, -1, -1, -1))) == [
        "missing_value",
        "bad_ohlc",
        "bad_price",
    ]


def test_negative_prices_are_kept_where_the_instrument_allows_them() -> None:
    spread = ES.model_copy(update={"allow_negative_prices": True})

    assert reasons(raw((-1, 0.1, -2, -1.5, 1)), spread) == [None]


def test_bar_down_to_zero_is_kept_where_the_instrument_allows_negative_prices() -> None:
    # Crude oil, 20 April 2020.
    crude = ES.model_copy(update={"allow_negative_prices": True, "tick_size": 0.01})

    assert reasons(raw((6, 6.2, 0.05, 0.1, 10)), crude) == [None]
    assert reasons(raw((6, 6.2, 0.05, 0.1, 10)), crude.model_copy(update={"allow_negative_prices": False})) == [
        "bad_price"
    ]


def test_missing_time_and_missing_contract_are_missing_values() -> None:
    frame = raw(GOOD, GOOD, GOOD, GOOD).assign(contract=["ESH21", "", None, "ESH21"])
    frame.loc[0, "timestamp"] = pd.NaT

    assert reasons(frame) == ["missing_value", "missing_value", "missing_value", None]


def test_halt_weekend_and_absurd_years_are_outside_every_session() -> None:
    frame = raw(GOOD, GOOD, GOOD, GOOD)
    frame["timestamp"] = pd.DatetimeIndex(
        ["2021-03-01 21:59", "2021-03-01 22:00", "2021-03-06 15:00", "1700-01-01 00:00"], tz="UTC"
    )

    assert reasons(frame) == [None, "outside_session", "outside_session", "outside_session"]


def test_off_tick_snap_rounds_to_the_nearest_tick_and_counts() -> None:
    clean = clean_bars(raw(GOOD, (100.1, 101.2, 99.05, 100.4, 1)), ES)

    assert clean.bars.iloc[1, 1:5].tolist() == [100.0, 101.25, 99.0, 100.5]
    assert clean.report.snapped == 1


def test_off_tick_reject_quarantines_the_row_as_it_was() -> None:
    clean = clean_bars(raw(GOOD, (100.1, 101.2, 99.05, 100.4, 1)), ES, off_tick="reject")

    assert clean.report.quarantined["off_tick"] == 1
    assert clean.report.snapped == 0
    assert clean.quarantine.loc[0, ["open", "source_file", "source_line", "reason"]].tolist() == [
        100.1, "es.csv", 3, "off_tick",
    ]  # fmt: skip


def test_duplicates_first_stays_and_the_rest_are_distinguished() -> None:
    other = (100.0, 101.0, 99.0, 100.5, 11.0)
    frame = raw(GOOD, GOOD, other, GOOD, minutes=[0, 0, 0, 5])

    assert reasons(frame) == [None, "duplicate", "conflicting_duplicate", None]


def test_duplicates_are_compared_as_read_not_as_snapped() -> None:
    frame = raw((100.1, 101, 99, 100, 1), (100.0, 101, 99, 100, 1), minutes=[0, 0])

    assert reasons(frame) == [None, "conflicting_duplicate"]


def test_duplicates_compare_optional_columns_and_take_empty_as_equal() -> None:
    frame = raw(GOOD, GOOD, GOOD, minutes=[0, 0, 0]).assign(
        contract=["ESH21", "ESH21", "ESM21"], num_trades=[np.nan, np.nan, np.nan]
    )

    assert reasons(frame) == [None, "duplicate", "conflicting_duplicate"]


def test_duplicate_of_a_quarantined_row_is_judged_by_itself() -> None:
    frame = raw((100, 99, 101, 100, 1), GOOD, (100, 99, 101, 100, 1), minutes=[0, 0, 0])

    assert reasons(frame) == ["bad_ohlc", None, "bad_ohlc"]


def test_out_of_order_rows_are_sorted_and_counted() -> None:
    frame = raw(*[(100, 101, 99, 100, volume) for volume in (3, 1, 2, 4)], minutes=[10, 0, 5, 15])

    clean = clean_bars(frame, ES)

    assert clean.bars["volume"].tolist() == [1, 2, 3, 4]
    assert clean.report.out_of_order == 2


def test_off_step_volume_is_kept_and_counted() -> None:
    clean = clean_bars(raw(GOOD, (100, 101, 99, 100, 1.5)), ES)

    assert clean.bars["volume"].tolist() == [10, 1.5]
    assert clean.report.off_step_volume == 1


def test_off_step_volume_decimal_steps_are_not_a_fault() -> None:
    bitcoin = load_instruments()["BTCUSDT"]

    assert clean_bars(raw((1, 1, 1, 1, 32.480856), (1, 1, 1, 1, 0.0000015)), bitcoin).report.off_step_volume == 1


def test_frame_without_sources_gets_its_row_numbers() -> None:
    frame = raw(GOOD, (100, 99, 101, 100, 1)).drop(columns=["source_file", "source_line"])
    frame = frame.astype({"volume": "int64"}).set_axis([7, 9])
    frame["timestamp"] = frame["timestamp"].dt.tz_convert("America/Chicago").dt.as_unit("ms")

    clean = clean_bars(frame, ES)

    assert clean.quarantine[["source_file", "source_line"]].to_numpy().tolist() == [["", 2]]
    assert clean.bars["volume"].dtype == np.float64


def test_no_rows_give_no_bars_of_the_same_types() -> None:
    clean = clean_bars(raw(GOOD).iloc[:0], ES)

    pd.testing.assert_series_equal(clean.bars.dtypes, clean_bars(raw(GOOD), ES).bars.dtypes)
    assert clean.report.rows_in == 0


def test_input_frame_is_left_as_it_was() -> None:
    frame = raw((100.1, 101, 99, 100, 1), GOOD, minutes=[5, 0])
    before = frame.copy()

    clean_bars(frame, ES)

    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (raw(GOOD).drop(columns="low"), DataError, "raw bars have no column low"),
        (raw(GOOD).assign(timestamp=pd.Timestamp("2021-03-01")), DataError, "raw bars' timestamps carry no time zone"),
        (raw(GOOD).assign(high="x"), DataError, "raw bars' column high holds str, not numbers"),
    ],
)
def test_frame_that_is_not_raw_bars_is_refused(frame: pd.DataFrame, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        clean_bars(frame, ES)


def test_off_tick_unknown_choice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="off_tick is 'round'; it must be 'snap' or 'reject'"):
        clean_bars(raw(GOOD), ES, off_tick="round")  # type: ignore[arg-type]


def test_impossible_high_of_the_only_other_row_is_detected_by_the_good_one() -> None:
    assert reasons(raw(GOOD, (9e14, 9e14, 9e14, 9e14, 1))) == [None, "bad_price"]


def test_impossible_counts_are_emptied_and_their_rows_counted() -> None:
    frame = raw(GOOD, GOOD, GOOD, GOOD)
    frame["num_trades"] = [np.inf, 5.0, np.nan, 3.0]
    frame["bid_volume"] = [-5.0, 2.0, 1.0, 1e300]
    frame["ask_volume"] = [7.0, 0.0, 1.0, 1.0]

    clean = clean_bars(frame, ES)

    assert clean.report.impossible_counts == 2
    assert clean.report.kept == 4
    np.testing.assert_array_equal(clean.bars["num_trades"], [np.nan, 5.0, np.nan, 3.0])
    np.testing.assert_array_equal(clean.bars["bid_volume"], [np.nan, 2.0, 1.0, np.nan])
    np.testing.assert_array_equal(clean.bars["ask_volume"], [7.0, 0.0, 1.0, 1.0])


def test_parts_joined_are_the_whole() -> None:
    bad = (100, 99, 101, 100, 1)
    frame = raw(GOOD, bad, (100.1, 101, 99, 100, 1.5), GOOD)

    whole, parts = clean_bars(frame, ES), [clean_bars(frame[:2], ES), clean_bars(frame[2:], ES)]

    assert joined(parts).report == whole.report
    pd.testing.assert_frame_equal(joined(parts).bars, whole.bars)
    pd.testing.assert_frame_equal(joined(parts).quarantine, whole.quarantine)


def test_report_that_loses_a_row_can_not_be_made() -> None:
    with pytest.raises(AssertionError, match="3 rows came in, but 1 were kept and 1 quarantined"):
        CleaningReport(3, 1, {"duplicate": 1}, 0, 0, 0)


PRICE = st.one_of(
    st.floats(0.01, 200),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, -1e300, 100.0, 100.25, 0.125]),
)
VOLUME = st.one_of(st.floats(0, 1e6), st.sampled_from([np.nan, -1.0, 1e300, np.inf, 0.5]))
MINUTE = st.integers(-3000, 3000)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE, VOLUME, MINUTE, st.booleans()), max_size=30),
    st.sampled_from(["snap", "reject"]),
)
def test_any_rows_are_all_accounted_for_and_kept_bars_are_sound(
    rows: list[tuple[float, float, float, float, float, int, bool]], off_tick: str
) -> None:
    # Half the rows get their high and low put right, so that many are kept.
    values = [
        (o, max(o, h, low, c), min(o, h, low, c), c, v) if right else (o, h, low, c, v)
        for o, h, low, c, v, _, right in rows
    ]
    frame = raw(*values, minutes=[row[5] for row in rows])

    clean = clean_bars(frame, ES, off_tick=off_tick)  # type: ignore[arg-type]

    bars, quarantine = clean.bars, clean.quarantine
    assert len(bars) + len(quarantine) == len(rows) == clean.report.rows_in
    assert quarantine["reason"].value_counts().to_dict() == {k: v for k, v in clean.report.quarantined.items() if v}
    taken = frame[frame["source_line"].isin(quarantine["source_line"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(quarantine[list(frame)], taken, check_dtype=False, check_index_type=False)
    assert bars["timestamp"].is_monotonic_increasing
    assert bars["timestamp"].is_unique
    prices = bars[["open", "high", "low", "close"]].to_numpy()
    assert np.array_equal(prices, ES.to_ticks(prices) * ES.tick_size)
    assert (prices > 0).all()
    assert (bars["high"] >= bars[["open", "close", "low"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["volume"] >= 0).all()
    again = clean_bars(bars, ES, off_tick="reject")
    pd.testing.assert_frame_equal(again.bars, bars)
