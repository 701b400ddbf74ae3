"""Models as assets: trained by family and symbol, tracked, registered, traded, compared and shown."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.partitions import model_key
from jobs.chain import ChainError, StepEvent, close_dead_runs, run_chain, train_family
from pipeline.definitions import defs
from pipeline.environment import tracking_uri
from pipeline.errors import ConfigurationError
from pipeline.home import PROJECT, Home
from pipeline.learning.models import make_model
from pipeline.learning.record import pending_records
from pipeline.modelling import LearningInputs, train_model
from pipeline.research import RULES, model_strategy
from pipeline.settings import load_settings
from tests.orchestration.conftest import SMALL_MARKET, made_home
from tests.orchestration.test_chain import digests, nothing, stored

# Enough of a market for two folds, and as little training as shows that everything is in its place.
MODELS = (
    "models: {families: [lightgbm, mlp], splits: 2, threshold: 0.3, parameters: {"
    "lightgbm: {rounds: 10, patience: 5}, mlp: {epochs: 3, layers: [32]}}}\n"
)
MARKET = SMALL_MARKET.split("models:")[0]


@pytest.fixture
def small(home: Home) -> Home:
    """A home whose settings train two small models."""
    home.settings.write_text(MARKET + MODELS)
    return home


@dataclass(frozen=True)
class Made:
    """A chain with models that has been run: for tests that only look."""

    home: Home
    told: list[StepEvent]
    runs: Mapping[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        home = made_home(tmp_path_factory.mktemp("models"), patch)
        home.settings.write_text(MARKET + MODELS)
        told: list[StepEvent] = []
        yield Made(home, told, run_chain(defs, "ES-SIM", home, told.append))


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
        orders = of_family(small, "model_orders", family)
        assert len(orders) == int(passed.sum())
        assert (orders["session"] >= pd.Timestamp(orders.attrs["first_session"])).all()
    summary = stored(small, "backtest_summary", "ES-SIM")
    strategies = list(summary.index.get_level_values(0).unique())
    assert strategies == ["All fades", RULES, "Rules, same time", "ML lightgbm", "ML mlp"]
    page = (small.reports / "ES-SIM.html").read_text()
    assert "ML lightgbm" in page
    words = [event.text for event in told if event.kind == "told"]
    assert [text.split(":")[0] for text in words[1:]] == ["lightgbm", "mlp"]
    assert any(event.kind == "going" and event.text.startswith("fold 1: 1 of at most") for event in told)


def test_chain_with_models_twice_gives_the_same_bytes(made: Made, small: Home) -> None:
    run_chain(defs, "ES-SIM", small, nothing)

    assert digests(small.assets) == digests(made.home.assets)
    pages = [(home.reports / "ES-SIM.html").read_bytes() for home in (small, made.home)]
    assert pages[0] == pages[1]


def test_no_score_of_the_backtest_is_of_a_model_that_knew_the_outcome(made: Made) -> None:
    small = made.home
    labels = stored(small, "labels", "ES-SIM")
    for family in ("lightgbm", "mlp"):
        predictions = of_family(small, "models", family)
        scored = predictions["score"].notna()
        assert scored.sum() > 100
        assert (predictions.loc[scored, "trained_until"] < labels.loc[scored, "start"]).all()
        traded = of_family(small, "model_backtest", family)
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
        inputs_of(small, "").features.loc[coming].to_parquet(tmp_path / "rows.parquet")
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
    assert [path.path for path in client.list_artifacts(run.info.run_id, "plots")]


def test_too_few_trades_make_a_report_without_models_and_say_so(home: Home) -> None:
    home.settings.write_text(MARKET.replace("sessions: 320", "sessions: 60") + MODELS)
    told: list[StepEvent] = []

    runs = run_chain(defs, "ES-SIM", home, told.append)

    assert set(runs) == {"ingest", "research", "judge"}
    words = [event.text for event in told if event.kind == "told"]
    assert words[-1].startswith("no models: ")
    assert "trades are too few to train on" in words[-1] or "too few" in words[-1]
    assert (home.reports / "ES-SIM.html").exists()
    assert len(stored(home, "model_comparison", "ES-SIM")) == 0


def test_training_on_too_few_trades_fails_with_its_sentence_and_a_failed_mlflow_run(
    home: Home, instance: dg.DagsterInstance
) -> None:
    from mlflow.tracking import MlflowClient

    home.settings.write_text(MARKET.replace("sessions: 320", "sessions: 60") + MODELS)
    run_chain(defs, "ES-SIM", home, nothing)

    with pytest.raises(ChainError, match="too few"):
        train_family(defs, "ES-SIM", "lightgbm", instance, nothing)

    client = MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name("vpoc-ES-SIM")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`vpoc.kind` = 'training'")
    assert run.info.status == "FAILED"
    assert "too few" in run.data.tags["vpoc.failure"]


def test_models_of_other_candidates_are_left_out_of_the_judgement(small: Home) -> None:
    run_chain(defs, "ES-SIM", small, nothing)
    small.settings.write_text(MARKET.replace("seed: 3", "seed: 4") + "models: {families: []}\n")

    run_chain(defs, "ES-SIM", small, nothing)

    assert list(stored(small, "backtest_summary", "ES-SIM").index.get_level_values(0).unique()) == ["All fades", RULES]
    assert len(stored(small, "model_comparison", "ES-SIM")) == 0


def test_another_family_is_trained_by_its_partition_and_compared_though_no_setting_names_it(
    small: Home, instance: dg.DagsterInstance
) -> None:
    run_chain(defs, "ES-SIM", small, nothing)

    trained = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key=model_key("lightgbm_r", "ES-SIM")
    )
    assert trained.success
    judged = defs.resolve_job_def("judge").execute_in_process(instance=instance, partition_key="ES-SIM")

    assert judged.success
    compared = stored(small, "model_comparison", "ES-SIM").index.get_level_values("family").unique()
    assert set(compared) == {"logistic", "lightgbm", "lightgbm_r", "mlp"}
    assert model_strategy("lightgbm_r") not in stored(small, "backtest_summary", "ES-SIM").index.get_level_values(0)


def test_mlflow_away_trains_all_the_same_and_the_upload_follows(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    store = tracking_uri(small)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens there
    began = time.monotonic()
    run_chain(defs, "ES-SIM", small, nothing)
    assert time.monotonic() - began < 120  # no minutes of retries
    waiting = pending_records(small)
    assert {folder.parent.name for folder in waiting} == {"lightgbm", "mlp"}
    assert (small.reports / "ES-SIM.html").exists()

    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    script = "import sys; from pipeline.cli import main; sys.argv = ['vpoc', 'models', 'upload']; main()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=PROJECT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert pending_records(small) == []
    versions = MlflowClient(store).search_model_versions("name = 'vpoc-ES-SIM-mlp'")
    assert [int(version.version) for version in versions] == [1]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{families: [lightgbn]}", "there is no model family 'lightgbn'; there are attention"),
        ("{families: [mlp, mlp]}", "families names one twice"),
        ("{parameters: {mlp: {layrs: [32]}}}", "mlp has no setting layrs"),
        ("{parameters: {mlp: {epochs: 0}}}", "mlp: epochs is 0"),
        ("{threshold: 1.5}", "threshold"),
        ("{embargo: soon}", "embargo"),
        ("{splitz: 3}", "setting models.splitz is unknown; there are families"),
    ],
)
def test_settings_of_models_that_are_impossible_are_named(home: Home, setting: str, said: str) -> None:
    home.settings.write_text(f"models: {setting}\n")

    with pytest.raises(ConfigurationError, match=r"settings\.yaml") as caught:
        load_settings(home)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_killed_training_leaves_no_place_taken_and_goes_on(small: Home, instance: dg.DagsterInstance) -> None:
    run_chain(defs, "ES-SIM", small, nothing)
    clean = of_family(small, "models", "mlp")
    # Long enough to be caught in the middle, at the first checkpoint.
    small.settings.write_text(
        MARKET + MODELS.replace("epochs: 3,", "epochs: 4000, patience: 4000, checkpoint_every: 1,")
    )
    script = (
        "from pipeline.definitions import defs, train_family; import dagster as dg\n"
        "with dg.DagsterInstance.get() as instance: train_family(defs, 'ES-SIM', 'mlp', instance, lambda event: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(small.models.glob("ES-SIM/mlp/.*/fold_1.pt*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(small.models.glob("ES-SIM/mlp/.*/fold_1.pt*"))  # what it goes on from

    close_dead_runs(instance)
    small.settings.write_text(MARKET + MODELS)
    train_family(defs, "ES-SIM", "mlp", instance, nothing)

    pd.testing.assert_frame_equal(of_family(small, "models", "mlp"), clean)
    assert not list(small.models.glob("ES-SIM/mlp/.*"))


def test_every_family_can_be_chosen_in_the_settings(home: Home) -> None:
    from pipeline.learning.models import families

    home.settings.write_text(f"models: {{families: [{', '.join(families())}]}}\n")

    assert load_settings(home).models.families == tuple(families())
    assert {make_model(name).family for name in families()} == set(families())
