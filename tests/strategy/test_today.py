"""The session's bars so far, against a slow reading of the same bars."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.strategy import NO_PRICE, Seen
from pipeline.strategy.today import SessionBars
from tests.strategies.market import ES, calendar, flat, made_bars, made_history, seen_of

MINUTE = pd.Timedelta("1min")


@st.composite
def markets(draw: st.DrawFn) -> tuple[pd.DataFrame, int]:
    """Bars of four sessions on a grid of some minutes, many missing, two contracts; and how long a bar is."""
    minutes = draw(st.sampled_from([5, 30, 60]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows = []
    for number in range(4):
        opened = calendar()["rth_open"].iloc[number]
        for place in range(-2, 8 * 60 // minutes):
            if rng.random() < 0.3:
                continue
            low = int(rng.integers(15_900, 16_000))
            high = low + int(rng.integers(0, 50))
            open_, close = (int(value) for value in rng.integers(low, high + 1, 2))
            contract = "H" if (number, place) < (2, 3) else "M"
            rows.append((opened + place * minutes * MINUTE, open_, high, low, close, contract))
    frame = pd.DataFrame(rows, columns=["timestamp", "open", "high", "low", "close", "contract"])
    for name in ("open", "high", "low", "close"):
        frame[name] = ES.to_prices(frame[name])
    return frame.assign(timestamp=pd.DatetimeIndex(frame["timestamp"]).as_unit("ns"), volume=1.0), minutes


def slow_today(bars: pd.DataFrame, length: int, session: pd.Timestamp, minute: int, contract: str) -> pd.DataFrame:
    """The bars of a session that were complete, one by one."""
    opened, closed = calendar().loc[session, ["rth_open", "rth_close"]]
    decided = opened + minute * MINUTE
    # The last bar ends a length after its open.
    if decided >= closed or decided > bars["timestamp"].iloc[-1] + length * MINUTE:
        return bars.iloc[:0]
    kept = [
        place
        for place in range(len(bars))
        if opened <= bars["timestamp"].iloc[place] < closed and slow_end(bars, length, place) <= decided
    ]
    found = bars.iloc[kept]
    return found if set(found["contract"]) == {contract} else bars.iloc[:0]


def slow_end(bars: pd.DataFrame, length: int, place: int) -> pd.Timestamp:
    end = bars["timestamp"].iloc[place] + length * MINUTE
    return end if place == len(bars) - 1 else min(end, bars["timestamp"].iloc[place + 1])


def slow_closes(
    found: pd.DataFrame, bars: pd.DataFrame, length: int, decided: pd.Timestamp, minutes: int, count: int
) -> list[int]:
    closes = []
    for back in range(count - 1, -1, -1):
        end = decided - back * minutes * MINUTE
        inside = [place for place in found.index if end - minutes * MINUTE < slow_end(bars, length, place) <= end]
        closes.append(int(ES.to_ticks(bars["close"].iloc[inside[-1]])) if inside else NO_PRICE)
    return closes


@settings(max_examples=40)
@given(markets(), st.integers(1, 500), st.sampled_from([5, 15, 30, 60]), st.integers(1, 4))
def test_today_equals_a_slow_reading_of_the_bars(market, minute, bracket, count) -> None:
    bars, length = market
    sessions = calendar().index[:5]
    contracts = np.array(["H", "H", "H", "M", "M"], object)

    today = SessionBars(bars, ES, "rth").until(sessions, minute, contracts)

    closes = today.closes(bracket, count)
    for row, session in enumerate(sessions):
        found = slow_today(bars, length, session, minute, contracts[row])
        decided = calendar().loc[session, "rth_open"] + minute * MINUTE
        assert pd.Timestamp(today.decided_at[row], tz="UTC") == decided
        assert today.known[row] == (len(found) > 0)
        pd.testing.assert_frame_equal(today.frame(row), found)
        if len(found):
            expected = [
                *(found["open"].iloc[0], found["high"].max(), found["low"].min(), found["close"].iloc[-1]),
            ]
            got = [today.open[row], today.high[row], today.low[row], today.last[row]]
            assert got == ES.to_ticks(expected).tolist()
        else:
            assert {today.open[row], today.high[row], today.low[row], today.last[row]} == {NO_PRICE}
        assert closes[row].tolist() == slow_closes(found, bars, length, decided, bracket, count)


def test_today_counts_a_bar_that_ends_at_the_decision_and_none_that_ends_after() -> None:
    bars = made_bars(1, [(1, 3, 1, 2), (2, 5, 2, 4), (4, 9, 4, 8)])
    own = SessionBars(bars, ES, "rth")
    session = calendar().index[1:2]

    assert [own.until(session, minute, None).last.tolist() for minute in (29, 30, 59, 60, 89, 90)] == [
        *([NO_PRICE], [2], [2], [4], [4], [8]),
    ]


def test_today_of_a_decision_at_the_close_or_later_knows_nothing() -> None:
    # The day after Thanksgiving closes at 12:15, 225 minutes after the open.
    start = "2024-11-27"
    bars = made_bars(2, flat(16_000, 26), minutes=15, start=start)
    session = calendar(start).index[2:3]
    assert session[0] == pd.Timestamp("2024-11-29")
    opened, closed = calendar(start).loc[session[0], ["rth_open", "rth_close"]]
    length = (closed - opened) // MINUTE
    own = SessionBars(bars, ES, "rth", known_until=bars["timestamp"].iloc[-1] + 15 * MINUTE)

    known = [bool(own.until(session, minute, None).known[0]) for minute in (length - 1, length, length + 1)]

    assert length == 225
    assert known == [True, False, False]


def test_today_after_a_missing_bar_is_decided_once_the_bars_are_known_until_then() -> None:
    # The bar before the decision is missing: only word that the bars are complete tells it from one not yet come.
    bars = made_bars(1, flat(16_000, 3))
    session = calendar().index[1:2]
    decided = calendar().loc[session[0], "rth_open"] + 120 * MINUTE

    assert not SessionBars(bars, ES, "rth").until(session, 120, None).known[0]
    assert not SessionBars(bars, ES, "rth", decided - MINUTE).until(session, 120, None).known[0]
    assert SessionBars(bars, ES, "rth", decided).until(session, 120, None).known[0]


def test_today_of_bars_of_another_contract_than_the_history_is_not_known() -> None:
    history = made_history({"contract": "H"}, {"contract": "M"})
    bars = [made_bars(1, flat(16_000, 4), contract="M"), made_bars(2, flat(16_000, 4), contract="M")]

    assert seen_of(history, *bars).at(60).today.known.tolist() == [False, True]


def test_today_of_a_session_with_longer_bars_than_usual_counts_each_once_it_is_over() -> None:
    bars = [made_bars(number, flat(16_000, 78), minutes=5) for number in (1, 2)]
    seen = seen_of(made_history({}, {}, {}), *bars, made_bars(3, [(16_000, 16_100, 16_000, 16_000), *flat(16_000, 12)]))

    assert seen.at(20).today.known.tolist() == [True, True, False]
    assert seen.at(30).today.high.tolist() == [16_000, 16_000, 16_100]


def test_today_of_a_session_that_rolls_is_known_up_to_the_roll() -> None:
    history = made_history({"contract": "H"})
    bars = [made_bars(1, flat(16_000, 2), contract="H"), made_bars(1, flat(16_200, 4), first=2, contract="M")]
    seen = seen_of(history, *bars)

    assert seen.at(60).today.high.tolist() == [16_000]
    assert not seen.at(90).today.known[0]


def test_today_closes_of_a_bracket_without_a_bar_are_missing() -> None:
    parts = [made_bars(1, flat(16_000, 1)), made_bars(1, flat(16_010, 1), first=2), made_bars(2, flat(16_000, 5))]
    bars = pd.concat(parts, ignore_index=True)
    session = calendar().index[1:2]

    assert SessionBars(bars, ES, "rth").until(session, 90, None).closes(30, 4).tolist() == [
        [NO_PRICE, 16_000, NO_PRICE, 16_010]
    ]


def test_today_of_bars_outside_the_hours_knows_nothing() -> None:
    evening = made_bars(1, flat(16_000, 3), first=-20)

    assert not SessionBars(evening, ES, "rth").until(calendar().index[1:2], 5, None).known.any()


def test_today_of_no_sessions_is_empty() -> None:
    own = SessionBars(made_bars(1, flat(16_000, 3)), ES, "rth")

    assert own.until(calendar().index[:0], 60, None).open.shape == (0,)


def test_session_bars_known_until_before_their_end_are_refused() -> None:
    bars = made_bars(1, flat(16_000, 3))

    with pytest.raises(DataError, match="known_until"):
        SessionBars(bars, ES, "rth", bars["timestamp"].iloc[-1])
    with pytest.raises(DataError, match="zone"):
        SessionBars(bars, ES, "rth", "2024-02-01")


def test_seen_today_before_the_session_opens_is_refused() -> None:
    seen = seen_of(made_history({}), made_bars(1, flat(16_000, 3)))

    with pytest.raises(ConfigurationError, match="decision_minutes"):
        _ = seen.today
    with pytest.raises(ConfigurationError, match="decision_minutes"):
        _ = Seen.of(made_history({}), ES).at(30).today
