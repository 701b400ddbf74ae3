import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.strategy.model_signals import MODEL_SIGNAL_COLUMNS, model_signals


def signals() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "session": pd.date_range("2024-03-04", periods=6),
            "side": [1, -1, 1, -1, 1, -1],
            "rule_signal": [True, True, False, True, False, True],
        },
        index=[10, 11, 12, 20, 21, 30],
    )


def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "fold": pd.array([-1, 1, 1, 2, 2, -1], dtype="Int64"),
            "score": [np.nan, 0.5, 0.7, 0.59, 0.6, 0.9],
            "threshold": [np.nan, 0.5, 0.5, 0.6, 0.6, 0.6],
            "trained_until": pd.Timestamp("2024-01-01", tz="UTC"),
            "origin": ["", "out_of_fold", "out_of_fold", "out_of_fold", "out_of_fold", "final"],
        },
        index=[10, 11, 12, 20, 21, 30],
    )


def test_model_signals_by_hand() -> None:
    made = model_signals(signals(), predictions())

    assert made.columns.tolist() == ["session", "side", "rule_signal", *MODEL_SIGNAL_COLUMNS]
    assert made["model_signal"].tolist() == [False, True, True, False, True, True]
    assert made["model_signal"].dtype == np.dtype(bool)
    assert made["fold"].tolist() == [-1, 1, 1, 2, 2, -1]
    assert made["origin"].tolist() == predictions()["origin"].tolist()
    pd.testing.assert_frame_equal(made[signals().columns.tolist()], signals())


def test_model_signals_with_rules_need_both() -> None:
    made = model_signals(signals(), predictions(), require_rules=True)

    assert made["model_signal"].tolist() == [False, True, False, False, False, True]


def test_model_signals_predictions_in_another_order_give_the_same() -> None:
    mixed = predictions().iloc[[3, 0, 5, 1, 4, 2]]

    pd.testing.assert_frame_equal(model_signals(signals(), mixed), model_signals(signals(), predictions()))


def test_model_signals_score_of_unknown_origin_is_refused() -> None:
    made = predictions()
    made.loc[12, "origin"] = "in_sample"

    with pytest.raises(DataError, match="candidate 12 has the origin 'in_sample'"):
        model_signals(signals(), made)


def test_model_signals_of_other_candidates_is_refused() -> None:
    with pytest.raises(DataError, match="6 signals and 5 predictions are not of the same candidates"):
        model_signals(signals(), predictions().iloc[1:])
    with pytest.raises(DataError, match="not of the same candidates"):
        model_signals(signals(), predictions().rename({10: 99}))
    with pytest.raises(DataError, match="not of the same candidates"):
        model_signals(signals(), predictions().iloc[[0, 0, 1, 2, 3, 4]])


def test_model_signals_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="no column origin"):
        model_signals(signals(), predictions().drop(columns="origin"))
    with pytest.raises(DataError, match="no column rule_signal"):
        model_signals(signals().drop(columns="rule_signal"), predictions(), require_rules=True)


def test_model_signals_of_no_candidates_are_none() -> None:
    made = model_signals(signals().iloc[:0], predictions().iloc[:0])

    assert len(made) == 0
    assert made["model_signal"].dtype == np.dtype(bool)
