"""Backtests in a file: read as they were written, to the bit, in the same bytes each time, and nothing else is read."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, BacktestResult, Backtests, read_backtests, simulate, write_backtests
from pipeline.errors import DataError
from pipeline.market import Instrument, load_instruments, simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategy import TradingRules, make_signals, session_history
from tests.backtest.frames import BASE, book, order, session_bars

B = BASE
QUIET = (B + 8, B + 8, B + 8, B + 8)


@pytest.fixture(scope="module")
def results() -> dict[str, BacktestResult]:
    """A year of a simulated market with rolls: orders of every column kind, filled, skipped and not reached."""
    es = load_instruments()["ES"]
    bars = simulate_market(es, "2021-01-04", 120, 3, bar="15min")
    rules = TradingRules()
    history = session_history(bars, session_profiles(bars, es), es, rules.history)
    signals = make_signals(history, es, rules, bars)
    small = Account(initial_capital=30_000, slippage_ticks=2)
    return {
        "Rule signals": simulate(bars, signals[signals["rule_signal"]], es, Account()),
        "All fades": simulate(bars, signals, es, small),
    }


def written(backtests: Backtests) -> bytes:
    file = io.BytesIO()
    write_backtests(backtests, file)
    return file.getvalue()


def read(content: bytes) -> Backtests:
    return read_backtests(io.BytesIO(content))


def assert_same(one: BacktestResult, other: BacktestResult) -> None:
    for table in ("trades", "orders"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table), check_exact=True, check_freq=True)
    for series in ("equity", "session_equity", "daily_returns"):
        pd.testing.assert_series_equal(getattr(one, series), getattr(other, series), check_exact=True)
        assert getattr(one, series).to_numpy().tobytes() == getattr(other, series).to_numpy().tobytes()
    assert (one.account, one.instrument, one.off_tick_bars) == (other.account, other.instrument, other.off_tick_bars)


def test_read_backtests_are_those_written_to_the_bit(results: dict[str, BacktestResult]) -> None:
    attrs = {"source": "a", "settings": {"strategy.x": 0.1, "none": None}, "findings": [{"a": 1}]}
    assert len(results["All fades"].trades) > 20
    assert results["All fades"].orders["status"].nunique() > 2

    found = read(written(Backtests(results, attrs)))

    assert list(found.results) == ["Rule signals", "All fades"]
    assert found.attrs == attrs
    for name, result in results.items():
        assert_same(result, found.results[name])


def test_same_backtests_give_the_same_bytes(results: dict[str, BacktestResult]) -> None:
    first = written(Backtests(results, {"a": 1}))

    assert written(Backtests(results, {"a": 1})) == first
    assert written(read(first)) == first


def test_tables_can_be_read_by_any_program(results: dict[str, BacktestResult]) -> None:
    with zipfile.ZipFile(io.BytesIO(written(Backtests(results)))) as archive:
        assert archive.testzip() is None
        assert [name for name in archive.namelist() if name.startswith("rule_signals")] == [
            f"rule_signals/{table}.parquet" for table in ("trades", "orders", "equity")
        ]
        equity = pd.read_parquet(io.BytesIO(archive.read("all_fades/equity.parquet")))
    assert list(equity.columns) == ["timestamp", "equity"]
    assert np.array_equal(equity["equity"], results["All fades"].equity)


def test_backtest_without_a_trade_is_read_as_written(es: Instrument) -> None:
    bars = session_bars([QUIET, QUIET])
    idle = simulate(bars, book(order(1, B, B - 20, B + 40)), es, Account())
    assert len(idle.trades) == 0

    assert_same(idle, read(written(Backtests({"idle": idle}))).results["idle"])


@pytest.mark.parametrize("names", [("Rule signals", "rule_signals", "RULE: signals!"), ("?", "!", "1")])
def test_names_that_look_alike_keep_their_own_tables(
    results: dict[str, BacktestResult], names: tuple[str, str, str]
) -> None:
    rules, fades = results["Rule signals"], results["All fades"]
    other = replace(rules, off_tick_bars=7)

    found = read(written(Backtests(dict(zip(names, (rules, fades, other), strict=True))))).results

    assert list(found) == list(names)
    for name, result in zip(names, (rules, fades, other), strict=True):
        assert_same(result, found[name])


def test_no_backtests_at_all_are_read_as_written() -> None:
    assert read(written(Backtests({}, {"a": [1]}))) == Backtests({}, {"a": [1]})


def rewritten(content: bytes, name: str, text: bytes | None) -> bytes:
    """The archive with one file's content replaced; without that file where None is given."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
            elif text is not None:
                new.writestr(each, text)
    return file.getvalue()


def contents(content: bytes) -> dict[str, list[dict[str, object]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found: dict[str, list[dict[str, object]]] = json.loads(archive.read("contents.json"))
    return found


def test_file_that_holds_no_backtests_is_refused(results: dict[str, BacktestResult]) -> None:
    good = written(Backtests(results))
    described = contents(good)
    described["backtests"][0]["account"] = {"initial_capital": -1}
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 255
    bad = {
        "nothing": b"",
        "a text": b"not an archive",
        "cut off": good[: len(good) // 2],
        "a flipped byte": bytes(flipped),
        "no contents": rewritten(good, "contents.json", None),
        "contents that are no JSON": rewritten(good, "contents.json", b"{"),
        "contents of another kind": rewritten(good, "contents.json", b"[1]"),
        "an impossible account": rewritten(good, "contents.json", json.dumps(described).encode()),
        "a missing table": rewritten(good, "rule_signals/equity.parquet", None),
        "a table that is none": rewritten(good, "all_fades/trades.parquet", b"PAR1 nothing PAR1"),
    }
    for what, content in bad.items():
        with pytest.raises((DataError, OSError)) as caught:
            read(content)
        assert "\n" not in str(caught.value), what
