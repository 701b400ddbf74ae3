"""On markets without an edge the models find none, threshold and all; with one they earn, and a leak is loud (§9).

The whole chain: candidates, features, labels, purged walk-forward with tuned thresholds, signals, backtest. Before
costs, as in ``test_null_market``, so that what is to be found nowhere is exactly zero. Bars of 15 minutes, three folds
and some of the features keep it short; the families' own settings are the defaults.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from pipeline.backtest import Account, simulate
from pipeline.chain import make_chain
from pipeline.errors import DataError
from pipeline.features import candidate_features
from pipeline.learning import MadScaler, PurgedWalkForward
from pipeline.learning.folds import TRAIN, UNUSED
from pipeline.learning.intervals import Intervals
from pipeline.learning.models import make_model
from pipeline.learning.threshold import tune_threshold
from pipeline.learning.walk_forward import FitPlan, walk_forward
from pipeline.market.instruments import load_instruments
from pipeline.market.simulator import simulate_market
from pipeline.modelling import LearningInputs, baseline_judgements, walk_family
from pipeline.performance import compare_models, model_summary, model_verdict, scored_rows, summary
from pipeline.research import bars_from
from pipeline.settings import ModelSelection, Settings
from pipeline.strategy.model_signals import model_signals

pytestmark = pytest.mark.slow

NULL_MARKETS, EDGE_MARKETS, LEAKING_MARKETS, SESSIONS = 10, 3, 2, 500
START = "2015-01-02"
FREE = Account(initial_capital=1e9, slippage_ticks=0, trade_through_ticks=0)
FAMILIES = ("logistic", "lightgbm")
SELECTION = ModelSelection(splits=3)
NAMES = (
    "bollinger_position_session",
    "calm_ratio",
    "close_to_vah_atr",
    "close_to_val_atr",
    "close_to_vpoc_atr",
    "close_volatility_20",
    "log_return_1",
    "log_return_5",
    "momentum_20",
    "range_position_5",
    "relative_volume_20",
    "up_down_volume_5",
    "value_area_overlap",
    "value_area_width_atr",
    "vpoc_migration_5",
    "vpoc_position",
)
EVIDENCE = ("Some evidence that", "a profit, before any correction")


@dataclass(frozen=True)
class Market:
    """A simulated market up to what a model learns from, and what its signals are traded on."""

    bars: pd.DataFrame
    signals: pd.DataFrame
    session_features: pd.DataFrame
    inputs: LearningInputs

    def with_features(self, features: pd.DataFrame) -> "Market":
        """The same market seen through other features."""
        return replace(self, inputs=replace(self.inputs, features=features))


@dataclass(frozen=True)
class Outcome:
    """A family's walk-forward over a market: rows judged, what is said of them, and the trades of the backtest."""

    scored: pd.DataFrame
    summary: pd.DataFrame
    backtest: pd.DataFrame
    sharpe_low: float

    @property
    def taken(self) -> pd.Series:
        """R multiples of the trades that the thresholds let through."""
        return self.scored.loc[self.scored["score"] >= self.scored["threshold"], "r_multiple"]

    @property
    def says_evidence(self) -> bool:
        """Return True if the verdict on scores or money, or the backtest's Sharpe ratio, claims evidence."""
        verdict = model_verdict(self.summary, "it")
        return any(words in verdict for words in EVIDENCE) or self.sharpe_low > 0


@cache
def market(edge: float, seed: int) -> Market:
    free = load_instruments()["ES"].model_copy(update={"commission_per_side": 0.0})
    bars = simulate_market(free, START, SESSIONS, seed, edge, "15min")
    settings = Settings(account=FREE.model_dump(exclude_defaults=True), models=SELECTION)
    chain = make_chain(bars, free, settings, names=NAMES, sequences=False)
    return Market(bars, chain.signals, chain.features, chain.learning_inputs("test"))


def walked(of: Market, family: str, *, threshold: float | Literal["tuned"] = "tuned") -> pd.DataFrame:
    """Predictions of a family's walk-forward."""
    return walk_family(of.inputs, SELECTION.model_copy(update={"threshold": threshold}), family, seed=0).predictions


def summarised(of: Market, predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with a score out of fold and an outcome, and their summary."""
    rows = scored_rows(predictions, of.inputs.training_set)
    return rows, model_summary(rows)


@cache
def outcome(edge: float, seed: int, family: str) -> Outcome:
    of = market(edge, seed)
    predictions = walked(of, family)
    free = load_instruments()["ES"].model_copy(update={"commission_per_side": 0.0})
    signals = model_signals(of.signals, predictions)
    first = signals.loc[signals["origin"] == "out_of_fold", "session"].min()
    orders = signals[signals["model_signal"]].assign(quantity=1)
    # Little money, for a Sharpe ratio of something.
    account = FREE.model_copy(update={"initial_capital": 1e6})
    result = simulate(bars_from(of.bars, first, free), orders, free, account)
    return Outcome(*summarised(of, predictions), result.trades, float(summary(result).loc["sharpe_ratio", "low"]))


def outcomes(edge: float, markets: int, family: str) -> list[Outcome]:
    return [outcome(edge, seed, family) for seed in range(markets)]


def t_of(values: pd.Series) -> float:
    return float(values.mean() / values.std() * np.sqrt(len(values)))


def most(count: int, rate: float) -> int:
    """As many of ``count`` as a rate gives in 99 of 100 cases."""
    return int(stats.binom.ppf(0.99, count, rate))


# --- nothing to find


@pytest.mark.parametrize("family", FAMILIES)
def test_null_markets_models_speak_of_evidence_no_oftener_than_chance(family: str) -> None:
    found = outcomes(0.0, NULL_MARKETS, family)

    assert all(len(each.scored) > 200 for each in found)
    assert sum(each.says_evidence for each in found) <= most(NULL_MARKETS, 0.05)
    for metric, none in (("auc_within_folds", 0.5), ("net", 0.0)):
        lows, highs = (np.array([each.summary.loc[metric, end] for each in found]) for end in ("low", "high"))
        assert (lows > none).sum() <= most(NULL_MARKETS, 0.025)
        assert (highs < none).sum() <= most(NULL_MARKETS, 0.025)


@pytest.mark.parametrize("family", FAMILIES)
def test_null_markets_what_models_take_earns_nothing(family: str) -> None:
    found = outcomes(0.0, NULL_MARKETS, family)

    for taken in (
        pd.concat([each.taken for each in found]),
        pd.concat([each.backtest["r_multiple"] for each in found]),
    ):
        assert len(taken) > 500
        assert t_of(taken) < 2.58


def test_null_markets_winners_have_farther_targets_and_earn_no_more() -> None:
    # Why an AUC is not an edge: a far target ends more trades at the close, where more of them are above zero.
    areas, apart = [], []
    for seed in range(NULL_MARKETS):
        inputs = market(0.0, seed).inputs
        rows = inputs.training_set
        far = inputs.features.loc[rows.index, "candidate_target_ticks"]
        won, lost = far[rows["label"] > 0], far[rows["label"] == 0]
        areas.append(stats.mannwhitneyu(won, lost).statistic / (len(won) * len(lost)))
        halves = rows["r_multiple"].groupby(far > far.median()).mean()
        apart.append(halves[True] - halves[False])

    assert t_of(pd.Series(areas) - 0.5) > 1.8
    assert abs(t_of(pd.Series(apart))) < 2.58


# --- something to find


@pytest.mark.parametrize("family", FAMILIES)
def test_planted_edge_models_earn_and_say_so(family: str) -> None:
    found = outcomes(0.5, EDGE_MARKETS, family)

    for taken in (
        pd.concat([each.taken for each in found]),
        pd.concat([each.backtest["r_multiple"] for each in found]),
    ):
        assert t_of(taken) > 3.3
        assert 0.1 < taken.mean() < 0.6
    assert sum(each.says_evidence for each in found) >= EDGE_MARKETS - 1


def test_planted_edge_in_all_trades_alike_is_not_the_models_doing() -> None:
    # Taking everything earns here, and a baseline that may do so leaves a model nothing to be better by.
    of = market(0.5, 0)

    baselines = baseline_judgements(of.inputs, SELECTION, seed=0, currency="$")
    judged = {family: one.scored for family, one in baselines.items()} | {
        "lightgbm": outcome(0.5, 0, "lightgbm").scored
    }
    differences = compare_models(judged)

    constant = baselines["constant"].summary["value"]
    assert constant["trades_taken"] > 0.9 * constant["rows"]
    assert constant["net"] > 0
    assert set(differences.xs("lightgbm").xs("constant")["better"]) <= {"", "worse"}


# --- leaks are loud


def test_leak_the_outcome_as_a_feature_is_loud() -> None:
    for seed in range(LEAKING_MARKETS):
        of = market(0.0, seed)
        told = of.inputs.training_set["r_multiple"].reindex(of.inputs.features.index)
        for family in FAMILIES:
            leaking = of.with_features(of.inputs.features.assign(leak=told))
            _, summary = summarised(of, walked(leaking, family, threshold=0.5))

            assert summary.loc["auc_within_folds", "value"] > 0.75
            assert "Some evidence that" in model_verdict(summary, "it")


def test_leak_features_of_the_session_traded_in_are_loud() -> None:
    for seed in range(LEAKING_MARKETS):
        of = market(0.0, seed)
        ahead = candidate_features(of.signals, of.session_features.shift(-1))
        _, summary = summarised(of, walked(of.with_features(ahead), "logistic", threshold=0.5))

        assert summary.loc["auc_within_folds", "value"] > 0.6
        assert "Some evidence that" in model_verdict(summary, "it")


class Unpurged(PurgedWalkForward):
    """Learns from the rows of its test block, as if they were known."""

    def _roles(self, intervals: Intervals, folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int8], str]]:
        for row, name in super()._roles(intervals, folds):
            row[row == UNUSED] = TRAIN
            row[::2] = TRAIN
            yield row, name


def test_leak_training_rows_that_meet_the_test_are_refused_and_would_be_loud() -> None:
    for seed in range(LEAKING_MARKETS):
        of = market(0.0, seed)
        inputs = of.inputs
        with pytest.raises(DataError, match="are not out of fold"):
            walk_forward(
                FitPlan(lambda: SELECTION.model("lightgbm", 0), Unpurged(3)),
                inputs.rows("features", "equal"),
                inputs.features,
                inputs.starts,
            )

        honest = walked(of, "lightgbm", threshold=0.5)
        rows = of.inputs.rows("features", "equal")
        knowing = make_model("lightgbm", {"rounds": 100, "validation_share": 0}).fit(rows)
        _, summary = summarised(of, honest.assign(score=knowing.predict_proba(of.inputs.features)))

        assert summary.loc["auc_within_folds", "value"] > 0.65
        assert "Some evidence that" in model_verdict(summary, "it")


def test_leak_thresholds_tuned_on_what_they_are_judged_on_are_loud() -> None:
    taken = []
    for family in FAMILIES:
        for each in outcomes(0.0, NULL_MARKETS, family):
            for _, rows in each.scored.groupby("fold"):
                best = tune_threshold(rows["score"].to_numpy(), rows["net"].to_numpy())
                taken.append(rows.loc[rows["score"] >= best, "r_multiple"])

    assert t_of(pd.concat(taken)) > 3.3


def test_scaler_fitted_on_everything_is_not_a_leak_that_scores_would_show() -> None:
    # A transform that saw later rows breaks the rule all the same: the chain's replay catches it, no score does.
    for seed in range(LEAKING_MARKETS):
        of = market(0.0, seed)
        (_, own), (_, whole) = (
            summarised(of, walked(each, "logistic", threshold=0.5))
            for each in (of, of.with_features(MadScaler().fit_transform(of.inputs.features)))
        )

        values = [summary.loc["auc_within_folds", "value"] for summary in (own, whole)]
        assert abs(values[0] - values[1]) < 0.01
