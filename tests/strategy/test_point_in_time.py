import numpy as np
import pandas as pd
import pytest

from pipeline.strategy import HistorySettings, TradingRules, make_signals, session_history
from tests.strategy.market import toy_bars, toy_history
from tests.strategy.replay import leaking_columns, warm_up_differences

# Short memory, so that warm-up variations fit a small market.
SHORT = HistorySettings(trend_window=8, direction_window=30, calm_short=3, calm_long=9, atr_window=6)
CUTOFFS = (1, 2, 8, 20, 31, 63, 64, 65, 70, 84, 126, 127, 139)


@pytest.fixture(scope="module")
def bars(es):
    return toy_bars(es, sessions=140)


def signals_of(bars, es, settings):
    return make_signals(toy_history(bars, es, settings), es, TradingRules(settings))


@pytest.mark.parametrize("settings", [HistorySettings(), SHORT], ids=["contract", "short"])
def test_history_cut_off_at_any_session_is_the_same_to_the_bit(bars, es, settings):
    def build(held):
        return toy_history(held, es, settings)

    assert leaking_columns(build, bars, es, CUTOFFS, key="index") == set()


@pytest.mark.parametrize("settings", [HistorySettings(), SHORT], ids=["contract", "short"])
def test_signals_cut_off_at_any_session_are_the_same_to_the_bit(bars, es, settings):
    def build(held):
        return signals_of(held, es, settings)

    assert leaking_columns(build, bars, es, CUTOFFS, key="decided_on") == set()


def test_history_does_not_depend_on_where_the_data_starts(bars, es):
    def build(held):
        return toy_history(held, es, SHORT)

    assert warm_up_differences(build, bars, es, (1, 2, 3, 17, 40, 62, 63, 64, 90), SHORT.memory) == set()


def test_history_memory_is_as_long_as_declared_at_most(es):
    settings = HistorySettings()
    bars = toy_bars(es, sessions=330)

    def build(held):
        return toy_history(held, es, settings)

    assert warm_up_differences(build, bars, es, (1, 70), settings.memory) == set()
    assert warm_up_differences(build, bars, es, (70,), settings.memory - 100) == {"direction_probability"}


def centred(history: pd.DataFrame) -> pd.Series:
    return history["vpoc"].rolling(5, center=True).mean()


LOOK_AHEADS = {
    "shift(-1)": lambda h: h["vpoc_move"].shift(-1),
    "centred window": centred,
    "whole-sample z-score": lambda h: (h["atr_6"] - h["atr_6"].mean()) / h["atr_6"].std(),
    "backfill": lambda h: h["vpoc_move"].bfill(),
    "one regression for all days": lambda h: h["slope"].iloc[-1] + 0 * h["vpoc"],
    "future roll date": lambda h: (h["contract"] != h["contract"].shift(-1)).astype(float),
    "rank over the whole sample": lambda h: h["r_squared"].rank(pct=True),
    "last bit only": lambda h: np.nextafter(h["vpoc"], h["vpoc"].iloc[-1]),
}


def test_replay_catches_every_planted_look_ahead_and_nothing_else(bars, es):
    def build(held):
        history = toy_history(held, es, SHORT)
        return history.assign(**{name: plant(history) for name, plant in LOOK_AHEADS.items()})

    assert leaking_columns(build, bars, es, CUTOFFS, key="index") == set(LOOK_AHEADS)


def test_replay_catches_a_look_ahead_in_the_profiles_through_the_signals(bars, es):
    def build(held):
        history = toy_history(held, es, SHORT)
        peeking = history.assign(slope=history["slope"].shift(-1), vah=history["vah"].shift(-1).fillna(history["vah"]))
        return make_signals(peeking, es, TradingRules(SHORT))

    assert {"target", "trend"} <= leaking_columns(build, bars, es, (40, 60, 61, 62, 63, 90, 91), key="decided_on")


def test_warm_up_catches_a_value_that_remembers_the_start(bars, es):
    def build(held):
        history = toy_history(held, es, SHORT)
        return history.assign(planted=history["vpoc"].ewm(span=3).mean(), counted=np.arange(len(history)))

    assert warm_up_differences(build, bars, es, (5, 30), SHORT.memory) == {"planted", "counted"}


def test_real_es_cut_off_at_any_session_is_the_same_to_the_bit(real_data, es):
    import pipeline.profiles as profiles_package

    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:130_000]

    def build(held):
        history = session_history(held, profiles_package.session_profiles(held, es), es)
        signals = make_signals(history, es)
        facts = history.loc[pd.DatetimeIndex(signals["decided_on"])].add_prefix("history_").reset_index(drop=True)
        return pd.concat([signals, facts], axis=1)

    cutoffs = (1, 20, 53, 54, 55, 117, 118, 252, 253, 300, 371, 400, 441)
    assert leaking_columns(build, bars, es, cutoffs, key="decided_on") == set()
