"""The joint target learns from what the assets make of the same settings, and keeps nothing that a trial changes."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account
from pipeline.chain import make_training_set
from pipeline.errors import ConfigurationError
from pipeline.features import FeatureInputs, build_features
from pipeline.features.sequences import sequence_features
from pipeline.learning import candidate_labels
from pipeline.learning.models import TrainingRows, find_family, make_model
from pipeline.learning.splits import CombinatorialPurged, PurgedWalkForward
from pipeline.market import Instrument, simulate_market
from pipeline.modelling import LearningInputs
from pipeline.research import make_profiles
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.strategy import TradingRules, find_strategy, gate_columns, make_signals, session_history
from pipeline.strategy.rules import SCORE_SPACE
from pipeline.tuning.joint_target import JointTarget
from pipeline.tuning.objectives import Evidence, values_of
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.strategy_target import StrategyTarget, by_section
from pipeline.tuning.study import run_study
from pipeline.tuning.targets import StudyTarget
from tests.tuning.studies import STUDY

TWO = CombinatorialPurged(2, 1)
BASE = {"models.threshold": 0.45, "model.strength": 0.1}


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", 200, 3, bar="30min")


@pytest.fixture(scope="module")
def long_bars(es: Instrument) -> pd.DataFrame:
    """Long enough for every feature."""
    return simulate_market(es, "2019-01-02", 380, 4, bar="30min")


@pytest.fixture(scope="module")
def vix() -> pd.DataFrame:
    days = pd.bdate_range("2018-01-01", "2020-12-31", tz="UTC").as_unit("ns")
    return pd.DataFrame({"timestamp": days, "close": 15 + np.sin(np.arange(len(days)))})


@pytest.fixture(scope="module")
def target(bars: pd.DataFrame, es: Instrument) -> JointTarget:
    return JointTarget(bars, es, StudyRequest("logistic", splitter=TWO))


def _drawn(space: SearchSpace, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)

    def one(dimension: Real | Whole | Choice) -> Any:
        if isinstance(dimension, Choice):
            return dimension.options[rng.integers(len(dimension.options))]
        if isinstance(dimension, Whole):
            return int(rng.choice(np.arange(dimension.low, dimension.high + 1, dimension.step)))
        return float(rng.uniform(dimension.low, dimension.high))

    return {name: one(space[name]) for name in space}


def _oracle(
    bars: pd.DataFrame,
    es: Instrument,
    params: dict[str, Any],
    inputs: Any = "features",
    vix: pd.DataFrame | None = None,
    weights: Any = "equal",
) -> tuple[TrainingRows, pd.DataFrame]:
    """Rows and candidates step by step, as the assets make them."""
    sections = by_section(params, "any")
    rules = TradingRules.of(**sections.get("strategy", {}))
    windows = rules.history
    account = Account.for_instrument(es, **sections.get("account", {}))
    profiles = make_profiles(bars, es, windows)
    history = session_history(bars, profiles, es, windows, hours=windows.hours)
    signals = make_signals(history, es, rules)
    candidates = signals.drop(columns=gate_columns(signals))
    features = build_features(FeatureInputs.from_bars(bars, es, windows, vix=vix))
    labels = candidate_labels(bars, candidates, es, account, hours=windows.hours)
    sequences = sequence_features(FeatureInputs(bars, profiles, history, es, windows), candidates)
    training_set = make_training_set(signals, features, labels)
    learning = LearningInputs.of(training_set, candidates, features, labels, sequences, source="made")
    return learning.rows(inputs, weights), signals.loc[training_set.index]


def _same(rows: TrainingRows, expected: TrainingRows) -> None:
    pd.testing.assert_frame_equal(rows.features, expected.features, check_exact=True)
    pd.testing.assert_frame_equal(rows.outcome, expected.outcome, check_exact=True)


# --- rows ---


def test_rows_of_drawn_parameters_are_the_assets_to_the_bit_whatever_was_asked_before(
    long_bars: pd.DataFrame, es: Instrument, vix: pd.DataFrame
) -> None:
    target = JointTarget(long_bars, es, StudyRequest("logistic"), volatility_index=vix)
    counts = set()
    for seed in range(3):
        params = _drawn(target.space, seed)
        expected, _ = _oracle(long_bars, es, params, vix=vix)
        _same(target.rows(params), expected)
        counts.add(len(expected))
        assert any("vix" in name for name in expected.features)
    assert len(counts) > 1  # the parameters matter


@pytest.mark.parametrize(
    "changed",
    [
        {"allocation": "close"},
        {"expansion_rows": 1, "min_stop_ticks": 30},
        {"atr_window": 5, "calm_short": 3, "calm_long": 9, "direction_window": 40},
        {"account.entry_cutoff": "12:00", "account.slippage_ticks": 3},
    ],
)
def test_rows_of_settings_outside_the_space_are_the_assets_to_the_bit(
    bars: pd.DataFrame, es: Instrument, target: JointTarget, changed: dict[str, Any]
) -> None:
    expected, _ = _oracle(bars, es, changed)

    _same(target.rows({**BASE, **changed}), expected)


@pytest.mark.parametrize("inputs", ["sequences", "both"])
def test_rows_of_a_family_that_reads_sequences_are_the_assets_to_the_bit(
    bars: pd.DataFrame, es: Instrument, inputs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own inputs are the features: nothing but these columns is asked of a family here.
    monkeypatch.setattr(find_family("logistic"), "inputs", inputs)
    params = {"value_area_basis_points": 8000}
    expected, _ = _oracle(bars, es, params, inputs, weights="uniqueness")

    _same(JointTarget(bars, es, StudyRequest("logistic", weights="uniqueness")).rows(params), expected)


# --- values ---


def _judged(
    target: JointTarget,
    rows: TrainingRows,
    signals: pd.DataFrame,
    params: dict[str, Any],
    *,
    require_rules: bool = False,
) -> pd.Series:
    """Money by session, one model a fold, as anyone would write it."""
    hyperparameters = {name.removeprefix("model."): v for name, v in params.items() if name.startswith("model.")}
    money = pd.Series(0.0, target.sessions)
    for train, test in TWO.split(rows.outcome):
        model = make_model("logistic", hyperparameters).fit(rows.take(train))
        score = model.predict_proba(rows.features.iloc[test])
        for place, one in zip(test, score, strict=True):
            allowed = signals["rule_signal"].iloc[place] or not require_rules
            if allowed and one >= params["models.threshold"]:
                money[signals["session"].iloc[place]] += rows.net[place]
    return money


@pytest.mark.parametrize("require_rules", [False, True])
def test_evidence_is_what_models_of_the_other_folds_take(
    bars: pd.DataFrame, es: Instrument, require_rules: bool
) -> None:
    target = JointTarget(
        bars,
        es,
        StudyRequest(
            "logistic", objectives=("net", "sharpe_low", "drawdown"), splitter=TWO, require_rules=require_rules
        ),
    )
    params = {**BASE, "confidence_threshold": 20.0, "r_squared_threshold": 0.05, "stop_atr_factor": 0.5}
    rows, signals = _oracle(bars, es, params)
    expected = _judged(target, rows, signals, params, require_rules=require_rules)

    judged = target.judge(params, lambda step, value: pytest.fail("several values have no order to prune by"))

    assert (expected != 0).sum() > (5 if require_rules else 25)
    evidence = judged.evidence
    assert evidence is not None
    pd.testing.assert_series_equal(evidence.daily, expected, check_names=False)
    assert judged.value == values_of(("net", "sharpe_low", "drawdown"), evidence)
    assert evidence.log_loss is not None
    assert evidence.trades >= (expected != 0).sum()


def test_money_of_a_threshold_that_takes_all_is_the_strategy_targets(bars: pd.DataFrame, es: Instrument) -> None:
    rich = Account.for_instrument(es, initial_capital=1e8, risk_per_trade=1e-4, max_positions=2)
    joint = JointTarget(
        bars, es, StudyRequest("logistic", splitter=TWO), account=rich, rules=TradingRules.of(atr_window=10)
    )
    fades = StrategyTarget(bars, es, rules=TradingRules.of(atr_window=10), account=rich, traded="fades")

    for params in ({"hours": "eth"}, {"account.entry_cutoff": "12:00", "value_area_basis_points": 8000}):
        taken = joint.evidence({**params, "models.threshold": 0.0})
        pd.testing.assert_series_equal(taken.daily, fades.outcome(params).money, check_names=False)
        assert taken.daily.index.equals(fades.sessions)


def test_reports_are_the_values_of_the_folds_so_far(bars: pd.DataFrame, es: Instrument, target: JointTarget) -> None:
    steps: dict[int, float] = {}
    params = {**BASE, "models.threshold": 0.4}
    rows, signals = _oracle(bars, es, params)
    whole = _judged(target, rows, signals, params)
    (_, first), _ = TWO.split(rows.outcome)
    sessions = signals["session"].iloc[first]
    part = whole[(whole.index >= sessions.min()) & (whole.index <= sessions.max())]

    target(params, steps.__setitem__)

    assert steps == {1: values_of(("sharpe_low",), Evidence(part, es.periods_per_year))}


def test_pruned_trial_begun_again_is_as_if_it_had_not_been_pruned(bars: pd.DataFrame, es: Instrument) -> None:
    pruned = JointTarget(bars, es, StudyRequest("logistic", splitter=TWO))
    plain = JointTarget(bars, es, StudyRequest("logistic", splitter=TWO))

    def report(step: int, value: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruned(BASE, report)
    assert pruned(BASE) == plain(BASE)


def test_values_are_the_same_in_any_order_and_in_another_process(bars: pd.DataFrame, es: Instrument) -> None:
    areas, strengths, thresholds = (6500, 7500), (0.01, 1.0), (0.38, 0.45)
    points = [
        {"value_area_basis_points": area, "model.strength": strength, "models.threshold": threshold}
        for area in areas
        for strength in strengths
        for threshold in thresholds
    ]
    forward, backward = (
        JointTarget(bars, es, StudyRequest("logistic", splitter=TWO, objectives=("net",))) for _ in range(2)
    )

    first = [forward(point) for point in points]

    assert len(set(first)) > 4
    assert first == [backward(point) for point in reversed(points)][::-1]
    assert first[0] == pickle.loads(pickle.dumps(forward))(points[0])  # noqa: S301
    # Rows and scores of the last few are still there: nothing is made or fitted again.
    forward._bars = forward._cls = None  # type: ignore[assignment]
    assert first == [forward(point) for point in points]


def test_money_of_all_trials_is_counted_on_the_same_sessions(bars: pd.DataFrame, es: Instrument) -> None:
    kept: list[pd.Series] = []
    target = JointTarget(bars, es, StudyRequest("logistic", splitter=TWO))

    for hours in ("rth", "eth"):
        for factor in (0.2, 2.0):
            kept.append(target.evidence({**BASE, "hours": hours, "stop_atr_factor": factor}).daily)

    assert len({len(one) for one in kept}) == 1
    assert all(one.index.equals(StrategyTarget(bars, es).sessions) for one in kept)
    assert len({one.sum() for one in kept}) == 4


def test_fitted_model_is_that_of_all_rows(bars: pd.DataFrame, es: Instrument, target: JointTarget) -> None:
    rows, _ = _oracle(bars, es, BASE)
    expected = make_model("logistic", {"strength": 0.1}).fit(rows)

    model = target.fitted(BASE)

    np.testing.assert_array_equal(model.predict_proba(rows.features), expected.predict_proba(rows.features))


def test_nothing_after_the_bars_is_used(bars: pd.DataFrame, es: Instrument) -> None:
    # What a target is given decides what it knows: the rows of fewer bars are those of more bars, to the bit.
    cut = bars.iloc[: int(0.8 * len(bars))]
    long, short = (JointTarget(each, es, StudyRequest("logistic", splitter=TWO)).rows(BASE) for each in (bars, cut))
    common = short.outcome.index

    assert 0 < len(common) < len(long)
    pd.testing.assert_frame_equal(short.features, long.features.loc[common], check_exact=True)
    pd.testing.assert_frame_equal(short.outcome, long.outcome.loc[common], check_exact=True)


# --- space ---


def test_space_holds_what_changes_a_trial() -> None:
    fade = find_strategy("value_area_fade").space
    gates = {"r_squared_threshold", "direction_long", "direction_short", "confidence_threshold"}
    model = {"model.strength", "model.winsorize", "model.signed_log"}

    joint = StudyTarget.of("strategy+logistic")
    assert set(joint.space()) == {*fade, *SCORE_SPACE, *model} - gates
    assert set(joint.space(require_rules=True)) == {*fade, *SCORE_SPACE, *model}


def test_space_of_the_default_holds_nothing_that_leaves_all_trials_alike(target: JointTarget) -> None:
    usual = {**BASE, "models.threshold": 0.4, "account.entry_cutoff": None}
    base = target.evidence(usual).daily

    for name, one in target.space.items():
        ends = one.options if isinstance(one, Choice) else (one.low, one.high)
        assert any(not target.evidence({**usual, name: end}).daily.equals(base) for end in ends), name


def test_threshold_that_is_not_searched_is_tuned_or_given(bars: pd.DataFrame, es: Instrument) -> None:
    space = SearchSpace({"stop_atr_factor": Real(0.1, 2.0)})
    tuned, given = (
        JointTarget(
            bars, es, StudyRequest("logistic", splitter=TWO, space=space, threshold=threshold, objectives=("net",))
        )
        for threshold in ("tuned", 0.42)
    )
    searched = JointTarget(bars, es, StudyRequest("logistic", splitter=TWO, objectives=("net",)))

    assert given({"stop_atr_factor": 1.0}) == searched({"models.threshold": 0.42})
    assert tuned({"stop_atr_factor": 1.0}) not in (given({"stop_atr_factor": 1.0}), 0.0)


# --- what is refused ---


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("logistic", {"objectives": ("log_loss",)}, "log_loss can't judge the strategy's parameters"),
        ("logistic", {"objectives": ("net", "log_loss")}, "log_loss can't judge the strategy's parameters"),
        ("logistic", {"objectives": ("profit",)}, "no objective 'profit'"),
        ("logistic", {"hyperparameters": {"strength": -1}}, "logistic: strength is -1"),
        ("logistic", {"space": SearchSpace()}, "strategy with logistic has nothing to tune"),
        ("forest", {}, "no model family 'forest'"),
    ],
)
def test_target_impossible_is_refused(
    bars: pd.DataFrame, es: Instrument, family: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        JointTarget(bars, es, StudyRequest(family, **changes))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"trend_widow": 3}, "trend_widow"),
        ({"models.weights": "equal"}, "models.weights is not a parameter of a joint study"),
        ({"model.strenght": 1}, "strenght"),
        ({"simulator.seed": 1}, "simulator.seed is not a parameter"),
    ],
)
def test_trial_of_impossible_parameters_is_refused(target: JointTarget, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        target({**BASE, **params})


def test_parameters_that_leave_too_few_rows_fail_their_trial_and_not_the_study(
    bars: pd.DataFrame, es: Instrument
) -> None:
    space = SearchSpace({"stop_atr_factor": Choice([0.01, 0.2, 1.0])})
    target = JointTarget(
        bars,
        es,
        StudyRequest("logistic", space=space, splitter=PurgedWalkForward(3), threshold=0.4),
        rules=TradingRules.of(min_stop_ticks=30),
    )
    study = StudySettings(objectives=("sharpe_low",), trials=6, startup_trials=6, sampler="random", pruner="none")

    subject = replace(STUDY, first=target.sessions[0], last=target.sessions[-1])

    result = run_study(subject, target, study)

    failed = {trial.params["stop_atr_factor"]: trial.error for trial in result.trials if trial.state == "failed"}
    assert failed[0.01] == "0 rows are too few for 3 test blocks and a row before them; ask for fewer or give more rows"
    assert result.best.params["stop_atr_factor"] == 1.0
