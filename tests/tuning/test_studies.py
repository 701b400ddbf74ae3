"""Ingredients of a study: its version separates data from costs, its folder has one writer at a time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from pipeline.datasets import Dataset
from pipeline.home import Home
from pipeline.learning.models import load_model, make_model
from pipeline.market import Instrument, simulate_market
from pipeline.modelling import LearningInputs
from pipeline.settings import Settings, SimulatorSettings
from pipeline.studies import Study, StudyInputs, prepare_study
from pipeline.study_outcome import write_best
from pipeline.tuning.targets import StudyTarget
from tests.learning.models.made_rows import planted

NO_LEARNING = cast(LearningInputs, None)  # the strategy alone asks for none


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", 40, 3, bar="30min")


def strategy_study(bars: pd.DataFrame, instrument: Instrument, home: Path, **settings: Any) -> Study:
    inputs = StudyInputs(Dataset("ES-SIM", instrument, SimulatorSettings()), bars, NO_LEARNING)
    return prepare_study(StudyTarget.of("strategy"), inputs, Settings(**settings), ("net",), Home(home))


def test_study_with_other_costs_contracts_or_settings_is_another(
    bars: pd.DataFrame, es: Instrument, tmp_path: Path
) -> None:
    dearer = es.model_copy(update={"commission_per_side": es.commission_per_side + 1})
    renamed = bars.assign(contract="ESH9")
    others = {
        strategy_study(bars, dearer, tmp_path).subject.version,
        strategy_study(renamed, es, tmp_path).subject.version,
        strategy_study(bars, es, tmp_path, account={"slippage_ticks": 2}).subject.version,
        strategy_study(bars.iloc[:-1], es, tmp_path).subject.version,
    }

    own = strategy_study(bars, es, tmp_path).subject.version

    assert len(others - {own}) == 4
    described = es.model_copy(update={"description": "the same in other words"})
    assert strategy_study(bars, described, tmp_path, models={"splits": 3}).subject.version == own


def test_version_of_a_study_is_that_of_homes_made_before(bars: pd.DataFrame, es: Instrument, tmp_path: Path) -> None:
    # Another one would leave the trials that a home holds behind. Change it only where a trial's value changes.
    assert strategy_study(bars, es, tmp_path).subject.version == "48c06a4c90247339"


def test_best_model_of_two_runs_that_end_at_once_is_whole(bars: pd.DataFrame, es: Instrument, tmp_path: Path) -> None:
    study = strategy_study(bars, es, tmp_path)
    rows = planted(120)
    model = make_model("logistic").fit(rows)

    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write_best, study, model, {"trial": number}, {}) for number in range(40)]

    assert {each.result() for each in written} == {study.folder / "model"}
    kept = load_model(study.folder / "model")
    assert (kept.predict_proba(rows.features) == model.predict_proba(rows.features)).all()
    assert {path.name for path in study.folder.iterdir()} == {"model", "study.json"}
