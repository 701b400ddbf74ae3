"""The rows for the rules and the models: orders, candidates turned away, decisions still to come."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.coming import coming_at, coming_orders, order_table
from pipeline.market import find_instrument
from pipeline.settings import Settings
from pipeline.strategy import make_signals, model_signals
from tests.strategies.market import flat, made_bars, made_history

ES = find_instrument("ES")
# In ticks: a long from 15,980 to 16,020, a short back; both stops 20 ticks away.
WIDE = {"atr": 40.0}
SHUT = {**WIDE, "calm": False, "r_squared": 0.2}


def coming(
    last: Mapping[str, Any] = WIDE,
    *bars: pd.DataFrame,
    settings: Settings | None = None,
    scores: tuple[float, float] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The orders after two sessions by hand, the first of which is Tuesday 2024-01-02."""
    chosen = settings or Settings()
    history = made_history(WIDE, last)
    held = pd.concat([made_bars(0, flat(16_000, 13)), made_bars(1, flat(16_000, 13)), *bars], ignore_index=True)
    signals = make_signals(history, ES, chosen.rules, held)
    if scores is not None:
        predictions = pd.DataFrame(
            {"fold": -1, "score": np.nan, "threshold": 0.4, "origin": "final"}, index=signals.index
        )
        predictions.loc[predictions.index[-2:], "score"] = scores
        found = model_signals(signals, predictions, require_rules=chosen.models.require_rules)
        options["models"] = {"lightgbm": found}
    return coming_orders(signals, history, held, ES, chosen, **options)


def told(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[list(names)].astype(object).itertuples(index=False)
    ]


def test_rules_trade_one_side_of_a_trend_and_turn_the_other_away():
    frame = coming()

    assert told(frame, "by", "action", "side", "type", "entry", "stop", "target", "quantity") == [
        ("Rule signals", "order", 1, "limit", 3995.0, 3990.0, 4005.0, 3),
        ("Rule signals", "none", -1, "limit", 4005.0, 4010.0, 3995.0, None),
    ]
    assert frame["why"].tolist() == ["", "gates shut: trend; direction probability"]
    assert (frame["session"] == "2024-01-04").all()
    assert (frame["decided_on"] == "2024-01-03").all()
    assert (frame["decides_at"] == pd.Timestamp("2024-01-03 21:00Z")).all()
    assert (frame["opens"] == pd.Timestamp("2024-01-04 14:30Z")).all()
    assert (frame["closes"] == pd.Timestamp("2024-01-04 21:00Z")).all()


def test_gates_that_are_open_and_shut_are_named():
    frame = coming({**WIDE, "calm": False})

    assert (frame["action"] == "none").all()
    assert frame["shut"].iloc[0] == "calm; direction probability; confidence"
    assert frame["passed"].iloc[0] == "trend; R² above threshold"
    assert frame["measures"].iloc[0].startswith("confidence ")


def test_model_takes_what_its_score_lets_through():
    frame = coming(scores=(0.41, 0.39))

    models = frame[frame["by"] == "ML lightgbm"]
    assert told(models, "action", "side", "score", "threshold") == [("order", 1, 0.41, 0.4), ("none", -1, 0.39, 0.4)]
    assert models["why"].tolist() == ["", "score 0.390 is below the threshold of 0.400"]


def test_model_without_a_score_or_a_model_has_no_order():
    frame = coming(scores=(np.nan, 0.5), untrained={"mlp": "too few trades"})

    assert told(frame[frame["by"] == "ML lightgbm"], "action", "why") == [
        ("none", "the model has not scored it"),
        ("order", ""),
    ]
    assert told(frame[frame["by"] == "ML mlp"], "action", "side", "why") == [("none", None, "too few trades")]


def test_model_that_requires_the_rules_turns_away_what_their_gates_do():
    frame = coming(SHUT, settings=Settings(models={"require_rules": True}), scores=(0.9, 0.9))

    models = frame[frame["by"] == "ML lightgbm"]
    assert models["action"].tolist() == ["none", "none"]
    assert models["why"].str.contains("models.require_rules").all()
    assert models["why"].str.contains("R² above threshold").all()


def test_session_without_a_setup_says_that_there_is_no_order():
    frame = coming({"atr": np.nan})

    assert told(frame, "by", "action", "side", "entry", "quantity") == [("Rule signals", "none", None, None, None)]
    assert "no setup" in frame["why"].iloc[0]


def test_history_without_sessions_gives_no_rows():
    history = made_history(WIDE).iloc[:0]
    bars = made_bars(0, flat(16_000, 2))
    signals = make_signals(history, ES)

    assert coming_orders(signals, history, bars, ES, Settings()).empty


BALANCE = Settings(strategy={"name": "initial_balance_breakout"})
ACCEPTANCE = Settings(strategy={"name": "eighty_percent_rule"})


def test_decision_within_the_session_waits_until_its_bars_are_there():
    frame = coming(settings=BALANCE)

    assert told(frame, "action", "side") == [("waits", None)]
    assert frame["decides_at"].tolist() == [pd.Timestamp("2024-01-04 15:30Z")]
    assert "09:30 America/Chicago (15:30 UTC)" in frame["why"].iloc[0]


def test_decision_within_the_session_is_shown_once_its_bars_are_there():
    hour = made_bars(2, [(16_000, 16_008, 16_000, 16_005), (16_005, 16_008, 15_996, 16_000)])

    frame = coming(WIDE, hour, settings=BALANCE)

    assert told(frame, "side", "type", "entry", "stop", "target", "group", "live_from") == [
        (1, "stop", 4002.25, 4000.75, 4005.25, "2024-01-04 balance", pd.Timestamp("2024-01-04 15:30Z")),
        (-1, "stop", 3998.75, 4000.25, 3995.75, "2024-01-04 balance", pd.Timestamp("2024-01-04 15:30Z")),
    ]
    assert frame["action"].tolist() == ["order", "order"]
    seen = coming_at(frame, ES)
    assert (seen.session, seen.state) == (pd.Timestamp("2024-01-04"), "under way")


def test_decision_at_several_times_shows_those_to_come():
    hour = made_bars(2, flat(15_900, 3))

    frame = coming(WIDE, hour, settings=ACCEPTANCE)

    assert frame["action"].tolist() == ["waits"]
    assert frame["decides_at"].tolist() == [pd.Timestamp("2024-01-04 16:30Z")]
    assert "10:30, 11:00, 11:30, 12:00, 12:30 America/Chicago" in frame["why"].iloc[0]


def test_session_that_closes_before_the_decision_has_no_order():
    late = Settings(strategy={"name": "initial_balance_breakout", "minutes": 400})

    frame = coming(settings=late)

    assert told(frame, "action", "side") == [("none", None)]


def test_market_order_has_the_size_of_the_last_price():
    inside = made_bars(2, [(15_900, 15_990, 15_900, 15_985), (15_985, 15_995, 15_981, 15_990)])

    frame = coming(WIDE, inside, settings=ACCEPTANCE)

    order = frame.iloc[0]
    assert (order["action"], order["type"], order["side"]) == ("order", "market", 1)
    assert np.isnan(order["entry"])
    assert order["reference"] == 15_990 / 4
    # In at 15,991 after a tick of slippage, the stop four ticks below the value area at 15,976: 15 ticks and $10.
    assert order["stop"] == 15_976 / 4
    assert order["quantity"] == int(1000 / (15 * 12.5 + 10))
    assert "last price" in order_table(coming_at(frame, ES))["why"].iloc[0]


def test_bars_that_end_within_a_session_give_its_orders_and_mark_those_after_it_as_provisional():
    history = made_history(WIDE, WIDE, {**WIDE, "vah": 16_060})
    bars = pd.concat([made_bars(number, flat(16_000, 13 if number < 2 else 4)) for number in range(3)])
    frame = coming_orders(make_signals(history, ES), history, bars.reset_index(drop=True), ES, Settings())

    assert told(frame, "session", "target")[::2] == [
        (pd.Timestamp("2024-01-04"), 4005.0),
        (pd.Timestamp("2024-01-05"), 4015.0),
    ]
    assert ["unfinished session" in note for note in frame["notes"]] == [False, False, True, True]
    now = coming_at(frame, ES)
    assert (now.session, now.state) == (pd.Timestamp("2024-01-04"), "under way")
    evening = coming_at(frame, ES, pd.Timestamp("2024-01-04 23:00Z"))
    assert (evening.session, evening.state) == (pd.Timestamp("2024-01-05"), "coming")
    assert any("unfinished session" in note for note in evening.notes)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("2024-01-03 21:00Z", "coming"),
        ("2024-01-04 14:29:59Z", "coming"),
        ("2024-01-04 14:30Z", "under way"),
        ("2024-01-04 20:59:59Z", "under way"),
        ("2024-01-04 21:00Z", "over"),
        ("2024-03-01 12:00Z", "over"),
        ("2020-01-01 12:00Z", "coming"),  # a clock behind the bars counts as theirs
    ],
)
def test_session_is_coming_under_way_or_over_by_the_clock(now: str, state: str):
    seen = coming_at(coming(), ES, pd.Timestamp(now))

    assert (seen.session, seen.state) == (pd.Timestamp("2024-01-04"), state)
    assert seen.hours == "Thursday 2024-01-04, 08:30–15:00 America/Chicago (14:30–21:00 UTC)"
    assert "Wed 2024-01-03 15:00 America/Chicago" in seen.standing
    assert ("which is over" in seen.standing) == (state == "over")


def test_decision_that_is_due_and_not_in_the_bars_asks_for_newer_ones():
    frame = coming(settings=BALANCE)

    before, due = (coming_at(frame, ES, pd.Timestamp(f"2024-01-04 {clock}Z")) for clock in ("15:29", "15:30"))
    assert before.state == due.state == "under way"
    assert "newer bars" not in before.standing
    assert "newer bars" in due.standing


def test_hours_over_midnight_name_their_days():
    evening = made_bars(1, flat(16_000, 2), first=13)  # to the close of the trade date
    frame = coming(WIDE, evening, settings=Settings(history={"hours": "eth"}))

    expected = "Thursday 2024-01-04, Wed 17:00–Thu 16:00 America/Chicago (Wed 23:00–Thu 22:00 UTC)"
    assert coming_at(frame, ES).hours == expected


def test_table_shows_orders_with_size_and_the_others_with_their_reason():
    texts = order_table(coming_at(coming(), ES))

    assert texts[["order", "entry", "stop", "target", "size", "loss at stop"]].to_numpy().tolist() == [
        ["buy limit", "3995.00", "3990.00", "4005.00", "3", "$817.50"],
        ["no sell limit", "4005.00", "4010.00", "3995.00", "–", "–"],
    ]
    assert texts["why"].tolist()[1].startswith("gates shut")


def test_table_tells_window_group_and_trail():
    hour = made_bars(2, [(16_000, 16_008, 16_000, 16_005), (16_005, 16_008, 15_996, 16_000)])
    balance = order_table(coming_at(coming(WIDE, hour, settings=BALANCE), ES))
    trend = order_table(coming_at(coming(settings=Settings(strategy={"name": "trend_continuation"})), ES))

    assert "live from 09:30 America/Chicago" in balance["terms"].iloc[0]
    assert "one cancels the other" in balance["terms"].iloc[0]
    assert trend["terms"].iloc[0] == "trailing stop 20 ticks"
    assert trend["target"].iloc[0] == "–"
