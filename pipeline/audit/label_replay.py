"""Labels and candidates: what is known of them at a cut-off must not change afterwards."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.report import Finding
from pipeline.backtest import Account
from pipeline.features import FeatureInputs
from pipeline.learning import candidate_labels
from pipeline.market import session_schedule
from pipeline.market.bar_times import bar_ends
from pipeline.strategy import TradingRules, decided_by_close, make_candidates

__all__ = ["check_label_replay"]

_COLUMNS = ("start", "end", "status", "filled", "label", "r_multiple", "net", "exit_reason")


def check_label_replay(
    inputs: FeatureInputs,
    rules: TradingRules,
    candidates: pd.DataFrame,
    labels: pd.DataFrame,
    account: Account,
    places: NDArray[np.int64],
) -> list[Finding]:
    """Candidates and labels known at a cut-off have to be those of all data.

    Parameters
    ----------
    inputs
        All data.
    rules
        That the candidates were made under.
    candidates, labels
        Made of all data, the same rows.
    account
        The labels were made with.
    places
        Positions of the sessions to cut off at.
    """
    findings = []
    # Neither needs these two tables, which take longest to make.
    light = replace(inputs, structure=None, naked=None)
    for place in places:
        session = inputs.sessions[place]
        cut = light.until(session)
        then = make_candidates(cut.history, inputs.instrument, rules, cut.bars, known_until=_known_until(cut, session))
        now = candidates[decided_by_close(candidates, session)]
        if not len(then) and not len(now):  # the kinds of empty columns may differ
            continue
        if not then.equals(now):
            differs = (then.ne(now).any(axis=1) if len(then) == len(now) else pd.Series([True])).to_numpy()
            row = int(np.argmax(differs))
            findings.append(
                Finding(
                    "candidates",
                    "candidate",
                    str(now.index[row] if len(now) else session.date()),
                    f"{len(then)} candidates at the close of {session.date()}",
                    f"{len(now)} with all data, or others",
                    "entries, stops or targets use what comes after the session they were decided on",
                )
            )
            continue
        early = candidate_labels(cut.bars, then, inputs.instrument, account, hours=inputs.settings.hours)
        over = early["end"].notna().to_numpy()
        columns = list(_COLUMNS)
        one, other = early.loc[over, columns], labels.loc[early.index[over], columns]
        wrong = (one.ne(other) & ~(one.isna() & other.isna())).any(axis=1).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            findings.append(
                Finding(
                    "labels",
                    "label",
                    str(one.index[row]),
                    str(one["r_multiple"].iloc[row]),
                    str(other["r_multiple"].iloc[row]),
                    "the label changes with bars after its end: its end is too early, and purging by it lets labels "
                    "overlap",
                )
            )
    return findings


def _known_until(cut: FeatureInputs, session: pd.Timestamp) -> pd.Timestamp:
    """The session's close, or the end of a last bar that the close falls into."""
    close = session_schedule(cut.instrument, session, session)["close"].iloc[0]
    return max(close, pd.Timestamp(bar_ends(pd.DatetimeIndex(cut.bars["timestamp"]).as_unit("ns").asi8)[-1], tz="UTC"))
