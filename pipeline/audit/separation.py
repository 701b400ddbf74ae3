"""Features and labels: nothing that is learned from may be, or tell, what is to be learned."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.report import Finding
from pipeline.errors import DataError
from pipeline.features.registry import RESERVED_NAMES
from pipeline.market import Instrument, session_schedule

__all__ = ["AUC_LIMIT", "CORRELATION_LIMIT", "FEWEST_ROWS", "audit_labels", "audit_separation"]

Floats = NDArray[np.float64]

# No honest feature of a market comes near: the best known have correlations of a few hundredths.
CORRELATION_LIMIT = 0.9
AUC_LIMIT = 0.95
# With fewer, such figures come by chance.
FEWEST_ROWS = 30
_FEWEST_OF_A_CLASS = 8

_TARGETS = ("label", "r_multiple", "net", "filled")


def audit_separation(features: pd.DataFrame, labels: pd.DataFrame, sides: pd.Series | None = None) -> list[Finding]:
    """See that no column is a label, or nearly a function of one.

    Parameters
    ----------
    features
        What a model gets, a row an observation, shape (n, k).
    labels
        Of the same rows, columns ``label``, ``r_multiple``, ``net``, ``filled`` as far as there are.
    sides
        Of the same rows, +1 or −1: longs and shorts are then judged by themselves too.

    Returns
    -------
    list of Finding
        For a column named as a label is; for one equal to a label; for one whose correlation or rank correlation with
        it is ±0.9 or beyond, or whose area under the ROC curve is 0.95 or more (or 0.05 or less);
        for one that is missing where, and only where, orders were (not) filled. On 30 rows or more, 8 at least of each
        class.
    """
    if len(features) != len(labels):
        raise DataError(f"there are {len(features)} rows of features and {len(labels)} of labels; give the same rows")
    findings = []
    everything = np.ones(len(labels), np.bool_)
    long = everything if sides is None else sides.to_numpy() > 0
    groups = [everything] if sides is None else [everything, long, ~long]
    targets = {name: labels[name].to_numpy(np.float64, na_value=np.nan) for name in _TARGETS if name in labels.columns}
    for name in map(str, features.columns):
        if name in RESERVED_NAMES and not name.startswith("candidate_"):
            findings.append(_finding(name, "every row", "no such column", name, "a label column among the features"))
            continue
        values = features[name].to_numpy(np.float64, na_value=np.nan)
        found = (_tells(values[group], {target: known[group] for target, known in targets.items()}) for group in groups)
        group, leak = next(((group, one) for group, one in zip(groups, found, strict=True) if one), (everything, None))
        if leak is not None:
            target, measure, rows = leak
            row = features.index[group][int(np.argmax(rows))]
            expected = f"|correlation| < {CORRELATION_LIMIT}, AUC < {AUC_LIMIT}"
            cause = (
                f"it is nearly a function of {target}: made from the label, or from what happened after the decision"
            )
            findings.append(_finding(name, str(row), expected, measure, cause))
    return findings


def audit_labels(labels: pd.DataFrame, candidates: pd.DataFrame, instrument: Instrument) -> list[Finding]:
    """See that labels begin when the decision could be made, and end after that.

    Parameters
    ----------
    labels
        With ``start`` and ``end``, the rows of ``candidates``.
    candidates
        With ``decided_on``.
    instrument
        Whose calendar says when that session closed.
    """
    if len(labels) == 0:
        return []
    decided = pd.DatetimeIndex(candidates["decided_on"]).as_unit("ns")
    closes = session_schedule(instrument, decided.min(), decided.max()).loc[decided, "rth_close"]
    start, end = (pd.DatetimeIndex(labels[name]).as_unit("ns") for name in ("start", "end"))
    rules: list[tuple[Any, pd.DatetimeIndex, str, str, str]] = [
        (
            start < pd.DatetimeIndex(closes),
            start,
            "start at the close of decided_on or later",
            "starts at",
            "the label begins before its decision could be made: purging by start would keep rows that overlap",
        ),
        (
            end.notna() & ~(end > start),
            end,
            "end after start",
            "ends at",
            "the label ends before it begins: purging by end would keep rows that overlap",
        ),
    ]
    findings = []
    for wrong, times, expected, verb, cause in rules:
        if np.any(wrong):
            row = int(np.argmax(wrong))
            got = f"{verb} {times[row]}"
            findings.append(Finding("labels", "label", str(labels.index[row]), expected, got, cause))
    return findings


def _finding(name: str, row: str, expected: str, got: str, cause: str) -> Finding:
    return Finding("separation", name, row, expected, got, cause)


def _tells(values: Floats, targets: dict[str, Floats]) -> tuple[str, str, NDArray[np.bool_]] | None:
    """Find the target that a column gives away: its name, the measure that shows it, and the rows known."""
    for name, target in targets.items():
        rows = ~np.isnan(values) & ~np.isnan(target)
        one, other = values[rows], target[rows]
        if name == "filled":
            gone = np.isnan(values).astype(np.float64)
            if _classes(gone) and _classes(target) and abs(_correlation(gone, target)) >= CORRELATION_LIMIT:
                return "whether the order was filled", "missing where it was (not) filled", np.isnan(values)
        if len(one) < FEWEST_ROWS or np.ptp(one) == 0 or np.ptp(other) == 0:
            continue
        if (one == other).all():
            return name, f"equal to {name}", rows
        ranks = _ranks(one)
        binary = len(np.unique(other)) == 2
        if binary:
            if not _classes(other):
                continue
            area = _area(ranks, other == other.max())
            if max(area, 1 - area) >= AUC_LIMIT:
                return name, f"AUC {area:.3f}", rows
        linear = _correlation(one, other)
        rank = linear if binary else _correlation(ranks, _ranks(other))
        if max(abs(linear), abs(rank)) >= CORRELATION_LIMIT:
            return name, f"correlation {linear:.3f}, of ranks {rank:.3f}", rows
    return None


def _classes(target: Floats) -> bool:
    counts = np.unique(target, return_counts=True)[1]
    return len(counts) == 2 and bool(counts.min() >= _FEWEST_OF_A_CLASS)


def _ranks(values: Floats) -> Floats:
    return pd.Series(values).rank().to_numpy(np.float64)


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = np.sqrt(np.sum(one**2) * np.sum(other**2))
    return float(np.sum(one * other) / norm) if norm > 0 else 0.0


def _area(ranks: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from ranks (Mann and Whitney)."""
    count, rest = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))
