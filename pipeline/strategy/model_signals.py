"""The model's signal: which candidates a model's out-of-fold score lets through (contract §5)."""

import pandas as pd

from pipeline.errors import DataError

__all__ = ["MODEL_SIGNAL_COLUMNS", "model_signals"]

MODEL_SIGNAL_COLUMNS = ("score", "threshold", "fold", "origin", "model_signal")
# A score of any other origin may know what it is to be judged on.
_ORIGINS = ("out_of_fold", "final")


def model_signals(signals: pd.DataFrame, predictions: pd.DataFrame, *, require_rules: bool = False) -> pd.DataFrame:
    """Candidates with what a model says of them.

    Parameters
    ----------
    signals
        From :func:`pipeline.strategy.rule_signals`, shape (n, ...).
    predictions
        Of a walk-forward over the same candidates: ``fold``, ``score``, ``threshold`` and ``origin``, shape (n, ...),
        rows in any order.
    require_rules
        Whether the rules must let a candidate through too.

    Returns
    -------
    DataFrame
        The signals, row by row, and: ``score`` and ``threshold`` (NaN where there is none), ``fold`` (Int64, −1 where
        none scored it), ``origin`` and ``model_signal`` (bool): the score is at or above its threshold, and with
        ``require_rules`` it is a rule signal. Without a score there is no signal.

    Raises
    ------
    DataError
        If both are not of the same candidates, or a score has another origin than ``out_of_fold`` or ``final``.
    """
    needed = MODEL_SIGNAL_COLUMNS[:-1]
    if absent := [name for name in needed if name not in predictions.columns]:
        raise DataError(f"the predictions have no column {absent[0]}; make them with a walk-forward")
    if require_rules and "rule_signal" not in signals.columns:
        raise DataError("the signals have no column rule_signal, which require_rules asks for; make the rule signals")
    if not (signals.index.is_unique and predictions.index.is_unique) or set(signals.index) != set(predictions.index):
        raise DataError(
            f"{len(signals)} signals and {len(predictions)} predictions are not of the same candidates; train again"
        )
    made = predictions.loc[signals.index, list(needed)]
    scored = made["score"].notna()
    if (stray := scored & ~made["origin"].isin(_ORIGINS)).any():
        first = stray.idxmax()
        raise DataError(
            f"the score of candidate {first} has the origin {made.loc[first, 'origin']!r}, not out_of_fold or final: "
            "its model may have known the outcome; train again with a walk-forward"
        )
    signal = scored & made["score"].ge(made["threshold"])
    if require_rules:
        signal &= signals["rule_signal"]
    return signals.assign(**{name: made[name] for name in needed}, model_signal=signal)
