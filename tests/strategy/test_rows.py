"""The rows that a strategy's levels stand on: its own setting, or the instrument's."""

import pandas as pd

from pipeline.market import load_instruments, simulate_market
from pipeline.market.instruments import Instrument
from pipeline.profiles import RowRule
from pipeline.research import run_research
from pipeline.settings import Settings
from pipeline.strategy import HistorySettings


def _research(instrument: Instrument, bars: pd.DataFrame, **strategy: object):
    return run_research(bars, instrument, Settings(history=HistorySettings(**strategy)))


def test_row_rule_takes_the_instruments_height_unless_set(es: Instrument) -> None:
    btc = load_instruments()["BTCUSDT"]

    assert HistorySettings().row_rule(es) == RowRule()
    assert HistorySettings().row_rule(btc) == RowRule(ticks_per_row=1000)
    assert HistorySettings(ticks_per_row=1, allocation="tpo", tpo_minutes=15).row_rule(btc) == RowRule("tpo", 1, 15)


def test_candidates_stand_on_the_ends_of_their_rows(es: Instrument) -> None:
    bars = simulate_market(es, "2021-01-04", 40, 5, bar="15min")

    wide = _research(es, bars, ticks_per_row=4)

    ticks = es.to_ticks(wide.signals["entry"])
    longs = (wide.signals["side"] > 0).to_numpy()
    assert len(ticks) > 10
    assert set(ticks[longs] % 4) == {0}
    assert set(ticks[~longs] % 4) == {3}
    assert set(es.to_ticks(wide.history["vpoc"]) % 4) == {1}


def test_research_of_bars_without_volume_goes_through_on_time(es: Instrument) -> None:
    bars = simulate_market(es, "2021-01-04", 40, 5, bar="15min").assign(volume=0.0)

    research = _research(es, bars, allocation="tpo")

    assert len(research.history) == 40
    assert (research.profiles["volume"] > 0).all()
    assert research.history["volume"].isna().all()
    assert len(research.signals) > 10
