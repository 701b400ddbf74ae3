"""Choice of the candidates that are traded: explained by the rows decided until then, or caught."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import check_choice_replay
from pipeline.research import RULES, model_orders, orders_of
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import model_signals

Choice = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def signals() -> pd.DataFrame:
    """Two candidates a session, scored and gated at random."""
    random = np.random.default_rng(4)
    sessions = pd.bdate_range("2021-01-04", periods=120).repeat(2)
    return pd.DataFrame(
        {
            "decided_on": sessions,
            "side": np.tile([1, -1], 120),
            "rule_signal": random.random(240) < 0.3,
            "score": np.where(np.arange(240) < 80, np.nan, random.random(240)),
            "threshold": 0.6,
            "fold": 1,
            "origin": "out_of_fold",
            "net": random.normal(size=240),
        },
        index=pd.RangeIndex(240, name="candidate"),
    )


def by_model(signals: pd.DataFrame) -> pd.DataFrame:
    return model_signals(signals[["decided_on", "side", "rule_signal"]], signals, require_rules=True)


def top_fifth_of_all(signals: pd.DataFrame) -> pd.DataFrame:
    return signals[signals["score"].rank(pct=True) > 0.8]


def above_the_mean(signals: pd.DataFrame) -> pd.DataFrame:
    return signals.assign(model_signal=signals["score"] > signals["score"].mean())


def next_score(signals: pd.DataFrame) -> pd.DataFrame:
    return signals[signals["score"].shift(-2) > 0.6]


def scaled(signals: pd.DataFrame) -> pd.DataFrame:
    return signals.assign(score=signals["score"] / signals["score"].max())


def without_the_worst(signals: pd.DataFrame) -> pd.DataFrame:
    return signals.drop(index=signals["net"].nsmallest(5).index)


@pytest.mark.parametrize(
    "choose",
    [
        by_model,
        lambda signals: model_orders(by_model(signals)),
        lambda signals: orders_of(signals, ValueAreaFade())[RULES],
        lambda signals: orders_of(signals, ValueAreaFade())[ValueAreaFade.baseline],
    ],
)
@pytest.mark.parametrize("rows", [240, 2, 0])
def test_choice_by_the_row_itself_finds_nothing(choose: Choice, rows: int, signals: pd.DataFrame) -> None:
    assert check_choice_replay(signals.iloc[:rows], choose, 0) == []


@pytest.mark.parametrize(
    ("choose", "named"),
    [
        (top_fifth_of_all, "orders"),
        (above_the_mean, "model_signal"),
        (next_score, "orders"),
        (scaled, "score"),
        (without_the_worst, "orders"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_choice_by_later_rows_is_caught_by_name(choose: Choice, named: str, seed: int, signals: pd.DataFrame) -> None:
    (finding,) = check_choice_replay(signals, choose, seed)

    assert (finding.check, finding.feature) == ("choice", named)
    assert "decided later" in finding.likely_cause
    assert pd.Timestamp(finding.row) in set(signals["decided_on"])
