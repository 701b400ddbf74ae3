import datetime as dt
import inspect

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account
from pipeline.backtest.account import margin_per_session
from pipeline.errors import ConfigurationError
from pipeline.market import load_instruments


def test_account_positional_settings_keep_the_published_order_and_defaults() -> None:
    parameters = list(inspect.signature(Account).parameters.values())[:10]

    assert [(p.name, p.default) for p in parameters] == [
        ("initial_capital", 100_000.0),
        ("risk_per_trade", 0.01),
        ("max_contracts", None),
        ("max_positions", 1),
        ("slippage_ticks", 1),
        ("trade_through_ticks", 1),
        ("hold_overnight", False),
        ("entry_cutoff", None),
        ("margin_day", 0.10),
        ("margin_overnight", 0.15),
    ]
    account = Account(50_000, 0.02, 3, 2, 0, 0, True, "14:30", 0.2, 0.3)
    assert account.model_dump() == {
        "initial_capital": 50_000.0,
        "risk_per_trade": 0.02,
        "max_contracts": 3,
        "max_positions": 2,
        "slippage_ticks": 0,
        "trade_through_ticks": 0,
        "hold_overnight": True,
        "entry_cutoff": dt.time(14, 30),
        "margin_day": 0.2,
        "margin_overnight": 0.3,
        "volatility_target": None,
    }
    assert all(getattr(Account(), p.name) == p.default for p in parameters)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_capital", 0),
        ("initial_capital", float("nan")),
        ("initial_capital", "much"),
        ("risk_per_trade", 0),
        ("risk_per_trade", 1.5),
        ("risk_per_trade", float("nan")),
        ("max_contracts", 0),
        ("max_contracts", 1.5),
        ("max_positions", 0),
        ("slippage_ticks", -1),
        ("trade_through_ticks", -1),
        ("hold_overnight", "perhaps"),
        ("entry_cutoff", "25:00"),
        ("entry_cutoff", 14),
        ("entry_cutoff", dt.time(14, tzinfo=dt.UTC)),
        ("margin_day", 0),
        ("margin_day", 1.2),
        ("margin_day", "0.1"),
        ("margin_overnight", {}),
        ("margin_overnight", {"someday": 10_000.0}),
        ("margin_overnight", {"2020-01-01": -1.0}),
        ("volatility_target", 0),
    ],
)
def test_account_impossible_setting_is_one_sentence_that_names_it(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"^account setting {name} is ") as caught:
        Account(**{name: value})

    assert "\n" not in str(caught.value)


def test_account_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"account setting leverage is unknown; .*initial_capital, "):
        Account(leverage=10)


def test_account_frozen_refuses_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Account().risk_per_trade = 0.5


def test_account_margin_table_is_sorted_by_date_and_survives_a_round_trip() -> None:
    account = Account(margin_day={"2021-02-01": 12_000, dt.date(2020, 1, 1): 6_600})

    assert account.margin_day == {dt.date(2020, 1, 1): 6_600.0, dt.date(2021, 2, 1): 12_000.0}
    assert Account.model_validate_json(account.model_dump_json()) == account


def test_account_for_instrument_takes_its_margin_rates_unless_set() -> None:
    spy = load_instruments()["SPY"]

    assert Account.for_instrument(spy, max_positions=2) == Account(
        max_positions=2, margin_day=0.5, margin_overnight=0.5
    )
    assert Account.for_instrument(spy, margin_day=0.25).margin_day == 0.25


def test_margin_per_session_table_holds_from_its_date_on() -> None:
    sessions = pd.DatetimeIndex(["2021-01-29", "2021-02-01", "2021-02-02"])
    table = Account(margin_day={"2020-01-01": 6_600, "2021-02-01": 12_000}).margin_day

    rate, amount = margin_per_session(table, sessions, "margin_day")

    np.testing.assert_array_equal(rate, [0, 0, 0])
    np.testing.assert_array_equal(amount, [6_600, 12_000, 12_000])
    with pytest.raises(ConfigurationError, match="margin_day is a table that starts on 2020-01-01, after session 2019"):
        margin_per_session(table, pd.DatetimeIndex(["2019-12-31"]), "margin_day")
