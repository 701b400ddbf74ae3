import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pipeline.errors import DataError
from pipeline.learning import CombinatorialPurged, PurgedWalkForward, fold_figure
from pipeline.learning.fold_plot import _COLORS

STARTS = pd.date_range("2024-01-02", periods=40, freq="B", tz="UTC")
LABELS = pd.DataFrame({"start": STARTS, "end": STARTS + pd.Timedelta("4D")})


def test_fold_figure_draws_every_label_once_a_split_in_the_colour_of_its_role() -> None:
    splitters = {"Walk-forward": PurgedWalkForward(3), "Combinatorial": CombinatorialPurged(4, 2, embargo="5D")}

    figure = fold_figure(LABELS, splitters)

    assert [axis.get_title(loc="left") for axis in figure.axes] == list(splitters)
    for axis, splitter in zip(figure.axes, splitters.values(), strict=True):
        lines = [held for held in axis.collections if to_hex(held.get_color()[0]) in _COLORS.values()]
        drawn = dict.fromkeys(_COLORS, 0)
        for held in lines:
            hue = to_hex(held.get_color()[0])
            drawn[next(role for role, color in _COLORS.items() if color == hue)] += len(held.get_segments())
        counts = pd.Series(splitter.roles(LABELS).to_numpy().ravel()).value_counts()
        assert drawn == {role: counts.get(role, 0) for role in _COLORS}


def test_fold_figure_too_many_splits_is_one_sentence() -> None:
    with pytest.raises(DataError, match="a picture shows 1 to 30 splits of each splitter, not 210"):
        fold_figure(LABELS, {"many": CombinatorialPurged(10, 4)})


def test_fold_figure_is_a_small_picture(tmp_path: object) -> None:
    file = tmp_path / "folds.png"

    fold_figure(LABELS, {"Walk-forward": PurgedWalkForward(3)}).savefig(file)

    assert 5_000 < file.stat().st_size < 80_000
    assert np.array_equal(list(file.read_bytes()[:4]), [137, 80, 78, 71])
