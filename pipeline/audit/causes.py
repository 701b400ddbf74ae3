"""Likely causes of a difference between two replays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.tables import differing

__all__ = ["Replay", "most_telling", "truncation_cause", "warmup_cause"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_ALMOST_ALL = 0.8
_NOISE = 1e-7
# A code has no more values than that; a measurement has.
_FEW_VALUES = 40

SAME_DAY = (
    "the external series is used on the very day it is dated, before it could be known: lag it by a session "
    "(pipeline.features.externals.as_known)"
)
FUTURE_DATED = (
    "a row of the external series dated after the session is used: it is joined or filled by a date in the future"
)

_RECODED = (
    "each value becomes one other: categories encoded by means over the whole sample (target encoding); encode inside "
    "the model's pipeline, on training rows"
)


@dataclass(frozen=True)
class Replay:
    """One feature, on all data and on data that ends at a cut-off.

    Attributes
    ----------
    whole
        On all data, every session, shape (n,).
    cut
        On what there was at the cut-off, shape (cutoff + 1,).
    """

    whole: Floats
    cut: Floats

    @property
    def now(self) -> Floats:
        """The whole run's values of the sessions that the cut run has."""
        return self.whole[: len(self.cut)]

    @property
    def differs(self) -> Bools:
        """Mark the rows in which the two differ, shape (cutoff + 1,)."""
        return differing(self.cut, self.now)


def most_telling(replays: Sequence[Replay]) -> Replay:
    """The replay with the most rows that differ, the latest of such."""
    return max(reversed(replays), key=lambda replay: int(replay.differs.sum()))


def truncation_cause(replays: Sequence[Replay], rolled: Bools, known: str | None) -> str:
    """Name the likely cause of values that change once later data comes in.

    Parameters
    ----------
    replays
        Of one feature, one a cut-off, those that agree too.
    rolled
        Whether a session begins a contract, shape (n,).
    known
        The cause, where another check has found it.
    """
    if known is not None:
        return known
    wrong = [replay for replay in replays if replay.differs.any()]
    last = most_telling(wrong)
    first = int(np.argmax(last.differs))
    reach = len(last.cut) - first
    there = ~(np.isnan(last.cut) & np.isnan(last.now))
    whole_run = bool(last.differs[first:].all())
    if whole_run and reach > 2 and rolled[first] and first and _is_contract_run(wrong, rolled):
        return (
            "all rows of the running contract change: it looks at the contract's last bar or its roll in the data; "
            "take the expiry from the exchange's calendar"
        )
    if last.differs.sum() >= _ALMOST_ALL * there.sum() and there.sum() > reach // 2 and reach > 10:
        return _everywhere(last)
    if not whole_run or reach > max(20, len(last.cut) // 4):
        return _scattered(last)
    return _at_the_end(wrong, len(wrong) == len(replays))


def warmup_cause(expected: Floats, got: Floats, needed: int) -> str:
    """Name the likely cause of values that depend on where the data starts.

    Parameters
    ----------
    expected, got
        With the long and with the short history, from the row on where the warm-up is over, shape (rows,).
    needed
        Sessions the feature says it needs.
    """
    wrong = differing(expected, got)
    both = ~np.isnan(expected) & ~np.isnan(got)
    away = np.abs(expected - got)[both]
    count = int(np.flatnonzero(wrong)[-1]) + 1
    if count < len(wrong) and count <= 0.75 * len(wrong):
        return f"its memory is longer than its warm-up of {needed} sessions: about {needed + count}; declare that"
    if len(away) < 3:
        return "with less history it is missing elsewhere: its warm-up is too short, or it counts from the first row"
    if away.max() - away.min() <= _NOISE * away.max():
        return "a constant step: it adds up from the first row of the data on (a cumulative sum); use differences only"
    third = max(len(away) // 3, 1)
    if np.median(away[-third:]) < 0.7 * np.median(away[:third]):
        return (
            "the difference fades: a recursive average that begins where the data begins; restart it "
            "with pipeline.features.anchored, or declare a longer warm-up"
        )
    if _affine(expected[both], got[both]):
        return "another scale: a mean, deviation, minimum or maximum of the whole sample; use a trailing window"
    return "it depends on where the data starts: a statistic of the whole sample, or recursive without an anchor"


def _is_contract_run(wrong: Sequence[Replay], rolled: Bools) -> bool:
    """Return True if every cut-off's differences begin at the last roll before it (or at the first row)."""
    begins = np.flatnonzero(rolled)
    return all(
        np.argmax(replay.differs) >= begins[np.searchsorted(begins, len(replay.cut) - 1, side="right") - 1]
        for replay in wrong
    )


def _everywhere(replay: Replay) -> str:
    both = ~np.isnan(replay.cut) & ~np.isnan(replay.now)
    cut, now = replay.cut[both], replay.now[both]
    if len(cut) < 3:
        return "it changes throughout with what comes later: a statistic of the whole sample"
    if _affine(cut, now):
        whole = replay.whole[~np.isnan(replay.whole)]
        unit = abs(float(whole.min())) < _NOISE and abs(float(whole.max()) - 1) < _NOISE
        kind = "minimum and maximum" if unit else "mean and deviation (a z-score)"
        return (
            f"all rows change in scale: {kind} of the whole sample; scale inside the model's pipeline, on training rows"
        )
    if _recoded(cut, now):
        return _RECODED
    return "all rows change with what comes later: a statistic of the whole sample; use a trailing window"


def _scattered(replay: Replay) -> str:
    wrong = replay.differs
    both = ~np.isnan(replay.cut) & ~np.isnan(replay.now)
    if _recoded(replay.cut[both], replay.now[both]):
        return _RECODED
    whole = replay.now[~np.isnan(replay.now)]
    clipped = np.isin(replay.now[wrong], [whole.min(), whole.max()]) if len(whole) else np.zeros(1, np.bool_)
    cut = replay.cut[~np.isnan(replay.cut)]
    clipped |= np.isin(replay.cut[wrong], [cut.min(), cut.max()]) if len(cut) else False
    if clipped.mean() > _ALMOST_ALL:
        return (
            "only the extremes change: clipped at quantiles of the whole sample (winsorised); clip inside the model's "
            "pipeline, at quantiles of training rows"
        )
    return "rows far back change with what comes later: ranks, quantiles or another statistic of the whole sample"


def _recoded(cut: Floats, now: Floats) -> bool:
    """Return True if there are few distinct values and each was replaced by exactly one other."""
    values = np.unique(cut)
    if not 1 < len(values) <= min(_FEW_VALUES, len(cut) // 3):
        return False
    return all(len(np.unique(now[cut == value])) == 1 for value in values)


def _at_the_end(wrong: Sequence[Replay], always: bool) -> str:
    reach = max(len(replay.cut) - int(np.argmax(replay.differs)) for replay in wrong)
    missing = all(np.isnan(replay.cut[replay.differs]).all() for replay in wrong)
    if missing and not always and all(_filled_backward(replay) for replay in wrong):
        return "missing values are filled from later ones (bfill, or interpolation); leave them missing"
    if missing:
        if reach == 1:
            one = "shift(-1), such as the next session's open, or a centred window of three"
            return f"the last row can't be known at the cut-off: {one}"
        many = f"a centred window of about {2 * reach + 1} sessions, or shift(-{reach})"
        return f"the last {reach} rows can't be known at the cut-off: {many}"
    if reach == 1:
        return (
            "the last row changes as later bars come in: a bar or frame that is not over at the session's close, or "
            "the next session's open"
        )
    return f"the last {reach} rows change as later sessions come in: a centred window of about {2 * reach + 1} sessions"


def _filled_backward(replay: Replay) -> bool:
    """Return True if the rows missing at the cut-off later hold one value: the next one known."""
    filled = replay.now[replay.differs]
    after = replay.whole[len(replay.cut) :]
    return bool(len(after) and (filled == filled[0]).all() and (len(filled) > 1 or after[0] == filled[0]))


def _affine(one: Floats, other: Floats) -> bool:
    """Return True if one is a linear function of the other."""
    if len(one) < 3 or np.ptp(one) == 0:
        return False
    slope = float(np.sum((one - one.mean()) * (other - other.mean())) / np.sum((one - one.mean()) ** 2))
    rest = other - other.mean() - slope * (one - one.mean())
    return bool(np.abs(rest).max() <= _NOISE * max(np.ptp(other), np.ptp(one) * _NOISE))
