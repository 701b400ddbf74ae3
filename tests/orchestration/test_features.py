"""Features, labels and the training set as assets."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from jobs.chain import run_chain
from pipeline.datasets import find_dataset
from pipeline.definitions import defs
from pipeline.features import FeatureInputs, build_features, candidate_features, registered
from pipeline.home import Home
from pipeline.learning import average_uniqueness, candidate_labels
from pipeline.settings import load_settings
from tests.orchestration.conftest import SMALL_MARKET, Made

pytestmark = pytest.mark.slow


def stored(home: Home, asset: str, key: str = "ES-SIM") -> pd.DataFrame:
    return pd.read_parquet(home.assets / asset / f"{key}.parquet")


def test_training_set_is_made_of_features_labels_and_weights_of_the_functions(made: Made) -> None:
    home = made.home
    dataset = find_dataset("ES-SIM", home)
    bars = dataset.read().frame.drop(columns=["source_file", "source_line"])
    chosen = load_settings(home).features.chosen()
    built = build_features(FeatureInputs.from_bars(bars, dataset.instrument), features=chosen)
    candidates = stored(home, "candidates")
    labels = candidate_labels(bars, candidates, dataset.instrument)
    pd.testing.assert_frame_equal(stored(home, "features"), built)
    pd.testing.assert_frame_equal(stored(home, "labels"), labels)
    training = stored(home, "training_set")
    known = labels["filled"] & labels["end"].notna()
    assert training.index.tolist() == labels.index[known].tolist()
    rows = candidate_features(candidates, built)[known]
    pd.testing.assert_frame_equal(training[list(rows)], rows)
    expected = average_uniqueness(labels.loc[known, "start"], labels.loc[known, "end"])
    np.testing.assert_array_equal(training["weight"].to_numpy(), np.asarray(expected))
    assert (training["start"] < training["end"]).all()


def test_volatility_index_of_the_settings_gives_its_features_and_without_it_they_are_absent(
    copied: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    needs_vix = {name for name, one in registered().items() if one.needs == ("vix",)}
    assert needs_vix
    assert not needs_vix & set(stored(copied, "features"))

    days = pd.date_range("2019-06-03", "2022-06-30", freq="B")
    pd.DataFrame({"DATE": days.strftime("%m/%d/%Y"), "CLOSE": 20.0}).to_csv(tmp_path / "vix.csv", index=False)
    copied.settings.write_text(SMALL_MARKET + "volatility_index: vix.csv\n")
    assert defs.resolve_job_def("prepare").execute_in_process(instance=instance, partition_key="ES-SIM").success

    shown = stored(copied, "features")
    assert needs_vix <= set(shown)
    assert shown["vix_level"].dropna().unique().tolist() == [20.0]


@pytest.mark.parametrize("sessions", [1, 3, 16])
def test_few_sessions_make_a_report_all_the_same(home: Home, sessions: int) -> None:
    home.settings.write_text(f"simulator: {{start: 2021-01-04, sessions: {sessions}, seed: 3, bar: 15min}}\n")

    run_chain(defs, "ES-SIM", home, lambda event: None)

    assert len(stored(home, "features")) == sessions
    assert (home.reports / "ES-SIM.html").exists()
