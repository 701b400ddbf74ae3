import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.features import FeatureInputs
from pipeline.market import simulate_market
from pipeline.strategy import HistorySettings
from tests.features.made_markets import daily, hand_inputs, random_rows


@pytest.fixture(scope="module")
def inputs(es):
    bars = simulate_market(es, "2019-11-20", sessions=20, seed=2)
    return FeatureInputs.from_bars(bars, es)


def test_session_bars_are_those_of_the_history(inputs):
    columns = ["open", "high", "low", "close", "volume", "contract"]

    pd.testing.assert_frame_equal(inputs.session_bars[columns], inputs.history[columns], check_exact=True)


def test_frames_are_whole_and_counted_from_the_open(inputs):
    hourly = inputs.frames(60)

    regular = hourly[hourly["session"] == "2019-11-27"]
    local = regular["timestamp"].dt.tz_convert("America/Chicago").dt.strftime("%H:%M").tolist()
    assert local == ["08:30", "09:30", "10:30", "11:30", "12:30", "13:30"]
    # The day after Thanksgiving stops at noon: three hours and a half.
    assert (hourly["session"] == "2019-11-29").sum() == 3


def test_frame_holds_open_extremes_close_and_sum_of_its_bars(inputs):
    frame = inputs.frames(30).iloc[4]
    held = inputs.hour_bars
    own = held[
        (held["timestamp"] >= frame["timestamp"]) & (held["timestamp"] < frame["timestamp"] + pd.Timedelta("30min"))
    ]

    assert len(own) == 6
    expected = [own["open"].iloc[0], own["high"].max(), own["low"].min(), own["close"].iloc[-1], own["volume"].sum()]
    assert frame[["open", "high", "low", "close", "volume"]].tolist() == expected


def test_frames_of_the_bars_own_length_are_the_bars(inputs):
    frames = inputs.frames(5)

    columns = ["timestamp", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(frames[columns], inputs.hour_bars[columns])


def test_frames_shorter_than_the_bars_are_none(inputs):
    assert len(inputs.frames(3)) == 0
    assert inputs.at_close(inputs.frames(3), np.empty(0)).isna().all()


def test_bar_minutes_are_those_of_each_session_whatever_bars_are_missing(es):
    bars = simulate_market(es, "2019-11-20", sessions=3, seed=2)
    session = bars["timestamp"].dt.tz_convert("America/Chicago") + pd.Timedelta("7h")
    number = (session.dt.normalize().rank(method="dense") - 1).to_numpy()
    minute = (session.dt.hour * 60 + session.dt.minute - 930).to_numpy()  # since 08:30
    kept = np.isin(minute, (0, 15, 40)) & (number == 0)
    kept |= (minute % 60 == 0) & (number == 1)
    kept |= (minute == 0) & (number == 2)

    inputs = FeatureInputs.from_bars(bars[kept].reset_index(drop=True), es)

    np.testing.assert_array_equal(inputs.bar_minutes, [5.0, 60.0, np.nan])
    assert inputs.frames(5)["row"].tolist() == [0, 0, 0]
    assert inputs.frames(60)["row"].unique().tolist() == [0, 1]


def test_frames_of_no_whole_minute_are_an_error(inputs):
    with pytest.raises(ConfigurationError, match="frames of 0 minutes"):
        inputs.frames(0)


def test_at_close_takes_the_last_frame_of_each_session(inputs):
    frames = inputs.frames(60)

    last = inputs.at_close(frames, frames["close"])

    assert last.tolist() == frames.groupby("session")["close"].last().tolist()


def test_until_knows_the_bars_of_its_session_and_nothing_later(inputs, es):
    cut = inputs.until("2019-11-27")

    assert cut.sessions[-1] == pd.Timestamp("2019-11-27")
    assert cut.bars["timestamp"].max() < pd.Timestamp("2019-11-27 16:00", tz="America/Chicago")
    pd.testing.assert_frame_equal(cut.history, inputs.history.loc[: cut.sessions[-1]], check_exact=True)
    pd.testing.assert_frame_equal(cut.structure, inputs.structure.loc[: cut.sessions[-1]], check_exact=True)
    pd.testing.assert_frame_equal(cut.naked, inputs.naked.loc[: cut.sessions[-1]], check_exact=True)


def test_since_begins_with_the_evening_of_its_session(inputs):
    late = inputs.since("2019-12-02")

    assert late.sessions[0] == pd.Timestamp("2019-12-02")
    assert late.bars["timestamp"].min() == pd.Timestamp("2019-12-01 17:00", tz="America/Chicago")
    assert np.isnan(late.history["log_return"].iloc[0])


def test_recent_keeps_rows_as_they_are(inputs):
    recent = inputs.recent(3)

    pd.testing.assert_frame_equal(recent.history, inputs.history.iloc[-3:])
    pd.testing.assert_frame_equal(recent.session_bars, inputs.session_bars.iloc[-3:])
    assert inputs.recent(99) is inputs


def test_until_drops_external_rows_of_the_same_day(es):
    inputs = hand_inputs(
        es, random_rows(5), vix=daily([1.0, 2, 3, 4], ["2019-01-02", "2019-01-03", "2019-01-04", "2019-01-07"])
    )

    assert inputs.until("2019-01-04").external["vix"]["close"].tolist() == [1.0, 2.0]
    assert inputs.since("2019-01-04").external["vix"]["close"].tolist() == [3.0, 4.0]


def test_until_a_day_that_is_not_a_session_is_an_error(inputs):
    with pytest.raises(DataError, match="2019-11-30 is not a session of ES"):
        inputs.until("2019-11-30")
    with pytest.raises(ConfigurationError, match="is not a date"):
        inputs.until("soon")


def test_has_knows_tables_columns_and_series(inputs, es):
    with_vix = hand_inputs(es, random_rows(3), vix=daily([20.0], ["2019-01-02"]))

    assert inputs.has("structure")
    assert inputs.has("contract")
    assert inputs.has("bid_volume")
    assert not with_vix.has("bid_volume")
    assert not inputs.has("vix")
    assert with_vix.has("vix")
    assert not with_vix.has("naked")


def test_rolled_marks_the_first_session_of_each_contract(es):
    inputs = hand_inputs(es, random_rows(4), ["ESH19", "ESH19", "ESM19", "ESM19"])

    assert inputs.rolled.tolist() == [True, False, True, False]
    assert hand_inputs(es, random_rows(3)).rolled.tolist() == [True, False, False]


def test_tables_of_other_sessions_are_an_error(inputs, es):
    with pytest.raises(DataError, match="structure and history are not of the same sessions"):
        FeatureInputs(
            inputs.bars, inputs.profiles, inputs.history, es, HistorySettings(), structure=inputs.structure.iloc[1:]
        )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"close": [1.0]}), "neither a column timestamp nor an index of dates"),
        (pd.DataFrame({"timestamp": ["2019-01-02"], "close": [1.0]}), "convert with pd.to_datetime"),
        (pd.DataFrame({"timestamp": pd.to_datetime([None, "2019-01-02"])}), "a row without a timestamp"),
        (
            pd.DataFrame(
                {"timestamp": pd.to_datetime(["2019-01-02"]), "known_at": pd.to_datetime(["2019-01-02 20:00"])}
            ),
            "known_at without a zone",
        ),
        ([1.0], "must be a pandas DataFrame"),
    ],
)
def test_external_series_without_usable_dates_is_an_error(es, frame, message):
    with pytest.raises(DataError, match=message):
        hand_inputs(es, random_rows(3), vix=frame)
