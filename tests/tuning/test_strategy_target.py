"""The strategy's target ends in the backtests that the chain of frames makes, whatever was asked before."""

import datetime as dt
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument, simulate_market
from pipeline.replays import Outcome
from pipeline.research import RULES, make_profiles, orders_of, run_research
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.settings import Settings
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import TradingRules, find_strategy, make_signals, model_signals, session_history
from pipeline.strategy.rules import SCORE_SPACE
from pipeline.tuning.objectives import values_of
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.strategy_target import StrategyTarget, Traded, by_section

# Loose enough that a year of sessions has rule signals to compare.
_FADE = find_strategy("value_area_fade")
_SPACE = _FADE.space
_LOOSE = {"r_squared_threshold": 0.2, "confidence_threshold": 30.0}


@pytest.fixture(scope="module")
def bars(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", 260, 3)


@pytest.fixture(scope="module")
def target(bars: pd.DataFrame, es: Instrument) -> StrategyTarget:
    return StrategyTarget(bars, es)


def _drawn(space: SearchSpace, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)

    def one(dimension: Real | Whole | Choice) -> Any:
        if isinstance(dimension, Choice):
            return dimension.options[rng.integers(len(dimension.options))]
        if isinstance(dimension, Whole):
            return int(rng.choice(np.arange(dimension.low, dimension.high + 1, dimension.step)))
        return float(rng.uniform(dimension.low, dimension.high))

    return {name: one(space[name]) for name in space}


def _backtest(
    bars: pd.DataFrame, es: Instrument, params: dict[str, Any], name: str = RULES, **account: Any
) -> BacktestResult:
    sections = by_section(params)
    rules = TradingRules.of(**sections.get("strategy", {}))
    windows = rules.history
    chosen = Account.for_instrument(es, **account, **sections.get("account", {}))
    history = session_history(bars, make_profiles(bars, es, windows), es, windows)
    signals = make_signals(history, es, rules)
    return simulate(bars, orders_of(signals, ValueAreaFade())[name], es, chosen, hours=windows.hours)


def _assert_same(outcome: Outcome, result: BacktestResult) -> None:
    pd.testing.assert_frame_equal(outcome.trades, result.trades, check_exact=True)
    pd.testing.assert_series_equal(outcome.session_equity, result.session_equity, check_exact=True)
    pd.testing.assert_series_equal(outcome.daily_returns, result.daily_returns, check_exact=True)
    assert outcome.pnl.tobytes() == result.trades["pnl"].to_numpy(np.float64).tobytes()
    assert outcome.run.equity.tobytes() == result.equity.to_numpy().tobytes()


def test_outcome_of_drawn_parameters_equals_the_chain_of_frames_to_the_bit(
    bars: pd.DataFrame, es: Instrument, target: StrategyTarget
) -> None:
    traded = 0
    for seed in range(12):
        params = _drawn(_SPACE, seed) | (_LOOSE if seed % 2 else {})
        result = _backtest(bars, es, params)
        _assert_same(target.outcome(params), result)
        traded += len(result.trades)
    assert traded > 100


@pytest.mark.parametrize(
    "changed",
    [
        {"allocation": "close"},
        {"expansion_rows": 1},
        {"hours": "eth", "account.entry_cutoff": "20:00"},
        {"direction_window": 40, "calm_short": 3, "calm_long": 9, "atr_window": 5, "min_stop_ticks": 30},
        {"account.entry_cutoff": dt.time(9, 30), "account.trade_through_ticks": 0},
        {"confidence_weights": {"r_squared": 1.0, "direction": 0.0, "calm": 0.0, "runs": 0.0}},
    ],
)
def test_outcome_of_settings_outside_the_space_equals_the_chain_of_frames_to_the_bit(
    bars: pd.DataFrame, es: Instrument, target: StrategyTarget, changed: dict[str, Any]
) -> None:
    params = {**_LOOSE, **changed}

    _assert_same(target.outcome(params), _backtest(bars, es, params))


@pytest.mark.parametrize("account", [{"hold_overnight": True, "max_positions": 2}, {"initial_capital": 9_000.0}])
def test_outcome_of_all_fades_on_another_account_equals_the_chain_of_frames_to_the_bit(
    bars: pd.DataFrame, es: Instrument, account: dict[str, Any]
) -> None:
    target = StrategyTarget(bars, es, account=Account.for_instrument(es, **account), traded="fades")

    for hours in ("rth", "eth"):
        outcome = target.outcome({"hours": hours})
        _assert_same(outcome, _backtest(bars, es, {"hours": hours}, ValueAreaFade.baseline, **account))
        assert outcome.money.sum() == pytest.approx((outcome.pnl / outcome.run.ends[2]).sum())


def test_outcome_of_bars_without_contracts_equals_the_chain_of_frames_to_the_bit(
    bars: pd.DataFrame, es: Instrument
) -> None:
    one = bars[bars["contract"] == bars["contract"].iloc[0]].drop(columns="contract").reset_index(drop=True)

    _assert_same(StrategyTarget(one, es).outcome(_LOOSE), _backtest(one, es, _LOOSE))


def test_outcome_of_real_bars_equals_the_chain_of_frames_to_the_bit(real_data: Any, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:140_000]
    target = StrategyTarget(bars, es)

    for seed in range(3):
        params = _drawn(_SPACE, seed) | _LOOSE
        _assert_same(target.outcome(params), _backtest(bars, es, params))


def test_outcome_asked_for_again_in_another_order_is_the_same(bars: pd.DataFrame, es: Instrument) -> None:
    points = [_drawn(_SPACE, seed) | _LOOSE for seed in range(5)]
    forward, backward = StrategyTarget(bars, es), StrategyTarget(bars, es)

    first = [forward(point) for point in points]

    assert first == [backward(point) for point in reversed(points)][::-1]
    assert first == [forward(point) for point in points]
    assert first == [pickle.loads(pickle.dumps(forward))(point) for point in points]  # noqa: S301


@pytest.mark.parametrize(("traded", "require_rules"), [("scores", False), ("scored_rules", True)])
def test_outcome_of_scores_is_the_model_signals_backtest(
    bars: pd.DataFrame, es: Instrument, traded: Traded, require_rules: bool
) -> None:
    settings = Settings(strategy=_LOOSE)
    signals = run_research(bars, es, settings).signals
    rng = np.random.default_rng(0)
    score = np.where(rng.random(len(signals)) < 0.2, np.nan, rng.random(len(signals)))
    predictions = pd.DataFrame({"fold": 0, "score": score, "threshold": 0.45, "origin": "out_of_fold"}, signals.index)
    marked = model_signals(signals, predictions, require_rules=require_rules)
    result = simulate(bars, marked[marked["model_signal"]], es, settings.account_for(es))
    scores = signals[["decided_on", "side"]].assign(score=score)

    target = StrategyTarget(bars, es, traded=traded, scores=scores.iloc[::-1].dropna())

    # What only the gates look at changes nothing where they don't count.
    assert set(target.space) == {*_SPACE, *SCORE_SPACE} - (set() if require_rules else _FADE.gate_parameters)
    assert len(result.trades) > 10
    _assert_same(target.outcome({**_LOOSE, "models.threshold": 0.45}), result)
    # A threshold that is left as it is.
    space = target.space.narrowed({"models.threshold": None})
    given = StrategyTarget(bars, es, StudyRequest(threshold=0.45, space=space), traded=traded, scores=scores.dropna())
    _assert_same(given.outcome(_LOOSE), result)


def test_sessions_before_the_first_score_are_not_judged(bars: pd.DataFrame, es: Instrument) -> None:
    candidates = run_research(bars, es, Settings()).signals[["decided_on", "side"]]
    since = pd.Timestamp("2019-06-03")
    late = candidates["decided_on"] >= since
    scores = candidates.assign(score=np.where(late, 0.5, np.nan))
    target = StrategyTarget(bars, es, StudyRequest(objectives=("net",)), traded="scores", scores=scores)

    value = target({"models.threshold": 0.4})

    assert target.sessions[0] == since
    assert target.sessions.equals(StrategyTarget(bars, es).sessions[-len(target.sessions) :])
    assert value == pytest.approx(target.outcome({"models.threshold": 0.4}).money.sum())
    assert pickle.loads(pickle.dumps(target)).sessions.equals(target.sessions)  # noqa: S301
    evidence = target.judge({"models.threshold": 0.4}).evidence
    assert evidence is not None
    assert evidence.daily.index.equals(target.sessions)


def test_value_is_the_objectives_of_one_contracts_money_by_session(bars: pd.DataFrame, es: Instrument) -> None:
    target = StrategyTarget(bars, es, StudyRequest(objectives=("net", "drawdown")))
    trades = _backtest(bars, es, _LOOSE).trades

    judged = target.judge(_LOOSE, lambda step, value: pytest.fail("a trial of one replay has no steps"))

    value, evidence = judged.values, judged.evidence  # noqa: PD011 (no frame)
    assert evidence is not None
    each = (trades["pnl"] / trades["quantity"]).groupby(trades["session"]).sum()
    assert evidence.trades == len(trades)
    assert len(evidence.daily) == 260
    pd.testing.assert_series_equal(evidence.daily[evidence.daily != 0], each[each != 0], check_names=False)
    assert value == values_of(("net", "drawdown"), evidence)
    assert value[0] == pytest.approx((trades["pnl"] / trades["quantity"]).sum())


def test_value_of_parameters_that_trade_nothing_is_a_number(target: StrategyTarget) -> None:
    value = target({"confidence_threshold": 99.0})

    assert isinstance(value, float)
    assert value < 0


def test_space_names_are_settings_and_hold_the_defaults(es: Instrument) -> None:
    defaults = TradingRules().flat
    own = {name: defaults[name] for name in _SPACE if "." not in name}

    assert _SPACE.contains({**own, "account.entry_cutoff": Account.for_instrument(es).entry_cutoff})
    for seed in range(50):
        sections = by_section(_drawn(_SPACE, seed))
        TradingRules.of(**sections["strategy"])
        Account.for_instrument(es, **sections["account"])


def test_by_section_names_the_settings_sections() -> None:
    assert by_section({"hours": "eth", "account.entry_cutoff": None, "models.threshold": 0.4}) == {
        "strategy": {"hours": "eth"},
        "account": {"entry_cutoff": None},
        "models": {"threshold": 0.4},
    }


def test_by_section_of_a_family_has_its_hyperparameters_where_the_settings_have_them() -> None:
    params = {"hours": "eth", "model.num_leaves": 7, "models.threshold": 0.4, "model.lambda_l2": 1.0}

    sections = by_section(params, "lightgbm")

    assert sections == {
        "strategy": {"hours": "eth"},
        "models": {"threshold": 0.4, "parameters": {"lightgbm": {"num_leaves": 7, "lambda_l2": 1.0}}},
    }
    assert Settings(**sections).models.threshold == 0.4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model.num_leaves": 3}, "model.num_leaves is not a parameter of the strategy"),
        ({"trend_widow": 3}, "trend_widow"),
        ({"trend_window": 1}, "trend_window is 1"),
        ({"account.capital": 3}, "capital is unknown"),
        ({"account.volatility_target": 0.2}, "volatility_target is 0.2"),
        ({"models.threshold": 0.5}, "none of models"),
    ],
)
def test_outcome_of_impossible_parameters_is_refused(
    target: StrategyTarget, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        target.outcome(params)


def test_target_that_contradicts_itself_is_refused(bars: pd.DataFrame, es: Instrument) -> None:
    scores = pd.DataFrame({"decided_on": bars["timestamp"].iloc[[0, 0]], "side": [1, 1], "score": [0.1, 0.2]})

    with pytest.raises(ConfigurationError, match="needs a model's scores"):
        StrategyTarget(bars, es, traded="scores")
    with pytest.raises(ConfigurationError, match="rules are traded"):
        StrategyTarget(bars, es, scores=scores)
    with pytest.raises(DataError, match="more than one score"):
        StrategyTarget(bars, es, traded="scores", scores=scores)
    with pytest.raises(DataError, match="no column side"):
        StrategyTarget(bars, es, traded="scores", scores=scores.drop(columns="side"))
    with pytest.raises(ConfigurationError, match="neither searched nor a number"):
        StrategyTarget(bars, es, StudyRequest(space=_SPACE), traded="scores", scores=scores.iloc[:1])
    with pytest.raises(ConfigurationError, match="log_loss needs probabilities"):
        StrategyTarget(bars, es, StudyRequest(objectives=("net", "log_loss")))
    with pytest.raises(ConfigurationError, match="no objective 'profit'"):
        StrategyTarget(bars, es, StudyRequest(objectives=("profit",)))
    with pytest.raises(ConfigurationError, match="nothing to tune"):
        StrategyTarget(bars, es, StudyRequest(space=SearchSpace({})))
    scored = StrategyTarget(bars, es, traded="scores", scores=scores.iloc[:1])
    with pytest.raises(ConfigurationError, match=r"needs models.threshold"):
        scored.outcome({})
