"""The data: its source, what was found in it, and rows and sessions kept, quarantined and missing."""

import pandas as pd

from pipeline.market import session_schedule
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import bullets, cell, folded, heads, note, plain, row, table
from pipeline.reports.section import Section

__all__ = ["SECTION", "missing_sessions"]

_QUARANTINE = {
    "missing_value": "missing or infinite value",
    "bad_ohlc": "high or low inconsistent with other prices",
    "bad_price": "price zero or negative",
    "negative_volume": "negative volume",
    "outside_session": "outside every session",
    "off_tick": "price off the tick",
    "duplicate": "identical to another row",
    "conflicting_duplicate": "same time as another row, other values",
}
_CHANGES = {
    "snapped": "kept, price moved to the nearest tick",
    "out_of_order": "kept, sorted into order",
    "off_step_volume": "kept, volume no whole number of steps",
    "impossible_counts": "kept, impossible trade counts emptied",
}
_LISTED = 60
_THIN, _USUAL = 0.35, 60  # share of the median volume of so many sessions before


def _html(inputs: ReportInputs) -> str:
    found = bullets(f"<strong>{each.severity.capitalize()}</strong>: {plain(each.message)}" for each in inputs.findings)
    return note(f"Source: {plain(inputs.source)}") + (found if inputs.findings else "") + _quality_table(inputs)


def missing_sessions(inputs: ReportInputs) -> pd.DatetimeIndex:
    """Sessions of the calendar, between the first and the last profile, that have no profile."""
    held = inputs.profiles.index
    if not len(held):
        return pd.DatetimeIndex([])
    schedule = session_schedule(inputs.instrument, held[0], held[-1])
    if inputs.settings.hours == "rth":
        schedule = schedule[schedule["rth_close"] > schedule["rth_open"]]
    return pd.DatetimeIndex(schedule.index.difference(held))


def _quality_table(inputs: ReportInputs) -> str:
    """Rows in, kept and quarantined by reason; sessions held, thin and missing."""
    cleaning = dict(inputs.cleaning)
    rows_in, kept = cleaning.pop("rows_in", None), cleaning.pop("kept", None)
    changes = {name: cleaning.pop(name) for name in _CHANGES if name in cleaning}
    body = []

    def line(name: str, count: int, of: int | None, kind: str = "") -> None:
        share = "" if not of else f"{100 * count / of:.2f} %"
        body.append(row(plain(name), [cell(f"{count:,}", "number"), cell(share, "interval")], kind=kind))

    if kept is not None:
        rows_in = kept + sum(cleaning.values()) if rows_in is None else rows_in
        line("Rows read", rows_in, None)
        line("Rows kept", kept, rows_in)
    for name, count in changes.items():
        line(_CHANGES[name], count, kept, "part")
    line("Rows quarantined", sum(cleaning.values()), rows_in)
    for reason, count in cleaning.items():
        if count:
            line(_QUARANTINE.get(reason, reason.replace("_", " ")), count, rows_in, "part")
    missing = missing_sessions(inputs)
    sessions = len(inputs.profiles)
    line("Sessions with a profile", sessions, sessions + len(missing))
    line("Sessions of the calendar without volume in these hours", len(missing), sessions + len(missing))
    usual = inputs.profiles["volume"].rolling(_USUAL, min_periods=20).median().shift(1)
    thin = int((inputs.profiles["volume"] < _THIN * usual).sum())
    line(f"Sessions with under {100 * _THIN:.0f} % of the median volume of the {_USUAL} before", thin, sessions)
    found = table([*heads("", "Count"), cell("Share", "interval", tag="th")], body)
    if not len(missing):
        return found
    more = f" and {len(missing) - _LISTED:,} more" if len(missing) > _LISTED else ""
    listed = ", ".join(f"{session:%Y-%m-%d}" for session in missing[:_LISTED])
    return found + folded("Sessions missing", note(listed + more))


SECTION = Section(170, "data", "Data", _html)
