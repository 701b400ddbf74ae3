"""Where to cut the data off: where look-ahead likes to hide."""

import itertools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features import FeatureInputs
from pipeline.market import Instrument, label_sessions, session_schedule

__all__ = ["choose_cutoffs", "last_sessions"]

Ints = NDArray[np.int64]


def choose_cutoffs(inputs: FeatureInputs, count: int, seed: int) -> Ints:
    """Positions of sessions at whose closes to cut off, rising.

    In turn one of each kind, the places drawn by the seed: the last session but one, the session before a roll, the
    roll itself, the end and the beginning of a calendar quarter, before and after a holiday, the middle of a contract,
    an early session; then any. Never the last session: nothing lies behind it.

    Parameters
    ----------
    count
        How many; fewer where there are fewer sessions.
    """
    sessions, last = inputs.sessions, len(inputs.sessions) - 1
    if last < 1:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    rolls = np.flatnonzero(inputs.rolled)[1:]
    quarter = np.asarray(sessions.year * 4 + sessions.quarter)
    begins = np.flatnonzero(np.diff(quarter)) + 1
    reopened = _after_pauses(inputs)
    middles = (np.append(0, rolls) + np.append(rolls, last)) // 2 if len(rolls) else np.empty(0, np.int64)
    kinds = (
        np.array([last - 1]),
        rolls - 1,
        rolls,
        begins - 1,
        middles,
        begins,
        reopened - 1,
        reopened,
        np.array([last // 8]),
        np.arange(last // 4, last),
    )
    queues = [rng.permutation(places[(places >= 0) & (places < last)]) for places in kinds]
    # One of each kind in turn; then whatever there is, at random.
    turns = itertools.chain(
        *itertools.zip_longest(*(queue[: 1 + count // len(kinds)] for queue in queues)), rng.permutation(last)
    )
    chosen = dict.fromkeys(int(place) for place in turns if place is not None)
    return np.sort(np.array(list(itertools.islice(chosen, max(count, 1))), np.int64))


def _after_pauses(inputs: FeatureInputs) -> Ints:
    """Sessions after a longer pause than their weekday usually has, or after a session that closed early."""
    sessions = inputs.sessions
    schedule = session_schedule(inputs.instrument, sessions[0], sessions[-1]).loc[sessions]
    days = np.append(0, np.diff(sessions.asi8)) // (24 * 3600 * 10**9)
    length = (pd.DatetimeIndex(schedule["rth_close"]) - pd.DatetimeIndex(schedule["rth_open"])).as_unit("ns").asi8
    usual = pd.Series(days).groupby(sessions.day_of_week).transform("median").to_numpy()
    short = np.append(False, length[:-1] < np.median(length))
    found: Ints = np.flatnonzero((days > usual) | short).astype(np.int64)
    return found


def last_sessions(bars: pd.DataFrame, instrument: Instrument, count: int) -> pd.DataFrame:
    """Bars of the last ``count`` sessions that have any; all of them where there are no more.

    Two years prove as much of a feature as twenty: it may look back a quarter or three, and the cut-offs lie
    within them.
    """
    labels = label_sessions(pd.DatetimeIndex(bars["timestamp"]), instrument)
    held = pd.unique(labels.position[labels.position >= 0])
    if len(held) <= count:
        return bars
    return bars[labels.position >= held[-count]].reset_index(drop=True)
