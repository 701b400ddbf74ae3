"""What a strategy may see when it decides: each session's history, as known at that session's close."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, next_session
from pipeline.strategy.settings import HistorySettings

__all__ = ["HistoryColumns", "Seen", "StoredHistory"]

Ints = NDArray[np.int64]


class HistoryColumns(ABC):
    """Columns of a session history, each a value per session, known at its close."""

    @property
    @abstractmethod
    def sessions(self) -> pd.DatetimeIndex:
        """The sessions, shape (n,)."""

    @abstractmethod
    def values(self, name: str) -> NDArray[Any]:
        """Return a column of :func:`~pipeline.strategy.session_history`, shape (n,)."""

    @abstractmethod
    def ticks(self, name: str) -> Ints:
        """Return a column of prices in ticks, shape (n,)."""

    @property
    @abstractmethod
    def contracts(self) -> NDArray[np.object_] | None:
        """Each session's contract, shape (n,); None where the bars carry none."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """Return all columns, indexed by session."""


class StoredHistory(HistoryColumns):
    """Columns of a history that is there as a frame."""

    def __init__(self, history: pd.DataFrame, instrument: Instrument) -> None:
        self._history, self._instrument = history, instrument

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """As of :class:`HistoryColumns`."""
        return pd.DatetimeIndex(self._history.index)

    def values(self, name: str) -> NDArray[Any]:
        """As of :class:`HistoryColumns`.

        Raises
        ------
        ConfigurationError
            If there is no such column, as where the history was made with other windows.
        """
        if name not in self._history.columns:
            known = ", ".join(map(str, self._history.columns))
            raise ConfigurationError(
                f"the session history has no {name} (it has {known}); make it with the same settings as the strategy "
                "is run with"
            )
        return self._history[name].to_numpy()

    def ticks(self, name: str) -> Ints:
        """As of :class:`HistoryColumns`."""
        return self._instrument.to_ticks(self.values(name))

    @property
    def contracts(self) -> NDArray[np.object_] | None:
        """As of :class:`HistoryColumns`."""
        return self._history["contract"].to_numpy(object) if "contract" in self._history.columns else None

    def frame(self) -> pd.DataFrame:
        """As of :class:`HistoryColumns`."""
        return self._history


class Seen:
    """Everything that a strategy decides from, for all sessions at once.

    Row t holds what was known at the close of session t; what is decided there trades in the session after
    (contract §4). A strategy that uses a later row for an earlier decision is caught by the audit.

    Parameters
    ----------
    columns
        The session history.
    instrument
        What trades.
    settings
        That the history was made with.
    """

    def __init__(self, columns: HistoryColumns, instrument: Instrument, settings: HistorySettings) -> None:
        self.columns, self.instrument, self.settings = columns, instrument, settings

    @classmethod
    def of(cls, history: pd.DataFrame, instrument: Instrument, settings: HistorySettings | None = None) -> "Seen":
        """See a history that is there as a frame."""
        return cls(StoredHistory(history, instrument), instrument, settings or HistorySettings())

    def __len__(self) -> int:
        return len(self.sessions)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column of :func:`~pipeline.strategy.session_history`, shape (n,).

        The columns that carry a window in their name go without it too: ``atr``, ``volatility_short`` and
        ``volatility_long``.
        """
        return self.columns.values(self._windowed.get(name, name))

    def ticks(self, name: str) -> Ints:
        """Return a column of prices (``open``, ``high``, ``low``, ``close``, ``vpoc``, ``val``, ``vah``) in ticks."""
        return self.columns.ticks(name)

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The sessions of the history, shape (n,)."""
        return self.columns.sessions

    @cached_property
    def upcoming(self) -> pd.DatetimeIndex:
        """The session after each one, which its orders are for, shape (n,)."""
        return next_session(self.sessions, self.instrument, self.settings.hours)

    @cached_property
    def history(self) -> pd.DataFrame:
        """The history as a frame, indexed by session."""
        return self.columns.frame()

    @cached_property
    def _windowed(self) -> Mapping[str, str]:
        short, long = self.settings.volatility_columns
        return {"atr": self.settings.atr_column, "volatility_short": short, "volatility_long": long}
