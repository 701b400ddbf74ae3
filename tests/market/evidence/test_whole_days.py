"""Dates that are whole days off."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, simulate_market
from pipeline.market.readers import ReadOptions, read_bars
from tests.market.evidence.looking import found, month_of

KIND = "whole_days"


def later(bars: pd.DataFrame, days: int) -> pd.DataFrame:
    return bars.assign(timestamp=bars["timestamp"] + pd.Timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "shift"),
    [(1, "1 day earlier"), (-1, "1 day later"), (3, "3 days earlier"), (-1462, "1 day earlier")],
)
def test_dates_on_the_wrong_weekdays_are_reported(es: Instrument, days: int, shift: str) -> None:
    bars = simulate_market(es, "2023-05-01", 10, 3)

    assert KIND not in found(bars, es)
    finding = found(later(bars, days), es)[KIND]
    assert f"with dates {shift}: the dates are on the wrong weekdays" in finding.message
    assert ("1,462 days" in finding.message) == (shift == "1 day earlier")


def test_few_days_and_markets_around_the_clock_tell_no_weekday(es: Instrument) -> None:
    bitcoin = find_instrument("BTCUSDT")

    assert KIND not in found(later(simulate_market(es, "2023-05-01", 3, 3), 3), es)
    assert KIND not in found(later(simulate_market(bitcoin, "2023-05-01", 8, 3), 1), bitcoin)


def test_whole_weeks_leave_the_weekdays_as_they_are(es: Instrument) -> None:
    assert KIND not in found(later(simulate_market(es, "2023-05-01", 10, 3), 7), es)


@pytest.mark.parametrize("month", ["2016-11", "2019-03", "2020-06", "2021-09"])
def test_real_months_of_es_are_reported_a_day_off_only(es_years: pd.DataFrame, es: Instrument, month: str) -> None:
    bars = month_of(es_years, month)

    assert not found(bars, es)
    assert set(found(later(bars, -1), es)) == set(found(later(bars, 1), es)) == {KIND}


def test_days_of_1904_in_a_text_are_reported(tmp_path: Path, es: Instrument) -> None:
    bars = simulate_market(es, "2023-05-01", 10, 3)
    days = (bars["timestamp"] - pd.Timestamp("1904-01-01", tz="UTC")) / pd.Timedelta(days=1)
    bars[["open", "high", "low", "close", "volume"]].assign(date=days.map("{:.8f}".format)).to_csv(
        tmp_path / "bars.csv", index=False
    )

    raw = read_bars(tmp_path / "bars.csv", ReadOptions(time_zone="UTC"))

    assert "1,462 days too early" in found(raw.frame, es, raw.zone)[KIND].message
