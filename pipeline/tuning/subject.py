"""Subject of a study: what is tuned, on which data, and how a trial of it is judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from pipeline.search_space import SearchSpace
from pipeline.tuning.look import Look
from pipeline.tuning.objectives import Judged
from pipeline.tuning.trials import Report, TrialRecord

__all__ = ["Subject", "Target"]


class Target(Protocol):
    """Target of a study: :class:`~pipeline.tuning.model_target.ModelTarget` or a strategy's."""

    @property
    def space(self) -> SearchSpace:
        """What is searched."""

    def judge(self, params: Mapping[str, Any], report: Report) -> Judged:
        """Judge parameters; what it raises fails the trial."""


@dataclass(frozen=True)
class Subject:
    """Subject of a study: the market, target, version and period that its trials are counted under.

    Attributes
    ----------
    symbol
        Market, such as ``ES``.
    target
        What is tuned, such as ``lightgbm`` or ``strategy``.
    version
        Hash of the data: trials on other data are another study's.
    first, last
        Sessions that its trials look at.
    capital
        Money that returns are counted on.
    book
        Book that is tuned, in whose name the study runs; by default the market's own. Its trials count on the market.
    """

    symbol: str
    target: str
    version: str
    first: pd.Timestamp
    last: pd.Timestamp
    capital: float
    book: str = ""

    @property
    def study(self) -> str:
        """Name of the study."""
        return f"{self.book or self.symbol}/{self.target}/{self.version}"

    def look(self, trial: TrialRecord, study: str, returns: pd.Series | None = None) -> Look:
        """A settled trial as a look of the ledger."""
        return Look(
            study=study,
            number=trial.position,
            symbol=self.symbol,
            target=self.target,
            first=self.first,
            last=self.last,
            params=trial.params,
            state=trial.state,
            values=trial.values or (),  # noqa: PD011 (no frame)
            finished=trial.finished,
            seconds=trial.seconds,
            returns=returns,
        )
