from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.daily_series import read_daily_series


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vix.csv"
    path.write_text(text)
    return path


def test_daily_series_as_cboe_writes_it(tmp_path: Path) -> None:
    frame = read_daily_series(
        write(tmp_path, "DATE,OPEN,HIGH,LOW,CLOSE\n01/03/2024,13.1,14.2,13.0,14.0\n01/02/2024,13,14,12,13.2\n")
    )

    assert frame["timestamp"].tolist() == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")]
    assert frame["close"].tolist() == [13.2, 14.0]
    assert str(frame["timestamp"].dtype) == "datetime64[ns]"


def test_daily_series_of_two_rows_of_a_date_keeps_the_last(tmp_path: Path) -> None:
    frame = read_daily_series(write(tmp_path, "date,close\n2024-01-02,13.2\n2024-01-02,13.4\n"))

    assert frame["close"].tolist() == [13.4]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("day,close\n2024-01-02,1\n", "needs a column date and a column close; it has day, close"),
        ("date,close\n2024-01-02,1\nyesterday,2\n", "row 2: 'yesterday' is not a date"),
        ("date,close\n2024-01-02,high\n", "row 1, column close: 'high' is not a number"),
        ("", "can't be read as a daily series"),
    ],
)
def test_daily_series_that_is_broken_says_where(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_daily_series(write(tmp_path, text))


def test_daily_series_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_daily_series(tmp_path / "absent.csv")


def test_daily_series_real_vix_in_both_forms_agree(real_data: Path) -> None:
    whole = read_daily_series(real_data / "vix_daily.parquet")
    cboe = read_daily_series(real_data / "vendor_formats" / "cboe_vix_history.csv")

    assert len(whole) == 9235
    merged = cboe.merge(whole, on="timestamp", suffixes=("", "_whole"))
    assert len(merged) == len(cboe)
    assert (merged["close"] == merged["close_whole"]).all()
