"""The run itself refuses what knows the future: the checks of signals, backtests and trainings, with faults planted."""

import dagster as dg
import pytest
import yaml

from assets.partitions import of_book
from jobs.chain import train_family
from pipeline.definitions import defs
from pipeline.errors import ChainError
from pipeline.home import Home
from pipeline.learning.record import pending_records
from tests.audit.chain_plants import PLANTS
from tests.audit.test_permutation import MEMORISING
from tests.orchestration.test_chain import nothing

pytestmark = pytest.mark.slow


def _checks(instance: dg.DagsterInstance, *assets: str) -> dict[str, tuple[bool, str]]:
    """Materialize what a step of the research makes; its checks, whether they passed and what they say."""
    result = defs.resolve_job_def("research").execute_in_process(
        instance=instance,
        partition_key="ES-SIM",
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        raise_on_error=False,
    )
    found = result.get_asset_check_evaluations()
    assert result.success == all(check.passed for check in found)
    return {check.check_name: (check.passed, check.description or "") for check in found}


def test_training_without_a_fault_passes_its_proof_and_says_what_was_replayed(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    result = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key=of_book("logistic", "ES-SIM")
    )

    checks = {
        check.check_name: check for check in result.get_asset_check_evaluations() if check.asset_key.path == ["models"]
    }
    assert set(checks) == {"out_of_fold", "chain_replay", "label_permutation"}
    assert all(check.passed and check.blocking for check in checks.values())
    assert str(checks["chain_replay"].description).startswith("equal at the first decision of fold ")
    assert checks["label_permutation"].metadata["rows"].value > 100


def test_training_with_in_sample_scores_fails_both_of_its_proofs(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain's replay finds another model, and shuffled labels find one that remembers them.

    Its trees tell all rows apart, so in-sample scores rank shuffled labels without an error: an area of 1, which a
    hundred trades with a quarter of winners put 7 standard deviations from one half (tests/audit/test_permutation.py).
    """
    settings = yaml.safe_load(copied.settings.read_text())
    settings["models"]["parameters"] = {"lightgbm": MEMORISING}
    copied.settings.write_text(yaml.safe_dump(settings))
    PLANTS["in_sample_scores"](monkeypatch.setattr)

    result = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key=of_book("lightgbm", "ES-SIM"), raise_on_error=False
    )

    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == {
        "out_of_fold": True,
        "chain_replay": False,
        "label_permutation": False,
    }
    assert checks["label_permutation"].metadata["auc_on_shuffled_labels"].value == 1.0
    assert "know the labels" in str(checks["label_permutation"].description)


def test_training_with_in_sample_scores_is_refused_neither_stored_nor_registered(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = copied.assets / "models" / "ES-SIM" / "lightgbm.parquet"
    before = stored.read_bytes()
    PLANTS["in_sample_scores"](monkeypatch.setattr)

    with pytest.raises(ChainError, match=r"the check models\.chain_replay stopped the run: lightgbm: score, first at"):
        train_family(defs, "ES-SIM", "lightgbm", instance, nothing)

    assert stored.read_bytes() == before
    assert pending_records(copied) == []
    assert not list(copied.models.glob("ES-SIM/lightgbm/*/record.json"))


def test_rule_signals_with_a_gate_of_the_next_session_stop_the_run(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS["gate_of_next_session"](monkeypatch.setattr)

    passed, message = _checks(instance, "rule_signals")["signal_replay"]

    assert not passed
    assert "trend, first at 20" in message


def test_backtest_whose_orders_know_their_loss_stops_the_run(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS["orders_that_know_their_loss"](monkeypatch.setattr)

    checks = _checks(instance, "rule_backtest")

    assert not checks["fill_replay"][0]
    assert "trades, first at order" in checks["fill_replay"][1] or "equity, first at" in checks["fill_replay"][1]


def test_model_signals_by_rank_of_all_rows_stop_the_run(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS["signals_by_rank_of_all_rows"](monkeypatch.setattr)

    result = defs.resolve_job_def("train").execute_in_process(
        instance=instance,
        partition_key=of_book("lightgbm", "ES-SIM"),
        asset_selection=[dg.AssetKey("model_signals")],
        raise_on_error=False,
    )

    (check,) = result.get_asset_check_evaluations()
    assert not result.success
    assert (check.check_name, check.passed) == ("signal_replay", False)
    assert "model_signal, first at 20" in str(check.description)


def test_backtest_of_orders_chosen_by_the_whole_run_stops_the_run(
    copied: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS["orders_above_the_median"](monkeypatch.setattr)

    checks = _checks(instance, "rule_backtest")

    assert not checks["fill_replay"][0]
    assert "orders, first at 20" in checks["fill_replay"][1]


def test_backtest_and_signals_without_a_fault_pass(copied: Home, instance: dg.DagsterInstance) -> None:
    assert _checks(instance, "rule_signals") == {"signal_replay": (True, "")}
    traded = _checks(instance, "rule_backtest")
    assert {name: passed for name, (passed, _) in traded.items()} == {"books_balance": True, "fill_replay": True}
