"""Frames of other settings: a training on them says which have changed, and accuses nobody of look-ahead."""

import dagster as dg
import pytest

from assets.partitions import grid_key, of_book
from jobs.chain import ChainError, train_family
from pipeline.definitions import defs
from pipeline.home import Home
from tests.orchestration.conftest import FEATURES, MARKET, MODELS
from tests.orchestration.test_chain import nothing

pytestmark = pytest.mark.slow

RESEARCH = defs.resolve_job_def("research")


def said_by(result: dg.ExecuteInProcessResult) -> str:
    failed = next(event for event in result.all_events if event.is_step_failure)
    return f"{failed.step_key}: {failed.step_failure_data.user_failure_data.description}"


@pytest.mark.parametrize(
    ("edit", "name", "change"),
    [
        ("strategy: {trend_window: 15}\n", "rule_signals", "strategy.trend_window: 20 -> 15"),
        ("account: {slippage_ticks: 2}\n", "labels", "account.slippage_ticks: 1 -> 2"),
        ("features: {leave_out: []}\n", "features", "features.leave_out: adx_15m, "),
    ],
)
def test_training_alone_after_an_edit_names_what_changed(
    edit: str, name: str, change: str, copied: Home, instance: dg.DagsterInstance
) -> None:
    copied.settings.write_text(
        copied.settings.read_text().replace(FEATURES, "" if "features" in edit else FEATURES) + edit
    )

    with pytest.raises(ChainError) as caught:
        train_family(defs, "ES-SIM", "lightgbm", instance, nothing)

    message = str(caught.value)
    assert message.startswith(f"settings have changed since {name} was made ({change}")
    assert "vpoc run --symbol ES-SIM" in message


def test_training_alone_after_an_edit_that_changes_no_frame_continues(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    copied.settings.write_text(MARKET + MODELS + "account: {risk_per_trade: 0.02}\nseed: 3\n")

    result = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key=of_book("logistic", "ES-SIM")
    )

    assert result.success


def test_signals_alone_after_an_edit_of_the_history_name_what_changed(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    copied.settings.write_text(copied.settings.read_text() + "strategy: {calm_long: 15, confidence_threshold: 50}\n")
    signals = [dg.AssetKey("rule_signals")]

    result = RESEARCH.execute_in_process(
        instance=instance, partition_key="ES-SIM", asset_selection=signals, raise_on_error=False
    )

    assert said_by(result).startswith("rule_signals: ")
    assert "session_history" in said_by(result)
    assert "(strategy.calm_long: 20 -> 15)" in said_by(result)


def test_research_on_months_of_two_settings_is_refused(copied: Home, instance: dg.DagsterInstance) -> None:
    copied.settings.write_text(copied.settings.read_text() + "strategy: {value_area_basis_points: 6800}\n")
    backfill = defs.resolve_job_def("ingest").execute_in_process(
        instance=instance, partition_key=grid_key("2021-03", "ES-SIM")
    )

    prepared = defs.resolve_job_def("prepare").execute_in_process(
        instance=instance, partition_key="ES-SIM", raise_on_error=False
    )
    research = RESEARCH.execute_in_process(instance=instance, partition_key="ES-SIM", raise_on_error=False)

    assert backfill.success
    assert "volume_profiles was made (strategy.value_area_basis_points: 7000 -> 6800)" in said_by(prepared)
    assert "session_history was made (strategy.value_area_basis_points: 7000 -> 6800)" in said_by(research)
