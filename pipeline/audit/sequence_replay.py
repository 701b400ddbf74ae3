"""Sequences: each candidate's row has to be the one that was there at its decision, wherever the data began."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.report import Finding
from pipeline.audit.tables import differing
from pipeline.features import FeatureInputs
from pipeline.features.sequences import sequence_features

__all__ = ["check_sequence_replay"]


def check_sequence_replay(
    inputs: FeatureInputs,
    candidates: pd.DataFrame,
    sequences: pd.DataFrame,
    places: NDArray[np.int64],
    begins: NDArray[np.int64],
    *,
    sessions: int = 20,
    weeks: int = 8,
) -> list[Finding]:
    """Recompute sequences on data cut off, and on data that begins later.

    On data that ends at a session's close every row decided by then has to be the same to the bit. On data that begins
    at that session every value that is there has to be.

    Parameters
    ----------
    inputs
        All data.
    candidates, sequences
        Made of all data, the same rows; the latter by :func:`pipeline.features.sequences.sequence_features`.
    places, begins
        Positions of the sessions to cut off at, and of those to begin at.
    sessions, weeks
        Steps that the sequences were made with.

    Returns
    -------
    list of Finding
        One a column and kind of replay, ``truncation`` or ``warmup``.
    """
    light = replace(inputs, structure=None, naked=None)
    decided = pd.DatetimeIndex(candidates["decided_on"])
    found: dict[tuple[str, str], Finding] = {}
    early, late = "a step uses what came after it", "a step looks further back than its history goes"
    replays = [("truncation", place, "ends", early) for place in places]
    replays += [("warmup", place, "begins", f"{late}, and is not missing there") for place in begins]
    for check, place, verb, cause in replays:
        session = inputs.sessions[place]
        if check == "truncation":
            cut, rows = light.until(session), decided <= session
        else:
            cut, rows = light.since(session), decided >= session
        now = sequences[rows]
        then = sequence_features(cut, candidates[rows], sessions=sessions, weeks=weeks)
        for name in then.columns:
            replayed, given = then[name].to_numpy(np.float64), now[name].to_numpy(np.float64)
            wrong = differing(replayed, given)
            if check == "warmup":
                wrong &= ~np.isnan(replayed)
            if wrong.any():
                row = int(np.argmax(wrong))
                reason = f"{cause}: data that {verb} on {session.date()} gives another value"
                finding = Finding(check, name, str(now.index[row]), float(replayed[row]), float(given[row]), reason)
                found.setdefault((check, name), finding)
    return list(found.values())
