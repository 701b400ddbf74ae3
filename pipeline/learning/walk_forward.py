"""Walk-forward training: every score comes from a model that learned only from labels known before the decision."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.fresh_processes import in_fresh_processes, tell
from pipeline.learning.intervals import instants, read_intervals
from pipeline.learning.models.fit_options import FitOptions, Progress
from pipeline.learning.models.protocol import Model
from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.splits import PurgedSplitter, PurgedWalkForward
from pipeline.learning.threshold import tune_threshold

__all__ = [
    "FINAL",
    "PREDICTION_COLUMNS",
    "FitPlan",
    "Fitted",
    "WalkForward",
    "fit_final",
    "fit_name",
    "out_of_fold_findings",
    "require_out_of_fold",
    "too_few_rows",
    "walk_forward",
]

FINAL = "final"
PREDICTION_COLUMNS = ("fold", "score", "threshold", "trained_until", "origin")
LEAST_TRAINING_ROWS = 30
LEAST_OF_A_CLASS = 5

_OUT_OF_FOLD = "out_of_fold"
_NO_TIME = np.iinfo(np.int64).min
Threshold = float | Literal["tuned"]


@dataclass(frozen=True)
class FitPlan:
    """How each model of a walk-forward comes about.

    Attributes
    ----------
    make
        A fresh, unfitted model, the same each time.
    splitter
        Whose test blocks to walk over.
    threshold
        0 to 1 for all, or ``tuned``: for each model by :func:`~pipeline.learning.threshold.tune_threshold` on
        purged out-of-fold scores of its own training rows.
    weigh
        Weighs the training rows of a fit; as they come without.

    Raises
    ------
    ConfigurationError
        For an impossible threshold.
    """

    make: Callable[[], Model]
    splitter: PurgedWalkForward
    threshold: Threshold = 0.5
    weigh: Callable[[TrainingRows], TrainingRows] | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if self.threshold != "tuned" and not (number and 0 <= self.threshold <= 1):
            raise ConfigurationError(f"the threshold is {self.threshold!r}; give a number from 0 to 1, or tuned")

    def fit(self, rows: TrainingRows, options: FitOptions) -> "Fitted":
        """Fit a model on these rows, and tune its threshold on them."""
        began = time.perf_counter()
        part = rows if self.weigh is None else self.weigh(rows)
        model = _fresh(self.make)
        model.fit(part, options)
        limit = float(self.threshold) if self.threshold != "tuned" else _tuned(model, part, options)
        until = pd.Timestamp(int(read_intervals(part.outcome).end.max()), tz="UTC")
        return Fitted(model, limit, until, time.perf_counter() - began)


@dataclass(frozen=True)
class WalkForward:
    """Result of a walk-forward.

    Attributes
    ----------
    predictions
        Index as the candidates scored; ``fold`` (Int64, 1 to n; −1 where no fold scored it), ``score`` (NaN without
        one), ``threshold`` (its model's; NaN without a score), ``trained_until`` (UTC; the latest label end its model
        learned from, NaT without a score) and ``origin``: ``out_of_fold``, ``final`` (candidates of the coming session)
        or empty.
    folds
        One row per fold (index ``fold``, 1 to n): ``train_rows``, ``test_rows``, ``purged``, ``embargoed``, ``scored``
        (candidates, filled or not), ``trained_until``, ``test_from`` and ``test_until`` (decision times of the first
        and the last candidate that this fold's model scores; UTC), ``threshold``, ``seconds`` (fitting and tuning).
    models
        The folds' models, in order.
    final
        The model of the decisions to come: of all rows whose label is known before them, by the folds' own rule.
    final_threshold, final_trained_until, final_seconds
        Of the final model.
    logs
        Training log by fit: ``fold_1`` … and ``final``.
    """

    predictions: pd.DataFrame
    folds: pd.DataFrame
    models: tuple[Model, ...]
    final: Model
    final_threshold: float
    final_trained_until: pd.Timestamp
    final_seconds: float
    logs: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Fitted:
    """A model fitted for a block of decisions.

    Attributes
    ----------
    model
        The model.
    threshold
        From which score on a candidate is a signal.
    trained_until
        The latest label end it learned from, UTC.
    seconds
        Fitting and tuning.
    """

    model: Model
    threshold: float
    trained_until: pd.Timestamp
    seconds: float


def walk_forward(
    plan: FitPlan,
    rows: TrainingRows,
    scored: pd.DataFrame,
    starts: pd.Series,
    *,
    options_for: Callable[[str], FitOptions] | None = None,
    pending: pd.Series | None = None,
    side_by_side: bool = False,
) -> WalkForward:
    """Fit a model for each test block on what was known before it, score the block's candidates, then the final model.

    A block's model scores every candidate decided from the block's first start up to the next block's: those that
    never fill too, for whether an order fills is not known when it is placed. Candidates before the first block have
    no score. The final model is that of one more block, which begins at the coming session's decision.

    Parameters
    ----------
    plan
        How each model comes about.
    rows
        Candidates that became trades, with their outcome, shape (n, k).
    scored
        Features of all candidates, the rows' among them, shape (m, k or more).
    starts
        When each of them was decided, index as ``scored``.
    options_for
        How to run the fit of a name, ``fold_1`` … or ``final``: a checkpoint file each.
    pending
        Which candidates wait for their session (bool, index as ``scored``). Those decided last of all are scored by the
        final model; the others, whose trade is still open, by the last block's.
    side_by_side
        Whether to make the fits in processes of their own, as many at once as there are processors; the plan's
        functions have to be such as can be pickled. No bit depends on it.

    Raises
    ------
    DataError
        For too few rows (:func:`too_few_rows`), rows that are not among the candidates or were decided at another
        time, or a splitter whose model would have known too much: nothing of it is handed back.
    """
    splitter = plan.splitter
    decided = _decision_times(rows, scored, starts)
    if why := too_few_rows(rows, splitter):
        raise DataError(why)
    options_for = options_for or (lambda name: FitOptions())
    roles = splitter.roles(rows.outcome)
    begins = [_first_start(rows, roles[number] == "test") for number in roles]
    fold_of = np.searchsorted(begins, decided, side="right")
    coming = _coming(decided, _mask(pending, scored), rows)
    fold_of[coming] = 0
    score, cutoff = np.full(len(scored), np.nan), np.full(len(scored), np.nan)
    known = np.full(len(scored), _NO_TIME, np.int64)
    origin = np.full(len(scored), "", dtype=object)

    def keep(fitted: Fitted, judged: NDArray[np.bool_], called: str) -> None:
        score[judged] = fitted.model.predict_proba(scored.loc[judged])
        cutoff[judged], known[judged], origin[judged] = fitted.threshold, fitted.trained_until.value, called

    parts = {fit_name(number): np.flatnonzero(roles[name] == "train") for number, name in enumerate(roles, 1)}
    parts[FINAL] = _known_before_coming(rows, coming, decided, splitter)
    fits = [(rows.take(part), options_for(name)) for name, part in parts.items()]
    *folds, final = _apart(plan, fits) if side_by_side else [plan.fit(*each) for each in fits]
    for number, fitted in enumerate(folds, 1):
        keep(fitted, fold_of == number, _OUT_OF_FOLD)
    keep(final, coming, FINAL)
    predictions = pd.DataFrame(
        {
            "fold": pd.array(np.where(fold_of == 0, -1, fold_of), dtype="Int64"),
            "score": score,
            "threshold": cutoff,
            "trained_until": _times(known),
            "origin": pd.array(origin, dtype="str"),
        },
        index=scored.index,
    )
    require_out_of_fold(predictions, starts)
    return WalkForward(
        predictions=predictions,
        folds=_fold_table(roles, folds, fold_of, decided),
        models=tuple(fitted.model for fitted in folds),
        final=final.model,
        final_threshold=final.threshold,
        final_trained_until=final.trained_until,
        final_seconds=final.seconds,
        logs={fit_name(number): fitted.model.training_log for number, fitted in enumerate(folds, 1)}
        | {FINAL: final.model.training_log},
    )


def fit_final(
    plan: FitPlan,
    rows: TrainingRows,
    starts: pd.Series,
    *,
    options: FitOptions | None = None,
    pending: pd.Series | None = None,
) -> Fitted:
    """Fit the final model of a walk-forward alone; parameters as of :func:`walk_forward`.

    It learns what a test block's model would that begins at the coming session's decision. So the final model of
    data that ends at a block's first decision is that block's model, to the bit: the audit holds the two together.

    Raises
    ------
    DataError
        If no label is known by then.
    """
    waiting = np.zeros(len(starts), np.bool_) if pending is None else pending.to_numpy(np.bool_)
    decided = instants(starts, "start")[0]
    train = _known_before_coming(rows, _coming(decided, waiting, rows), decided, plan.splitter)
    return plan.fit(rows.take(train), options or FitOptions())


def _coming(decided: NDArray[np.int64], waiting: NDArray[np.bool_], rows: TrainingRows) -> NDArray[np.bool_]:
    """Mark the candidates of the coming session: they wait for it, and nothing was decided or known later."""
    last = max(decided.max(), read_intervals(rows.outcome).end.max())
    coming: NDArray[np.bool_] = waiting & (decided == last)
    return coming


def _known_before_coming(
    rows: TrainingRows, coming: NDArray[np.bool_], decided: NDArray[np.int64], splitter: PurgedWalkForward
) -> NDArray[np.int64]:
    """Positions of the rows whose label is known before the coming session's decision."""
    opens = pd.Timestamp(decided[coming][0], tz="UTC") if coming.any() else None
    return splitter.known_before(rows.outcome, opens)


def _apart(plan: FitPlan, fits: Sequence[tuple[TrainingRows, FitOptions]]) -> list[Fitted]:
    """Make the fits in processes of their own; each one's progress is told here."""

    def told(number: int, progress: Progress) -> None:
        if (observe := fits[number][1].observe) is not None:
            observe(progress)

    sent = [(plan, rows, replace(options, observe=None)) for rows, options in fits]
    return in_fresh_processes(_fit_and_tell, sent, told)


def _fit_and_tell(plan: FitPlan, rows: TrainingRows, options: FitOptions) -> Fitted:
    return plan.fit(rows, replace(options, observe=tell))


def fit_name(fold: int) -> str:
    """Return the name of a fold's fit (1 to n), in ``options_for`` and the logs."""
    return f"fold_{fold}"


def too_few_rows(rows: TrainingRows, splitter: PurgedSplitter) -> str | None:
    """Say why there is nothing to train on, in one sentence; None where there is.

    Each split needs 30 training rows, and 5 of each class: less teaches nothing, and can't be held back from either.
    """
    try:
        splits = list(splitter.split(rows.outcome))
    except DataError as error:
        return str(error)
    for number, (train, _) in enumerate(splits, 1):
        label = rows.label[train]
        above = int(label.sum())
        if len(train) < LEAST_TRAINING_ROWS or min(above, len(train) - above) < LEAST_OF_A_CLASS:
            return (
                f"{len(rows)} trades are too few to train on: fold {number} of {len(splits)} would learn from "
                f"{len(train)}, {above} of them above zero, and it takes {LEAST_TRAINING_ROWS} with {LEAST_OF_A_CLASS} "
                "of each kind; bring earlier bars or ask for fewer splits"
            )
    return None


def out_of_fold_findings(predictions: pd.DataFrame, starts: pd.Series) -> pd.DataFrame:
    """Scores whose model knew a label at or after the candidate's decision, or that can't tell what it knew.

    Judged from the stored times alone, whoever made the scores.

    Parameters
    ----------
    predictions
        With ``score`` and ``trained_until``, shape (n, ...).
    starts
        When each candidate was decided, index as the predictions.

    Returns
    -------
    DataFrame
        Index as the predictions, the offending rows only: ``start`` and ``trained_until``.
    """
    if not predictions.index.equals(starts.index):
        raise DataError("the predictions and the decision times are not of the same candidates; make both again")
    scored = predictions["score"].notna().to_numpy()
    decided, _ = instants(starts, "start")
    until = pd.DatetimeIndex(predictions["trained_until"])
    until = until.tz_localize("UTC") if until.tz is None else until.tz_convert("UTC")
    knew = np.where(until.isna(), np.iinfo(np.int64).max, until.as_unit("ns").asi8)
    wrong = scored & (knew >= decided)
    return pd.DataFrame({"start": starts, "trained_until": predictions["trained_until"]})[wrong]


def require_out_of_fold(predictions: pd.DataFrame, starts: pd.Series) -> None:
    """Let no score pass whose model learned from a label known at or after the candidate's decision.

    Raises
    ------
    DataError
        For the first of :func:`out_of_fold_findings`.
    """
    found = out_of_fold_findings(predictions, starts)
    if len(found):
        first = found.iloc[0]
        until = first["trained_until"]
        knew = "that doesn't say what it learned" if pd.isna(until) else f"that learned from labels up to {until}"
        raise DataError(
            f"{len(found)} of {int(predictions['score'].notna().sum())} scores are not out of fold: candidate "
            f"{found.index[0]}, decided {first['start']}, was scored by a model {knew}; train again with a purged "
            "walk-forward"
        )


def _fresh(make: Callable[[], Model]) -> Model:
    model = make()
    if model.columns:
        raise ConfigurationError(
            f"the {model.family} model to walk forward with is fitted already, and may know what it is judged on; make "
            "a new one for each fit"
        )
    return model


def _decision_times(rows: TrainingRows, scored: pd.DataFrame, starts: pd.Series) -> NDArray[np.int64]:
    if not scored.index.equals(starts.index):
        raise DataError("the features to score and their decision times are not of the same candidates")
    if not scored.index.is_unique:
        twice = scored.index[scored.index.duplicated()][0]
        raise DataError(f"candidate {twice} is to be scored more than once; keep one row per candidate")
    decided, _ = instants(starts, "start")
    place = scored.index.get_indexer(rows.outcome.index)
    if (place < 0).any():
        stray = rows.outcome.index[int(np.argmax(place < 0))]
        raise DataError(f"training row {stray} is not among the candidates to score; make both from the same ones")
    made, _ = instants(rows.outcome["start"], "start")
    if (other := made != decided[place]).any():
        row = int(np.argmax(other))
        raise DataError(
            f"training row {rows.outcome.index[row]} was decided at {rows.outcome['start'].iloc[row]}, and as a "
            f"candidate at {starts.iloc[place[row]]}; make both from the same candidates"
        )
    return decided


def _mask(pending: pd.Series | None, scored: pd.DataFrame) -> NDArray[np.bool_]:
    if pending is None:
        return np.zeros(len(scored), np.bool_)
    if not pending.index.equals(scored.index):
        raise DataError("the features to score and what is pending are not of the same candidates")
    return pending.to_numpy(np.bool_)


def _first_start(rows: TrainingRows, test: pd.Series) -> int:
    return int(read_intervals(rows.outcome[test.to_numpy()]).start.min())


def _tuned(model: Model, rows: TrainingRows, options: FitOptions) -> float:
    held = model.out_of_fold if model.out_of_fold is not None else model.score_out_of_fold(rows, options)
    return tune_threshold(held.to_numpy(np.float64), rows.net)


def _times(known: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(known.view("datetime64[ns]")).tz_localize("UTC")


def _fold_table(
    roles: pd.DataFrame, folds: list[Fitted], fold_of: NDArray[np.int64], decided: NDArray[np.int64]
) -> pd.DataFrame:
    counts = {role: [int((roles[number] == role).sum()) for number in roles] for role in ("train", "test", "purged")}
    by_fold = [decided[fold_of == number] for number in range(1, len(folds) + 1)]
    return pd.DataFrame(
        {
            "train_rows": counts["train"],
            "test_rows": counts["test"],
            "purged": counts["purged"],
            "embargoed": [int((roles[number] == "embargoed").sum()) for number in roles],
            "scored": [len(times) for times in by_fold],
            "trained_until": _times(np.array([fitted.trained_until.value for fitted in folds], np.int64)),
            "test_from": _times(np.array([times.min() for times in by_fold], np.int64)),
            "test_until": _times(np.array([times.max() for times in by_fold], np.int64)),
            "threshold": [fitted.threshold for fitted in folds],
            "seconds": [fitted.seconds for fitted in folds],
        },
        index=pd.RangeIndex(1, len(folds) + 1, name="fold"),
    )
