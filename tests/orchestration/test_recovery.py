"""Runs that are killed, stopped, or fed with files that are not what they seem."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from jobs.chain import PROCESS_TAG, ChainError, StepEvent, close_dead_runs, run_chain
from pipeline.datasets import FileSource, remember_source
from pipeline.definitions import defs
from pipeline.environment import make_tracking_store
from pipeline.home import PROJECT, Home
from tests.orchestration.test_chain import nothing


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
    assert "570 of 960 rows quarantined, 570 of them outside every session" in fits.description
    assert check(result, "accounting").description == ("960 rows in = 390 kept + 570 quarantined (570 outside_session)")


def test_file_with_no_row_in_a_session_is_stopped_by_its_check(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = tmp_path / "saturday.csv"
    write_bars(path, pd.date_range("2023-08-05 08:00", periods=60, freq="1min", tz="UTC"))
    remember_source(home, "SPY", FileSource(path=str(path)))

    result = ingest(instance, "2023-08|SPY")

    assert not result.success
    assert "60 of 60 rows quarantined, 60 of them outside every session" in check(result, "fits_instrument").description


def test_file_without_volume_in_regular_hours_says_so(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "evening.csv"
    write_bars(path, pd.date_range("2023-08-03 23:00", periods=12, freq="5min", tz="UTC"), 4500.0)
    remember_source(home, "ES", FileSource(path=str(path)))

    with pytest.raises(ChainError, match=r"no volume_profiles in any month of .*evening.csv: no session has volume in"):
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
    assert "its first symbol stands after its last" in failure.user_failure_data.description


def test_interrupt_stops_the_chain_as_an_interrupt(home: Home) -> None:
    def interrupt(event: StepEvent) -> None:
        if event.step == "session_history" and event.kind == "started":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_chain(defs, "ES-SIM", home, interrupt)


def test_dead_runs_are_closed_and_living_ones_left(home: Home, instance: dg.DagsterInstance) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    job = defs.resolve_job_def("research")
    runs = [
        instance.create_run_for_job(job, tags={PROCESS_TAG: f"{host}:{process}"}, status=dg.DagsterRunStatus.STARTED)
        for process in (gone.pid, os.getpid())
    ]

    close_dead_runs(instance)

    found = [instance.get_run_by_id(run.run_id) for run in runs]
    assert [run.status for run in found] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]


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
    assert defs.resolve_implicit_global_asset_job_def().executor_def.name == "in_process"
