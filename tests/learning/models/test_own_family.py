"""A model family of the user's own: one file in the home, in the same registry, and its code travels with the model."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigurationError
from pipeline.fresh_processes import FreshProcess
from pipeline.learning.models import families, find_family, load_model, make_model
from pipeline.learning.models.pyfunc import ship_code
from pipeline.learning.models.registry import family_faults, family_file
from tests.learning.models.made_rows import planted

OWN = '''\
"""The share of winners, and a nudge by the first feature."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pipeline.learning.models import FitOptions, Model, ModelSettings, TrainingRows


class NudgeSettings(ModelSettings):
    """How far the nudge goes."""

    step: float = 0.1


class Nudge(Model):
    """Scores by the share of winners, more where the first feature is above its median."""

    family: ClassVar[str] = "nudge"
    Settings: ClassVar[type[ModelSettings]] = NudgeSettings

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        self._share, self._median = float(rows.label.mean()), float(rows.features.iloc[:, 0].median())

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        nudged = self._share + self.settings.step * (features.iloc[:, 0].to_numpy() > self._median)
        return np.clip(nudged, 0, 1)

    def _save(self, folder: Path) -> Mapping[str, Any]:
        return {"share": self._share, "median": self._median}

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        self._share, self._median = extra["share"], extra["median"]
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    made = tmp_path / "model_families"
    made.mkdir()
    return made


def test_own_family_fits_saves_and_goes_to_another_process(folder: Path, tmp_path: Path) -> None:
    (folder / "nudge.py").write_text(OWN)
    rows = planted(60)

    model = make_model("nudge", {"step": 0.2}).fit(rows)

    assert "nudge" in families()
    assert family_file("nudge") == folder / "nudge.py"
    share, above = rows.label.mean(), rows.features.iloc[:, 0] > rows.features.iloc[:, 0].median()
    np.testing.assert_array_equal(model.predict_proba(rows.features), np.clip(share + 0.2 * above, 0, 1))
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(
        load_model(tmp_path / "model").predict_proba(rows.features), model.predict_proba(rows.features)
    )
    there = FreshProcess(type(model).predict_proba, pickle.loads(pickle.dumps(model)), rows.features)  # noqa: S301
    np.testing.assert_array_equal(there.result(), model.predict_proba(rows.features))


def test_code_of_an_own_family_travels_with_the_model_and_needs_no_home(folder: Path, tmp_path: Path) -> None:
    (folder / "nudge.py").write_text(OWN)
    rows = planted(60)
    model = make_model("nudge").fit(rows)
    model.save(tmp_path / "model")
    ship_code(tmp_path / "code", family_file("nudge"))
    rows.features.to_parquet(tmp_path / "rows.parquet")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'code')!r})\n"
        "import pandas as pd, pipeline\n"
        f"assert pipeline.__file__.startswith({str(tmp_path)!r})\n"
        "from pipeline.learning.models.pyfunc import _load_pyfunc\n"
        f"rows = pd.read_parquet({str(tmp_path / 'rows.parquet')!r})\n"
        f"scores = _load_pyfunc({str(tmp_path / 'model')!r}).predict(rows)\n"
        "print(scores.tobytes().hex())\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=empty,
        env={"VPOC_HOME": str(empty), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == model.predict_proba(rows.features).tobytes().hex()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('family: ClassVar[str] = "nudge"', 'family: ClassVar[str] = "logistic"'), "built-in"),
        (("def _load", "def _lod"), "lacks _load"),
        (("step: float = 0.1", "step: float"), "step"),
        (("import pandas as pd", "import nothing_of_this_name"), "nudge.py:8: ModuleNotFoundError"),
    ],
)
def test_file_that_cannot_be_used_is_one_fault_and_leaves_the_others(
    folder: Path, change: tuple[str, str], message: str
) -> None:
    (folder / "nudge.py").write_text(OWN.replace(*change))

    (fault,) = family_faults()

    assert message in fault.sentence
    assert "lightgbm" in families()
    with pytest.raises(ConfigurationError, match=r"nudge can't be used: .*nudge\.py"):
        find_family("nudge")
