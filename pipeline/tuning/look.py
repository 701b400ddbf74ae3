"""A look: one finished trial, as the ledger records it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.tuning.trials import State

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """One trial that has ended, on which market and period, and what it returned.

    Attributes
    ----------
    study, number
        Name of the study, and the trial's number in it: its position, where a trial may be tried again.
    symbol
        Market it was evaluated on, such as ``ES``.
    target
        What was tuned, such as ``model:lightgbm`` or ``strategy``.
    first, last
        First and last session it was evaluated on.
    params
        Parameter by name.
    state
        ``complete``; ``pruned``: given up after a part, which counts all the same; ``failed``: no value was
        seen, so it is kept and not counted.
    values
        Value by objective; empty where there is none.
    finished
        When it ended, with a zone.
    seconds
        How long it took.
    returns
        Return by session, of **all** sessions of the period, idle ones 0, in any one unit (both statistics are of
        Sharpe ratios); None where the objective makes none. Kept with the precision of float32.
    """

    study: str
    number: int
    symbol: str
    target: str
    first: pd.Timestamp
    last: pd.Timestamp
    params: Mapping[str, Any]
    state: State
    values: tuple[float, ...]
    finished: dt.datetime
    seconds: float = 0.0
    returns: pd.Series | None = None

    def __post_init__(self) -> None:
        place = f"trial {self.number} of study {self.study}"
        if self.state not in get_args(State):
            raise DataError(f"{place} has the state {self.state!r}; it must be one of {', '.join(get_args(State))}")
        if self.number < 0:
            raise DataError(f"{place} has a negative number; trials count from 0")
        if pd.Timestamp(self.first) > pd.Timestamp(self.last):
            raise DataError(f"{place} begins on {self.first:%F}, after its end on {self.last:%F}; give them in order")
        if self.finished.tzinfo is None:
            raise DataError(f"{place} ended at {self.finished} without a time zone; give one, e.g. UTC")
        if self.returns is not None:
            self._require_returns(place, self.returns)

    def _require_returns(self, place: str, returns: pd.Series) -> None:
        index = returns.index
        if not isinstance(index, pd.DatetimeIndex) or index.tz is not None or not (index == index.normalize()).all():
            raise DataError(f"the returns of {place} are not indexed by session; give trade dates at midnight, no zone")
        if not (index.is_monotonic_increasing and index.is_unique):
            raise DataError(f"the sessions of the returns of {place} are not increasing; give each session once")
        if len(index) and not (pd.Timestamp(self.first) <= index[0] and index[-1] <= pd.Timestamp(self.last)):
            raise DataError(
                f"the returns of {place} run from {index[0]:%F} to {index[-1]:%F}, outside its period from "
                f"{self.first:%F} to {self.last:%F}; give the returns of that period"
            )
        if len(wrong := index[~np.isfinite(returns.to_numpy(np.float64))]):
            raise DataError(f"the return of {place} on {wrong[0]:%F} is missing or infinite; an idle session is a 0")
