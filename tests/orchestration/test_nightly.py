import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipeline.datasets import FileSource, remember_source
from pipeline.definitions import defs
from pipeline.home import Home
from schedules import nightly_schedules, research_after_ingest

CHICAGO = ZoneInfo("America/Chicago")


def schedule(name: str) -> dg.ScheduleDefinition:
    return next(each for each in nightly_schedules() if each.name == name)


def tick(name: str, moment: dt.datetime) -> Any:
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=defs.get_repository_def())
    return schedule(name).evaluate_tick(context)


def months(data: Any) -> list[tuple[str, str]]:
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in data.run_requests
    ]


def test_nightly_cmes_runs_half_an_hour_after_the_close_in_chicago() -> None:
    cmes = schedule("nightly_CMES")

    assert (cmes.cron_schedule, cmes.execution_timezone) == ("30 16 * * *", "America/Chicago")


def test_nightly_of_stocks_and_crypto_follow_their_own_closes() -> None:
    assert schedule("nightly_XNYS").cron_schedule == "30 16 * * *"
    assert schedule("nightly_XNYS").execution_timezone == "America/New_York"
    assert schedule("nightly_24_7").cron_schedule == "30 0 * * *"
    assert schedule("nightly_24_7").execution_timezone == "UTC"


def test_nightly_on_a_session_requests_the_running_month_of_each_symbol_with_a_source(home: Home) -> None:
    remember_source(home, "ES", FileSource(path="/data/es"))
    remember_source(home, "BTCUSDT", FileSource(path="/data/btc"))

    data = tick("nightly_CMES", dt.datetime(2024, 3, 5, 16, 30, tzinfo=CHICAGO))

    assert [request.run_key for request in data.run_requests] == ["ES 2024-03-05"]
    assert months(data) == [("2024-02|ES", "2024-03|ES")]  # late bars of February's last sessions too
    assert data.run_requests[0].tags["vpoc/symbol"] == "ES"
    assert data.run_requests[0].tags["vpoc/then"] == "research"


def test_nightly_after_the_first_week_ingests_the_running_month_alone(home: Home) -> None:
    remember_source(home, "ES", FileSource(path="/data/es"))

    assert months(tick("nightly_CMES", dt.datetime(2024, 3, 8, 16, 30, tzinfo=CHICAGO))) == [
        ("2024-03|ES", "2024-03|ES")
    ]


@pytest.mark.parametrize("day", [dt.date(2024, 3, 29), dt.date(2024, 3, 30)], ids=["Good Friday", "Saturday"])
def test_nightly_on_a_day_without_session_skips_and_says_so(home: Home, day: dt.date) -> None:
    remember_source(home, "ES", FileSource(path="/data/es"))

    data = tick("nightly_CMES", dt.datetime.combine(day, dt.time(16, 30), tzinfo=CHICAGO))

    assert data.run_requests == []
    assert data.skip_message == f"{day} is no session of CMES"


def test_nightly_without_a_source_skips_and_says_how_to_give_one(home: Home) -> None:
    data = tick("nightly_CMES", dt.datetime(2024, 3, 5, 16, 30, tzinfo=CHICAGO))

    assert "vpoc run --symbol SYMBOL --data FILE" in data.skip_message


def test_nightly_of_crypto_ingests_the_session_that_has_just_ended(home: Home) -> None:
    remember_source(home, "BTCUSDT", FileSource(path="/data/btc"))

    data = tick("nightly_24_7", dt.datetime(2024, 4, 1, 0, 30, tzinfo=dt.UTC))

    assert months(data) == [("2024-03|BTCUSDT", "2024-03|BTCUSDT")]


@pytest.mark.parametrize(
    ("tags", "wanted"), [({"vpoc/then": "research", "vpoc/symbol": "ES"}, ["ES"]), ({"vpoc/symbol": "ES"}, [])]
)
def test_research_follows_an_ingest_that_asks_for_it(
    home: Home, instance: dg.DagsterInstance, tags: dict[str, str], wanted: list[str]
) -> None:
    run = instance.create_run_for_job(defs.resolve_job_def("ingest"), tags=tags)
    context = dg.build_run_status_sensor_context(
        sensor_name="research_after_ingest",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name="ingest"),
    )

    result = research_after_ingest(context)

    requests = [result] if isinstance(result, dg.RunRequest) else []
    assert [request.partition_key for request in requests] == wanted
