"""The chain from clean bars to what models learn from, without an orchestrator.

The assets make the same steps one by one; the null-market tests call this, and so does the audit, on bars cut off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.errors import DataError
from pipeline.features import Feature, FeatureInputs, build_features, candidate_features, history_needed
from pipeline.features.sequences import sequence_features
from pipeline.learning import average_uniqueness, candidate_labels
from pipeline.learning.labels import known_outcomes
from pipeline.market import Instrument
from pipeline.modelling import LearningInputs
from pipeline.settings import Settings
from pipeline.strategy import gate_columns, make_signals

__all__ = ["Chain", "make_chain", "make_training_set", "session_features", "sound_features"]


@dataclass(frozen=True)
class Chain:
    """Output of the chain on a symbol's bars, each frame named as the asset it is.

    Attributes
    ----------
    history
        By session.
    candidates, signals
        One row per candidate, without and with its gates.
    features
        By session.
    sequences, labels
        In the signals' index; the former None where not made.
    training_set
        The candidates that became trades.
    """

    history: pd.DataFrame
    candidates: pd.DataFrame
    signals: pd.DataFrame
    features: pd.DataFrame
    sequences: pd.DataFrame | None
    labels: pd.DataFrame
    training_set: pd.DataFrame

    def learning_inputs(self, source: str) -> LearningInputs:
        """Assemble what models learn from, of bars of this identity."""
        return LearningInputs.of(
            self.training_set, self.candidates, self.features, self.labels, self.sequences, source=source
        )


def make_chain(
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: Settings | None = None,
    *,
    vix: pd.DataFrame | None = None,
    known_until: pd.Timestamp | None = None,
    names: Iterable[str] | None = None,
    sequences: bool = True,
) -> Chain:
    """Make everything that models learn from, from clean bars.

    Parameters
    ----------
    bars
        Clean bars of one instrument (contract §1), shape (n,).
    instrument
        What trades.
    settings
        The defaults where None.
    vix
        Daily VIX rows; its features are absent without.
    known_until
        As for :func:`pipeline.strategy.make_signals` and :func:`pipeline.learning.candidate_labels`.
    names
        Features to make; all that the settings don't leave out by default.
    sequences
        Whether to make them.
    """
    chosen = settings or Settings()
    inputs = FeatureInputs.from_bars(bars, instrument, chosen.history, vix)
    signals = make_signals(inputs.history, instrument, chosen.rules, bars, known_until=known_until)
    candidates = signals.drop(columns=gate_columns(signals))
    features = session_features(inputs, chosen.features.chosen(), names)
    labels = candidate_labels(
        bars,
        candidates,
        instrument,
        chosen.account_for(instrument),
        hours=chosen.history.hours,
        known_until=known_until,
    )
    return Chain(
        inputs.history,
        candidates,
        signals,
        features,
        sequence_features(inputs, candidates) if sequences else None,
        labels,
        make_training_set(signals, features, labels),
    )


def session_features(
    inputs: FeatureInputs, selected: Mapping[str, Feature], names: Iterable[str] | None = None
) -> pd.DataFrame:
    """The selected features; no column where there are fewer sessions than any needs, which stops no report."""
    if len(inputs.sessions) < min(history_needed(inputs, features=selected).values(), default=0):
        return pd.DataFrame(index=inputs.sessions)
    return build_features(inputs, names, features=selected)


def sound_features(inputs: FeatureInputs, selected: Mapping[str, Feature]) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """The selected features without the user's own that fail, and why each of those does.

    Raises
    ------
    DataError
        For one that comes with the program.
    """
    try:
        return session_features(inputs, selected), {}
    except DataError:
        failed = {}
        for name, one in selected.items():
            if not one.built_in:
                try:
                    session_features(inputs, {name: one})
                except DataError as error:
                    failed[name] = str(error)
        if not failed:
            raise
        kept = {name: one for name, one in selected.items() if not {name, one.mirror} & set(failed)}
        return session_features(inputs, kept), failed


def make_training_set(signals: pd.DataFrame, features: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """One row per candidate that became a trade: outcome, side-aware features, uniqueness of the label's life.

    Parameters
    ----------
    signals
        Candidates with their gates, shape (m, ...).
    features
        By session.
    labels
        Of the candidates, in their index.

    Returns
    -------
    DataFrame
        In the signals' index: session, decided_on, side, start, end, label, r_multiple, net, rule_signal, the columns
        of :func:`pipeline.features.candidate_features`, weight.
    """
    rows = candidate_features(signals, features)
    outcome = known_outcomes(labels)
    weight = average_uniqueness(outcome["start"], outcome["end"])
    return pd.concat(
        [
            signals.loc[outcome.index, ["session", "decided_on", "side"]],
            outcome,
            signals.loc[outcome.index, ["rule_signal"]],
            rows.loc[outcome.index],
        ],
        axis=1,
    ).assign(weight=weight)
