"""Evenings that stand under the trade date they belong to."""

import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, simulate_market
from tests.market.evidence.looking import found, month_of

CHICAGO = "America/Chicago"
KIND = "trade_dates"


def under_trade_dates(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars as they are read where the file gives 17:00 on Sunday as 17:00 on Monday."""
    wall = bars["timestamp"].dt.tz_convert(CHICAGO).dt.tz_localize(None)
    date = (wall + pd.Timedelta("7h")).dt.normalize()
    read = (date + (wall - wall.dt.normalize())).dt.tz_localize(CHICAGO, ambiguous="NaT", nonexistent="NaT")
    return bars.assign(timestamp=read.dt.tz_convert("UTC")).dropna(subset=["timestamp"])


@pytest.mark.parametrize("falling", [False, True])
def test_evenings_under_their_trade_dates_are_reported(es: Instrument, falling: bool) -> None:
    bars = simulate_market(es, "2023-05-01", 10, 3)
    read = under_trade_dates(bars)
    read = read[::-1] if falling else read

    assert KIND not in found(bars, es)
    assert found(read, es)[KIND].message.startswith("on 2 weekends there are bars after the last close")


def test_rows_in_any_order_and_regular_hours_are_not_trade_dates(es: Instrument) -> None:
    bars = simulate_market(es, "2023-05-01", 10, 3)
    hours = bars["timestamp"].dt.tz_convert(CHICAGO).dt.hour

    assert KIND not in found(bars.sample(frac=1, random_state=1), es)
    assert KIND not in found(bars[(hours >= 9) & (hours < 15)], es)


@pytest.mark.parametrize("month", ["2016-11", "2019-03", "2020-06"])
def test_real_months_of_es_are_reported_one_way_only(es_years: pd.DataFrame, es: Instrument, month: str) -> None:
    bars = month_of(es_years, month)

    assert KIND not in found(bars, es)
    assert set(found(under_trade_dates(bars), es)) == {KIND}


def test_market_around_the_clock_has_no_trade_dates() -> None:
    bitcoin = find_instrument("BTCUSDT")
    bars = simulate_market(bitcoin, "2023-05-01", 8, 3)

    assert KIND not in found(under_trade_dates(bars), bitcoin)
