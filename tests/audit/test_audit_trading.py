"""What a strategy makes is proved apart from the features, which all books of a symbol share."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.audit import audit, audit_trading, auditing
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument
from pipeline.settings import Settings
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import Seen, Setups, TradingRules


class Peeking(ValueAreaFade):
    """Fades the value area of the session that is yet to come."""

    name = "peeking"

    def setups(self, seen: Seen) -> Setups:
        history = seen.history
        later = history.assign(vah=history["vah"].shift(-1).fillna(history["vah"]))
        return super().setups(Seen.of(later, seen.instrument, seen.settings))


@pytest.fixture(scope="module")
def half(market: tuple[pd.DataFrame, Instrument]) -> tuple[pd.DataFrame, Instrument]:
    bars, instrument = market
    return bars.iloc[: len(bars) // 2].reset_index(drop=True), instrument


def test_both_audits_together_are_the_whole_one(half: tuple[pd.DataFrame, Instrument]) -> None:
    how: dict[str, Any] = {"cutoffs": 2, "seed": 5}
    none: dict[str, Any] = {}
    rules = TradingRules()

    whole = audit(*half, rules, features=none, **how)
    features = audit(*half, rules, features=none, trading=False, **how)
    trading = audit_trading(*half, rules, **how)

    assert whole.passed
    assert features.cutoffs == trading.cutoffs == whole.cutoffs
    assert features.sessions == trading.sessions == whole.sessions
    assert {**features.skipped, **trading.skipped} == whole.skipped


def test_honest_strategy_passes_and_one_that_looks_ahead_does_not(half: tuple[pd.DataFrame, Instrument]) -> None:
    honest = audit_trading(*half, TradingRules(strategy=ValueAreaFade()), cutoffs=2)
    leaking = audit_trading(*half, TradingRules(strategy=Peeking()), cutoffs=2)

    assert honest.passed
    assert honest.findings == ()
    assert not leaking.passed
    assert "signals" in {finding.check for finding in leaking.findings}
    assert all(not finding.is_defect for finding in leaking.findings)


def test_strategy_that_looks_ahead_leaves_the_audit_of_features_alone(half: tuple[pd.DataFrame, Instrument]) -> None:
    report = audit(*half, TradingRules(strategy=Peeking()), features={}, trading=False, cutoffs=2)

    assert report.passed


@pytest.mark.parametrize("of", ["features", "labels"])
def test_audit_under_settings_is_of_what_is_asked(
    half: tuple[pd.DataFrame, Instrument], of: Any, tmp_path: Path
) -> None:
    bars, instrument = half
    few = Settings().features.without([name for name in Settings().features.chosen() if name != "rsi_15m"])
    settings = Settings().model_copy(update={"features": few})

    with auditing(bars, instrument, settings, of=of, sessions=40, cutoffs=1) as audited:
        report = audited()

    assert report.sessions == 40
    assert report.judged == (("rsi_15m",) if of == "features" else ())


@pytest.mark.parametrize("cutoffs", [0, -1, True, 1.5])
def test_impossible_number_of_cutoffs_is_refused(half: tuple[pd.DataFrame, Instrument], cutoffs: Any) -> None:
    with pytest.raises(ConfigurationError, match="cutoffs is"):
        audit_trading(*half, TradingRules(), cutoffs=cutoffs)


def test_two_sessions_are_too_few_to_cut_off(half: tuple[pd.DataFrame, Instrument]) -> None:
    bars, instrument = half
    begin = bars["timestamp"].iloc[0]
    two = bars[bars["timestamp"] < begin + pd.Timedelta(days=1, hours=20)]

    with pytest.raises(DataError, match="needs 3"):
        audit_trading(two, instrument, TradingRules())
