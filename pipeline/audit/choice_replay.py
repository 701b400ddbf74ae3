"""Choices: the candidates that become signals and orders must follow from the rows decided until then."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.audit.report import Finding
from pipeline.audit.tables import differs, plain

__all__ = ["check_choice_replay"]

# At so many decisions the rows end, drawn by the seed: each takes milliseconds.
_CUTOFFS = 60
_CHOICE = (
    "what is traded depends on candidates decided later: a rank, a quantile or another statistic of all scores, a row "
    "of the next session, or a choice by outcome"
)


def check_choice_replay(
    signals: pd.DataFrame, choose: Callable[[pd.DataFrame], pd.DataFrame], seed: int
) -> list[Finding]:
    """Choose again among the candidates decided by a session; what is chosen of them has to be the same.

    Parameters
    ----------
    signals
        One row per candidate, with ``decided_on``, shape (n, ...).
    choose
        Gives some of the rows it is handed, or all with columns of its own.
    seed
        Draws the sessions after which the rows end.

    Returns
    -------
    list of Finding
        The first session at which the rows, or a column of theirs, differ.
    """
    decided = pd.DatetimeIndex(signals["decided_on"])
    sessions = decided.unique().sort_values()[:-1]
    drawn = np.random.default_rng(seed).permutation(len(sessions))[:_CUTOFFS]
    whole = choose(signals)
    for session in sessions[np.sort(drawn)]:
        then, now = choose(signals[decided <= session]), whole[pd.DatetimeIndex(whole["decided_on"]) <= session]
        at = f"{session:%F}"
        if not then.index.equals(now.index):
            rows = f"{len(then)} chosen by then", f"{len(now)} chosen with all rows, or others"
            return [Finding("choice", "orders", at, *rows, _CHOICE)]
        for name in now.columns:
            if (wrong := differs(then[name], now[name])).any():
                row = int(np.argmax(wrong))
                values = plain(then[name].iloc[row]), plain(now[name].iloc[row])
                return [Finding("choice", str(name), at, *values, _CHOICE)]
    return []
