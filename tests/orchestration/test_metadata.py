"""What Dagster's page shows of the assets after a run: pictures, figures, descriptions."""

import base64
import re
from collections.abc import Mapping

import dagster as dg
import pandas as pd
import pytest

from jobs.dagster_internals import quiet_instance
from pipeline.definitions import defs
from tests.orchestration.conftest import Made

Metadata = Mapping[str, dg.MetadataValue]


@pytest.fixture(scope="module")
def shown(made: Made) -> dict[str, list[Metadata]]:
    """Metadata of each asset's materializations in the chain."""
    found: dict[str, list[Metadata]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VPOC_DAGSTER_STORAGE", str(made.home.root / "dagster"))
        with quiet_instance() as instance:
            for run_id in made.runs.values():
                for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                    event = record.dagster_event.step_materialization_data.materialization
                    found.setdefault(event.asset_key.to_user_string(), []).append(event.metadata)
    return found


def test_every_month_of_profiles_carries_the_picture_of_the_last_session_that_says_simulated(
    shown: dict[str, list[Metadata]], made: Made
) -> None:
    months = shown["volume_profiles"]

    assert len(months) == 15
    pictures = {str(month["last_session"].value) for month in months}
    assert len(pictures) == 1  # whichever of the months the page calls the latest
    named = re.match(r"!\[ES-SIM \(simulated\) 2022-03-[^\]]+\]\(data:image/png;base64,([^)]+)\)$", pictures.pop())
    assert named is not None
    assert base64.b64decode(named[1]).startswith(b"\x89PNG")
    assert {str(month["first"].value)[:7] for month in months} == {
        *(f"2021-{month:02}" for month in range(1, 13)),
        *(f"2022-{month:02}" for month in range(1, 4)),
    }
    stored = (made.home.assets / "volume_profiles" / "ES-SIM").glob("*.parquet")
    assert sum(int(str(month["sessions"].value)) for month in months) == sum(
        len(pd.read_parquet(one)) for one in stored
    )


def test_descriptions_are_for_a_reader_who_has_not_read_the_contract() -> None:
    graph = defs.resolve_asset_graph()
    texts = [str(node.description) for node in graph.asset_nodes]
    texts += [str(graph.get_check_spec(key).description) for key in graph.asset_check_keys]

    assert not [text for text in texts if "contract §" in text or "§" in text]


def test_groups_sorted_by_name_are_in_the_order_of_the_story() -> None:
    graph = defs.resolve_asset_graph()
    groups = {node.key.to_user_string(): node.group_name for node in graph.asset_nodes}
    story = ["bars", "volume_profiles", "candidates", "features", "rule_backtest", "models", "studies", "report"]

    assert [groups[name] for name in story] == sorted(set(groups.values()))
