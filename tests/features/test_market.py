import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.features import build_features
from pipeline.market import session_schedule
from tests.features.made_markets import daily, hand_inputs, random_rows


def level(es, vix, sessions=14):
    return build_features(hand_inputs(es, random_rows(sessions), vix=vix), ["vix_level"])["vix_level"]


def test_vix_of_a_session_is_the_close_of_the_day_before(es):
    days = session_schedule(es, "2019-01-02", "2019-02-28").index[:14]
    vix = daily(np.arange(14) + 10.0, days)

    assert level(es, vix).dropna().tolist() == [19.0, 20.0, 21.0, 22.0]


def test_vix_of_the_day_itself_changes_nothing(es):
    days = session_schedule(es, "2019-01-02", "2019-02-28").index[:14]
    values = np.arange(14) + 10.0

    assert level(es, daily(values, days)).equals(level(es, daily(np.append(values[:-1], 99.0), days)))


def test_vix_with_a_proven_time_counts_from_then(es):
    days = session_schedule(es, "2019-01-02", "2019-02-28").index[:14]
    vix = daily(np.arange(14) + 10.0, days)
    # Regular hours close at 15:00.
    before = vix.assign(known_at=(days + pd.Timedelta("14h59min")).tz_localize("America/Chicago").tz_convert("UTC"))
    after = vix.assign(known_at=(days + pd.Timedelta("15h15min")).tz_localize("America/Chicago").tz_convert("UTC"))

    assert level(es, before, 13).iloc[-1] == 22.0
    assert level(es, after, 13).iloc[-1] == 21.0


def test_vix_rows_out_of_order_doubled_or_empty_do_no_harm(es):
    days = session_schedule(es, "2019-01-02", "2019-02-28").index[:14]
    clean = daily(np.arange(14) + 10.0, days)
    doubled = daily([77.0, np.nan, 0.0], [days[12], days[12] + pd.Timedelta("1D"), days[12] + pd.Timedelta("2D")])
    untidy = pd.concat([clean, doubled.iloc[:2]]).iloc[::-1]

    # In reverse the later double comes first, and the first of a day stays.
    assert level(es, pd.concat([clean, doubled])).equals(level(es, clean))
    assert level(es, untidy).iloc[-1] == 77.0


def test_vix_older_than_ten_days_is_missing(es):
    known = level(es, daily([20.0], ["2019-01-10"]))["2019-01-17":]

    assert known.index.strftime("%m-%d").tolist() == ["01-17", "01-18", "01-21"]
    np.testing.assert_array_equal(known, [20.0, 20.0, np.nan])


def test_vix_change_and_percentile_are_of_what_sessions_knew(es):
    rng = np.random.default_rng(0)
    inputs = hand_inputs(es, random_rows(300))
    values = np.round(rng.uniform(10, 30, 300), 2)
    inputs = hand_inputs(es, random_rows(300), vix=daily(values, inputs.sessions))

    table = build_features(inputs, ["vix_change_1", "vix_change_5", "vix_percentile_252"])

    known = values[:-1]
    assert table["vix_change_1"].iloc[-1] == pytest.approx(np.log(known[-1] / known[-2]))
    assert table["vix_change_5"].iloc[-1] == pytest.approx(np.log(known[-1] / known[-6]))
    assert table["vix_percentile_252"].iloc[-1] == np.mean(known[-252:] <= known[-1])


def test_vix_term_is_the_ratio_of_the_day_before(es):
    days = session_schedule(es, "2019-01-02", "2019-02-28").index[:14]
    inputs = hand_inputs(es, random_rows(14))
    both = type(inputs).from_bars(
        inputs.bars, es, external={"vix": daily([15.0] * 14, days), "vix3m": daily([20.0] * 14, days)}
    )

    assert build_features(both, ["vix_term"])["vix_term"].iloc[-1] == -0.25
    assert build_features(hand_inputs(es, random_rows(14)), ["vix_term", "weekday"]).columns.tolist() == ["weekday"]


def test_vix_without_a_close_says_so(es):
    with pytest.raises(DataError, match="the external series vix has no column close"):
        level(es, daily([20.0], ["2019-01-10"]).rename(columns={"close": "last"}))
