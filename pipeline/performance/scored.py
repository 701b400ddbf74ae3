"""The rows that models are judged by: candidates with a score made out of fold, and their outcome."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.errors import DataError

__all__ = ["SCORED_COLUMNS", "require_scored", "scored_rows"]

SCORED_COLUMNS = ("start", "session", "side", "fold", "score", "threshold", "label", "net", "r_multiple", "weight")
OUT_OF_FOLD = "out_of_fold"
_FROM_PREDICTIONS = ("fold", "score", "threshold")


def scored_rows(predictions: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Candidates that have both: a score made out of fold and an outcome.

    Parameters
    ----------
    predictions
        By candidate, of a walk-forward: ``fold``, ``score``, ``threshold`` and ``origin``; more rows than outcomes,
        as many orders never fill.
    outcomes
        By candidate, such as the asset ``training_set``: ``start``, ``session``, ``side``, ``label``, ``net``,
        ``r_multiple`` and ``weight``.

    Returns
    -------
    DataFrame
        Index as ``outcomes`` (some of its rows), columns :data:`SCORED_COLUMNS`, in order of ``start``.

    Raises
    ------
    DataError
        For a column that is missing.
    """
    _require_columns(predictions, (*_FROM_PREDICTIONS, "origin"), "the predictions")
    _require_columns(outcomes, [name for name in SCORED_COLUMNS if name not in _FROM_PREDICTIONS], "the outcomes")
    made = predictions[predictions["origin"].astype("str") == OUT_OF_FOLD]
    both = outcomes.drop(columns=list(_FROM_PREDICTIONS), errors="ignore").join(
        made[list(_FROM_PREDICTIONS)], how="inner"
    )
    kept = both[both["score"].notna() & both["label"].notna()][list(SCORED_COLUMNS)]
    numbers = dict.fromkeys(("score", "threshold", "label", "net", "r_multiple", "weight"), "float64")
    return kept.astype({"fold": "int64", **numbers}).sort_values("start", kind="stable")


def require_scored(scored: pd.DataFrame) -> pd.DataFrame:
    """The frame as given, once it holds what judging takes.

    Raises
    ------
    DataError
        For a missing column, a doubled candidate, a value that is missing, a label other than 0 or 1, a score outside
        0 to 1, or a row that no fold scored: such a score knew the outcome.
    """
    _require_columns(scored, SCORED_COLUMNS, "the scored rows")
    if scored.index.has_duplicates:
        twice = scored.index[scored.index.duplicated()][0]
        raise DataError(f"candidate {twice} comes more than once in the scored rows; keep one row per candidate")
    if absent := [name for name in SCORED_COLUMNS if scored[name].isna().any()]:
        row = scored.index[scored[absent[0]].isna()][0]
        raise DataError(
            f"{absent[0]} of candidate {row} is missing in the scored rows; leave out candidates without a score or "
            "an outcome"
        )
    label, score = scored["label"].to_numpy(np.float64), scored["score"].to_numpy(np.float64)
    if not np.isin(label, (0.0, 1.0)).all():
        raise DataError("labels of the scored rows must be 0 or 1, above zero or not")
    if len(wrong := np.flatnonzero(~((score >= 0) & (score <= 1)))):
        raise DataError(
            f"the score of candidate {scored.index[wrong[0]]} is {score[wrong[0]]}; scores lie between 0 and 1"
        )
    if len(wrong := np.flatnonzero(scored["fold"].to_numpy(np.int64) < 0)):
        raise DataError(
            f"candidate {scored.index[wrong[0]]} was scored by no fold, so its model may have learned from its "
            "outcome; judge models by out-of-fold scores only"
        )
    return scored


def _require_columns(frame: pd.DataFrame | Mapping[str, object], names: list[str] | tuple[str, ...], what: str) -> None:
    if absent := [name for name in names if name not in frame]:
        raise DataError(f"{what} have no column {absent[0]}; there must be {', '.join(names)}")
