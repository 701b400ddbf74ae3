"""A small market carried through the whole chain, for the reports to show."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.backtest import Account, simulate
from pipeline.market import Instrument, session_schedule
from pipeline.performance import summary
from pipeline.profiles import session_profiles
from pipeline.reports import ReportInputs
from pipeline.strategy import StrategySettings, make_candidates, null_pass_rates, rule_signals, session_history

FADES, RULES = "All fades", "Rule signals"


def walk(instrument: Instrument, first: str = "2024-01-02", last: str = "2024-04-30", seed: int = 3) -> pd.DataFrame:
    """Half-hour bars of a random walk in regular hours."""
    schedule = session_schedule(instrument, first, last)
    times = pd.DatetimeIndex(
        np.concatenate(
            [
                pd.date_range(row.rth_open, row.rth_close, freq="30min", inclusive="left").tz_localize(None).to_numpy()
                for row in schedule.itertuples()
            ]
        ),
        tz="UTC",
    )
    random = np.random.default_rng(seed)
    ends = 19_000 + np.cumsum(random.integers(-24, 25, (len(times), 4)), axis=None).reshape(len(times), 4)
    return pd.DataFrame(
        {
            "timestamp": times,
            "open": ends[:, 0] / 4,
            "high": ends.max(axis=1) / 4,
            "low": ends.min(axis=1) / 4,
            "close": ends[:, 3] / 4,
            "volume": random.integers(100, 1000, len(times)).astype(float),
        }
    )


def report_inputs(bars: pd.DataFrame, instrument: Instrument) -> ReportInputs:
    """Everything a report shows of these bars, all candidates and rule signals both traded."""
    settings, account = StrategySettings(), Account()
    profiles = session_profiles(bars, instrument)
    history = session_history(bars, profiles, instrument, settings)
    signals = rule_signals(make_candidates(history, instrument, settings), history, settings)
    results = {
        FADES: simulate(bars, signals, instrument, account),
        RULES: simulate(bars, signals[signals["rule_signal"]], instrument, account),
    }
    return ReportInputs(
        title="ES value-area fades",
        symbol="ES",
        source="a random walk",
        simulated=False,
        instrument=instrument,
        account=account,
        settings=settings,
        bars=bars,
        profiles=profiles,
        history=history,
        results=results,
        summaries={name: summary(result) for name, result in results.items()},
        signals=signals,
        null_rates=null_pass_rates(settings, paths=200, seed=0),
        cleaning={"rows_in": len(bars) + 5, "kept": len(bars), "duplicate": 3, "bad_ohlc": 2, "snapped": 7},
    )


def with_few_trades(inputs: ReportInputs) -> ReportInputs:
    """The same, the orders of the first ten sessions only, and no rule signal."""
    early = inputs.signals[inputs.signals["session"] < inputs.signals["session"].drop_duplicates().iloc[10]]
    results = {
        FADES: simulate(inputs.bars, early, inputs.instrument, inputs.account),
        RULES: simulate(inputs.bars, early.iloc[:0], inputs.instrument, inputs.account),
    }
    return replace(inputs, results=results, summaries={name: summary(result) for name, result in results.items()})


def with_no_trades(inputs: ReportInputs) -> ReportInputs:
    """The same, no order ever sent."""
    none = simulate(inputs.bars, inputs.signals.iloc[:0], inputs.instrument, inputs.account)
    return replace(inputs, results={FADES: none, RULES: none}, summaries={FADES: summary(none), RULES: summary(none)})
