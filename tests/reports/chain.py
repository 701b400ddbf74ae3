"""A small market carried through the whole chain, for the reports to show."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.backtest import Account, simulate
from pipeline.market import Instrument, session_schedule
from pipeline.performance import judge_model, summary
from pipeline.profiles import session_profiles
from pipeline.reports import ModelFindings, ReportInputs
from pipeline.strategies.value_area_fade import ValueAreaFade
from pipeline.strategy import TradingRules, make_signals, session_history

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
    rules, account = TradingRules(), Account()
    profiles = session_profiles(bars, instrument)
    history = session_history(bars, profiles, instrument)
    signals = make_signals(history, instrument, rules)
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
        settings=rules.history,
        strategy=rules.strategy,
        bars=bars,
        profiles=profiles,
        history=history,
        results=results,
        summaries={name: summary(result) for name, result in results.items()},
        signals=signals,
        null_rates=ValueAreaFade().null_rates(rules.history, paths=200, seed=0),
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


def scored_candidates(
    inputs: ReportInputs, *, edge: float = 0.0, seed: int = 0, threshold: float = 0.4
) -> pd.DataFrame:
    """Made-up out-of-fold scores and outcomes of the report's own candidates; scores of winners lie higher."""
    random = np.random.default_rng(seed)
    signals = inputs.signals
    label = (np.random.default_rng(99).random(len(signals)) < 0.4).astype(float)
    score = 1 / (1 + np.exp(0.4 - 0.5 * (random.standard_normal(len(signals)) + edge * (2 * label - 1))))
    return pd.DataFrame(
        {
            "start": signals["decided_on"].dt.tz_localize("UTC") + pd.Timedelta("21h"),
            "session": signals["session"],
            "side": signals["side"],
            "fold": 1 + 3 * np.arange(len(signals)) // len(signals),
            "score": score,
            "threshold": 0.4,
            "label": label,
            "net": np.where(label > 0, 500.0, -250.0),
            "r_multiple": np.where(label > 0, 2.0, -1.0),
            "weight": 1.0,
        }
    )


def importances(seed: int = 0) -> pd.DataFrame:
    """Made-up importance of thirty features in three folds by every measure."""
    random = np.random.default_rng(seed)
    rows = [
        (method, fold, f"feature_{number}", random.normal(30 - number, 5))
        for method in ("gain", "permutation", "shap")
        for fold in (1, 2, 3)
        for number in range(30)
    ]
    return pd.DataFrame(rows, columns=["method", "fold", "feature", "value"])


def with_models(inputs: ReportInputs, *families: str, edge: float = 0.0) -> ReportInputs:
    """The same with models; ``constant`` scores every trade of a fold alike."""
    days = pd.to_datetime(["2024-02-05", "2024-03-05", "2024-04-05"], utc=True)
    until = pd.Series(days, index=pd.RangeIndex(1, 4, name="fold"))
    found = {}
    for number, family in enumerate(families):
        scored = scored_candidates(inputs, edge=edge, seed=number)
        if family == "constant":
            scored["score"] = 0.38 + 0.01 * scored["fold"]
        found[family] = ModelFindings(
            judge_model(scored, probabilistic=family != "lightgbm_r"),
            trained_until=until,
            importance=importances(number) if family != "constant" else pd.DataFrame(),
        )
    return replace(inputs, models=found)


def with_eight_strategies(inputs: ReportInputs) -> ReportInputs:
    """The same with six backtests more, which are the rules' under other names."""
    names = [FADES, RULES, *(f"ML family_{number}" for number in range(6))]
    return replace(
        inputs,
        results={name: inputs.results[FADES if name == FADES else RULES] for name in names},
        summaries={name: inputs.summaries[FADES if name == FADES else RULES] for name in names},
    )
