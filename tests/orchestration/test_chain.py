"""The whole chain on real components: Dagster's SQLite instance, MLflow's SQLite store, Parquet files."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from assets.partitions import RANGE_END_TAG, RANGE_START_TAG
from jobs.chain import months_to_make, run_chain
from pipeline.datasets import FileSource, find_dataset, remember_source
from pipeline.definitions import defs
from pipeline.environment import tracking_uri
from pipeline.errors import ChainError, ConfigurationError, DataError
from pipeline.home import PROJECT, Home
from pipeline.research import RULES, run_research
from pipeline.settings import load_settings
from pipeline.strategies.value_area_fade import ValueAreaFade
from tests.orchestration.conftest import MARKET, MODELS, SMALL_MARKET, Made, backtests

pytestmark = pytest.mark.slow


def nothing(event: object) -> None:
    """Observe nothing."""


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("[!.]*.*"))
    }


def stored(home: Home, asset: str, key: str) -> pd.DataFrame:
    return pd.read_parquet(home.assets / asset / f"{key}.parquet")


def write_months(home: Home, months: list[str], path: Path) -> None:
    """Put some months of the simulated market into a file, as a user's own bars."""
    bars = find_dataset("ES-SIM", home).read().frame.drop(columns=["source_file", "source_line"])
    own = bars["timestamp"].dt.tz_convert("America/Chicago").dt.strftime("%Y-%m").isin(months)
    bars[own].to_parquet(path)


def test_chain_gives_what_the_same_steps_give_without_dagster(made: Made) -> None:
    home = made.home
    dataset = find_dataset("ES-SIM", home)
    bars = dataset.read().frame.drop(columns=["source_file", "source_line"])
    expected = run_research(bars, dataset.instrument, load_settings(home))
    made_of_rules = backtests(home, "rule_backtest/ES-SIM").results
    assert list(made_of_rules) == [ValueAreaFade.baseline, RULES]
    for name, found in made_of_rules.items():
        pd.testing.assert_frame_equal(found.trades, expected.results[name].trades)
        pd.testing.assert_frame_equal(found.orders, expected.results[name].orders)
        pd.testing.assert_series_equal(found.equity, expected.results[name].equity, check_freq=False)
    pd.testing.assert_frame_equal(stored(home, "session_history", "ES-SIM"), expected.history)
    page = (home.reports / "ES-SIM.html").read_text()
    assert "simulated" in page.lower()


def test_chain_twice_gives_the_same_bytes(made: Made, copied: Home) -> None:
    shutil.copytree(made.home.root / "tuning", copied.root / "tuning")  # the report says since when was looked
    run_chain(defs, "ES-SIM", copied, nothing)

    assert digests(copied.assets) == digests(made.home.assets)
    for file in ("ES-SIM.html", "ES-SIM-trades.csv"):
        assert (copied.reports / file).read_bytes() == (made.home.reports / file).read_bytes()


def test_chain_logs_one_mlflow_run_a_symbol_and_dagster_run_with_its_figures(made: Made) -> None:
    from mlflow.tracking import MlflowClient

    home, runs = made.home, made.runs
    client = MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name("vpoc-ES-SIM")
    logged = client.search_runs([experiment.experiment_id], "tags.`vpoc.kind` = 'research'")
    assert [run.data.tags["dagster.run_id"] for run in logged] == [runs["judge"]]
    assert logged[0].info.status == "FINISHED"
    assert logged[0].data.tags["vpoc.simulated"] == "true"
    summary = stored(home, "backtest_summary", "ES-SIM")
    assert logged[0].data.metrics["rules.trades"] == summary.loc[(RULES, "trades"), "value"]
    assert logged[0].data.metrics["fades.win_rate"] == summary.loc[(ValueAreaFade.baseline, "win_rate"), "value"]
    assert logged[0].data.params["account.risk_per_trade"] == "0.01"
    assert [file.path for file in client.list_artifacts(logged[0].info.run_id)] == [
        "ES-SIM-trades.csv",
        "ES-SIM.html",
    ]


def test_chain_tells_its_steps_in_order(made: Made) -> None:
    finished = [event.step for event in made.told if event.kind == "finished"]
    assert finished[:2] == ["market_data", "volume_profiles"]
    assert set(finished[-4:-1]) == {"next_orders", "backtest_summary", "model_comparison"}
    assert finished[-1] == "report"


def test_chain_killed_and_run_again_gives_what_one_clean_run_gives(made: Made, tmp_path: Path) -> None:
    script = "from cli import main; import sys; sys.argv = ['vpoc', 'run']; main()"

    for seconds in (6.0,):
        other = Home(tmp_path / f"killed-{seconds}")
        other.root.mkdir()
        other.settings.write_text(MARKET + MODELS)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VPOC", "MLFLOW"))},
            "VPOC_HOME": str(other.root),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", script], env=environment, cwd=PROJECT, stdout=subprocess.DEVNULL
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        subprocess.run([sys.executable, "-c", script], env=environment, cwd=PROJECT, check=True, capture_output=True)
        assert digests(other.assets) == digests(made.home.assets)
        left = [path.name for path in other.assets.rglob(".*") if path.is_file()]
        assert len(left) <= 1  # at most the temporary file of the moment it was killed in


def test_chain_of_another_file_makes_the_old_months_again_so_that_sources_never_mix(home: Home, tmp_path: Path) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    write_months(home, ["2021-02", "2021-03"], first)
    write_months(home, ["2021-03", "2021-04"], second)
    remember_source(home, "ES", FileSource(path=str(first)))
    run_chain(defs, "ES", home, nothing)

    remember_source(home, "ES", FileSource(path=str(second)))
    assert months_to_make("ES", home)[:2] == ["2021-02", "2021-03"]
    run_chain(defs, "ES", home, nothing)

    history = stored(home, "session_history", "ES")
    assert history.attrs["source"] == str(second)
    assert history.index[0] >= pd.Timestamp("2021-03-01")
    assert len(pd.read_parquet(home.assets / "bars" / "ES" / "2021-02.parquet")) == 0


def test_symbol_assets_refuse_months_of_another_source(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    write_months(home, ["2021-02", "2021-03"], first)
    write_months(home, ["2021-03"], second)
    remember_source(home, "ES", FileSource(path=str(first)))
    run_chain(defs, "ES", home, nothing)
    remember_source(home, "ES", FileSource(path=str(second)))

    for job, told in (("prepare", "bars of 2021-02|ES was made from"), ("research", "bar_history was made from")):
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key="ES", raise_on_error=False
        )

        failure = next(event for event in result.all_events if event.is_step_failure)
        message = failure.step_failure_data.user_failure_data.description
        assert told in message
        assert "vpoc run --symbol ES" in message


def test_one_month_materialized_alone_equals_its_part_of_the_range(copied: Home, instance: dg.DagsterInstance) -> None:
    before = digests(copied.assets)
    bars = copied.assets / "bars" / "ES-SIM" / "2021-05.parquet"
    bars.unlink()

    result = defs.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key="2021-05|ES-SIM")

    assert result.success
    assert digests(copied.assets) == before


def test_month_without_bars_amid_others_is_stored_empty(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    write_months(home, ["2021-02", "2021-05"], tmp_path / "gap.parquet")
    remember_source(home, "ES", FileSource(path=str(tmp_path / "gap.parquet")))

    result = defs.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key="2021-04|ES")

    assert result.success
    assert len(pd.read_parquet(home.assets / "bars" / "ES" / "2021-04.parquet")) == 0
    assert len(pd.read_parquet(home.assets / "volume_profiles" / "ES" / "2021-04.parquet")) == 0


@pytest.mark.parametrize(("first", "last"), [("2015-01", "2017-12"), ("2024-05", "2024-05")])
def test_months_that_all_lie_outside_the_source_fail_and_say_which_months_it_has(
    home: Home, instance: dg.DagsterInstance, first: str, last: str
) -> None:
    result = defs.resolve_job_def("ingest").execute_in_process(
        instance=instance,
        tags={RANGE_START_TAG: f"{first}|ES-SIM", RANGE_END_TAG: f"{last}|ES-SIM"},
        raise_on_error=False,
    )

    failure = next(event for event in result.all_events if event.is_step_failure)
    said = failure.step_failure_data.user_failure_data.description
    assert f"no bars for {first}" in said
    assert "from 2021-01 to 2022-03" in said
    assert not list(home.assets.rglob("*.parquet"))


def test_file_of_another_instrument_is_stopped_by_its_check(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    times = pd.date_range("2021-03-01 15:00", periods=40, freq="5min", tz="UTC")
    prices = [1.3337 + 0.0003 * number for number in range(40)]
    frame = pd.DataFrame({"timestamp": times, "volume": 5})
    pd.concat([frame, pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], prices))], axis=1).to_csv(
        path, index=False
    )
    remember_source(home, "ES", FileSource(path=str(path)))

    with pytest.raises(ChainError, match=r"bars.fits_instrument .*: ES: .*off the tick"):
        run_chain(defs, "ES", home, nothing)

    assert not list((home.assets / "bars").rglob("*.parquet"))  # nothing of it was stored


def test_months_before_the_grid_are_an_error_that_says_what_to_set(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("timestamp,open,high,low,close,volume\n1999-03-01T15:00:00Z,1200,1201,1199,1200,10\n")
    remember_source(home, "ES", FileSource(path=str(path)))

    with pytest.raises(DataError, match="set VPOC_FIRST_MONTH"):
        run_chain(defs, "ES", home, nothing)


def test_settings_that_are_impossible_stop_the_chain_with_file_and_setting(home: Home) -> None:
    home.settings.write_text(SMALL_MARKET + "account: {risk_per_trade: 2}\n")

    with pytest.raises(ConfigurationError, match=r"settings.yaml, line 4: .*risk_per_trade is 2"):
        run_chain(defs, "ES-SIM", home, nothing)


def test_settings_that_are_impossible_fail_a_run_from_dagsters_page_with_the_same_sentence(
    home: Home, instance: dg.DagsterInstance
) -> None:
    home.settings.write_text(SMALL_MARKET + "account: {risk_per_trade: 2}\n")

    result = defs.resolve_job_def("ingest").execute_in_process(
        instance=instance, partition_key="2021-05|ES-SIM", raise_on_error=False
    )

    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "account setting risk_per_trade is 2" in failure.step_failure_data.user_failure_data.description
