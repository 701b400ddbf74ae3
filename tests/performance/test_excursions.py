"""Excursions worked out by hand: entry limit 100, stop 98, target 104, so 1 R is 2 points."""

import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.performance import excursions
from tests.performance.results import trade

ORDER = pd.DataFrame({"side": [1], "entry": [100.0], "stop": [98.0], "target": [104.0]})


def bars(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    times = pd.date_range("2024-01-02 15:00", periods=len(rows), freq="5min", tz="UTC")
    return pd.DataFrame(rows, columns=["open", "high", "low", "close"]).assign(timestamp=times)


def measured(es, prices, first, last, entry, exit_, reason, *, short=False):
    """Excursions of one trade; a short is the same mirrored at 100."""
    frame, orders, side = bars(*prices), ORDER, 1
    if short:
        mirrored = {"open": "open", "high": "low", "low": "high", "close": "close"}
        frame = frame.assign(**{name: 200 - frame[other] for name, other in mirrored.items()})
        orders = ORDER.assign(side=-1, entry=100.0, stop=102.0, target=96.0)
        entry, exit_, side = 200 - entry, 200 - exit_, -1
    times = frame["timestamp"]
    row = trade(str(times[first])[:16], str(times[last])[:16], 0.0, side=side, exit_reason=reason)
    row |= {"entry_price": entry, "exit_price": exit_, "order": 0}
    found = excursions(pd.DataFrame([row]), orders, frame, es).iloc[0]
    return found["mae"], found["mfe"], found["mae_exact"], found["mfe_exact"]


CASES = {
    # Filled inside bar 0, whose high may have come first; all of bar 1 counts; the stop ends it in bar 2, before or
    # after its high of 101.5, which is less than bar 1's.
    "stopped_inside": (
        [(101, 103, 99.5, 99.75), (99.75, 102, 99, 101), (101, 101.5, 97.5, 98)],
        (0, 2, 100, 97.75, "stop"),
        (1.125, 1.0, True, False),
    ),
    # The target fills at 104; bar 2's low of 98.5 may have come before.
    "target_inside": (
        [(101, 101, 99.5, 100), (100, 101, 99, 100.5), (100.5, 104.5, 98.5, 104)],
        (0, 2, 100, 104, "target"),
        (0.5, 2.0, False, True),
    ),
    # Filled at the open below the limit: all of bar 0 counts.
    "filled_at_the_open": (
        [(99.5, 101.5, 99, 100), (100, 100.5, 99.25, 100)],
        (0, 1, 99.5, 99.75, "close"),
        (0.25, 1.0, True, True),
    ),
    # The session ends inside the entry bar: after the fill come its low and its close.
    "closed_in_the_entry_bar": (
        [(101, 102, 99.5, 100.5)],
        (0, 0, 100, 100.25, "close"),
        (0.25, 0.25, True, False),
    ),
    # Stopped in the bar of the fill: nothing but the fills is certain.
    "stopped_in_the_entry_bar": (
        [(101, 102, 97, 99)],
        (0, 0, 100, 97.75, "stop"),
        (1.125, 0.0, True, False),
    ),
    "target_in_the_entry_bar": (
        [(101, 105, 99, 104.5)],
        (0, 0, 100, 104, "target"),
        (0.0, 2.0, False, True),
    ),
    # A gap beyond the stop: out at the open, whatever the bar does afterwards.
    "stopped_at_the_open": (
        [(100.25, 100.25, 99.5, 100), (97, 103, 96, 102)],
        (0, 1, 100, 96.75, "stop"),
        (1.625, 0.0, True, False),
    ),
    # A margin call is met at the next open, before anything the bar does.
    "liquidated_at_the_open": (
        [(100.25, 100.25, 99.5, 99.75), (99.25, 103, 98.5, 102)],
        (0, 1, 100, 99, "margin_call"),
        (0.5, 0.0, True, False),
    ),
    "target_at_the_open": (
        [(100.25, 100.25, 99.5, 100.25), (105, 106, 90, 95)],
        (0, 1, 100, 105, "target"),
        (0.25, 2.5, True, True),
    ),
}


@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
@pytest.mark.parametrize("case", CASES)
def test_excursions_of_a_hand_made_trade(es, case, short):
    prices, how, expected = CASES[case]
    assert measured(es, prices, *how, short=short) == pytest.approx(expected)


def test_excursions_are_never_less_than_what_the_trade_made_or_lost(es):
    from tests.reports.chain import FADES, report_inputs, walk

    inputs = report_inputs(walk(es), es)
    result = inputs.results[FADES]
    found = excursions(result.trades, result.orders, inputs.bars, es)
    trades = result.trades
    made = trades["side"] * (trades["exit_price"] - trades["entry_price"])
    placed = result.orders.loc[trades["order"]]
    made_r = made.to_numpy() / (placed["entry"] - placed["stop"]).abs().to_numpy()
    assert len(found) == len(trades) > 30
    assert (found["mfe"] >= made_r - 1e-12).all()
    assert (found["mae"] >= -made_r - 1e-12).all()


def test_excursions_without_trades_are_empty(es):
    found = simulate(bars((100, 101, 99, 100)), ORDER.iloc[:0].assign(session=pd.NaT), es, Account())
    table = excursions(found.trades, found.orders, bars((100, 101, 99, 100)), es)
    assert table.columns.tolist() == ["mae", "mfe", "mae_exact", "mfe_exact"]
    assert table.empty
