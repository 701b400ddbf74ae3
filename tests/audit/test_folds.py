"""Splitters that leak."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit

from pipeline.audit import audit_folds
from pipeline.learning import CombinatorialPurged, PurgedWalkForward


@pytest.fixture
def frame() -> pd.DataFrame:
    """A label a day that is known after three days."""
    days = pd.date_range("2021-01-01", periods=120, tz="UTC")
    return pd.DataFrame({"start": days, "end": days + pd.Timedelta("3D")})


def test_purged_splitters_are_clean(frame: pd.DataFrame) -> None:
    for splitter in (PurgedWalkForward(4, embargo="2D"), CombinatorialPurged(6, 2, embargo="2D")):
        assert audit_folds(splitter, frame) == []


@pytest.mark.parametrize("splitter", [KFold(4), KFold(4, shuffle=True, random_state=0), TimeSeriesSplit(4)])
def test_splitter_by_rows_is_caught_in_every_split(frame: pd.DataFrame, splitter) -> None:
    findings = audit_folds(splitter, frame)

    assert [finding.feature for finding in findings] == [f"{type(splitter).__name__} split {n}" for n in range(4)]
    assert all("purge by label times" in finding.likely_cause for finding in findings)


def test_first_leaking_row_is_named_with_its_interval(frame: pd.DataFrame) -> None:
    finding = audit_folds(TimeSeriesSplit(2, test_size=20), frame)[1]

    assert finding.row == "97"  # known on the day the test begins
    assert finding.got == (
        "3 of 100 training rows leak, the first from 2021-04-08 00:00:00+00:00 to 2021-04-11 00:00:00+00:00"
    )


def test_embargo_not_kept_is_distinguished_from_overlap(frame: pd.DataFrame) -> None:
    findings = audit_folds(CombinatorialPurged(4, 1), frame, embargo="5D")

    assert findings
    assert {finding.likely_cause for finding in findings} == {
        "training rows begin within the embargo of 5D after a test label's end"
    }


def test_row_in_both_parts_is_caught(frame: pd.DataFrame) -> None:
    class Careless:
        def split(self, frame: pd.DataFrame):
            yield np.arange(50), np.arange(49, 80)

    assert audit_folds(Careless(), frame)[0].likely_cause == "rows are trained on and tested on"
