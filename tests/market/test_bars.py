"""The one gate every frame of bars passes."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.bars import BAR_COLUMNS, require_bars


def _bars(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-03-05 14:30", periods=rows, freq="5min", tz="UTC", unit="ns"),
            "open": np.arange(rows) + 100.0,
            "high": np.arange(rows) + 101.0,
            "low": np.arange(rows) + 99.0,
            "close": np.arange(rows) + 100.5,
            "volume": np.arange(rows) + 10.0,
        }
    )


def test_require_bars_clean_bars_come_back_equal() -> None:
    pd.testing.assert_frame_equal(require_bars(_bars()), _bars())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Kolkata"])
def test_require_bars_any_zone_and_unit_is_the_same_instant(unit: str, zone: str) -> None:
    foreign = _bars()
    foreign["timestamp"] = foreign["timestamp"].dt.tz_convert(zone).dt.as_unit(unit)

    pd.testing.assert_frame_equal(require_bars(foreign), _bars())


@pytest.mark.parametrize("name", [None, "timestamp"])
def test_require_bars_times_in_the_index_become_the_column(name: str | None) -> None:
    foreign = _bars().set_index("timestamp").rename_axis(name)

    pd.testing.assert_frame_equal(require_bars(foreign), _bars())


def test_require_bars_foreign_types_and_order_become_floats() -> None:
    foreign = _bars()[["volume", "close", "timestamp", "low", "high", "open"]]
    foreign = foreign.astype({"volume": "int32", "close": "float32", "low": "Float64"})
    foreign["high"] = [Decimal(str(value)) for value in foreign["high"]]
    foreign["timestamp"] = foreign["timestamp"].astype(object)
    foreign.index = pd.Index([7, 7, 1])

    pd.testing.assert_frame_equal(require_bars(foreign), _bars())


def test_require_bars_other_columns_are_handed_on() -> None:
    bars = _bars().assign(contract=["ESH24", "ESH24", "ESM24"], note=[1, 2, 3])

    result = require_bars(bars, ("timestamp", "low", "high"))

    assert result["contract"].tolist() == ["ESH24", "ESH24", "ESM24"]
    assert result["note"].tolist() == [1, 2, 3]


def test_require_bars_contracts_written_as_numbers_become_names() -> None:
    result = require_bars(_bars().assign(contract=[202403, 202403, 202406]))

    assert result["contract"].tolist() == ["202403", "202403", "202406"]


def test_require_bars_given_frame_is_left_as_it_is() -> None:
    given = _bars().assign(contract="ESH24")
    before = given.copy(deep=True)

    result = require_bars(given)
    result.loc[0, ["open", "volume"]] = -1.0
    result.loc[0, "contract"] = "ESM24"
    result.loc[0, "timestamp"] = pd.Timestamp("2020-01-01", tz="UTC")

    pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("timestamps", [[], pd.DatetimeIndex([]), pd.DatetimeIndex([], tz="Asia/Tokyo")])
def test_require_bars_empty_frame_has_the_right_types(timestamps: object) -> None:
    result = require_bars(pd.DataFrame({name: [] for name in BAR_COLUMNS} | {"timestamp": timestamps}))

    assert len(result) == 0
    assert str(result["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert result["volume"].dtype == np.float64


def _changed(column: str, value: object) -> pd.DataFrame:
    bars = _bars()
    bars[column] = bars[column].astype(object)
    bars.loc[1, column] = value
    return bars


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (_bars().drop(columns=["low", "volume"]), r"no column low, volume \(columns found: timestamp, open"),
        (_bars().drop(columns="timestamp"), "no column timestamp"),
        (_bars().set_index("timestamp").rename_axis("session"), "no column timestamp"),
        (pd.DataFrame(), "columns found: none"),
        (pd.concat([_bars(), _bars()[["low"]]], axis=1), "column low more than once"),
        (_changed("close", np.nan), r"column close is nan at row 1 \(2024-03-05T14:35:00\+00:00\)"),
        (_changed("close", None), "column close is nan at row 1"),
        (_changed("volume", np.inf), "column volume is inf at row 1"),
        (_changed("high", "abc"), "column high holds object, not numbers"),
        (_changed("volume", -2.0), r"negative volume \(-2\) at row 1"),
        (_changed("high", 1.0), r"high \(1\) below the low \(100\) at row 1"),
        (_changed("timestamp", pd.NaT), "no timestamp at row 1"),
        (_bars().assign(timestamp=_bars()["timestamp"].dt.tz_localize(None)), "no time zone"),
        (_bars().assign(timestamp=[1, 2, 3]), "are int64, not times"),
        (_bars().assign(timestamp=["a", "b", "c"]), "are str, not times"),
        (_bars().assign(timestamp=[dt.time(1), dt.time(2), dt.time(3)]), "can't be read as times"),
        (_bars().iloc[[0, 2, 1]], r"14:35:00\+00:00 at row 2 follows 2024-03-05T14:40:00\+00:00"),
        (_bars().iloc[[0, 1, 1]], "strictly increasing"),
        (_bars().assign(contract=["ESH24", None, "ESH24"]), "no contract at row 1"),
    ],
)
def test_require_bars_bad_bars_are_refused_in_one_sentence(bars: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        require_bars(bars)

    assert "\n" not in str(caught.value)


def test_require_bars_times_beyond_nanoseconds_are_refused() -> None:
    bars = _bars()
    bars["timestamp"] = pd.DatetimeIndex(np.array(["3000-01-01", "3000-01-02", "3000-01-03"], "M8[s]"), tz="UTC")

    with pytest.raises(DataError, match="a time outside 1678 to 2261"):
        require_bars(bars)


def test_require_bars_not_a_frame_is_refused() -> None:
    with pytest.raises(DataError, match="not dict"):
        require_bars({"low": [1.0]})  # type: ignore[arg-type]
