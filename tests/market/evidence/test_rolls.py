from pathlib import Path

import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, label_sessions, simulate_market
from pipeline.market.bar_chunks import clean_bar_chunks
from pipeline.market.evidence.rolls import likely_rolls
from pipeline.market.quarterly_futures import third_fridays
from pipeline.market.readers import ReadOptions, read_bars
from tests.market.evidence.looking import found, misread


def test_third_fridays_are_those_of_the_quarters() -> None:
    days = third_fridays(pd.Timestamp("2022-02-11"), pd.Timestamp("2022-12-30"))

    assert days.strftime("%Y-%m-%d").tolist() == ["2022-03-18", "2022-06-17", "2022-09-16", "2022-12-16"]


def test_likely_rolls_real_series_held_to_expiry_finds_every_roll(real_data: Path, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    bars = bars[label_sessions(bars["timestamp"], es).position >= 0].reset_index(drop=True)
    first = bars["contract"] != bars["contract"].shift()
    first[0] = False
    known = label_sessions(bars.loc[first, "timestamp"], es).sessions
    jumps = (bars["open"] - bars["close"].shift())[first]

    rolls = likely_rolls(bars.drop(columns="contract"), es)

    assert rolls["session"].tolist() == known.tolist()
    assert rolls["jump"].tolist() == jumps.tolist()
    assert rolls["expired"].all()


def test_rolls_of_a_series_rolled_before_expiry_show_as_jumps(es: Instrument) -> None:
    bars = simulate_market(es, "2022-01-03", 250, 3)
    first = bars["contract"] != bars["contract"].shift()
    first[0] = False
    rolled = label_sessions(bars.loc[first, "timestamp"], es).sessions
    # The simulator's spreads are those of low rates; these are those of 5 %.
    step = bars["contract"].map({name: 45.0 * place for place, name in enumerate(bars["contract"].unique())})
    for name in ("open", "high", "low", "close"):
        bars[name] += step

    finding = found(bars.drop(columns="contract"), es)["rolls"]

    assert finding.severity == "warning"
    assert len(rolled) == 4
    for session in rolled:
        assert f"{session:%Y-%m-%d} (+" in finding.message
    assert not found(bars, es)


def test_continuous_series_without_contracts_or_jumps_gets_a_note(es: Instrument) -> None:
    bars = simulate_market(es, "2022-01-03", 120, 3).drop(columns="contract")
    quiet = bars.assign(open=4000.0, high=4000.0, low=4000.0, close=4000.0)

    assert found(quiet, es)["rolls"].severity == "note"
    within = quiet["timestamp"] >= pd.Timestamp("2022-03-11", tz="UTC")
    assert not found(quiet[within & (quiet["timestamp"] < pd.Timestamp("2022-06-17", tz="UTC"))], es)
    assert found(quiet.assign(contract="ES"), es)["rolls"].severity == "note"  # a name over months is the series'


def test_rolls_are_not_looked_for_in_stocks() -> None:
    spy = find_instrument("SPY")

    assert not found(simulate_market(spy, "2022-01-03", 120, 3), spy)


def test_real_single_contract_without_a_column_raises_no_alarm(real_data: Path, es: Instrument) -> None:
    # The Federal Reserve's meeting of 18 December 2024 moved the market in the roll week.
    assert not found(pd.read_parquet(real_data / "es_1m_esh25.parquet"), es)


def _databento(path: Path, ids: list[int], times: pd.DatetimeIndex) -> Path:
    frame = pd.DataFrame({"ts_event": times.strftime("%Y-%m-%dT%H:%M:%SZ"), "instrument_id": ids})
    frame.assign(open=4500, high=4501, low=4499, close=4500, volume=10).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1] * 30 + [2] * 30, ["1", "2"]),  # a continuous series rolls
        ([1] * 60, None),  # one contract, or a stock
        (list(range(60)), None),  # a stock on an exchange that numbers again each day
        ([1, 2] * 30, None),  # two series in one file
    ],
)
def test_instrument_id_that_changes_as_contracts_do_is_the_contract(
    tmp_path: Path, ids: list[int], expected: list[str] | None
) -> None:
    times = pd.date_range("2022-03-01 15:00", periods=60, freq="1D")

    frame = read_bars(_databento(tmp_path / "bars.csv", ids, times)).frame

    assert (frame["contract"].unique().tolist() if "contract" in frame else None) == expected


def test_instrument_id_is_the_contract_where_the_user_says_so(tmp_path: Path) -> None:
    times = pd.date_range("2022-03-01 15:00", periods=60, freq="1D")
    path = _databento(tmp_path / "bars.csv", [7] * 60, times)

    frame = read_bars(path, ReadOptions(columns={"contract": "instrument_id"})).frame

    assert frame["contract"].unique().tolist() == ["7"]


def test_instrument_id_in_chunks_is_the_contract_in_each(tmp_path: Path, es: Instrument) -> None:
    times = pd.date_range("2022-03-07 15:00", periods=30, freq="1D")
    path = _databento(tmp_path / "bars.csv", [1] * 15 + [2] * 15, times)

    chunks = list(clean_bar_chunks(path, es, chunk_rows=10))

    assert [chunk.bars["contract"].unique().tolist() for chunk in chunks] == [["1"], ["1", "2"], ["2"]]


def test_rolls_of_misread_times_stay_quiet_beside_the_zone(es: Instrument) -> None:
    bars = simulate_market(es, "2023-10-23", 10, 3).drop(columns="contract")

    assert set(found(misread(bars, "UTC", "America/Chicago"), es, "America/Chicago")) == {"time_zone"}
