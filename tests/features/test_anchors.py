import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.features import anchor_warmup, anchored, chain_contracts
from pipeline.market import load_instruments, session_schedule


def frame_of(first: str, last: str) -> pd.DataFrame:
    index = pd.bdate_range(first, last, name="session")
    return pd.DataFrame({"x": np.arange(len(index), dtype=float)}, index=index)


def test_anchored_value_comes_from_the_slice_that_begins_two_quarters_before():
    frame = frame_of("2020-01-01", "2020-12-31")

    first = anchored(frame, lambda part: np.full(len(part), part["x"].iloc[0]))["value"]

    assert first[:"2020-06-30"].isna().all()
    assert (first["2020-07-01":"2020-09-30"] == frame.loc["2020-01-01", "x"]).all()
    assert (first["2020-10-01":] == frame.loc["2020-04-01", "x"]).all()


def test_anchored_fit_sees_only_the_quarters_before():
    frame = frame_of("2020-01-01", "2020-12-31")

    last = anchored(
        frame,
        lambda part, fitted: np.full(len(part), fitted),
        before=1,
        fit=lambda past: past["x"].iloc[-1] if len(past) else -1,
    )["value"]

    assert (last["2020-04-01":"2020-06-30"] == frame.loc["2020-03-31", "x"]).all()
    assert (last["2020-10-01":] == frame.loc["2020-09-30", "x"]).all()


def test_anchored_frames_of_several_rows_a_session_use_their_session_column():
    sessions = pd.bdate_range("2020-01-01", "2020-09-30").repeat(2)
    frame = pd.DataFrame({"session": sessions, "x": np.arange(len(sessions), dtype=float)})

    made = anchored(frame, lambda part: part[["x"]] - part["x"].iloc[0])

    assert made.columns.tolist() == ["x"]
    quarter = (sessions >= "2020-07-01").argmax()
    assert made["x"].iloc[quarter:].tolist() == frame["x"].iloc[quarter:].tolist()
    assert made["x"].iloc[:quarter].isna().all()


@pytest.mark.parametrize("last", ["2020-06-30", "2020-05-05"])
def test_anchored_frame_without_a_whole_slice_is_missing(last):
    made = anchored(frame_of("2020-01-01", last), lambda part: part.assign(y=1.0))

    assert made.columns.tolist() == ["x", "y"]
    assert made.isna().all(axis=None)


def test_anchored_empty_frame_gives_an_empty_table():
    assert anchored(frame_of("2020-01-01", "2019-01-01"), lambda part: part["x"]).shape == (0, 1)


def test_anchored_computation_of_another_length_is_an_error():
    with pytest.raises(DataError, match="gave 3 values for"):
        anchored(frame_of("2020-01-01", "2020-12-31"), lambda part: [1, 2, 3])


@pytest.mark.parametrize(("symbol", "before"), [("ES", 2), ("ES", 4), ("SPY", 2), ("BTCUSDT", 2), ("BTCUSDT", 4)])
def test_anchor_warmup_is_no_less_than_any_stretch_of_quarters_holds(symbol, before):
    instrument = load_instruments()[symbol]
    sessions = session_schedule(instrument, "2005-01-01", "2025-12-31").index
    quarters = pd.Series(1, index=sessions).groupby(sessions.to_period("Q")).sum()

    longest = quarters.rolling(before + 1).sum().max()

    assert longest <= anchor_warmup(instrument, before) <= longest + 6


def test_chained_contracts_go_on_at_the_last_close(es):
    frame = pd.DataFrame(
        {
            "open": [100.0, 120.0, 121.0, 90.0],
            "high": [101.0, 122.0, 125.0, 96.0],
            "low": [99.0, 119.0, 121.0, 89.0],
            "close": [100.5, 121.0, 124.0, 95.0],
            "contract": ["A", "B", "B", "C"],
        }
    )

    chained = chain_contracts(frame, es)

    assert chained["open"].tolist() == [100.0, 100.5, 101.5, 104.5]
    assert chained["close"].tolist() == [100.5, 101.5, 104.5, 109.5]
    assert chained["high"].tolist() == [101.0, 102.5, 105.5, 110.5]
    assert frame["open"].tolist() == [100.0, 120.0, 121.0, 90.0]


def test_chained_single_contract_is_left_as_it_is(es):
    frame = pd.DataFrame({"open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "contract": ["A"]})

    assert chain_contracts(frame, es) is frame
    assert chain_contracts(frame.drop(columns="contract"), es).columns.tolist() == ["open", "high", "low", "close"]
