"""Nightly, after each exchange's close: the running month of every symbol that has a source of bars.

In its first week the month before as well, and all months once settings have changed that profiles depend on.
One schedule per calendar, half an hour after its close in its own zone; it skips, with the reason, on days
without a session.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import dagster as dg
import pyarrow.parquet as pq

from assets.partitions import MONTHS, RANGE_END_TAG, RANGE_START_TAG, grid_key
from jobs import ingest
from pipeline.datasets import find_dataset, load_sources
from pipeline.errors import PipelineError
from pipeline.home import vpoc_home
from pipeline.made_under import changed_settings
from pipeline.market import Instrument, load_instruments, session_schedule
from pipeline.settings import load_settings

__all__ = ["BOOK_TAG", "RETRY_TAGS", "SYMBOL_TAG", "THEN_TAG", "nightly_schedules"]

SYMBOL_TAG = "vpoc/symbol"
BOOK_TAG = "vpoc/book"
THEN_TAG = "vpoc/then"
RETRY_TAGS = {
    "dagster/max_retries": "2",
    "dagster/retry_strategy": "ALL_STEPS",
    "dagster/retry_on_asset_or_op_failure": "false",
}
"""Of each run of the night: it is run again if its process was killed; a failure of its own would only repeat."""
LATE_BARS = dt.timedelta(days=7)
DELAY = dt.timedelta(minutes=30)  # vendors need some minutes to close their files


def nightly_schedules() -> list[dg.ScheduleDefinition]:
    """Make one schedule for each calendar that an instrument trades on."""
    groups: dict[tuple[str, str, dt.time], dict[str, Instrument]] = {}
    for symbol, instrument in load_instruments().items():
        groups.setdefault((instrument.calendar, instrument.time_zone, _close(instrument)), {})[symbol] = instrument
    names = [calendar for calendar, _, _ in groups]
    return [
        _schedule(calendar, zone, close, instruments, unique=names.count(calendar) == 1)
        for (calendar, zone, close), instruments in groups.items()
    ]


def _close(instrument: Instrument) -> dt.time:
    if instrument.always_open:
        return dt.time(0)
    if instrument.session_close is not None:
        return instrument.session_close
    # The regular close of an ordinary session: the latest of some weeks, which early closes don't move.
    closes = session_schedule(instrument, "2024-04-01", "2024-04-30")["close"].dt.tz_convert(instrument.time_zone)
    return max(moment.time() for moment in closes)


def _schedule(
    calendar: str, zone: str, close: dt.time, instruments: Mapping[str, Instrument], *, unique: bool
) -> dg.ScheduleDefinition:
    moment = dt.datetime.combine(dt.date(2000, 1, 1), close) + DELAY
    name = "nightly_" + "".join(letter if letter.isalnum() else "_" for letter in calendar)
    if not unique:
        name += f"_{close:%H%M}"

    @dg.schedule(
        name=name,
        job=ingest,
        cron_schedule=f"{moment.minute} {moment.hour} * * *",
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Half an hour after {calendar}'s close ({close:%H:%M} {zone}), on its sessions only: "
        "ingests the running month (in its first week the one before too) of every symbol with a source, "
        "then runs the research of its books.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        local = context.scheduled_execution_time.astimezone(ZoneInfo(zone))
        yield from _requests(local, calendar, instruments)

    return nightly


def _requests(
    local: dt.datetime, calendar: str, instruments: Mapping[str, Instrument]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    any_instrument = next(iter(instruments.values()))
    # Round the clock, the session that has just ended is yesterday's.
    day = local.date() - dt.timedelta(days=1) if any_instrument.always_open else local.date()
    if session_schedule(any_instrument, day, day).empty:
        yield dg.SkipReason(f"{day} is not a session of {calendar}.")
        return
    sources = load_sources(vpoc_home())
    wanted = [symbol for symbol in instruments if symbol in sources]
    if not wanted:
        yield dg.SkipReason(
            f"No symbol on {calendar} ({', '.join(instruments)}) has a source of bars; "
            "give it one with 'vpoc run --symbol SYMBOL --data FILE'."
        )
        return
    known = MONTHS.get_partition_keys(current_time=local)
    # A vendor's late bars of a month's last sessions are still taken in the week after.
    first, last = f"{day - LATE_BARS:%Y-%m}", f"{day:%Y-%m}"
    if last not in known:
        yield dg.SkipReason(f"{last} is before the first month that is kept; VPOC_FIRST_MONTH moves it.")
        return
    for symbol in wanted:
        begin = _first_of_other_settings(symbol) or first
        yield dg.RunRequest(
            run_key=f"{symbol} {day}",
            tags={
                RANGE_START_TAG: grid_key(max(begin, known[0]), symbol),
                RANGE_END_TAG: grid_key(last, symbol),
                SYMBOL_TAG: symbol,
                THEN_TAG: "research",
                **RETRY_TAGS,
            },
        )


def _first_of_other_settings(symbol: str) -> str | None:
    """Find the first month that is to be made again since the settings of profiles have changed; None where none is."""
    home = vpoc_home()
    files = sorted((home.assets / "volume_profiles" / symbol).glob("[!.]*.parquet"))
    if not files:
        return None
    attrs = (pq.read_schema(files[0]).pandas_metadata or {}).get("attributes") or {}
    try:
        changed = changed_settings("volume_profiles", attrs, load_settings(home), find_dataset(symbol, home))
    except PipelineError:  # the run itself says it
        return None
    return files[0].stem if changed else None
