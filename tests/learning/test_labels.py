"""A label is the simulated outcome of its candidate alone, and is known at its end: not sooner, not later."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.errors import DataError
from pipeline.learning import LABEL_COLUMNS, candidate_labels
from pipeline.market import Instrument, simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategy import make_candidates, session_history
from tests.backtest.frames import TICK, days, session_bars

MINUTES = pd.Timedelta("5min")
L, S, T = 16_000, 15_990, 16_020
QUIET = (L + 5, L + 6, L + 4, L + 5)


def candidate(side: int = 1, day: str = "2021-03-16", decided: str = "2021-03-15", **more: object) -> pd.DataFrame:
    prices = {"entry": L, "stop": L - 10 * side, "target": L + 20 * side}
    row = {"session": pd.Timestamp(day), "decided_on": pd.Timestamp(decided), "side": side}
    return pd.DataFrame([{**row, **{name: ticks * TICK for name, ticks in prices.items()}, **more}])


def at(clock: str, day: str = "2021-03-16") -> pd.Timestamp:
    return pd.Timestamp(f"{day} {clock}", tz="America/Chicago").tz_convert("UTC")


def whole_day(rows: list[tuple[int, int, int, int]], **more: object) -> pd.DataFrame:
    """Bars of all regular hours: the rows given, then quiet ones."""
    return session_bars([*rows, *[QUIET] * (78 - len(rows))], **more)


# --- exact cases


def test_label_of_a_stopped_long_is_known_at_the_end_of_the_exit_bar(es: Instrument) -> None:
    bars = whole_day([QUIET, (L + 2, L + 3, L - 1, L), (L, L + 1, S, S + 2)])

    label = candidate_labels(bars, candidate(), es).iloc[0]

    assert label["start"] == pd.Timestamp("2021-03-15 16:00", tz="America/Chicago")
    assert label["end"] == at("08:45")
    assert label[["status", "reason", "exit_reason"]].tolist() == ["closed", "", "stop"]
    assert label[["filled", "label", "ambiguous"]].tolist() == [True, 0.0, False]
    assert label["net"] == -11 * 12.5 - 10
    assert label["r_multiple"] == (-11 * 12.5 - 10) / (10 * 12.5)
    assert label["entry_time"] == at("08:35")
    assert label["exit_time"] == at("08:40")


def test_label_of_a_long_at_its_target_is_one(es: Instrument) -> None:
    bars = whole_day([(L + 2, L + 3, L - 1, L), (L, T + 1, L - 2, T)])

    label = candidate_labels(bars, candidate(), es).iloc[0]

    assert label[["label", "net", "exit_reason", "end"]].tolist() == [1.0, 240.0, "target", at("08:40")]


def test_label_of_what_ends_with_the_session_is_known_at_its_close(es: Instrument) -> None:
    never = [(L + 5, L + 6, L + 4, L + 5)]
    held = [(L + 2, L + 3, L - 1, L)]

    not_reached = candidate_labels(whole_day(never), candidate(), es).iloc[0]
    closed = candidate_labels(whole_day(held), candidate(), es).iloc[0]

    assert not_reached[["status", "end", "filled"]].tolist() == ["not_reached", at("15:00"), False]
    assert np.isnan(not_reached["label"])
    assert np.isnan(not_reached["net"])
    assert not_reached["exit_reason"] == ""
    assert not_reached["exit_time"] is pd.NaT
    assert closed[["exit_reason", "exit_time", "end", "net"]].tolist() == ["close", at("14:55"), at("15:00"), 40.0]


def test_label_during_an_outage_is_known_when_the_clock_says_that_the_session_is_over(es: Instrument) -> None:
    bars = session_bars([(L + 2, L + 3, L - 1, L), QUIET, QUIET])  # nothing after 08:45

    pending = candidate_labels(bars, candidate(), es).iloc[0]
    known = candidate_labels(bars, candidate(), es, known_until=at("15:00")).iloc[0]
    later = candidate_labels(days(bars, whole_day([], day="2021-03-17")), candidate(), es).iloc[0]

    assert pending[["status", "reason", "filled", "exit_reason"]].tolist() == ["pending", "", False, ""]
    assert pending["end"] is pd.NaT
    assert known[["status", "end", "exit_time"]].tolist() == ["closed", at("15:00"), at("08:40")]
    assert later.equals(known)


def test_label_of_an_order_gapped_past_its_stop_is_known_with_that_bar(es: Instrument) -> None:
    bars = whole_day([QUIET, (S - 4, S, S - 8, S)])

    label = candidate_labels(bars, candidate(), es).iloc[0]

    assert label[["status", "end", "filled"]].tolist() == ["gapped_past_stop", at("08:40"), False]


def test_label_of_a_cancelled_order_is_known_at_the_close(es: Instrument) -> None:
    bars = days(whole_day([], contract="ESM21"), whole_day([], day="2021-03-18", contract="ESM21"))

    rolled = candidate_labels(bars, candidate(contract="ESH21"), es).iloc[0]
    without = candidate_labels(bars, candidate(day="2021-03-17", contract="ESM21"), es).iloc[0]

    assert rolled[["status", "reason", "end"]].tolist() == ["cancelled", "contract_rolled", at("15:00")]
    assert without[["status", "reason", "end"]].tolist() == ["cancelled", "no_bars", at("15:00", "2021-03-17")]


def test_label_closed_before_a_roll_is_known_with_the_new_contracts_first_bar(es: Instrument) -> None:
    old = session_bars([(L + 2, L + 3, L - 1, L), QUIET], contract="ESH21")
    new = session_bars([QUIET, QUIET], start="08:40", contract="ESM21")

    label = candidate_labels(days(old, new), candidate(contract="ESH21"), es).iloc[0]

    assert label[["exit_reason", "exit_time", "end"]].tolist() == ["close", at("08:35"), at("08:45")]


def test_label_held_overnight_at_the_end_of_the_bars_is_pending(es: Instrument) -> None:
    held = whole_day([(L + 2, L + 3, L - 1, L)])
    night = Account(hold_overnight=True)

    pending = candidate_labels(held, candidate(), es, night, known_until=at("15:00", "2021-03-20")).iloc[0]
    target = whole_day([QUIET, (L, T + 1, L, T)], day="2021-03-17")
    known = candidate_labels(days(held, target), candidate(), es, night).iloc[0]

    assert pending["status"] == "pending"
    assert known[["exit_reason", "end", "label"]].tolist() == ["target", at("08:40", "2021-03-17"), 1.0]


def test_label_of_a_short_mirrors_the_long(es: Instrument) -> None:
    bars = whole_day([(L - 2, L + 1, L - 3, L), (L, L + 1, L - 21, L - 20)])

    label = candidate_labels(bars, candidate(-1), es).iloc[0]

    assert label[["label", "net", "exit_reason", "end"]].tolist() == [1.0, 240.0, "target", at("08:40")]


def test_labels_do_not_depend_on_the_accounts_money_or_on_other_candidates(es: Instrument) -> None:
    bars = whole_day([(L + 2, L + 3, L - 1, L), (L, T + 1, L - 2, T)])
    both = pd.concat([candidate(), candidate(), candidate(-1)], ignore_index=True)
    poor = Account(500.0, 0.001, margin_day={"2020-01-01": 90_000.0}, volatility_target=0.1, max_contracts=7)

    labels = candidate_labels(bars, both, es, poor)

    rich = [candidate_labels(bars, both.iloc[[row]], es, Account(1e6)) for row in range(3)]
    pd.testing.assert_frame_equal(labels, pd.concat(rich))
    assert labels["filled"].tolist() == [True, True, True]


def test_labels_keep_the_candidates_index_even_where_it_repeats(es: Instrument) -> None:
    bars = whole_day([(L + 2, L + 3, L - 1, L), (L, T + 1, L - 2, T)])
    two = pd.concat([candidate(-1), candidate()]).set_axis(["x", "x"])

    labels = candidate_labels(bars, two, es)

    assert labels.index.tolist() == ["x", "x"]
    assert labels["exit_reason"].tolist() == ["stop", "target"]


def test_labels_of_no_candidates_have_the_columns_and_types(es: Instrument) -> None:
    bars = whole_day([(L + 2, L + 3, L - 1, L)])

    none = candidate_labels(bars, candidate().iloc[:0], es)
    one = candidate_labels(bars, candidate(), es)

    assert none.columns.tolist() == one.columns.tolist() == list(LABEL_COLUMNS)
    assert none.dtypes.equals(one.dtypes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"decided_on": pd.Timestamp("2021-03-16")},
            "candidates row 0: decided_on is 2021-03-16 00:00:00, not a session",
        ),
        ({"decided_on": pd.NaT}, "candidates row 0: decided_on is NaT, not a session before 2021-03-16"),
        (
            {"decided_on": pd.Timestamp("2021-03-13")},
            "candidates row 0: decided_on is 2021-03-13, which is not a session of ES",
        ),
        (
            {"session": pd.Timestamp("2021-03-20")},
            "candidates row 0: session is 2021-03-20, which is not a session of ES",
        ),
        ({"stop": L * TICK}, "orders row 0: stop is 4000.0"),
    ],
)
def test_labels_of_an_impossible_candidate_are_one_sentence(es: Instrument, change: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        candidate_labels(whole_day([]), candidate().assign(**change), es)

    assert str(caught.value).startswith(message)


def test_labels_other_mistakes_are_one_sentence(es: Instrument) -> None:
    bars = whole_day([])

    with pytest.raises(DataError, match="the candidates have no column decided_on"):
        candidate_labels(bars, candidate().drop(columns="decided_on"), es)
    with pytest.raises(DataError, match="1 bars don't say how long one lasts"):
        candidate_labels(bars.iloc[:1], candidate(), es)
    with pytest.raises(DataError, match="known_until is 2021-03-16 09:00:00-05:00, but the last bar ends at"):
        candidate_labels(bars, candidate(), es, known_until=pd.Timestamp("2021-03-16 09:00", tz="America/Chicago"))
    with pytest.raises(DataError, match="give a time with a zone"):
        candidate_labels(bars, candidate(), es, known_until="2021-03-17")


# --- the simulator's market and real ES


def _candidates(bars: pd.DataFrame, es: Instrument, hours: str) -> pd.DataFrame:
    return make_candidates(session_history(bars, session_profiles(bars, es, hours=hours), es, hours=hours), es)


def assert_labels_are_simulated_outcomes(
    bars: pd.DataFrame, candidates: pd.DataFrame, es: Instrument, account: Account, hours: str, rows: range
) -> None:
    labels = candidate_labels(bars, candidates, es, account, hours=hours)
    for row in rows:
        label = labels.iloc[row]
        alone = simulate(bars, candidates.iloc[[row]].assign(quantity=1), es, account, hours=hours)
        if label["status"] == "pending":
            continue
        assert alone.orders[["status", "reason"]].iloc[0].tolist() == [label["status"], label["reason"]]
        assert len(alone.trades) == label["filled"]
        if label["filled"]:
            trade = alone.trades.iloc[0]
            names = ["r_multiple", "exit_reason", "entry_time", "exit_time", "ambiguous"]
            assert label[names].tolist() == trade[names].tolist()
            assert label[["net", "label"]].tolist() == [trade["pnl"], float(trade["pnl"] > 0)]


def assert_known_at_end(
    bars: pd.DataFrame,
    candidates: pd.DataFrame,
    es: Instrument,
    account: Account,
    hours: str,
    instants: list[pd.Timestamp],
) -> None:
    """Labels of bars cut off at an instant are those known then, and the others are pending."""
    full = candidate_labels(bars, candidates, es, account, hours=hours)
    nothing = {"status": "pending", "reason": "", "filled": False, "exit_reason": "", "ambiguous": False}
    for instant in instants:
        cut = bars[bars["timestamp"] + MINUTES <= instant].reset_index(drop=True)
        then = candidate_labels(cut, candidates, es, account, hours=hours, known_until=instant)
        known = (full["end"] <= instant).to_numpy()
        pd.testing.assert_frame_equal(then[known], full[known], check_exact=True)
        assert then.loc[~known, ["end", "label", "net", "r_multiple", "entry_time", "exit_time"]].isna().all(axis=None)
        assert all((then.loc[~known, name] == value).all() for name, value in nothing.items())


ACCOUNTS = [
    pytest.param(Account(), "rth", id="by day"),
    pytest.param(Account(hold_overnight=True, trade_through_ticks=0), "eth", id="overnight"),
    pytest.param(Account(entry_cutoff="10:00", slippage_ticks=3), "rth", id="cut-off"),
]


@pytest.mark.parametrize(("account", "hours"), ACCOUNTS)
def test_labels_on_the_simulated_market_are_simulated_and_known_at_their_end(
    es: Instrument, account: Account, hours: str
) -> None:
    bars = simulate_market(es, "2021-02-01", sessions=60, seed=4)
    candidates = _candidates(bars, es, hours)
    full = candidate_labels(bars, candidates, es, account, hours=hours)

    assert_labels_are_simulated_outcomes(bars, candidates, es, account, hours, range(0, len(candidates), 2))
    ends = full["end"].dropna()
    some = [*ends.iloc[5:60:9], *(ends.iloc[9:60:9] - pd.Timedelta("1ns")), *(ends.iloc[7:60:17] - MINUTES)]
    assert_known_at_end(bars, candidates, es, account, hours, some)
    assert (full["start"] < full["end"])[full["end"].notna()].all()
    # The last session's close offers candidates for a session without bars yet.
    assert full["status"].iloc[-2:].tolist() == ["pending", "pending"]
    assert full["filled"].sum() > 5


@pytest.mark.parametrize(("account", "hours"), ACCOUNTS)
def test_labels_on_real_es_are_simulated_and_known_at_their_end(
    real_data: Path, es: Instrument, account: Account, hours: str
) -> None:
    # With the roll of March 2020, half-empty sessions and the widest bars of the decade.
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    bars = bars[bars["timestamp"].between("2020-02-03", "2020-04-10")].reset_index(drop=True)
    candidates = _candidates(bars, es, hours)
    full = candidate_labels(bars, candidates, es, account, hours=hours)

    assert_labels_are_simulated_outcomes(bars, candidates, es, account, hours, range(0, len(candidates), 3))
    ends = full["end"].dropna().drop_duplicates()
    some = [*ends.iloc[3::7], *(ends.iloc[4::7] - pd.Timedelta("1ns")), *(ends.iloc[5::11] - MINUTES)]
    assert_known_at_end(bars, candidates, es, account, hours, some)
    assert {"closed", "not_reached", "gapped_past_stop", "cancelled"} <= set(full["status"])


def test_labels_of_seven_years_of_real_es_agree_with_one_backtest(real_data: Path, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    candidates = _candidates(bars, es, "rth")

    labels = candidate_labels(bars, candidates, es)

    # Longs alone: nothing else competes for the slot, and the sizing rule is not asked.
    longs = candidates[candidates["side"] > 0].assign(quantity=1)
    trades = simulate(bars, longs, es, Account(1e9)).trades
    mine = labels.loc[longs.index]
    assert mine.loc[mine["filled"], "net"].tolist() == trades["pnl"].tolist()
    assert mine.index[mine["filled"]].tolist() == trades["order"].tolist()
    assert 0.25 < labels["label"].mean() < 0.40
    assert (labels["status"] == "pending").sum() <= 2
