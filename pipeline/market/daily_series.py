"""Daily series from elsewhere, the VIX above all: a row a date, from CSV or Parquet."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import DataError

__all__ = ["read_daily_series"]

_DATE_NAMES = ("date", "timestamp", "time", "datetime")
_VALUES = ("open", "high", "low", "close")
_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "ISO8601")


def read_daily_series(path: str | Path) -> pd.DataFrame:
    """Read a daily series as Cboe and most vendors write it: a date, and open, high, low, close.

    Parameters
    ----------
    path
        A CSV (names in any case; dates ``2024-03-05`` or ``03/05/2024``, month first as Cboe writes) or Parquet file.

    Returns
    -------
    DataFrame
        ``timestamp`` (the date at midnight, no zone, nanoseconds, increasing), and what there is of ``open high
        low close`` (float64). Of two rows of one date the last stays.

    Raises
    ------
    DataError
        For a file that can't be read, without a date or a close, or with a date or number that is none: names file,
        row and value.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"{file} does not exist; name the file of the daily series")
    try:
        frame = pd.read_parquet(file) if file.suffix in (".parquet", ".pq") else pd.read_csv(file)
    except (ValueError, OSError) as error:
        raise DataError(f"{file} can't be read as a daily series: {' '.join(str(error).split())[:200]}") from error
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    date = next((name for name in _DATE_NAMES if name in frame), None)
    if date is None or "close" not in frame:
        found = ", ".join(map(str, frame.columns[:10]))
        raise DataError(f"{file} needs a column date and a column close; it has {found or 'none'}")
    columns = {"timestamp": _dates(frame[date], file)}
    for name in _VALUES:
        if name in frame:
            columns[name] = _numbers(frame[name], name, file)
    series = pd.DataFrame(columns).sort_values("timestamp", kind="stable")
    return series.drop_duplicates("timestamp", keep="last").reset_index(drop=True)


def _dates(column: pd.Series, file: Path) -> pd.Series:
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        for form in _FORMATS:
            parsed = pd.to_datetime(column, format=form, errors="coerce")
            if parsed.notna().all():
                break
        else:
            row = int(np.flatnonzero(parsed.isna())[0])
            raise DataError(
                f"{file}, row {row + 1}: {column.iloc[row]!r} is not a date; write 2024-03-05 or 03/05/2024"
            )
    else:
        parsed = column
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna())[0])
        raise DataError(f"{file}, row {row + 1}: the date is empty; drop the row")
    return parsed.dt.tz_localize(None).dt.normalize().dt.as_unit("ns")


def _numbers(column: pd.Series, name: str, file: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = np.flatnonzero(numbers.isna() & column.notna())
    if len(bad):
        row = int(bad[0])
        raise DataError(f"{file}, row {row + 1}, column {name}: {column.iloc[row]!r} is not a number")
    return numbers.astype(np.float64)
