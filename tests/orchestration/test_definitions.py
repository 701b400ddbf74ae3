import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from assets.tuning import StudyOverrides
from pipeline.definitions import defs
from pipeline.home import PROJECT, Home

ASSETS = {
    "bars": "1_market_data",
    "quarantine": "1_market_data",
    "volume_profiles": "2_volume_profiles",
    "bar_history": "2_volume_profiles",
    "profile_history": "2_volume_profiles",
    "session_history": "2_volume_profiles",
    "profile_structure": "2_volume_profiles",
    "naked_vpocs": "2_volume_profiles",
    "composite_profiles": "2_volume_profiles",
    "developing_levels": "2_volume_profiles",
    "trade_profiles": "2_volume_profiles",
    "candidates": "3_signals",
    "gate_null_rates": "3_signals",
    "rule_signals": "3_signals",
    "volatility_index": "4_features",
    "features": "4_features",
    "labels": "4_features",
    "sequences": "4_features",
    "training_set": "4_features",
    "rule_backtest": "5_backtests",
    "models": "6_models",
    "model_importance": "6_models",
    "model_signals": "6_models",
    "model_backtest": "6_models",
    "studies": "7_studies",
    "next_orders": "8_judgement",
    "model_comparison": "8_judgement",
    "backtest_summary": "8_judgement",
    "report": "8_judgement",
    "desk_backtest": "8_judgement",
}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return defs.resolve_asset_graph()


def test_assets_are_those_of_the_flow_each_in_its_group(graph: AssetGraph) -> None:
    found = {node.key.to_user_string(): node.group_name for node in graph.asset_nodes}

    assert found == ASSETS


def test_assets_all_have_description_owner_kind_and_code_version(graph: AssetGraph) -> None:
    for node in graph.asset_nodes:
        assert node.description, node.key
        assert node.owners, node.key
        assert node.kinds, node.key
        assert node.code_version, node.key


def test_grid_assets_take_a_range_of_months_in_one_run(graph: AssetGraph) -> None:
    for name in ("bars", "quarantine", "volume_profiles", "developing_levels"):
        node = graph.get(dg.AssetKey(name))
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.partitions_def.partition_dimension_names == ["month", "symbol"]


def test_model_assets_are_made_a_family_and_book_each(graph: AssetGraph) -> None:
    for name in ("models", "model_signals", "model_backtest"):
        keys = graph.get(dg.AssetKey(name)).partitions_def.get_partition_keys()
        families = {key.removesuffix("|ES-SIM") for key in keys if key.endswith("|ES-SIM")}
        assert {"constant", "logistic", "lightgbm", "mlp", "lstm", "attention", "ensemble"} <= families


def test_checks_that_later_assets_rely_on_are_blocking(graph: AssetGraph) -> None:
    blocking = {
        f"{key.asset_key.to_user_string()}.{key.name}"
        for key in graph.asset_check_keys
        if graph.get_check_spec(key).blocking
    }

    assert blocking == {
        "bars.accounting",
        "bars.order",
        "bars.fits_instrument",
        "volume_profiles.profile_mass",
        "features.no_look_ahead",
        "training_set.clean_for_learning",
        "training_set.no_look_ahead",
        "rule_signals.signal_replay",
        "rule_backtest.books_balance",
        "rule_backtest.fill_replay",
        "models.out_of_fold",
        "models.chain_replay",
        "models.label_permutation",
        "model_signals.signal_replay",
        "model_backtest.books_balance",
        "model_backtest.fill_replay",
    }


def test_jobs_and_schedules_are_there() -> None:
    assert {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")} == {
        "ingest",
        "prepare",
        "research",
        "train",
        "tune",
        "judge",
        "desk",
    }
    assert {schedule.name for schedule in defs.schedules} == {"nightly_CMES", "nightly_XNYS", "nightly_24_7"}


def test_definitions_validate_by_dagsters_own_command(home: Home) -> None:
    command = [
        sys.executable,
        "-m",
        "dagster",
        "definitions",
        "validate",
        "--workspace",
        str(PROJECT / "workspace.yaml"),
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=PROJECT)

    assert done.returncode == 0, done.stderr


def test_run_configuration_sets_the_compute_device_and_a_study_and_no_place_to_read_or_write() -> None:
    settable = {name: set(type(resource).model_fields) for name, resource in defs.resources.items()}

    assert {name: fields for name, fields in settable.items() if fields} == {
        "compute_device": {"device", "precision", "memory_share", "lightgbm", "threads"}
    }
    assert set(StudyOverrides.model_fields) == {
        *("trials", "seconds", "objectives", "sampler", "pruner", "patience", "workers", "seed")
    }
    for job in defs.resolve_all_job_defs():
        elsewhere = {"resources": {"io_manager": {"config": {"base_path": "elsewhere"}}}}
        with pytest.raises(dg.DagsterInvalidConfigError, match="base_path"):
            dg.validate_run_config(job, elsewhere)
