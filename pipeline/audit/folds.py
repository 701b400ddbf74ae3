"""Folds: whether a splitter, anyone's, keeps training labels away from test labels."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.audit.report import Finding
from pipeline.learning import leaking_rows

__all__ = ["audit_folds"]


def audit_folds(splitter: Any, frame: pd.DataFrame, *, embargo: Any = None) -> list[Finding]:
    """Judge every split by its positions and the labels' times.

    Parameters
    ----------
    splitter
        With scikit-learn's ``split``.
    frame
        With ``start`` and ``end`` of each label, in the order the rows are split in, shape (n, ...).
    embargo
        Duration to be kept after each test interval; the splitter's own ``embargo`` unless given, none where it
        has none.

    Returns
    -------
    list of Finding
        One a split that is not clean, with its first leaking row.
    """
    kept = getattr(splitter, "embargo", "0D") if embargo is None else embargo
    findings = []
    for number, (train, test) in enumerate(splitter.split(frame)):
        leaks = leaking_rows(frame, train, test, embargo=kept)
        if not len(leaks):
            continue
        overlapping = leaking_rows(frame, train, test)
        row = int(leaks[0])
        if np.isin(leaks, test).any():
            cause = "rows are trained on and tested on"
        elif len(overlapping):
            cause = (
                "training labels are not over when the test begins, or begin before it ends: purge by label times, "
                "not by rows"
            )
        else:
            cause = f"training rows begin within the embargo of {kept} after a test label's end"
        label = frame.iloc[row]
        findings.append(
            Finding(
                "folds",
                f"{type(splitter).__name__} split {number}",
                str(frame.index[row]),
                f"no training interval meets a test interval, embargo {kept}",
                f"{len(leaks)} of {len(np.asarray(train))} training rows leak, the first from {label['start']} "
                f"to {label['end']}",
                cause,
            )
        )
    return findings
