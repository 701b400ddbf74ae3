"""Early closes, holidays and rolls, on days of the exchanges' calendars that are known."""

import pandas as pd
import pytest

from pipeline.coming.unusual import roll_notes, session_notes
from pipeline.market import Hours, find_instrument
from tests.strategies.market import flat, made_bars, made_history

ES = find_instrument("ES")


def notes(session: str, symbol: str = "ES", hours: Hours = "rth") -> list[str]:
    return session_notes(pd.Timestamp(session), find_instrument(symbol), hours)


@pytest.mark.parametrize("symbol", ["ES", "SPY", "BTCUSDT"])
@pytest.mark.parametrize("session", ["2024-10-15", "2024-10-14", "2024-10-18"])
def test_ordinary_session_has_nothing_unusual(session: str, symbol: str):
    assert notes(session, symbol) == []


@pytest.mark.parametrize("session", ["2024-12-25", "2024-12-28", "2024-07-04"])
def test_market_that_never_closes_has_no_holidays(session: str):
    assert notes(session, "BTCUSDT", "eth") == []


def test_early_close_of_futures_and_stocks_is_told():
    assert notes("2024-11-29")[0] == "closes early, at 12:15 instead of 15:00"
    assert notes("2024-07-03", "SPY") == [
        "closes early, at 13:00 instead of 16:00",
        "last session before a holiday (closed on Thu 2024-07-04)",
    ]
    assert notes("2024-07-04", "ES", "eth")[0].startswith("closes early, at 12:00 instead of 16:00")


def test_session_around_a_holiday_is_told():
    assert notes("2024-07-05", "SPY") == ["first session after a holiday (closed on Thu 2024-07-04)"]
    assert notes("2024-05-28", "SPY") == ["first session after a long weekend (closed on Mon 2024-05-27)"]
    assert notes("2024-05-24", "SPY") == ["last session before a long weekend (closed on Mon 2024-05-27)"]
    assert notes("2024-04-01") == ["first session after a long weekend (closed on Fri 2024-03-29)"]


def test_clock_change_is_not_an_early_close():
    assert notes("2024-03-11") == []
    assert notes("2024-11-04") == []


def rolled(*contracts: str, last: str = "") -> list[str]:
    """Notes on the orders after sessions of some contracts from 2024-01-02 on, the newest bars of the last one."""
    history = made_history(*({"contract": each} for each in contracts))
    bars = [made_bars(row, flat(16_000, 13), contract=each) for row, each in enumerate(contracts)]
    if last:
        bars.append(made_bars(len(contracts), flat(16_000, 1), contract=last))
    session = pd.Timestamp("2024-01-05")
    return roll_notes(history.index[-1], session, history, pd.concat(bars, ignore_index=True), ES)


def test_same_contract_has_no_roll():
    assert rolled("H", "H", last="H") == []


def test_contract_that_is_new_in_the_last_session_is_told():
    assert rolled("Z", "H") == ["the bars rolled from Z to H on 2024-01-03"]


def test_newer_bars_of_another_contract_are_told():
    found = rolled("H", "H", last="M")
    assert "newest bars are of M, these orders of H" in found[0]
    assert found[1:] == ["volume has moved to M"]  # in the session that the bars end in, which is all M's


@pytest.mark.parametrize(("bars_of_h", "moved"), [(6, True), (7, False)])
def test_volume_that_has_moved_within_the_session_is_told(bars_of_h: int, moved: bool):
    history = made_history({"contract": "H"}, {"contract": "H"})
    bars = pd.concat(
        [
            made_bars(0, flat(16_000, 13)),
            made_bars(1, flat(16_000, bars_of_h)),
            made_bars(1, flat(16_000, 13 - bars_of_h), first=bars_of_h, contract="M"),
        ],
        ignore_index=True,
    )
    found = roll_notes(history.index[-1], pd.Timestamp("2024-01-04"), history, bars, ES)
    assert ("volume has moved to M" in found) == moved


def test_usual_roll_day_of_quarterly_futures_is_told():
    history = made_history({"contract": "H"}, start="2024-03-06")
    bars = made_bars(0, flat(16_000, 13), start="2024-03-06")
    found = roll_notes(history.index[-1], pd.Timestamp("2024-03-07"), history, bars, ES)
    assert found == ["quarterly futures usually roll on this day, from ESH24 to ESM24"]
