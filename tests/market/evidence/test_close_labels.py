from pathlib import Path

import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, label_sessions, simulate_market
from tests.market.evidence.looking import found

STEP = pd.Timedelta(minutes=5)


@pytest.fixture(scope="module")
def week(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2023-05-01", 6, 3).drop(columns="contract")


@pytest.mark.parametrize("hours", ["eth", "rth"])
def test_close_labels_read_as_opens_are_reported(week: pd.DataFrame, es: Instrument, hours: str) -> None:
    bars = week if hours == "eth" else week[label_sessions(week["timestamp"], es).regular]

    late = found(bars.assign(timestamp=bars["timestamp"] + STEP), es)
    early = found(bars.assign(timestamp=bars["timestamp"] - STEP), es)

    assert set(late) == set(early) == {"label"}
    assert "6 of 6" in late["label"].message
    assert late["label"].message.endswith("--label close")
    assert early["label"].message.endswith("--label open")
    assert not found(bars, es)


def test_close_labels_around_the_clock_are_not_looked_for() -> None:
    bitcoin = find_instrument("BTCUSDT")
    bars = simulate_market(bitcoin, "2023-05-01", 4, 3)

    assert not found(bars.assign(timestamp=bars["timestamp"] + STEP), bitcoin)


def test_close_labels_bars_at_the_close_beside_those_at_the_open_are_not_a_sign(
    es: Instrument, week: pd.DataFrame
) -> None:
    # As in 2015, when ES traded on to 16:15.
    last = week.groupby(label_sessions(week["timestamp"], es).sessions).tail(1)
    after = last.assign(timestamp=last["timestamp"] + STEP)

    assert "label" not in found(pd.concat([week, after]).sort_values("timestamp"), es)


def test_real_spy_minutes_labelled_by_their_close_are_reported(real_data: Path) -> None:
    spy = find_instrument("SPY")
    bars = pd.read_parquet(real_data / "spy_1m_lean.parquet")
    regular = bars[label_sessions(bars["timestamp"], spy).regular]

    assert "label" in found(regular.assign(timestamp=regular["timestamp"] + pd.Timedelta(minutes=1)), spy)
    assert "label" not in found(regular, spy)
