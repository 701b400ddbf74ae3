"""Backtests of one's own settings are counted as looks; summary and report say how many there were."""

import shutil

import dagster as dg
import pandas as pd
import pytest

from pipeline.definitions import defs
from pipeline.environment import tracking_uri
from pipeline.home import Home
from pipeline.research import RULES
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.tuning.database import tuning_url
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.looks import Looks
from tests.orchestration.conftest import MARKET, MODELS, Made, backtests
from tests.orchestration.test_chain import stored

pytestmark = pytest.mark.slow

STUDIES = ["ES-SIM/backtest/lightgbm", "ES-SIM/backtest/mlp", "ES-SIM/backtest/rules"]


def looks_at(home: Home) -> Looks:
    return Ledger(tuning_url(home)).looks("ES-SIM", pd.Timestamp("2021-01-01"), pd.Timestamp("2022-12-31"))


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    (told,) = result.asset_materializations_for_node(asset)
    return {name: getattr(value, "value", value) for name, value in told.metadata.items()}


def judge(instance: dg.DagsterInstance, *assets: str) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("judge")
    chosen = [dg.AssetKey(name) for name in assets]
    return job.execute_in_process(instance=instance, partition_key="ES-SIM", asset_selection=chosen)


def test_first_run_counts_its_rules_and_families_and_says_what_is_left_of_them(made: Made) -> None:
    from mlflow.tracking import MlflowClient

    looks = looks_at(made.home)

    assert sorted(looks.trials["study"]) == STUDIES
    assert looks.count == 3
    equity = backtests(made.home, "rule_backtest/ES-SIM").results[RULES].equity
    rules = looks.trials.set_index("study").loc["ES-SIM/backtest/rules"]
    own = looks.trial_returns[looks.trials.index[looks.trials["study"] == "ES-SIM/backtest/rules"][0]]
    assert 100_000 * (1 + own.astype(float)).prod() == pytest.approx(equity.iloc[-1], rel=0.2)
    assert rules["state"] == "complete"
    page = (made.home.reports / "ES-SIM.html").read_text()
    assert "3 trials in 3 studies recorded on ES-SIM" in page
    client = MlflowClient(tracking_uri(made.home))
    experiment = client.get_experiment_by_name("vpoc-ES-SIM")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`vpoc.kind` = 'research'")
    assert run.data.metrics["trials"] == 3
    assert run.data.metrics["expected_maximum_sharpe_ratio"] == pytest.approx(looks.expected_best * 252**0.5)
    assert run.data.metrics["probability_of_backtest_overfitting"] == pytest.approx(100 * looks.overfitting())
    summary = stored(made.home, "backtest_summary", "ES-SIM")
    probable = summary.loc[(ValueAreaFade.baseline, "probabilistic_sharpe_ratio"), "value"]
    assert (
        run.data.metrics["fades.deflated_sharpe_ratio"]
        < probable
        == run.data.metrics["fades.probabilistic_sharpe_ratio"]
    )


def test_the_same_settings_again_are_not_a_further_look_and_changed_ones_are(
    made: Made, copied: Home, instance: dg.DagsterInstance
) -> None:
    shutil.copytree(made.home.root / "tuning", copied.root / "tuning")
    before = looks_at(copied)

    again = metadata_of(judge(instance, "backtest_summary"), "backtest_summary")

    assert again["trials"] == 3
    pd.testing.assert_frame_equal(looks_at(copied).trials, before.trials)
    copied.settings.write_text(MARKET + MODELS.replace("threshold: 0.3", "threshold: 0.35"))
    done = judge(instance, "backtest_summary")
    changed = metadata_of(done, "backtest_summary")
    assert changed["trials"] == 5  # the rules know no threshold
    assert changed["looks"].startswith("5 trials in 3 studies recorded on ES-SIM")
    (told,) = done.asset_materializations_for_node("backtest_summary")
    shown = [record.data for record in told.metadata["deflated_sharpe_ratio"].records]
    assert [row["strategy"] for row in shown] == [
        ValueAreaFade.baseline,
        RULES,
        "Rules, same time",
        "ML lightgbm",
        "ML mlp",
    ]
    assert set(shown[0]) == {
        "strategy",
        "sharpe_ratio",
        "expected_maximum_sharpe_ratio",
        "probabilistic_sharpe_ratio",
        "deflated_sharpe_ratio",
    }


def test_ledger_that_cannot_be_read_costs_no_report_and_is_reported(copied: Home, instance: dg.DagsterInstance) -> None:
    (copied.root / "tuning").mkdir()
    (copied.root / "tuning" / "optuna.db").write_text("no database " * 200)

    done = judge(instance, "backtest_summary", "report")

    assert done.success
    for asset in ("backtest_summary", "report"):
        told = metadata_of(done, asset)["trials"]
        assert told.startswith("unknown: ")
        assert "sqlite:///" in told
        assert "file is not a database" in told
    page = (copied.reports / "ES-SIM.html").read_text()
    assert "is unknown" in page
    assert "file is not a database" in page
    warned = [
        entry.user_message
        for entry in instance.all_logs(done.run_id)
        if entry.level == 30 and "file is not a database" in entry.user_message
    ]
    assert len(warned) == 2
    assert "not counted" in warned[0]
    assert "unknown" in warned[1]
