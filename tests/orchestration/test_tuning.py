"""Studies from the command line and as assets: found, remembered, gone on with, shown, kept when interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import app
from jobs.chain import run_chain, run_study, train_family
from jobs.dagster_internals import quiet_instance
from jobs.progress import StepEvent
from pipeline.datasets import find_dataset
from pipeline.definitions import defs
from pipeline.errors import ChainError, ConfigurationError, PipelineError
from pipeline.home import Home
from pipeline.interruption import interruptible, interruptions_kept
from pipeline.learning.models import load_model
from pipeline.modelling import LearningInputs
from pipeline.research import run_research
from pipeline.settings import Settings, load_settings
from pipeline.studies import nested_model
from pipeline.tuning.database import tuning_url
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.trial_store import open_trials
from tests.orchestration.conftest import MARKET, made_home
from tests.orchestration.test_chain import nothing, stored

pytestmark = pytest.mark.slow

VPOC = "import sys; from cli import main; sys.exit(main())"
MODELS = MARKET + "models: {families: [logistic], splits: 2, threshold: 0.3}\n"
FIRST, LAST = pd.Timestamp("2021-01-01"), pd.Timestamp("2023-01-01")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home where the chain has been run without models; a study that can't be run cost nothing but itself."""
    with pytest.MonkeyPatch.context() as patch:
        home = made_home(tmp_path_factory.mktemp("tune"), patch)
        patch.delenv("VPOC_OPTUNA_URL", raising=False)
        plain = home.settings.read_text()
        home.settings.write_text(plain + "tuning: {targets: [strategy@logistic]}\n")
        with pytest.raises(ChainError, match="the study strategy@logistic failed: logistic has no scores"):
            run_chain(defs, "ES-SIM", home, lambda event: None)
        assert (home.reports / "ES-SIM.html").exists()
        home.settings.write_text(plain)
        yield home


@pytest.fixture
def copied(made: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own with everything that the chain has made, and no study yet."""
    home = made_home(tmp_path, monkeypatch)
    shutil.copytree(made.assets, home.assets, ignore=shutil.ignore_patterns("studies"), dirs_exist_ok=True)
    home.settings.write_text(MODELS)
    return home


def tuned(*arguments: str) -> dict:
    done = CliRunner().invoke(app, ["tune", *arguments, "--symbol", "ES-SIM", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_tune_strategy_best_trial_is_what_the_backtest_of_its_settings_gives_and_every_look_is_remembered(
    made: Home,
) -> None:
    document = tuned("strategy", "--trials", "8", "--objective", "net")

    best = document["best"]
    own = {name: value for name, value in best["params"].items() if not name.startswith("account.")}
    account = {"entry_cutoff": best["params"]["account.entry_cutoff"], "max_contracts": 1}
    dataset = find_dataset("ES-SIM", made)
    bars = dataset.read().frame.drop(columns=["source_file", "source_line"])
    settings = Settings(strategy=own, account=account)
    trades = run_research(bars, dataset.instrument, settings).results["Rule signals"].trades
    each = trades["pnl"] / trades["quantity"]
    assert best["values"]["net"] == pytest.approx(each.sum(), rel=1e-5)
    assert document["trials"] == {"complete": 8, "pruned": 0, "failed": 0}
    looks = Ledger(tuning_url(made)).looks("ES-SIM", FIRST, LAST)
    assert looks.count == document["looks"] >= 8


def test_tune_called_again_continues_with_the_same_study(made: Home) -> None:
    first = tuned("logistic", "--trials", "3")
    again = tuned("logistic", "--trials", "5")

    assert again["study"] == first["study"]
    assert sum(again["trials"].values()) == 5
    assert again["looks"] == first["looks"] + 2
    folder = next((made.root / "tuning" / "ES-SIM").glob("logistic-*"))
    assert {"history.png"} <= {path.name for path in folder.glob("*.png")}


def test_tune_with_two_workers_loses_and_doubles_no_trial(made: Home) -> None:
    document = tuned("logistic", "--trials", "8", "--objective", "sharpe_low", "--workers", "2")

    looks = Ledger(tuning_url(made)).trials(document["study"])
    assert sum(document["trials"].values()) == 8
    assert looks["number"].tolist() == list(range(8))


def test_tune_pareto_front_holds_no_trial_that_another_beats(made: Home) -> None:
    document = tuned("strategy", "--trials", "10", "--objective", "net", "--objective", "drawdown")

    front = [one["values"] for one in document["front"]]
    assert front
    for one in front:
        assert not any(
            other["net"] >= one["net"] and other["drawdown"] <= one["drawdown"] and other != one for other in front
        )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("lightgbn",), ConfigurationError, "there is no model family 'lightgbn'"),
        (("constant",), ConfigurationError, "constant"),
        (("lightgbm_r", "--objective", "log_loss"), PipelineError, "probabilities, so log_loss can't judge them"),
        (("strategy", "--objective", "log_loss"), PipelineError, "log_loss needs probabilities"),
        (("strategy+logistic", "--objective", "log_loss"), PipelineError, "log_loss can't judge the strategy's"),
        (("strategy@mlp",), PipelineError, "mlp has no scores on ES-SIM yet: train it first with 'vpoc models train"),
        (("strategy@zebra",), ConfigurationError, "there is no model family 'zebra'"),
        (("strategy", "--pruner", "cut"), ConfigurationError, "pruner is 'cut'"),
        (("strategy", "--dashboard"), ConfigurationError, "--dashboard shows all studies: leave out strategy"),
        ((), ConfigurationError, "name what to tune"),
        (("lightgbm", "--objective", "fun"), ConfigurationError, "fun"),
        (("lightgbm", "--sampler", "magic"), ConfigurationError, "sampler is 'magic'"),
        (("lightgbm", "--symbol", "ES"), PipelineError, "ES has no source of bars yet"),
    ],
)
def test_tune_mistakes_are_one_sentence(
    made: Home, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    options = arguments if "--symbol" in arguments else (*arguments, "--symbol", "ES-SIM")
    done = CliRunner().invoke(app, ["tune", *options, "--trials", "2"])

    assert isinstance(done.exception, error)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_tune_says_what_many_looks_leave_of_the_best(made: Home) -> None:
    done = CliRunner().invoke(app, ["tune", "strategy", "--symbol", "ES-SIM", "--trials", "6"])

    assert "recorded on ES-SIM between" in done.stdout
    assert "Deflated Sharpe ratio of the best" in done.stdout
    assert "Probability of overfitting of all these trials (CSCV)" in done.stdout


def study(home: Home, target: str) -> pd.DataFrame:
    return pd.read_parquet(home.assets / "studies" / "ES-SIM" / f"{target}.parquet")


def inputs_of(home: Home) -> LearningInputs:
    names = ("training_set", "candidates", "features", "labels", "sequences")
    frames = [stored(home, name, "ES-SIM") for name in names]
    return LearningInputs.of(*frames, source=frames[2].attrs["source"])


def metadata_of(asset: str, key: str) -> dict[str, dg.MetadataValue]:
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[f"{key}|ES-SIM"]), limit=1
        ).records
    return dict(records[0].asset_materialization.metadata)


def test_study_of_a_family_is_run_to_its_budget_shown_and_leaves_its_best_model(copied: Home) -> None:
    told: list[StepEvent] = []

    run_study(defs, "ES-SIM", "logistic", {"trials": 3}, told.append)

    trials = study(copied, "logistic")
    assert list(trials.columns) == [
        *("trial", "state", "log_loss", "seconds", "error", "strength", "winsorize", "signed_log"),
    ]
    assert trials["trial"].tolist() == [0, 1, 2]
    present = load_settings(copied).models.model("logistic", 0).settings
    assert trials.loc[0, "strength"] == present.strength  # the settings' own come first
    document = trials.attrs["document"]
    assert document["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    best = trials.loc[trials["log_loss"].idxmin()]
    assert document["best"]["trial"] == best["trial"]
    assert document["settings"] == {"models": {"parameters": {"logistic": document["best"]["params"]}}}
    assert document["remarks"][0].startswith("The share of winners alone, without a model, has a log loss of 0.")
    assert document["front"] == []
    folder = Path(trials.attrs["folder"])
    assert json.loads((folder / "study.json").read_text()) == document
    assert not (folder / "money").exists()  # it is the ledger's

    inputs = inputs_of(copied)
    rows = inputs.rows("features", "equal")
    fitted = load_settings(copied).models.model("logistic", 0).fresh(**document["best"]["params"]).fit(rows)
    kept = load_model(folder / "model")
    assert (kept.predict_proba(rows.features) == fitted.predict_proba(rows.features)).all()

    shown = metadata_of("studies", "logistic")
    assert shown["trials_complete"].value == 3
    assert shown["looks"].value == document["looks"] >= 3
    assert {"history_picture", "slices_picture"} <= shown.keys()
    assert "data:image/png;base64" in shown["history_picture"].value
    assert any(event.kind == "going" and event.text.startswith("trials: 3 of at most 3, best ") for event in told)

    # Gone on with: the trials that are there count.
    run_study(defs, "ES-SIM", "logistic", {"trials": 4}, nothing)
    again = study(copied, "logistic")
    pd.testing.assert_frame_equal(again.head(3), trials, check_exact=True)
    assert len(again) == 4
    assert again.attrs["document"]["looks"] == document["looks"] + 1


def test_study_of_the_strategy_by_scores_needs_a_family_trained_on_the_present_candidates(copied: Home) -> None:
    with pytest.raises(ChainError, match="logistic has no scores on ES-SIM yet: train it first"):
        run_study(defs, "ES-SIM", "strategy@logistic", {"trials": 2}, nothing)
    with quiet_instance() as instance:
        train_family(defs, "ES-SIM", "logistic", instance, nothing)

    run_study(defs, "ES-SIM", "strategy@logistic", {"trials": 2}, nothing)

    trials = study(copied, "strategy@logistic")
    scored = pd.read_parquet(copied.assets / "models" / "ES-SIM" / "logistic.parquet")
    first = scored.loc[scored["origin"] == "out_of_fold", "decided_on"].min()
    assert trials.attrs["document"]["first_session"] == f"{first:%F}"
    assert trials.loc[0, "models.threshold"] == 0.3


def test_study_is_run_by_the_plain_text_of_its_partition_as_from_dagsters_command_line(copied: Home) -> None:
    copied.settings.write_text(MODELS + "tuning: {trials: 2}\n")
    with quiet_instance() as instance:
        result = defs.resolve_job_def("tune").execute_in_process(
            instance=instance, tags={"dagster/partition": "strategy|ES-SIM"}
        )

    assert result.success
    assert len(study(copied, "strategy")) == 2
    assert metadata_of("studies", "strategy")["trials_complete"].value == 2


def test_study_whose_trials_all_fail_says_the_first_error_and_is_kept(copied: Home) -> None:
    path = copied.assets / "features" / "ES-SIM.parquet"
    features = pd.read_parquet(path)
    features[features.columns[0]] = np.inf
    features.to_parquet(path)

    with pytest.raises(ChainError, match=r"all 2 trials of the study .* failed, the first with: .*; the study is kept"):
        run_study(defs, "ES-SIM", "logistic", {"trials": 2}, nothing)
    # The backtest of the rules, which the copied home knows of, is another study.
    studies = Ledger(tuning_url(copied)).looks("ES-SIM", FIRST, LAST).by_study()
    assert studies.loc[studies["target"] == "logistic", "failed"].tolist() == [2]


def test_family_tuned_inside_its_folds_is_what_the_function_gives_and_each_look_saw_its_own_past(copied: Home) -> None:
    copied.settings.write_text(MODELS + "tuning: {nested: [logistic], nested_trials: 2}\n")
    told: list[StepEvent] = []
    with quiet_instance() as instance:
        train_family(defs, "ES-SIM", "logistic", instance, told.append)

    predictions = pd.read_parquet(copied.assets / "models" / "ES-SIM" / "logistic.parquet")
    assert predictions.attrs["tuned"] == "tuned inside each fold: 2 trials by log_loss"
    assert any(event.kind == "going" and event.text.startswith("tuning, trials: ") for event in told)
    looks = Ledger(tuning_url(copied)).looks("ES-SIM", FIRST, LAST)
    nested = looks.trials[looks.trials["target"] == "logistic nested"]
    assert nested.groupby("study").size().tolist() == [2, 2, 2]  # two folds, and the final model
    # The first fold, by hand, with a study of its own.
    chosen = load_settings(copied)
    inputs = inputs_of(copied)
    rows = inputs.rows("features", "equal")
    train, test = next(iter(chosen.models.splitter().split(rows.outcome)))
    store = open_trials(f"sqlite:///{copied.root / 'own.db'}")
    own = nested_model("logistic", find_dataset("ES-SIM", copied), chosen, store).fit(rows.take(train))
    scored = predictions.loc[rows.features.index[test], "score"]
    assert (own.predict_proba(rows.features.iloc[test]) == scored.to_numpy()).all()
    shown = metadata_of("models", "logistic")
    assert shown["tuned"].value == predictions.attrs["tuned"]
    first = shown["hyperparameters"].records[0].data
    assert first["fold"] == "1"
    assert first["strength"] == f"{own.settings.strength:.4g}"
    assert [record.data["fold"] for record in shown["hyperparameters"].records] == ["1", "2", "final"]


def test_interrupted_study_is_materialized_with_the_best_so_far(copied: Home) -> None:
    command = [sys.executable, "-c", VPOC, "tune", "logistic", "--symbol", "ES-SIM", "--trials", "5000"]
    with subprocess.Popen(
        command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        ledger, until = Ledger(tuning_url(copied)), time.monotonic() + 120
        while ledger.looks("ES-SIM", FIRST, LAST, target="logistic").count < 2:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()

    assert process.returncode == 0, output
    assert "stopped by interrupted" in output
    trials = study(copied, "logistic")
    document = trials.attrs["document"]
    assert document["stopped"] == "interrupted"
    assert 2 <= len(trials) < 5000
    rows = inputs_of(copied).rows("features", "equal")
    kept = load_model(Path(trials.attrs["folder"]) / "model")
    assert kept.predict_proba(rows.features).shape == (len(rows),)


class Swallows:
    """Interrupts as it goes, where Python only prints what is raised."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)


def test_interruption_that_a_library_swallowed_ends_the_study_after_the_trial_and_nothing_after_it() -> None:
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interruptions_kept(), interruptible() as interruption:  # noqa: PT012
        interruption.look()
        gone = Swallows()
        del gone
        assert interruption.asked
        time.sleep(0.2)  # it is not sent again, where the study will look
        interruption.look()
        pytest.fail("the study went on")
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_interruption_that_a_callback_lost_outside_a_study_comes_again() -> None:
    with pytest.raises(KeyboardInterrupt), interruptions_kept():  # noqa: PT012
        gone = Swallows()
        del gone
        time.sleep(10)
        pytest.fail("it was lost")
