"""The settings that a frame depends on: all of those that change it, and none that don't."""

import datetime as dt
from functools import cache
from typing import Any

import pandas as pd
import pytest

from pipeline.backtest import Account
from pipeline.chain import make_chain
from pipeline.datasets import Dataset
from pipeline.errors import DataError
from pipeline.made_under import made_under, require_same_settings
from pipeline.market import Instrument, load_instruments, simulate_market
from pipeline.research import make_profiles
from pipeline.settings import Settings, SimulatorSettings
from pipeline.strategy import TradingRules

STRATEGY = {
    "hours": "eth",
    "allocation": "tpo",
    "ticks_per_row": 4,
    "tpo_minutes": 60,
    "value_area_basis_points": 6000,
    "expansion_rows": 1,
    "trend_window": 15,
    "r_squared_threshold": 0.3,
    "direction_window": 40,
    "direction_long": 0.6,
    "direction_short": 0.4,
    "calm_short": 3,
    "calm_long": 15,
    "confidence_threshold": 30.0,
    "confidence_weights": {"r_squared": 0.7, "direction": 0.0, "calm": 0.15, "runs": 0.15},
    "atr_window": 10,
    "stop_atr_factor": 0.5,
    "min_stop_ticks": 40,
}
ACCOUNT = {
    "initial_capital": 1e4,
    "risk_per_trade": 0.05,
    "max_contracts": 1,
    "max_positions": 3,
    "slippage_ticks": 3,
    "trade_through_ticks": 0,
    "hold_overnight": True,
    "entry_cutoff": "10:00",
    "margin_day": 0.5,
    "margin_overnight": 0.6,
    "volatility_target": 0.01,
}
INSTRUMENT = {
    "point_value": 10.0,
    "volume_step": 2.0,
    "ticks_per_row": 4,
    "session_close": dt.time(15, 30),
    "commission_per_side": 20.0,
    "commission_rate": 0.001,
    "description": "other words",
    "price_range": (1.0, 1e6),
}
CHANGES = [
    *((f"strategy.{name}", {"strategy": {name: value}}, {}) for name, value in STRATEGY.items()),
    *((f"account.{name}", {"account": {name: value}}, {}) for name, value in ACCOUNT.items()),
    *((f"instrument.{name}", {}, {name: value}) for name, value in INSTRUMENT.items()),
    ("features.leave_out", {"features": {"leave_out": ["weekday"]}}, {}),
    ("seed", {"seed": 5}, {}),
    ("models.splits", {"models": {"splits": 2}}, {}),
    ("tuning.targets", {"tuning": {"targets": ["strategy"]}}, {}),
]
FRAMES = (
    "volume_profiles",
    "session_history",
    "candidates",
    "rule_signals",
    "features",
    "sequences",
    "labels",
    "training_set",
)
ORDERS = {"candidates", "rule_signals", "sequences", "labels", "training_set"}


@cache
def bars() -> pd.DataFrame:
    return simulate_market(load_instruments()["ES"], "2021-01-04", 90, 3, bar="30min")


def dataset(**instrument: Any) -> Dataset:
    return Dataset("ES-SIM", load_instruments()["ES"].model_copy(update=instrument), SimulatorSettings())


def frames(settings: Settings, instrument: Instrument) -> dict[str, pd.DataFrame]:
    chain = make_chain(bars(), instrument, settings)
    profiles = make_profiles(bars(), instrument, settings.history)
    made = (
        profiles,
        chain.history,
        chain.candidates,
        chain.signals,
        chain.features,
        chain.sequences,
        chain.labels,
        chain.training_set,
    )
    return dict(zip(FRAMES, made, strict=True))


@cache
def before() -> dict[str, pd.DataFrame]:
    return frames(Settings(), dataset().instrument)


def told(settings: Settings, changed: Dataset) -> set[str]:
    """The frames that have to be made again."""
    found = set()
    for name in FRAMES:
        frame = pd.DataFrame()
        frame.attrs = made_under(name, Settings(), dataset())
        try:
            require_same_settings({name: frame}, settings, changed)
        except DataError:
            found.add(name)
    return found


def test_changes_are_of_every_setting_of_strategy_and_account() -> None:
    assert set(STRATEGY) == set(TradingRules().flat)
    assert set(ACCOUNT) == set(Account.model_fields)


@pytest.mark.parametrize(("name", "settings", "instrument"), CHANGES, ids=[change[0] for change in CHANGES])
def test_frame_that_a_setting_changes_has_to_be_made_again(name: str, settings: dict, instrument: dict) -> None:
    chosen, other = Settings(**settings), dataset(**instrument)
    made = frames(chosen, other.instrument)

    changed = {each for each in FRAMES if not made[each].equals(before()[each])}

    assert changed <= told(chosen, other)


@pytest.mark.parametrize(
    ("settings", "instrument", "expected"),
    [
        ({"strategy": {"confidence_threshold": 30.0}}, {}, {"rule_signals", "training_set"}),
        ({"strategy": {"stop_atr_factor": 0.5}}, {}, ORDERS),
        ({"strategy": {"name": "initial_balance_breakout"}}, {}, ORDERS),  # shares no parameter with the default one
        ({"strategy": {"tpo_minutes": 60}}, {}, {"features", "training_set"}),
        ({"strategy": {"trend_window": 15}}, {}, set(FRAMES) - {"volume_profiles"}),
        ({"strategy": {"value_area_basis_points": 6000}}, {}, set(FRAMES)),
        ({"strategy": {"ticks_per_row": 1}}, {}, set()),  # what the instrument's is anyway
        ({"features": {"leave_out": ["weekday"]}}, {}, {"features", "training_set"}),
        ({"volatility_index": "vix.csv"}, {}, {"features", "training_set"}),
        ({"account": {"slippage_ticks": 2}}, {}, {"labels", "training_set"}),
        ({"account": {"risk_per_trade": 0.05, "initial_capital": 1e4, "margin_day": 0.5}}, {}, set()),
        ({"seed": 5, "models": {"splits": 2}, "tuning": {"targets": ["strategy"]}}, {}, set()),
        ({}, {"commission_per_side": 2.5}, {"labels", "training_set"}),
        ({}, {"tick_size": 0.5}, set(FRAMES)),
        ({}, {"description": "other words", "price_range": (1.0, 1e6)}, set()),
    ],
)
def test_settings_stop_only_the_frames_that_depend_on_them(settings: dict, instrument: dict, expected: set) -> None:
    assert told(Settings(**settings), dataset(**instrument)) == expected


def test_changed_settings_are_named_with_both_values_and_what_to_run() -> None:
    frame = pd.DataFrame()
    frame.attrs = made_under("training_set", Settings(features={"leave_out": ["weekday"]}), dataset())
    chosen = Settings(strategy={"trend_window": 30}, account={"entry_cutoff": "10:00"})

    with pytest.raises(DataError) as caught:
        require_same_settings({"training_set": frame}, chosen, dataset())

    message = str(caught.value)
    for part in ("training_set", "strategy.trend_window: 20 -> 30", "account.entry_cutoff: none -> 10:00:00"):
        assert part in message
    assert "features.leave_out: weekday -> none" in message
    assert "vpoc run --symbol ES-SIM" in message


def test_frame_stored_without_settings_or_before_one_was_known_is_taken_as_it_is() -> None:
    old, older = pd.DataFrame(), pd.DataFrame()
    old.attrs = made_under("rule_signals", Settings(), dataset())
    del old.attrs["settings"]["strategy.trend_window"]
    chosen = Settings(strategy={"trend_window": 30})

    require_same_settings({"rule_signals": old, "features": older}, chosen, dataset())
