"""The user's own features that fail or leak are parted from those of the program, and from everything else."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.own_features import own_and_built_in, own_features_check, without
from pipeline.audit import Finding
from pipeline.chain import session_features, sound_features
from pipeline.errors import DataError
from pipeline.features import FeatureInputs, registered
from pipeline.market import find_instrument, simulate_market

OWN = """\
import numpy as np

from pipeline.features import feature


@feature(family="own", warmup=1, description="One.", mirror="own_low")
def own_high(inputs):
    return np.ones(len(inputs.sessions))


@feature(family="own", warmup=1, description="Its mirror; it fails.", mirror="own_high")
def own_low(inputs):
    raise RuntimeError("as it was asked to")


@feature(family="own", warmup=1, description="Texts.")
def own_texts(inputs):
    return ["a"] * len(inputs.sessions)


@feature(family="own", warmup=1, description="Two.")
def own_sound(inputs):
    return 2 * np.ones(len(inputs.sessions))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of features of the user's own."""
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    path = tmp_path / "features" / "own.py"
    path.parent.mkdir()
    path.write_text(OWN)
    return path


@pytest.fixture(scope="module")
def inputs() -> FeatureInputs:
    es = find_instrument("ES")
    return FeatureInputs.from_bars(simulate_market(es, "2021-01-04", 5, 1, bar="30min"), es)


def finding(feature: str, severity: str = "error", check: str = "truncation") -> Finding:
    return Finding(check, feature, "2021-01-04", 1.0, "got it", "the cause", severity=severity)  # type: ignore[arg-type]


def test_failing_own_features_are_left_out_with_what_mirrors_them(own: Path, inputs: FeatureInputs) -> None:
    names = ("own_high", "own_low", "own_texts", "own_sound", "weekday")

    frame, failed = sound_features(inputs, {name: registered()[name] for name in names})

    assert list(frame.columns) == ["own_sound", "weekday"]
    assert (frame["own_sound"] == 2).all()
    assert set(failed) == {"own_low", "own_texts"}
    assert "RuntimeError: as it was asked to" in failed["own_low"]
    assert "ValueError" in failed["own_texts"]


def test_failing_feature_of_the_program_is_an_error(inputs: FeatureInputs) -> None:
    broken = replace(registered()["weekday"], arguments={"no_such": 1})

    with pytest.raises(DataError, match="weekday failed"):
        sound_features(inputs, {"weekday": broken})


def test_sound_features_are_those_of_the_table(own: Path, inputs: FeatureInputs) -> None:
    chosen = {name: registered()[name] for name in ("own_sound", "weekday", "log_return_1")}

    frame, failed = sound_features(inputs, chosen)

    assert failed == {}
    pd.testing.assert_frame_equal(frame, session_features(inputs, chosen))


def test_errors_of_own_features_are_parted_from_all_others(own: Path) -> None:
    leak, fault = finding("own_high"), finding("own_texts", check="values")
    ours, split = finding("weekday"), finding("walk-forward, split 2", check="folds")

    parted = own_and_built_in([leak, fault, ours, split, finding("own_sound", "warning"), finding("own_high")])

    assert parted == (
        {"own_high": "truncation, first at 2021-01-04: the cause", "own_texts": "got it"},
        [ours, split],
    )


def test_frame_without_refused_features_keeps_its_order(own: Path) -> None:
    frame = pd.DataFrame(np.ones((2, 5)), columns=["label", "weekday", "own_low", "own_high", "own_sound"])

    assert list(without(frame, ["own_low"]).columns) == ["label", "weekday", "own_sound"]
    pd.testing.assert_frame_equal(without(frame, []), frame)


def test_check_warns_with_file_and_line(own: Path) -> None:
    check = own_features_check("features", {"own_texts": "it fails"})

    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == f"own_texts ({own}:16) is left out: it fails"
    assert own_features_check("features", {}).passed
