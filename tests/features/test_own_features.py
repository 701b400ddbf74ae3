"""Features of the user's own: files in the home, in the same registry, audited the same way."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.audit import audit
from pipeline.features import FeatureInputs, build_features, registered
from pipeline.features.registry import feature_code, feature_faults
from pipeline.market import Instrument, simulate_market

OWN = """\
import numpy as np
import pandas as pd

from pipeline.features import FeatureInputs, feature


@feature(family="own", warmup=2, description="Close less the close before, in points.", signed=True)
def own_move(inputs: FeatureInputs) -> pd.Series:
    return inputs.history["close"].diff()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    made = tmp_path / "features"
    made.mkdir()
    return made


def test_own_feature_is_registered_computed_and_known_in_another_process(folder: Path, es: Instrument) -> None:
    before = set(registered())
    (folder / "own.py").write_text(OWN)

    found = registered()

    assert set(found) - before == {"own_move"}
    assert not found["own_move"].built_in
    inputs = FeatureInputs.from_bars(simulate_market(es, "2021-01-04", 20, 3, bar="30min"), es)
    made = build_features(inputs, ["own_move"])["own_move"].to_numpy()
    np.testing.assert_array_equal(made[1:], np.diff(inputs.history["close"]))
    assert pickle.loads(pickle.dumps(found["own_move"])) is found["own_move"]  # noqa: S301


def test_own_feature_goes_with_its_file_and_changes_its_code(folder: Path) -> None:
    assert feature_code() == ""
    (folder / "own.py").write_text(OWN)
    first = feature_code()
    (folder / "own.py").write_text(OWN.replace("own_move", "other_move"))

    assert {"own_move", "other_move"} & set(registered()) == {"other_move"}
    assert feature_code() != first

    (folder / "own.py").unlink()

    assert "other_move" not in registered()


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("import numpy as np", "import nothing_of_this_name"), 1, "ModuleNotFoundError"),
        (("def own_move", "def momentum_5"), None, "momentum_5 is registered already"),
        (("signed=True", "signed=True, mirror='nothing'"), None, "mirror"),
        (("def own_move", "def label"), 8, "label"),
    ],
)
def test_file_that_cannot_be_used_is_one_fault_and_leaves_the_others(
    folder: Path, change: tuple[str, str], line: int | None, message: str
) -> None:
    (folder / "bad.py").write_text(OWN.replace(*change))
    (folder / "good.py").write_text(OWN.replace("own_move", "good_move"))

    (fault,) = feature_faults()

    assert fault.path.name == "bad.py"
    assert line is None or abs((fault.line or 0) - line) <= 1
    assert message in fault.message
    assert {"good_move", "momentum_5"} <= set(registered())


def test_own_feature_that_sees_the_next_session_is_caught_by_name(folder: Path, es: Instrument) -> None:
    (folder / "own.py").write_text(OWN.replace(".diff()", ".shift(-1)"))
    bars = simulate_market(es, "2021-01-04", 40, 3, bar="30min")
    own = {name: one for name, one in registered().items() if name in ("own_move", "gap")}

    found = audit(bars, es, features=own, cutoffs=2)

    assert not found.passed
    assert {finding.feature for finding in found.findings if finding.severity == "error"} == {"own_move"}
