"""Times of another zone: bars where the exchange is closed, and none where it is open."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding
from pipeline.market.sessions import label_sessions

__all__ = ["look"]

# The zones that vendors, platforms and brokers write, the likeliest first: of equal ones the first is named.
# EET is MetaTrader's usual server time; Etc/GMT+5 is New York without daylight saving, as HistData writes it.
_ZONES = (
    "America/New_York", "America/Chicago", "UTC", "Europe/London", "Europe/Berlin", "EET", "America/Los_Angeles",
    "Asia/Tokyo", "Asia/Hong_Kong", "Asia/Kolkata", "Australia/Sydney", "Etc/GMT+5",
)  # fmt: skip
_WEEK = 7 * 24 * 3600 * 10**9
_MOST_WEEKS = 26
_FEWEST_ROWS = 100
_LEAST_OUTSIDE = 0.001
_LEFT_OUTSIDE = 0.2  # of what lies outside now
_LEAST_DAYS, _LEAST_SHARE_OF_DAYS = 2, 0.3
_MUCH_OUTSIDE, _MUCH_LEFT = 0.2, 0.75
_REGULAR, _NOT_REGULAR = 0.95, 0.90


@dataclass(frozen=True)
class _Fit:
    """Agreement of times with the exchange's hours: shares of all volume (of all rows where there is none)."""

    outside: float
    regular: float
    rows_outside: float
    rows_regular: float
    count_outside: int
    days_outside: int
    days: int


def look(data: Evidence) -> Iterator[Finding]:
    """Compare the times as read with what they would be in other zones."""
    rows = _sample(data.rows)
    if not data.closes_daily or len(rows) < _FEWEST_ROWS or (data.bar_length or 0) > 4 * 3600 * 10**9:
        return
    now = _fit(data, rows)
    read_in = data.clock
    wall = _instants_of(rows).tz_convert(read_in).tz_localize(None)
    fits = {}
    for zone in dict.fromkeys((data.instrument.time_zone, *_ZONES)):
        if zone != read_in:
            local = wall.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
            known = np.asarray(local.notna())
            instants = local[known].tz_convert("UTC").as_unit("ns").asi8
            other = pd.DataFrame({"instant": instants, "volume": rows["volume"].to_numpy()[known]})
            fits[zone] = _fit(data, other.sort_values("instant", ignore_index=True))
    kinds = (_fewer_outside, _less_volume_outside, _all_regular)
    better = {zone: fit for zone, fit in fits.items() if any(kind(now, fit) for kind in kinds)}
    if not better:
        return
    zone = min(better, key=lambda each: (round(better[each].outside, 4), -round(better[each].regular, 2)))
    yield Finding("time_zone", "warning", _said(data, now, better[zone], zone))


def _said(data: Evidence, now: _Fit, fit: _Fit, zone: str) -> str:
    read, symbol = f"read as {data.zone}" if data.zone else "as they stand", data.instrument.symbol
    if _fewer_outside(now, fit):
        seen = (
            f"with the times {read}, {now.count_outside:,} bars on {now.days_outside} of {now.days} days lie outside "
            f"{symbol}'s sessions, and {_count(fit.count_outside)} in {zone}"
        )
    elif _less_volume_outside(now, fit):
        seen = (
            f"with the times {read}, {now.outside:.0%} of the volume lies outside {symbol}'s sessions, and "
            f"{fit.outside:.0%} in {zone}"
        )
    else:
        seen = (
            f"with the times {read}, {now.rows_regular:.0%} of the bars lie in {symbol}'s regular hours, and "
            f"{fit.rows_regular:.0%} in {zone}"
        )
    remedy = f"name --time-zone {zone}"
    if data.zone is None:
        remedy = f"the zone in the file is probably wrong: write the times without one, and {remedy}"
    return f"{seen}: {remedy}"


def _count(number: int) -> str:
    return f"{number:,}" if number else "none"


def _fewer_outside(now: _Fit, fit: _Fit) -> bool:
    """Bars of many days lie where the exchange is closed, and hardly any of them in the other zone."""
    often = now.days_outside >= max(_LEAST_DAYS, _LEAST_SHARE_OF_DAYS * now.days)
    return (
        often
        and now.outside >= _LEAST_OUTSIDE
        and fit.outside <= _LEFT_OUTSIDE * now.outside
        and fit.rows_outside <= now.rows_outside
        and fit.regular >= now.regular - 0.01
    )


def _less_volume_outside(now: _Fit, fit: _Fit) -> bool:
    """A stock's bars before and after hours lie outside in any zone, but little of its volume does in the right one."""
    return (
        now.outside >= _MUCH_OUTSIDE
        and fit.outside <= min(_MUCH_OUTSIDE, _MUCH_LEFT * now.outside)
        and fit.regular >= now.regular
    )


def _all_regular(now: _Fit, fit: _Fit) -> bool:
    """A file of regular hours alone, which are regular hours only in the other zone."""
    return (
        fit.days >= _LEAST_DAYS
        and fit.rows_regular >= _REGULAR
        and now.rows_regular <= _NOT_REGULAR
        and fit.rows_outside <= now.rows_outside
        and fit.regular >= now.regular
    )


def _fit(data: Evidence, rows: pd.DataFrame) -> _Fit:
    times = _instants_of(rows)
    labels = label_sessions(times, data.instrument)
    outside = labels.position < 0
    volume = rows["volume"].to_numpy()
    weight = volume if volume.sum() > 0 else np.ones(len(rows))
    dates = times.tz_convert(data.instrument.time_zone).tz_localize(None).normalize()
    return _Fit(
        outside=float(weight[outside].sum() / weight.sum()),
        regular=float(weight[labels.regular].sum() / weight.sum()),
        rows_outside=float(outside.mean()),
        rows_regular=float(labels.regular.mean()),
        count_outside=int(outside.sum()),
        days_outside=int(dates[outside].nunique()),
        days=int(dates.nunique()),
    )


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    """All rows of at most so many weeks, evenly spread, so that winter and summer are among them."""
    weeks = rows["instant"] // _WEEK
    present = weeks.unique()
    if len(present) <= _MOST_WEEKS:
        return rows
    chosen = present[np.linspace(0, len(present) - 1, _MOST_WEEKS).astype(np.int64)]
    return rows[weeks.isin(chosen)].reset_index(drop=True)


def _instants_of(rows: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(rows["instant"].to_numpy().view("M8[ns]"), tz="UTC")
