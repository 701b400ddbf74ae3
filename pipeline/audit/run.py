"""All checks, one after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.cutoffs import choose_cutoffs, last_sessions
from pipeline.audit.externals import check_externals
from pipeline.audit.folds import audit_folds
from pipeline.audit.label_replay import check_label_replay
from pipeline.audit.replay import check_incremental, check_truncation, check_warmup, warmup_groups
from pipeline.audit.report import AuditReport, Finding
from pipeline.audit.rolls import check_rolls
from pipeline.audit.separation import FEWEST_ROWS, audit_labels, audit_separation
from pipeline.audit.sequence_replay import check_sequence_replay
from pipeline.audit.tables import RawTable, available, raw_table
from pipeline.audit.trading_replay import check_fill_replay, check_signal_replay, fill_cutoffs, signal_cutoffs
from pipeline.audit.values import check_values
from pipeline.backtest import Account, simulate
from pipeline.errors import ConfigurationError, DataError
from pipeline.features import Feature, FeatureInputs, candidate_features, history_needed, registered
from pipeline.features.sequences import sequence_features
from pipeline.fresh_processes import FreshProcess
from pipeline.hardware import processors
from pipeline.learning import CombinatorialPurged, PurgedWalkForward, candidate_labels
from pipeline.learning.labels import known_outcomes
from pipeline.market import Instrument
from pipeline.settings import Settings
from pipeline.strategy import TradingRules, gate_columns, make_signals

__all__ = ["audit", "audit_trading", "auditing"]

Progress = Callable[[int, int, str], None]

WORTH_PROCESSES = 50_000
"""Bars from which on an audit is made in a process of its own."""

# Sessions that the incremental check adds.
_FRESH = 3
# Sessions that sequences are made to begin at.
_BEGINS = 2


def audit(
    bars: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules | None = None,
    *,
    features: Mapping[str, Feature] | None = None,
    vix: pd.DataFrame | None = None,
    external: Mapping[str, pd.DataFrame] | None = None,
    account: Account | None = None,
    splitters: Sequence[Any] | None = None,
    trading: bool = True,
    cutoffs: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> AuditReport:
    """Prove by replay that features, candidates, gates, labels, splits and fills don't see the future.

    What follows, up to a model's decision, :func:`pipeline.audit.check_chain` proves.

    Parameters
    ----------
    bars
        Clean bars of one symbol; the last session must be over.
    rules
        Strategy and history; the contract's by default.
    features
        By column name; the registered ones by default.
    vix, external
        As for :meth:`pipeline.features.FeatureInputs.from_bars`.
    account
        Of the labels; the contract's by default.
    splitters
        To judge on the candidates' labels; both of the project by default.
    trading
        Whether to judge what the strategy makes too: candidates, gates, fills, labels, splits.
    cutoffs
        At how many sessions' closes to cut the data off beside the rare days (:func:`pipeline.audit.rare_days`), which
        always are among them.
    seed
        Draws them.
    progress
        Called as (steps done, steps in all, what was done).

    Returns
    -------
    AuditReport

    Raises
    ------
    ConfigurationError
        For less than one cut-off.
    DataError
        For bars that can't be used, or fewer than three sessions.
    """
    pool = registered() if features is None else features
    rules = rules or TradingRules()
    inputs = FeatureInputs.from_bars(bars, instrument, rules.history, vix, external=external)
    _require(inputs, cutoffs)
    chosen = available(inputs, pool)
    skipped = {
        name: f"needs {', '.join(need for need in pool[name].needs if not inputs.has(need))}, which is missing"
        for name in sorted(set(pool) - set(chosen))
    }
    places = choose_cutoffs(inputs, cutoffs, seed)
    groups = warmup_groups(inputs, chosen)
    done = _Steps(progress, 5 + len(inputs.external) + len(places) + len(groups))

    whole = raw_table(inputs, chosen)
    done("features of all data")
    findings = check_values(inputs, chosen, whole)
    sound = {name: one for name, one in chosen.items() if name not in whole.failed and name not in whole.infinite}

    found = check_externals(inputs, chosen, whole, _dated(inputs, places), done)
    learned: list[Finding] = []
    if trading:
        learned, missing = _check_learning(inputs, rules, sound, whole, account or Account(), places, splitters, seed)
        skipped |= missing
    done("signals, labels, fills and folds")
    causes = {one.feature: one.likely_cause for one in (*found, *learned) if one.check in ("external", "separation")}
    found += check_truncation(inputs, chosen, whole, places, causes, done)
    for name, sessions in history_needed(inputs, features=chosen).items():
        if sessions >= len(inputs.sessions):
            skipped[name] = (
                f"only cut off, its start not varied: needs {sessions} sessions, the data has {len(inputs.sessions)}"
            )
    found += check_warmup(inputs, chosen, whole, groups, done)
    # One that is wrong already would be so again, and make the others' update start again.
    guilty = {one.feature for one in found}
    needed = history_needed(inputs, features=sound)
    enough = [name for name, sessions in needed.items() if sessions + _FRESH <= len(inputs.sessions)]
    agreeing = {name: sound[name] for name in enough if name not in guilty}
    found += check_incremental(inputs, agreeing, fresh=_FRESH, done=done)
    rolled, reason = check_rolls(inputs, chosen)
    if reason is not None:
        skipped["rolls"] = reason
    done("fake roll gaps")
    findings += [*found, *rolled, *learned]
    ours = {name: one.place for name, one in chosen.items() if one.built_in}
    findings = [replace(each, built_in=ours.get(each.feature, "")) for each in findings]
    return AuditReport(
        findings=tuple(sorted(findings, key=lambda finding: finding.severity == "warning")),
        judged=tuple(name for name in chosen if name not in whole.failed),
        skipped=skipped,
        cutoffs=tuple(inputs.sessions[places]),
        sessions=len(inputs.sessions),
    )


def audit_trading(
    bars: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules,
    *,
    account: Account | None = None,
    decisions: bool = True,
    cutoffs: int = 8,
    seed: int = 0,
) -> AuditReport:
    """Prove by replay that what a strategy makes doesn't see the future, whatever the features; see :func:`audit`.

    Parameters
    ----------
    decisions
        Whether to judge candidates, gates and fills too, which the checks of signals and backtests do on all bars.
    """
    inputs = FeatureInputs.from_bars(bars, instrument, rules.history)
    _require(inputs, cutoffs)
    places = choose_cutoffs(inputs, cutoffs, seed)
    none = raw_table(inputs, {})
    findings, skipped = _check_learning(
        inputs, rules, {}, none, account or Account(), places, None, seed, decisions=decisions
    )
    return AuditReport(
        findings=tuple(sorted(findings, key=lambda finding: finding.severity == "warning")),
        judged=(),
        skipped=skipped,
        cutoffs=tuple(inputs.sessions[places]),
        sessions=len(inputs.sessions),
    )


def _require(inputs: FeatureInputs, cutoffs: int) -> None:
    if isinstance(cutoffs, bool) or not isinstance(cutoffs, int) or cutoffs < 1:
        raise ConfigurationError(f"cutoffs is {cutoffs!r}; give a whole number, 1 or more")
    if len(inputs.sessions) < 3:
        raise DataError(
            f"{inputs.instrument.symbol} has {len(inputs.sessions)} sessions with volume; an audit needs 3 to cut any "
            "off"
        )


@contextmanager
def auditing(
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: Settings,
    *,
    of: Literal["features", "labels"],
    vix: pd.DataFrame | None = None,
    sessions: int,
    cutoffs: int,
) -> Iterator[Callable[[], AuditReport]]:
    """Audit the last sessions under a user's settings, beside what this process does meanwhile where it takes long.

    Parameters
    ----------
    bars, instrument, vix, cutoffs
        As of :func:`audit`.
    settings
        Strategy, chosen features, account and seed.
    of
        What to audit: a symbol's features, or the labels, sequences and splits of a book's candidates.
    sessions
        How many of the last sessions to audit.

    Yields
    ------
    Callable
        Waits for the report and returns it.
    """
    recent = last_sessions(bars, instrument, sessions)
    given = (recent, instrument, settings, of, vix, cutoffs)
    if len(recent) < WORTH_PROCESSES or processors() == 1:
        yield lambda: _audit_under(*given)
        return
    process = FreshProcess(_audit_under, *given)
    try:
        yield process.result
    finally:
        process.close()


def _audit_under(
    bars: pd.DataFrame, instrument: Instrument, settings: Settings, of: str, vix: pd.DataFrame | None, cutoffs: int
) -> AuditReport:
    account, seed = settings.account_for(instrument), settings.seed
    if of == "labels":
        return audit_trading(
            bars, instrument, settings.rules, account=account, decisions=False, cutoffs=cutoffs, seed=seed
        )
    return audit(
        bars,
        instrument,
        TradingRules(settings.history),
        features=settings.features.chosen(),
        vix=vix,
        trading=False,
        cutoffs=cutoffs,
        seed=seed,
    )


class _Steps:
    """Counts steps for a progress callback."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._count = progress, total, 0

    def __call__(self, what: str) -> None:
        self._count += 1
        if self._progress is not None:
            self._progress(self._count, self._total, what)


def _dated(inputs: FeatureInputs, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut-offs for the external series: those chosen, and each one's next session, in case a day has no row."""
    return np.unique(np.minimum(np.concatenate([places, places + 1]), len(inputs.sessions) - 1))


def _check_learning(
    inputs: FeatureInputs,
    rules: TradingRules,
    features: Mapping[str, Feature],
    whole: RawTable,
    account: Account,
    places: NDArray[np.int64],
    splitters: Sequence[Any] | None,
    seed: int,
    *,
    decisions: bool = True,
) -> tuple[list[Finding], dict[str, str]]:
    bars, instrument, hours = inputs.bars, inputs.instrument, rules.history.hours
    signals = make_signals(inputs.history, instrument, rules, bars)
    candidates = signals.drop(columns=gate_columns(signals))
    if not len(candidates):
        return [], {"labels": "no session makes a candidate; signals, labels, fills and folds were not judged"}
    findings: list[Finding] = []
    if decisions:
        sessions = signal_cutoffs(signals, inputs.history, instrument, seed)
        findings += check_signal_replay(bars, instrument, rules, signals, sessions)
        result = simulate(bars, candidates, instrument, account, hours=hours)
        findings += check_fill_replay(bars, candidates, result, hours, fill_cutoffs(bars, result, seed))
    labels = candidate_labels(bars, candidates, instrument, account, hours=hours)
    findings += check_label_replay(inputs, rules, candidates, labels, account, places)
    findings += check_sequence_replay(
        inputs, candidates, sequence_features(inputs, candidates), places, places[-_BEGINS:]
    )
    findings += audit_labels(labels, candidates, instrument)
    paired = [name for name in features if features[name].mirror in features]
    table = candidate_features(candidates, whole.frame[paired], registry=features)
    findings += audit_separation(table, labels, candidates["side"])

    frame = known_outcomes(labels)[["start", "end"]]
    if len(frame) < 2 * FEWEST_ROWS:
        return findings, {"folds": f"{len(frame)} filled candidates are too few to split"}
    for splitter in splitters if splitters is not None else (PurgedWalkForward(), CombinatorialPurged()):
        findings += audit_folds(splitter, frame)
    return findings, {}
