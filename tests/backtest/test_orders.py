import datetime as dt

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.backtest.orders import read_orders
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument, load_instruments
from tests.backtest.frames import BASE, book, order, session_bars

GOOD = order(1, BASE, BASE - 20, BASE + 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 0}, "side is 0; give 1 for a long or -1 for a short"),
        ({"side": "buy"}, "side is buy; give 1"),
        ({"entry": 4000.1}, "entry is 4000.1; round it to ES's tick of 0.25"),
        ({"entry": np.nan}, "entry is empty; give a price"),
        ({"target": "high"}, "target is high; give a price"),
        ({"stop": np.inf}, "stop is inf; give a price"),
        ({"stop": 4000.0}, "stop is 4000.0 with entry 4000.0; it must be below the entry of a long"),
        ({"side": -1}, "stop is 3995.0 with entry 4000.0; it must be below the entry of a long, above that of a short"),
        ({"target": 3999.0}, "target is 3999.0 with entry 4000.0; it must be above the entry of a long"),
        ({"quantity": 0}, "quantity is 0.0; give a whole number"),
        ({"quantity": 1.5}, "quantity is 1.5; give a whole number"),
        ({"quantity": -2}, "quantity is -2.0; give a whole number"),
        ({"session": "Tuesday week"}, "session is Tuesday week; give the trade date"),
        ({"session": pd.NaT}, "session is empty; give the trade date"),
    ],
)
def test_read_orders_bad_value_is_named_with_its_row(change: dict, message: str, es: Instrument) -> None:
    orders = pd.DataFrame([GOOD, {**GOOD, **change}], index=["first", "second"])

    with pytest.raises(DataError) as caught:
        read_orders(orders, es, Account())

    assert str(caught.value).startswith("orders row second: " + message)


def test_read_orders_missing_column_is_named(es: Instrument) -> None:
    with pytest.raises(DataError, match=r"orders have no column stop; they need session, side, entry, stop\b"):
        read_orders(book(GOOD).drop(columns="stop"), es, Account())


def test_read_orders_sessions_in_any_form_are_the_same_midnight(es: Instrument) -> None:
    forms = ["2021-03-16", dt.date(2021, 3, 16), pd.Timestamp("2021-03-16 08:30"), np.datetime64("2021-03-16")]
    together = book(*({**GOOD, "session": form} for form in forms))

    assert (read_orders(together, es, Account()).session == pd.Timestamp("2021-03-16")).all()
    for form in [*forms, pd.Timestamp("2021-03-16", tz="America/Chicago")]:
        alone = read_orders(book({**GOOD, "session": form}), es, Account()).session
        assert alone.equals(pd.DatetimeIndex(["2021-03-16"]).as_unit("ns"))


def test_read_orders_empty_quantity_means_the_sizing_rule(es: Instrument) -> None:
    orders = book({**GOOD, "quantity": 2}, {**GOOD, "quantity": None}, {**GOOD, "quantity": np.nan})

    assert read_orders(orders, es, Account()).quantity.tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("contracts", "names"),
    [
        ([202403.0, np.nan], ["202403", None]),  # whole numbers beside an empty cell of a CSV
        ([202403, 202406], ["202403", "202406"]),
        (["ESH24", ""], ["ESH24", None]),
        (["ESH24", 202406], ["ESH24", "202406"]),
        ([None, None], [None, None]),
    ],
)
def test_read_orders_contracts_are_names(contracts: list, names: list, es: Instrument) -> None:
    orders = book(*({**GOOD, "contract": contract} for contract in contracts))

    read = read_orders(orders, es, Account()).contract

    assert read is not None
    assert read.tolist() == names


@pytest.mark.parametrize("kind", ["int64", object])
def test_read_orders_session_as_a_number_is_refused(kind: object, es: Instrument) -> None:
    orders = book(GOOD).assign(session=pd.Series([20_210_316], dtype=kind))

    with pytest.raises(DataError, match="orders row 0: session is 20210316; give the trade date as a date or text"):
        read_orders(orders, es, Account())


def test_read_orders_volatility_above_the_target_scales_the_risk_down(es: Instrument) -> None:
    orders = book({**GOOD, "volatility": 0.30}, {**GOOD, "volatility": 0.10})

    risk = read_orders(orders, es, Account(volatility_target=0.15)).risk

    np.testing.assert_allclose(risk, [0.005, 0.01], rtol=1e-15)
    with pytest.raises(ConfigurationError, match="orders have no column volatility; add it"):
        read_orders(book(GOOD), es, Account(volatility_target=0.15))
    with pytest.raises(DataError, match=r"orders row 0: volatility is 0.0; give an annualised volatility above 0"):
        read_orders(book({**GOOD, "volatility": 0.0}), es, Account(volatility_target=0.15))


def test_read_orders_fine_ticks_of_crypto_are_on_the_grid() -> None:
    xrp = load_instruments()["XRPBTC"]
    orders = pd.DataFrame(
        {"session": ["2021-04-20"], "side": [1], "entry": [0.00002345], "stop": [0.00002340], "target": [0.00002360]}
    )

    checked = read_orders(orders, xrp, Account())

    assert (checked.entry[0], checked.stop[0], checked.target[0]) == (2345, 2340, 2360)


@pytest.mark.parametrize(
    "orders",
    [pd.DataFrame(), pd.DataFrame(columns=["session", "side", "entry", "stop", "target"]), book(GOOD).iloc[:0]],
    ids=["no columns", "untyped", "typed"],
)
def test_simulate_no_orders_leaves_equity_flat_and_typed_empty_tables(orders: pd.DataFrame, es: Instrument) -> None:
    result = simulate(session_bars([(BASE, BASE, BASE, BASE)] * 3), orders, es, Account())

    assert len(result.trades) == 0
    assert {name: str(kind) for name, kind in result.trades.dtypes.items() if name != "order"} == {
        "session": "datetime64[ns]",
        "side": "int64",
        "quantity": "int64",
        "entry_time": "datetime64[ns, UTC]",
        "entry_price": "float64",
        "exit_time": "datetime64[ns, UTC]",
        "exit_price": "float64",
        "exit_reason": "str",
        "commission": "float64",
        "pnl": "float64",
        "ambiguous": "bool",
        "r_multiple": "float64",
        "bars_held": "int64",
    }
    assert result.orders[["status", "reason"]].dtypes.astype(str).tolist() == ["str", "str"]
    assert result.equity.tolist() == [100_000.0] * 3


def test_simulate_no_bars_cancels_every_order(es: Instrument) -> None:
    bars = session_bars([(BASE, BASE, BASE, BASE)]).iloc[:0]

    result = simulate(bars, book(GOOD), es, Account())

    assert result.orders[["status", "reason"]].iloc[0].tolist() == ["cancelled", "no_bars"]
    assert len(result.equity) == len(result.daily_returns) == len(result.trades) == 0


def test_simulate_unusable_bars_are_refused_in_one_sentence(es: Instrument) -> None:
    bars = session_bars([(BASE, BASE, BASE, BASE)] * 2)

    with pytest.raises(DataError, match="bars have no column low"):
        simulate(bars.drop(columns="low"), book(GOOD), es, Account())
    with pytest.raises(DataError, match="no time zone"):
        simulate(bars.assign(timestamp=bars["timestamp"].dt.tz_localize(None)), book(GOOD), es, Account())
    with pytest.raises(ConfigurationError, match="hours is 'night'; it must be 'rth'"):
        simulate(bars, book(GOOD), es, Account(), hours="night")  # type: ignore[arg-type]
