"""A backtest of one's settings as a look: one for the same settings, another for each that changes it."""

import datetime as dt
import json

import pandas as pd
import pytest

from pipeline.backtest import Account, BacktestResult
from pipeline.choices import backtest_look, model_choices, rule_choices
from pipeline.market import Instrument
from pipeline.settings import ModelSelection, Settings
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.settings import TuningSettings


def result(equity: list[float], instrument: Instrument) -> BacktestResult:
    sessions = pd.bdate_range("2024-01-01", periods=len(equity), name="session").as_unit("ns")
    nothing = pd.DataFrame()
    by_session = pd.Series(equity, index=sessions, dtype=float)
    return BacktestResult(nothing, nothing, pd.Series(dtype=float), by_session, Account(), instrument)


def with_models(**changes: object) -> Settings:
    return Settings(models=ModelSelection(**changes))


def test_rule_choices_are_flat_and_whole_and_can_be_kept(es):
    found = rule_choices(Settings(account={"entry_cutoff": "14:00", "risk_per_trade": 0.02}), es)
    assert found["strategy.r_squared_threshold"] == 0.6
    assert found["strategy.confidence_weights.r_squared"] == 0.4
    assert found["account.risk_per_trade"] == 0.02
    assert found["account.entry_cutoff"] == "14:00:00"
    assert found["off_tick"] == "snap"
    assert json.loads(json.dumps(found)) == found
    assert {name.partition(".")[0] for name in found} == {"strategy", "account", "off_tick"}


@pytest.mark.parametrize(
    ("settings", "rules", "model"),
    [
        (Settings(strategy={"trend_window": 21}), 1, 1),
        (Settings(account={"slippage_ticks": 2}), 1, 1),
        (Settings(off_tick="reject"), 1, 1),
        (with_models(threshold=0.4), 0, 1),
        (with_models(require_rules=True), 0, 1),
        (with_models(splits=4), 0, 1),
        (with_models(parameters={"lightgbm": {"rounds": 50}}), 0, 1),
        (Settings(seed=1), 0, 1),
        (Settings(volatility_index="vix.csv"), 0, 1),
        (with_models(parameters={"mlp": {"epochs": 5}}), 0, 0),
        (with_models(parameters={"lightgbm": {"rounds": 400}}), 0, 0),  # its default
        (with_models(families=("lightgbm",)), 0, 0),
        (Settings(simulator={"seed": 9}), 0, 0),
    ],
)
def test_choices_differ_where_a_setting_of_the_backtest_does(es, settings, rules, model):
    assert (rule_choices(settings, es) != rule_choices(Settings(), es)) == bool(rules)
    changed = model_choices(settings, es, "lightgbm") != model_choices(Settings(), es, "lightgbm")
    assert changed == bool(model)


def test_model_choices_hold_how_it_was_tuned(es):
    found = model_choices(Settings(), es, "lightgbm", tuned="20 trials by log_loss")
    assert found["tuned"] == "20 trials by log_loss"
    assert model_choices(Settings(), es, "lightgbm")["tuned"] == ""
    narrowed = Settings(tuning=TuningSettings(spaces={"lightgbm": {"num_leaves": {"high": 31}}}))
    assert model_choices(narrowed, es, "lightgbm", tuned="20 trials by log_loss") != found
    assert model_choices(narrowed, es, "lightgbm") == model_choices(Settings(), es, "lightgbm")


def test_backtest_look_holds_the_returns_of_all_sessions_and_their_sharpe_ratio(es):
    # Returns of 1 %, 0 and −1 %: mean 0, so a Sharpe ratio of 0.
    look = backtest_look("ES", "rules", {"k": 1}, result([101_000, 101_000, 99_990], es))
    assert (look.study, look.target, look.number, look.state) == ("ES/backtest/rules", "backtest/rules", 0, "complete")
    assert look.returns.round(12).tolist() == [0.01, 0.0, -0.01]
    assert look.values == pytest.approx((0.0,), abs=1e-12)  # noqa: PD011 (no frame)
    assert (look.first, look.last) == (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-03"))
    assert look.finished - dt.datetime.now(tz=dt.UTC) < dt.timedelta(minutes=1)


def test_backtests_of_two_books_count_on_their_market_each_under_its_name(es, tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'optuna.db'}")
    made = result([100_020, 99_980, 100_000.0], es)
    ledger.record([backtest_look("ES", "rules", {"k": k}, made, book=book) for k, book in ((1, "ES"), (2, "es80"))])

    found = ledger.looks("ES", pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"))

    assert found.count == 2
    assert sorted(found.trials["study"]) == ["ES/backtest/rules", "es80/backtest/rules"]


def test_backtest_look_without_a_trade_has_no_value_and_without_a_session_is_none(es):
    assert backtest_look("ES", "rules", {}, result([100_000.0] * 3, es)).values == ()  # noqa: PD011
    assert backtest_look("ES", "rules", {}, result([], es)) is None


def test_settings_changed_by_hand_fifty_times_are_fifty_looks_and_repeats_none(es, tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'optuna.db'}")
    looks = []
    for window in (*range(3, 53), 20, 20):
        settings = Settings(strategy={"trend_window": window})
        equity = [100_000 + window, 100_000 - window, 100_000.0]
        looks.append(backtest_look("ES", "rules", rule_choices(settings, es), result(equity, es)))
    ledger.record(looks, renew=True)
    night = result([100_020, 99_980, 100_000.0, 100_100.0], es)  # the same settings a night later
    ledger.record([backtest_look("ES", "rules", rule_choices(Settings(), es), night)], renew=True)

    found = ledger.looks("ES", pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"))

    assert found.count == 50
    assert found.trial_returns.shape == (3, 50)
    assert found.by_study().index.tolist() == ["ES/backtest/rules"]
    frame = ledger.trials("ES/backtest/rules")
    assert sorted(params["strategy.trend_window"] for params in frame["params"]) == list(range(3, 53))
    assert ledger.looks("ES", pd.Timestamp("2024-01-04"), pd.Timestamp("2024-12-31")).count == 1
