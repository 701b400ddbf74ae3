"""The proof that reaches to the decision: the chain on bars cut off at a fold's first decision (contract §4).

It ends in a final model whose scores, threshold and gates at that decision are the fold's own, to the bit: whatever
the fold's model learned from, it was there by then. One comparison, whatever the fault: a join, a scaler, a selection,
a calibration, a threshold, early stopping or scores of another model.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.cut_run import CutRun, FinalModel, running_on_cut_bars
from pipeline.audit.report import Finding
from pipeline.audit.tables import differing, differs, plain
from pipeline.errors import DataError
from pipeline.features.externals import cut_external
from pipeline.learning.compute import Compute
from pipeline.learning.models import make_model
from pipeline.market import Instrument, session_schedule
from pipeline.market.bar_times import bar_ends
from pipeline.modelling import LearningInputs
from pipeline.settings import Settings
from pipeline.strategy import gate_columns

__all__ = ["WholeRun", "check_chain", "checking_chain", "fold_of_seed", "folds_of", "why_not_judged"]

_OUTCOME = ("start", "end", "label", "r_multiple", "net")
_GATE = "a gate or the confidence uses what comes after the session it is decided on"
_CANDIDATE = "entries, stops or targets use what comes after the session they were decided on"
_FEATURE = (
    "what the model is given of a candidate uses what comes after its decision, though the feature alone may not: "
    "a join with another session's row, a statistic of all rows, or a value remembered from later bars"
)
_LABEL = "the outcome of a trade changes with bars after its end"
_THRESHOLD = "the threshold is tuned on rows that were not known at the fold's first decision: its own test, say"
_SCORE = (
    "from the same rows and features: the fold's model was made with more than was known at its first decision (a "
    "scaler, a projection, a selection, a calibration or early stopping on other rows than its training rows), or the "
    "scores are another model's"
)
_BLOCK = "the fold's other scores are not those of the model that its first decision was scored by"


@dataclass(frozen=True)
class WholeRun:
    """Everything the chain made of all bars: what the replay has to reproduce.

    Attributes
    ----------
    bars
        Clean bars of one symbol.
    instrument, settings
        That it was made with.
    signals
        Candidates with their gates.
    inputs
        What models learned from.
    predictions
        By family, as a walk-forward gives them.
    vix
        Daily VIX rows, where there are any.
    """

    bars: pd.DataFrame
    instrument: Instrument
    settings: Settings
    signals: pd.DataFrame
    inputs: LearningInputs
    predictions: Mapping[str, pd.DataFrame]
    vix: pd.DataFrame | None = None


def folds_of(predictions: pd.DataFrame) -> list[int]:
    """Numbers of the folds that scored something, rising."""
    return sorted({int(fold) for fold in predictions.loc[predictions["score"].notna(), "fold"] if fold > 0})


def fold_of_seed(predictions: pd.DataFrame, seed: int) -> int:
    """One of the folds, drawn by the seed.

    Raises
    ------
    DataError
        If no fold scored anything.
    """
    folds = folds_of(predictions)
    if not folds:
        raise DataError("no candidate has a score out of fold, so there is no fold to replay; train again")
    return int(np.random.default_rng(seed).choice(folds))


def why_not_judged(family: str, settings: Settings, compute: Compute) -> str | None:
    """Say why two trainings on the same rows may differ in a bit; None where they must be equal."""
    model = make_model(family, settings.models.parameters.get(family))
    if compute.lightgbm_device != "cpu" and "lightgbm" in model.packages:
        return "LightGBM grows other trees each time on a GPU; set compute.lightgbm to cpu to have it proved"
    if family in settings.tuning.nested and settings.tuning.seconds is not None:
        return "its studies end by time (tuning.seconds), so that two of them differ; end them by trials instead"
    if family in settings.tuning.nested and settings.tuning.workers > 1:
        return "its studies are shared by several processes (tuning.workers), so that two of them differ"
    return None


def check_chain(whole: WholeRun, fold: int, *, compute: Compute | None = None) -> list[Finding]:
    """Cut the bars at a fold's first decision, run the chain in a fresh process, and compare to the bit.

    Compared in the chain's order: candidates, gates, what models are given of each candidate decided by then, the
    outcomes known by then; and of each family the threshold, the scores of the first decision, and what that final
    model says of the fold's other candidates. Where an earlier step differs, the later ones follow from it and are not
    judged.

    Parameters
    ----------
    whole
        What was made of all bars.
    fold
        1, 2, …: one that all families have.
    compute
        Where the models were trained.

    Returns
    -------
    list of Finding
        ``feature`` is the column, or the family with ``threshold`` or ``score``; ``row`` the candidate.

    Raises
    ------
    DataError
        If the chain fails on the bars cut off.
    """
    with checking_chain(whole, fold, compute=compute) as findings:
        return findings()


@contextmanager
def checking_chain(
    whole: WholeRun, fold: int, *, compute: Compute | None = None
) -> Iterator[Callable[[], list[Finding]]]:
    """Run the chain on the cut bars beside what this process does meanwhile; parameters as of :func:`check_chain`.

    Yields
    ------
    Callable
        Waits for the run and returns the findings.
    """
    first = _first_decision(whole, fold)
    with running_on_cut_bars(
        _bars_by(whole, first),
        whole.instrument,
        whole.settings,
        list(whole.predictions),
        first,
        vix=_known_by(whole, first),
        compute=compute,
    ) as cut:
        yield lambda: _differences(whole, cut(), fold, first)


def _differences(whole: WholeRun, cut: CutRun, fold: int, first: pd.Timestamp) -> list[Finding]:
    early = (whole.inputs.starts <= first).to_numpy()
    signals = whole.signals[early]
    names = _names(signals)
    inputs = whole.inputs
    gates = gate_columns(signals)
    own = [name for name in signals.columns if name not in gates]
    steps: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _compared("candidates", cut.signals, signals, own, names, fold, _CANDIDATE),
        lambda: _compared("gates", cut.signals, signals, gates, names, fold, _GATE),
        lambda: _compared("features", cut.features, inputs.features[early], None, names, fold, _FEATURE),
        lambda: _compared("sequences", cut.sequences, _or_none(inputs.sequences, early), None, names, fold, _FEATURE),
        lambda: _compared(
            "outcomes",
            _known(cut.training_set, first),
            _known(inputs.training_set, first),
            list(_OUTCOME),
            names,
            fold,
            _LABEL,
        ),
        lambda: (found for family in whole.predictions for found in _model(whole, cut, family, fold, first, names)),
    )
    for step in steps:
        if findings := list(step()):
            return findings
    return []


def _first_decision(whole: WholeRun, fold: int) -> pd.Timestamp:
    """Return when the fold's first candidates were decided: one instant for all families."""
    begins = set()
    for family, predictions in whole.predictions.items():
        of_fold = (predictions["fold"] == fold).fillna(False).to_numpy(np.bool_)
        if not of_fold.any():
            raise DataError(f"{family} has no fold {fold}; it has {folds_of(predictions)}")
        begins.add(whole.inputs.starts[of_fold].min())
    return min(begins)


def _bars_by(whole: WholeRun, first: pd.Timestamp) -> pd.DataFrame:
    """Bars known at a decision: at the close of a trade date all of it, within a session those complete by then."""
    opens = pd.DatetimeIndex(whole.bars["timestamp"]).as_unit("ns")
    if "decided_at" in whole.signals.columns:
        return whole.bars[bar_ends(opens.asi8) <= first.as_unit("ns").value]
    return whole.bars[opens < first]


def _known_by(whole: WholeRun, first: pd.Timestamp) -> pd.DataFrame | None:
    if whole.vix is None:
        return None
    session = pd.Timestamp(whole.signals.loc[whole.inputs.starts == first, "decided_on"].iloc[0])
    hours = "rth_close" if whole.settings.history.hours == "rth" else "close"
    close = session_schedule(whole.instrument, session, session)[hours].iloc[0]
    return cut_external(whole.vix, last=session, close=close)


def _known(training_set: pd.DataFrame, first: pd.Timestamp) -> pd.DataFrame:
    return training_set[training_set["end"] < first]


def _or_none(frame: pd.DataFrame | None, rows: NDArray[np.bool_]) -> pd.DataFrame | None:
    return None if frame is None else frame[rows]


def _names(signals: pd.DataFrame) -> pd.Series:
    """Label each candidate by day and side: 2021-03-15 long."""
    sides = np.where(signals["side"] > 0, "long", "short")
    days = pd.DatetimeIndex(signals["decided_on"]).strftime("%F")
    return pd.Series([f"{day} {side}" for day, side in zip(days, sides, strict=True)], signals.index)


def _compared(
    step: str,
    cut: pd.DataFrame,
    whole: pd.DataFrame | None,
    columns: list[str] | None,
    names: pd.Series,
    fold: int,
    cause: str,
) -> Iterator[Finding]:
    """One finding for a step in which any value differs: the first column, and how many more."""
    if whole is None:
        return
    if not cut.index.equals(whole.index):
        rows = f"{len(cut)} {step}", f"{len(whole)} {step}, or of other candidates"
        yield Finding("chain", step, f"fold {fold}", *rows, cause)
        return
    wanted = list(whole.columns) if columns is None else columns
    if columns is None and list(cut.columns) != wanted:
        other = sorted(set(wanted) ^ set(map(str, cut.columns)))
        yield Finding("chain", ", ".join(other[:3]), f"fold {fold}", f"{cut.shape[1]} columns", f"{len(wanted)}", cause)
        return
    wrong = {name: where for name in wanted if (where := differs(cut[name], whole[name])).any()}
    if not wrong:
        return
    name = min(wrong, key=lambda each: -int(wrong[each].sum()))
    row = int(np.argmax(wrong[name]))
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    label = names.loc[whole.index[row]]
    then, now = (plain(frame[name].iloc[row]) for frame in (cut, whole))
    yield Finding("chain", f"{step}: {name}{more}", f"fold {fold}: {label}", then, now, cause)


def _model(
    whole: WholeRun, cut: CutRun, family: str, fold: int, first: pd.Timestamp, names: pd.Series
) -> Iterator[Finding]:
    predictions, final = whole.predictions[family], cut.finals[family]
    of_fold = (predictions["fold"] == fold).fillna(False).to_numpy(np.bool_)
    at_first = of_fold & (whole.inputs.starts == first).to_numpy()
    scored = predictions[at_first]
    where = f"fold {fold}: {names.loc[scored.index[0]]}"
    threshold = float(scored["threshold"].iloc[0])
    scores = final.scores.loc[scored.index].to_numpy(np.float64)
    wrong = differing(scores, scored["score"].to_numpy(np.float64))
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"fold {fold}: {names.loc[scored.index[row]]}"
        yield Finding("chain", f"{family}: score", where, float(scores[row]), float(scored["score"].iloc[row]), _SCORE)
    elif threshold != final.threshold:
        yield Finding("chain", f"{family}: threshold", where, final.threshold, threshold, _THRESHOLD)
    else:
        yield from _rest_of_fold(whole, final, family, fold, of_fold)


def _rest_of_fold(
    whole: WholeRun, final: FinalModel, family: str, fold: int, of_fold: NDArray[np.bool_]
) -> Iterator[Finding]:
    scored = whole.predictions[family][of_fold]
    scores = final.model.predict_proba(whole.inputs.scored(final.model.inputs)[of_fold])
    wrong = differing(scores, scored["score"].to_numpy(np.float64))
    wrong |= (scored["threshold"] != final.threshold).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"fold {fold}: {_names(whole.signals[of_fold]).iloc[row]}"
        yield Finding("chain", f"{family}: score", where, float(scores[row]), float(scored["score"].iloc[row]), _BLOCK)
