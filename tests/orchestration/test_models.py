"""Models as assets: trained by family and symbol, tracked, registered, traded, compared and shown."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.partitions import of_book
from jobs.chain import run_chain, train_families, train_family
from jobs.processes import close_dead_runs
from jobs.progress import StepEvent
from pipeline.definitions import defs
from pipeline.environment import tracking_uri
from pipeline.errors import ChainError, ConfigurationError
from pipeline.home import PROJECT, Home
from pipeline.learning.models import make_model
from pipeline.learning.record import pending_records, training_alone
from pipeline.modelling import LearningInputs, train_model
from pipeline.research import RULES, model_strategy
from pipeline.settings import load_settings
from tests.orchestration.conftest import MARKET, MODELS, Made, backtests
from tests.orchestration.test_chain import nothing, stored

pytestmark = pytest.mark.slow


def of_family(home: Home, asset: str, family: str) -> pd.DataFrame:
    return pd.read_parquet(home.assets / asset / "ES-SIM" / f"{family}.parquet")


def inputs_of(home: Home, source: str) -> LearningInputs:
    frames = (
        stored(home, name, "ES-SIM") for name in ("training_set", "candidates", "features", "labels", "sequences")
    )
    return LearningInputs.of(*frames, source=source)


def test_chain_trains_the_families_of_the_settings_as_the_functions_do_and_shows_them_beside_the_rules(
    made: Made,
) -> None:
    small, told = made.home, made.told

    chosen = load_settings(small)
    for family in ("lightgbm", "mlp"):
        predictions = of_family(small, "models", family)
        inputs = inputs_of(small, predictions.attrs["source"])
        expected = train_model(inputs, chosen.models, family, seed=0, currency="$")
        pd.testing.assert_frame_equal(predictions[list(expected.walk.predictions)], expected.walk.predictions)
        assert predictions.attrs["made_from"] == inputs.version
        signals = of_family(small, "model_signals", family)
        passed = (predictions["score"] >= 0.3).to_numpy()
        np.testing.assert_array_equal(signals["model_signal"].to_numpy(), passed)
        traded = backtests(small, f"model_backtest/ES-SIM/{family}")
        orders = traded.results[model_strategy(family)].orders
        assert len(orders) == int(passed.sum())
        assert (orders["session"] >= pd.Timestamp(traded.attrs["first_session"])).all()
    summary = stored(small, "backtest_summary", "ES-SIM")
    strategies = list(summary.index.get_level_values(0).unique())
    assert strategies == ["All fades", RULES, "Rules, same time", "ML lightgbm", "ML mlp"]
    page = (small.reports / "ES-SIM.html").read_text()
    assert "ML lightgbm" in page
    words = [event.text for event in told if event.kind == "told"]
    assert [text.split(":")[0] for text in words[1:]] == ["lightgbm", "mlp"]
    assert any(event.kind == "going" and event.text.startswith("fold 1: 1 of at most") for event in told)


def test_no_score_of_the_backtest_is_of_a_model_that_knew_the_outcome(made: Made) -> None:
    small = made.home
    labels = stored(small, "labels", "ES-SIM")
    for family in ("lightgbm", "mlp"):
        predictions = of_family(small, "models", family)
        scored = predictions["score"].notna()
        assert scored.sum() > 100
        assert (predictions.loc[scored, "trained_until"] < labels.loc[scored, "start"]).all()
        traded = backtests(small, f"model_backtest/ES-SIM/{family}").results[model_strategy(family)].trades
        first = predictions.loc[scored, "session"].min()
        assert (traded["session"] >= first).all()
        assert (of_family(small, "model_signals", family)["origin"].isin(["", "out_of_fold", "final"])).all()


def test_registered_challenger_gives_the_scores_that_the_pipeline_gave_the_coming_session(
    made: Made, tmp_path: Path
) -> None:
    small = made.home
    for family in ("lightgbm", "mlp"):
        predictions = of_family(small, "models", family)
        coming = predictions.index[predictions["origin"] == "final"]
        assert len(coming) == 2  # a long and a short
        inputs_of(small, predictions.attrs["source"]).features.loc[coming].to_parquet(tmp_path / "rows.parquet")
        # In a process of its own, for it brings the code that it was trained with.
        script = (
            "import mlflow, pandas as pd\n"
            f"model = mlflow.pyfunc.load_model('models:/vpoc-ES-SIM-{family}@challenger')\n"
            "print(*(float(score).hex() for score in model.predict(pd.read_parquet('rows.parquet'))))"
        )
        environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri(small)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [score.hex() for score in predictions.loc[coming, "score"]]


def test_training_run_in_mlflow_holds_parameters_folds_and_where_it_came_from(made: Made) -> None:
    from mlflow.tracking import MlflowClient

    small, runs = made.home, made.runs
    client = MlflowClient(tracking_uri(small))
    experiment = client.get_experiment_by_name("vpoc-ES-SIM")
    logged = client.search_runs([experiment.experiment_id], "tags.`vpoc.family` = 'mlp'")
    assert [run.data.tags["dagster.run_id"] for run in logged] == [runs["train mlp"]]
    (run,) = logged
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster.partition"] == "mlp|ES-SIM"
    assert run.data.params["model.epochs"] == "3"
    assert run.data.params["splits"] == "2"
    assert run.data.params["weights"] == "equal"
    assert run.data.params["account.slippage_ticks"] == "1"
    assert run.data.metrics["final_threshold"] == 0.3
    folds = client.get_metric_history(run.info.run_id, "fold.train_rows")
    assert [point.step for point in folds] == [1, 2]
    rows = len(stored(small, "training_set", "ES-SIM"))
    assert client.get_metric_history(run.info.run_id, "fold.test_rows")[0].value == pytest.approx(rows / 3, abs=2)
    assert "auc" in run.data.metrics or "auc_within_folds" in run.data.metrics
    backtest = stored(small, "backtest_summary", "ES-SIM").loc["ML mlp"]
    assert run.data.metrics["trades"] == backtest.loc["trades", "value"]
    assert run.data.tags["headline.trades"] == f"{backtest.loc['trades', 'value']:.0f}"
    assert run.data.metrics["pnl"] == backtest.loc["pnl", "value"]
    assert [path.path for path in client.list_artifacts(run.info.run_id, "plots")]


def test_too_few_trades_make_a_report_without_models_and_say_so(home: Home) -> None:
    studies = "tuning: {targets: [logistic, strategy], trials: 2}\n"
    home.settings.write_text(MARKET.replace("sessions: 320", "sessions: 60") + MODELS + studies)
    told: list[StepEvent] = []

    runs = run_chain(defs, "ES-SIM", home, told.append)

    # What is searched without a model is searched all the same.
    assert set(runs) == {"ingest", "prepare", "research", "tune strategy", "judge"}
    words = [event.text for event in told if event.kind == "told"]
    assert words[-1].startswith("no models: ")
    assert "too few" in words[-1]
    assert (home.reports / "ES-SIM.html").exists()
    assert len(stored(home, "model_comparison", "ES-SIM")) == 0


def test_training_on_too_few_trades_fails_with_its_sentence_and_a_failed_mlflow_run(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    from mlflow.tracking import MlflowClient

    copied.settings.write_text(MARKET + MODELS.replace("splits: 2", "splits: 40"))

    with pytest.raises(ChainError, match=r"^\d+ trades .*too few.*fold 1 of 40"):
        train_family(defs, "ES-SIM", "lightgbm", instance, nothing)

    client = MlflowClient(tracking_uri(copied))
    experiment = client.get_experiment_by_name("vpoc-ES-SIM")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`vpoc.kind` = 'training'")
    assert run.info.status == "FAILED"
    assert "too few" in run.data.tags["vpoc.failure"]


def test_models_of_other_candidates_are_left_out_of_the_judgement(copied: Home) -> None:
    copied.settings.write_text(MARKET.replace("seed: 3", "seed: 4") + "models: {splits: 2, families: []}\n")

    run_chain(defs, "ES-SIM", copied, nothing)

    strategies = stored(copied, "backtest_summary", "ES-SIM").index.get_level_values(0)
    assert list(strategies.unique()) == ["All fades", RULES]
    assert len(stored(copied, "model_comparison", "ES-SIM")) == 0


def test_model_is_not_trained_on_data_made_from_other_bars_than_recorded(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    copied.settings.write_text(MARKET.replace("seed: 3", "seed: 4") + MODELS)

    with pytest.raises(
        ChainError, match=r"^bar_history was made from '.*seed 3.*', but .* is now '.*seed 4.*'.*vpoc run"
    ):
        train_family(defs, "ES-SIM", "constant", instance, nothing)

    assert pending_records(copied) == []


def test_families_of_other_folds_are_not_compared(copied: Home) -> None:
    copied.settings.write_text(MARKET + MODELS.replace("splits: 2", "splits: 3"))

    train_families(defs, "ES-SIM", ["constant"], nothing)

    assert set(stored(copied, "model_comparison", "ES-SIM").index.get_level_values("family")) == {"logistic"}
    strategies = stored(copied, "backtest_summary", "ES-SIM").index.get_level_values(0)
    assert list(strategies.unique()) == ["All fades", RULES]


def test_another_family_is_trained_by_its_partition_shown_and_compared_though_no_setting_names_it(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    # As if the training of the MLP had been killed between its scores and their importance.
    (copied.assets / "model_importance" / "ES-SIM" / "mlp.parquet").unlink()

    trained = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key=of_book("lightgbm_r", "ES-SIM")
    )
    shown = trained.asset_materializations_for_node("models")[0].metadata
    tables = {name for name, value in shown.items() if isinstance(value, dg.TableMetadataValue)}
    pictures = {name for name, value in shown.items() if isinstance(value, dg.MarkdownMetadataValue)}
    assert tables == {"metrics", "by_fold"}
    assert len(shown["by_fold"].records) == 2
    assert pictures >= {f"{name}_picture" for name in ("folds", "thresholds", "scores", "importance")}
    assert shown["registered"].value == "vpoc-ES-SIM-lightgbm_r version 1"
    judged = defs.resolve_job_def("judge").execute_in_process(instance=instance, partition_key="ES-SIM")

    assert judged.success
    compared = stored(copied, "model_comparison", "ES-SIM").index.get_level_values("family").unique()
    assert set(compared) == {"logistic", "lightgbm", "lightgbm_r", "mlp"}
    summary = stored(copied, "backtest_summary", "ES-SIM")
    assert model_strategy("lightgbm_r") not in summary.index.get_level_values(0)


def test_mlflow_unreachable_trains_all_the_same_says_so_and_the_upload_follows(
    copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    store = tracking_uri(copied)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens there
    told: list[StepEvent] = []
    train_families(defs, "ES-SIM", ["lightgbm"], told.append)
    (waiting,) = pending_records(copied)
    assert waiting.parent.name == "lightgbm"
    assert (copied.reports / "ES-SIM.html").exists()
    warned = [event.text for event in told if event.kind == "warned"]
    assert str(waiting) in warned[0]
    assert "vpoc models upload" in warned[0]
    assert len(warned) == 3  # and that the figures of summary and report are not recorded

    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    script = "import sys; from cli import main; sys.argv = ['vpoc', 'models', 'upload']; main()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=PROJECT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert pending_records(copied) == []
    versions = MlflowClient(store).search_model_versions("name = 'vpoc-ES-SIM-lightgbm'")
    assert [int(version.version) for version in versions] == [1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{families: [lightgbn]}", "there is no model family 'lightgbn'; choose from attention"),
        ("{families: [mlp, mlp]}", "families repeats a name"),
        ("{parameters: {mlp: {layrs: [32]}}}", "mlp: setting layrs is unknown"),
        ("{parameters: {mlp: {epochs: 0}}}", "mlp: epochs is 0"),
        ("{threshold: 1.5}", "threshold"),
        ("{embargo: soon}", "embargo"),
        ("{splitz: 3}", "setting models.splitz is unknown; choose from families"),
    ],
)
def test_settings_of_models_that_are_impossible_are_named(home: Home, setting: str, message: str) -> None:
    home.settings.write_text(f"models: {setting}\n")

    with pytest.raises(ConfigurationError, match=r"settings\.yaml") as caught:
        load_settings(home)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# A run as Dagster's page starts it, with the asset in the pool of a GPU that is not there.
FROM_THE_PAGE = """
import sys
from types import SimpleNamespace
from pipeline import hardware
hardware.torch_build = lambda: SimpleNamespace(kind="CUDA")
import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from pipeline.definitions import defs
job = defs.resolve_job_def("train")
tags = {"dagster/partition": "mlp|ES-SIM", "dagster/partition/family": "mlp", "dagster/partition/symbol": "ES-SIM"}
with dg.DagsterInstance.get() as instance:
    run = instance.create_run_for_job(job, tags=tags)
    print(run.run_id, flush=True)
    sys.exit(not execute_run(InMemoryJob(job), run, instance).success)
"""


def test_killed_training_leaves_no_place_taken_and_continues(copied: Home, instance: dg.DagsterInstance) -> None:
    # Long enough to be caught in the middle, at its first checkpoint.
    copied.settings.write_text(MARKET + MODELS.replace("epochs: 3,", "epochs: 40, patience: 40, checkpoint_every: 1,"))
    train_family(defs, "ES-SIM", "mlp", instance, nothing)
    clean = of_family(copied, "models", "mlp")
    command = [sys.executable, "-c", FROM_THE_PAGE]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not list(copied.models.glob("ES-SIM/mlp/.*/fold_1.pt*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    killed = process.communicate()[0].strip()
    assert list(copied.models.glob("ES-SIM/mlp/.*/fold_1.pt*"))  # what it goes on from
    pool = instance.event_log_storage.get_concurrency_info
    assert pool("gpu").active_run_ids == {killed}

    assert close_dead_runs(instance) == [killed]

    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE
    assert pool("gpu").active_slot_count == 0
    again = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    first = next(
        entry.user_message
        for entry in instance.all_logs(again.stdout.strip())
        if entry.user_message.startswith("fold 1")
    )
    assert int(first.split(": ")[1].split()[0]) > 1  # its first epoch was not its first
    pd.testing.assert_frame_equal(of_family(copied, "models", "mlp"), clean)
    assert not list(copied.models.glob("ES-SIM/mlp/.*"))
    assert pool("gpu").active_slot_count == 0


def test_two_trainings_of_a_family_at_once_follow_each_other(copied: Home, instance: dg.DagsterInstance) -> None:
    left = copied.models / "ES-SIM" / "constant" / ".of-other-data"
    left.mkdir(parents=True)
    told: list[StepEvent] = []
    with training_alone(copied, "ES-SIM", "constant"):
        other = threading.Thread(target=train_family, args=(defs, "ES-SIM", "constant", instance, told.append))
        other.start()
        deadline = time.monotonic() + 60
        while not any(event.kind == "warned" for event in told) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert other.is_alive()
        assert not list(copied.models.glob("ES-SIM/constant/*/record.json"))
    other.join(timeout=60)

    (warned,) = [event.text for event in told if event.kind == "warned"]
    assert "another training of constant on ES-SIM is running" in warned
    assert len(list(copied.models.glob("ES-SIM/constant/*/record.json"))) == 1
    assert not left.exists()


def test_every_family_can_be_chosen_in_the_settings(home: Home) -> None:
    from pipeline.learning.models import families

    home.settings.write_text(f"models: {{families: [{', '.join(families())}]}}\n")

    assert load_settings(home).models.families == tuple(families())
    assert {make_model(name).family for name in families()} == set(families())
