import datetime as dt
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pytest

from assets.partitions import BOOKS as BOOKS_SHOWN
from jobs.processes import PROCESS_TAG
from pipeline.datasets import FileSource, find_dataset, remember_source
from pipeline.definitions import defs
from pipeline.home import Home
from pipeline.made_under import made_under
from pipeline.settings import load_settings
from schedules import (
    dead_runs,
    desk_after_judgement,
    judgement_after_failed_training,
    judgement_after_training,
    nightly_schedules,
    preparation_after_ingest,
    research_after_preparation,
    training_after_research,
)
from schedules.nightly import RETRY_TAGS

CHICAGO = ZoneInfo("America/Chicago")
BOOKS = "books: {es80: {symbol: ES, strategy: eighty_percent_rule}, nq: {symbol: NQ}}\n"


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


def test_nightly_makes_all_months_again_once_settings_of_profiles_have_changed(home: Home) -> None:
    remember_source(home, "ES", FileSource(path="/data/es"))
    attrs = made_under("volume_profiles", load_settings(home), find_dataset("ES", home))
    for month in ("2023-11", "2023-12"):
        frame = pd.DataFrame({"vpoc": [1.0]})
        frame.attrs = attrs
        path = home.assets / "volume_profiles" / "ES" / f"{month}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)
    evening = dt.datetime(2024, 3, 8, 16, 30, tzinfo=CHICAGO)

    assert months(tick("nightly_CMES", evening)) == [("2024-03|ES", "2024-03|ES")]
    home.settings.write_text("strategy: {trend_window: 15}\n")  # no profile depends on it
    assert months(tick("nightly_CMES", evening)) == [("2024-03|ES", "2024-03|ES")]
    home.settings.write_text("strategy: {value_area_basis_points: 6800}\n")
    assert months(tick("nightly_CMES", evening)) == [("2023-11|ES", "2024-03|ES")]


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
    assert f"{day} is not a session of CMES" in data.skip_message


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
def test_preparation_follows_an_ingest_that_asks_for_it(
    home: Home, instance: dg.DagsterInstance, tags: dict[str, str], wanted: list[str]
) -> None:
    run = instance.create_run_for_job(defs.resolve_job_def("ingest"), tags=tags)

    requests, _ = evaluated(preparation_after_ingest, instance, run)

    assert [request.partition_key for request in requests] == wanted


def with_books(home: Home, patch: pytest.MonkeyPatch, text: str) -> None:
    """Write settings with the books es80 and nq, and have the page know them."""
    home.settings.write_text(text)
    names = [*BOOKS_SHOWN.get_partition_keys(), "es80", "nq"]
    patch.setattr(import_module("schedules.research_after_ingest"), "BOOKS", dg.StaticPartitionsDefinition(names))
    keys = [f"{family}|{name}" for name in names for family in ("lightgbm", "logistic")]
    patch.setattr(import_module("schedules.training_after_research"), "MODELS", dg.StaticPartitionsDefinition(keys))


def test_book_that_the_page_does_not_know_yet_is_told_and_stops_no_other(
    home: Home, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    home.settings.write_text(BOOKS)
    run = ended(instance, "prepare", {"vpoc/symbol": "ES", "vpoc/then": "research"})

    requests, _ = evaluated(research_after_preparation, instance, run)

    assert [one.partition_key for one in requests] == ["ES"]
    said = capfd.readouterr().err
    assert "es80: not run" in said
    assert "Reload the code location" in said


def test_research_of_each_book_of_the_symbol_follows_its_preparation(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_books(home, monkeypatch, BOOKS)
    run = ended(instance, "prepare", {"vpoc/symbol": "ES", "vpoc/then": "research"})

    requests, _ = evaluated(research_after_preparation, instance, run)

    assert [(one.partition_key, one.tags["vpoc/book"]) for one in requests] == [("ES", "ES"), ("es80", "es80")]
    assert len({one.run_key for one in requests}) == 2
    assert "no research follows" in skipped(research_after_preparation, instance, ended(instance, "prepare", {}))


def evaluated(
    sensor: Callable[..., Any], instance: dg.DagsterInstance, run: dg.DagsterRun
) -> tuple[list[dg.RunRequest], str]:
    """Return what a sensor requests when a run has ended, or why it requests nothing."""
    context = dg.build_run_status_sensor_context(
        sensor_name="sensor",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=run.job_name),
    )
    result = sensor(context)
    results = [result] if isinstance(result, (dg.RunRequest, dg.SkipReason)) else list(result)
    skipped = [str(result.skip_message) for result in results if isinstance(result, dg.SkipReason)]
    return [result for result in results if isinstance(result, dg.RunRequest)], "; ".join(skipped)


def skipped(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a sensor asks for nothing after a run."""
    requests, reason = evaluated(sensor, instance, run)
    assert requests == []
    return reason


def ended(instance: dg.DagsterInstance, job: str, tags: dict[str, str], *, fails: bool = False) -> dg.DagsterRun:
    """A run of that name that has come to its end."""

    @dg.op
    def step() -> None:
        if fails:
            raise dg.Failure("as it was asked to")

    @dg.job(name=job)
    def steps() -> None:
        step()

    run_id = steps.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_failure is fails
    return run


def test_training_of_each_family_of_the_settings_follows_the_nightly_research(
    home: Home, instance: dg.DagsterInstance
) -> None:
    home.settings.write_text("models: {families: [lightgbm, lstm]}\n")
    run = ended(instance, "research", {"vpoc/book": "ES", "vpoc/then": "train"})

    requests, _ = evaluated(training_after_research, instance, run)

    assert [(one.job_name, str(one.partition_key)) for one in requests] == [
        ("train", "lightgbm|ES"),
        ("train", "lstm|ES"),
    ]
    assert len({one.run_key for one in requests}) == 2
    assert {tuple(sorted(one.tags.items())) for one in requests} == {
        tuple(sorted({"vpoc/batch": run.run_id, "vpoc/book": "ES", "vpoc/then": "judge", **RETRY_TAGS}.items()))
    }


def test_training_of_a_book_is_of_its_own_model_alone(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_books(home, monkeypatch, BOOKS.replace("eighty_percent_rule", "eighty_percent_rule, model: logistic"))
    run = ended(instance, "research", {"vpoc/book": "es80", "vpoc/then": "train"})

    requests, _ = evaluated(training_after_research, instance, run)

    assert [(one.job_name, one.partition_key) for one in requests] == [("train", "logistic|es80")]


def test_judgement_follows_the_nightly_research_at_once_where_no_family_is_trained(
    home: Home, instance: dg.DagsterInstance
) -> None:
    run = ended(instance, "research", {"vpoc/book": "ES", "vpoc/then": "train"})

    requests, _ = evaluated(training_after_research, instance, run)

    assert [(one.job_name, one.partition_key) for one in requests] == [("judge", "ES")]


def test_research_from_the_page_trains_nothing_and_training_from_the_page_judges_nothing(
    home: Home, instance: dg.DagsterInstance
) -> None:
    assert "no training follows" in skipped(training_after_research, instance, ended(instance, "research", {}))
    for sensor in (judgement_after_training, judgement_after_failed_training):
        assert "no judgement follows" in skipped(sensor, instance, ended(instance, "train", {}))


def test_judgement_follows_the_last_training_of_the_night_also_where_it_failed(
    home: Home, instance: dg.DagsterInstance
) -> None:
    tags = {"vpoc/book": "ES", "vpoc/then": "judge", "vpoc/batch": "tonight"}
    first = ended(instance, "train", tags)
    going = instance.create_run_for_job(defs.resolve_job_def("train"), tags=tags)
    elsewhere = instance.create_run_for_job(defs.resolve_job_def("train"), tags=tags | {"vpoc/batch": "another"})

    assert "Waiting for 1 more of ES" in skipped(judgement_after_training, instance, first)

    instance.report_run_failed(going)
    failed = instance.get_run_by_id(going.run_id)
    (request,), _ = evaluated(judgement_after_failed_training, instance, failed)
    assert (request.partition_key, request.tags) == ("ES", {"vpoc/batch": "tonight", **RETRY_TAGS})
    assert elsewhere.status == dg.DagsterRunStatus.NOT_STARTED

    # The other sensor, and whoever looks at the first training again: the request above has become a run.
    instance.create_run_for_job(defs.resolve_job_def("judge"), tags=request.tags)
    for sensor, run in ((judgement_after_training, first), (judgement_after_failed_training, failed)):
        assert "ES was already judged" in skipped(sensor, instance, run)


def test_studies_follow_the_last_training_of_the_night_and_the_judgement_follows_the_last_study(
    home: Home, instance: dg.DagsterInstance
) -> None:
    home.settings.write_text("tuning: {targets: [lightgbm, strategy@lightgbm]}\n")
    tags = {"vpoc/book": "ES", "vpoc/then": "judge", "vpoc/batch": "tonight"}
    trained = ended(instance, "train", tags)

    requests, _ = evaluated(judgement_after_training, instance, trained)

    assert [(one.job_name, str(one.partition_key)) for one in requests] == [
        ("tune", "lightgbm|ES"),
        ("tune", "strategy@lightgbm|ES"),
    ]
    assert all(one.tags == {**tags, **RETRY_TAGS} for one in requests)
    first = ended(instance, "tune", requests[0].tags)
    going = instance.create_run_for_job(defs.resolve_job_def("tune"), tags=requests[1].tags)
    assert "Waiting for 1 more of ES" in skipped(judgement_after_training, instance, first)
    instance.report_run_failed(going, message="its process was killed")
    killed = instance.get_run_by_id(going.run_id)
    assert "was killed" in skipped(judgement_after_failed_training, instance, killed)
    failed = ended(instance, "tune", requests[1].tags, fails=True)
    (judgement,), _ = evaluated(judgement_after_failed_training, instance, failed)
    assert (judgement.job_name, judgement.partition_key) == ("judge", "ES")


def test_studies_follow_the_nightly_research_at_once_where_no_family_is_trained(
    home: Home, instance: dg.DagsterInstance
) -> None:
    home.settings.write_text("models: {families: []}\ntuning: {targets: [strategy]}\n")
    run = ended(instance, "research", {"vpoc/book": "ES", "vpoc/then": "train"})

    (request,), _ = evaluated(training_after_research, instance, run)

    assert (request.job_name, str(request.partition_key)) == ("tune", "strategy|ES")
    assert request.tags["vpoc/batch"] == run.run_id


def test_training_of_the_night_that_is_executed_again_is_judged_again(home: Home, instance: dg.DagsterInstance) -> None:
    tags = {"vpoc/book": "ES", "vpoc/then": "judge", "vpoc/batch": "tonight"}
    failed = ended(instance, "train", tags, fails=True)
    (first,), _ = evaluated(judgement_after_failed_training, instance, failed)
    ended(instance, "judge", first.tags)

    again = ended(instance, "train", tags)

    (second,), _ = evaluated(judgement_after_training, instance, again)
    assert second.run_key != first.run_key


def test_desk_follows_the_nightly_judgement_of_one_of_its_books(home: Home, instance: dg.DagsterInstance) -> None:
    home.settings.write_text(BOOKS)
    night = {"vpoc/batch": "tonight", "dagster/partition": "es80"}
    judged = ended(instance, "judge", night)

    (request,), _ = evaluated(desk_after_judgement, instance, judged)

    assert (request.partition_key, request.tags) == (None, RETRY_TAGS)
    assert "no book of the desk" in skipped(
        desk_after_judgement, instance, ended(instance, "judge", night | {"dagster/partition": "ES"})
    )
    assert "not a nightly one" in skipped(desk_after_judgement, instance, ended(instance, "judge", {}))


def test_dead_runs_are_closed_while_the_schedules_run(home: Home, instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(defs.resolve_job_def("train"), status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id}@{os.uname().nodename}:{os.getpid()}:1"})

    result = dead_runs(dg.build_sensor_context(instance=instance))

    assert run.run_id in result.skip_message
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
