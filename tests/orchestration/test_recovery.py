"""Runs that are killed, stopped, or fed with files that are not what they seem."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from jobs.chain import run_chain
from jobs.processes import PROCESS_TAG, close_dead_runs, process_tag
from jobs.progress import StepEvent
from pipeline.datasets import FileSource, remember_source
from pipeline.definitions import defs
from pipeline.environment import make_tracking_store
from pipeline.errors import ChainError
from pipeline.home import PROJECT, Home
from pipeline.market import find_instrument, simulate_market
from tests.orchestration.test_chain import nothing

pytestmark = pytest.mark.slow


def write_bars(path: Path, times: pd.DatetimeIndex, price: float = 170.0) -> None:
    prices = dict.fromkeys(["open", "high", "low", "close"], price)
    pd.DataFrame({"timestamp": times, **prices, "volume": 100}).to_csv(path, index=False)


def ingest(instance: dg.DagsterInstance, key: str) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=key, raise_on_error=False)


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == name)


def test_stock_bars_before_and_after_hours_are_quarantined_and_do_not_stop_the_run(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = tmp_path / "spy.csv"
    write_bars(path, pd.date_range("2023-08-03 08:00", "2023-08-03 23:59", freq="1min", tz="UTC"))
    remember_source(home, "SPY", FileSource(path=str(path)))

    result = ingest(instance, "2023-08|SPY")

    assert result.success
    fits = check(result, "fits_instrument")
    assert (fits.passed, fits.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "570 of 960 rows quarantined, 570 of them outside" in fits.description
    assert check(result, "accounting").description == ("960 rows in = 390 kept + 570 quarantined (570 outside_session)")


def test_times_of_another_zone_are_a_warning_kept_with_the_bars(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = tmp_path / "es.csv"
    bars = simulate_market(find_instrument("ES"), "2021-05-03", 5, 5, bar="15min")
    local = bars["timestamp"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    bars.assign(timestamp=local).to_csv(path, index=False)
    remember_source(home, "ES", FileSource(path=str(path), time_zone="America/Chicago"))

    result = ingest(instance, "2021-05|ES")

    reading = check(result, "reading")
    assert result.success
    assert (reading.passed, reading.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "name --time-zone America/New_York" in reading.description
    stored = pd.read_parquet(home.assets / "bars" / "ES" / "2021-05.parquet")
    assert [each["kind"] for each in stored.attrs["findings"]] == ["time_zone"]


def test_daily_bars_stop_the_run_with_what_they_lack(home: Home, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    write_bars(path, pd.date_range("2023-08-01 15:00", periods=20, freq="1D", tz="UTC"), 4500.0)
    remember_source(home, "ES", FileSource(path=str(path)))

    result = ingest(instance, "2023-08|ES")

    assert not result.success
    assert "these are daily bars" in check(result, "fits_instrument").description
    assert "daily" not in check(result, "reading").description  # said once


def test_file_with_no_row_in_a_session_is_stopped_by_its_check(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = tmp_path / "saturday.csv"
    write_bars(path, pd.date_range("2023-08-05 08:00", periods=60, freq="1min", tz="UTC"))
    remember_source(home, "SPY", FileSource(path=str(path)))

    result = ingest(instance, "2023-08|SPY")

    assert not result.success
    assert "60 of 60 rows quarantined, 60 of them outside" in check(result, "fits_instrument").description


def test_file_without_volume_in_regular_hours_says_so(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "evening.csv"
    write_bars(path, pd.date_range("2023-08-03 23:00", periods=12, freq="5min", tz="UTC"), 4500.0)
    remember_source(home, "ES", FileSource(path=str(path)))

    with pytest.raises(ChainError, match=r"no volume_profiles .*evening.csv: .*hours: eth"):
        run_chain(defs, "ES", home, nothing)


def test_range_whose_first_symbol_stands_after_its_last_is_a_failure_that_says_so(
    home: Home, instance: dg.DagsterInstance
) -> None:
    tags = {
        "dagster/asset_partition_range_start": "2021-03|SPY",
        "dagster/asset_partition_range_end": "2021-04|ES",
    }

    result = defs.resolve_job_def("ingest").execute_in_process(instance=instance, tags=tags, raise_on_error=False)

    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert "first symbol" in failure.user_failure_data.description


def test_interrupt_stops_the_chain_as_an_interrupt(home: Home) -> None:
    def interrupt(event: StepEvent) -> None:
        if event.step == "session_history" and event.kind == "started":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_chain(defs, "ES-SIM", home, interrupt)


def test_runs_are_closed_whose_process_is_gone(home: Home, instance: dg.DagsterInstance) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, before = os.uname().nodename, "another-boot/9000"
    job = defs.resolve_job_def("research")

    def begun(status: str) -> dg.DagsterRun:
        return instance.create_run_for_job(job, status=dg.DagsterRunStatus[status])

    runs = [begun(status) for status in ("STARTED", "CANCELING", "STARTED", "STARTED", "STARTED", "STARTED", "SUCCESS")]
    killed, canceled, number_reused, elsewhere, copied, untold, ended = runs
    for run in (killed, canceled, ended):
        instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id}@{host}:{gone.pid}:{before}"})
    instance.add_run_tags(number_reused.run_id, {PROCESS_TAG: f"{number_reused.run_id}@{host}:{os.getpid()}:{before}"})
    instance.add_run_tags(elsewhere.run_id, {PROCESS_TAG: f"{elsewhere.run_id}@elsewhere:{gone.pid}:{before}"})
    # Dagster copies tags to a run that is executed again.
    instance.add_run_tags(copied.run_id, {PROCESS_TAG: f"{killed.run_id}@{host}:{gone.pid}:{before}"})
    own = begun("STARTED")
    instance.add_run_tags(own.run_id, process_tag(own.run_id))

    assert set(close_dead_runs(instance)) == {killed.run_id, canceled.run_id, number_reused.run_id}

    statuses = [instance.get_run_by_id(run.run_id).status.name for run in (killed, canceled, number_reused)]
    assert statuses == ["FAILURE", "CANCELED", "FAILURE"]
    for run in (elsewhere, copied, untold, own):
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_place_in_a_pool_is_given_back_by_runs_that_have_ended_and_kept_by_those_that_go_on(
    home: Home, instance: dg.DagsterInstance
) -> None:
    job = defs.resolve_job_def("train")
    storage = instance.event_log_storage
    taken = {}
    # Of a run that Dagster's own page marked as failed, the place stays taken.
    for pool, status in (("one", dg.DagsterRunStatus.FAILURE), ("two", dg.DagsterRunStatus.STARTED)):
        run = instance.create_run_for_job(job, status=status)
        storage.initialize_concurrency_limit_to_default(pool)
        assert storage.claim_concurrency_slot(pool, run.run_id, "models").is_claimed
        taken[pool] = run

    close_dead_runs(instance)

    assert storage.get_concurrency_info("one").active_slot_count == 0
    assert storage.get_concurrency_info("two").active_run_ids == {taken["two"].run_id}


def test_tracking_store_made_by_two_programs_at_once_is_whole_and_leaves_nothing_else(home: Home) -> None:
    code = (
        "from pipeline.environment import make_tracking_store; from pipeline.home import vpoc_home; "
        "make_tracking_store(vpoc_home())"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stderr=subprocess.PIPE) for _ in range(2)]

    assert [process.communicate()[1] for process in both] == [b"", b""]
    assert [path.name for path in home.mlflow.iterdir()] == ["mlflow.db"]
    before = (home.mlflow / "mlflow.db").stat().st_ino
    assert make_tracking_store(home) == f"sqlite:///{home.mlflow / 'mlflow.db'}"
    assert (home.mlflow / "mlflow.db").stat().st_ino == before


def test_runs_from_the_page_take_their_steps_in_one_process() -> None:
    names = {job.executor_def.name for job in defs.resolve_all_job_defs()}
    assert names == {"one_process"}
