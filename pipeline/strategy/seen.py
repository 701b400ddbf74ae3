"""What a strategy may see when it decides: each session's history as known at its close, and today's bars so far."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, next_session
from pipeline.strategy.distances import rounded_down, rounded_up
from pipeline.strategy.history import HistoryParts
from pipeline.strategy.settings import HistorySettings
from pipeline.strategy.today import SessionBars, Today

__all__ = ["HistoryColumns", "PartsHistory", "Seen", "StoredHistory"]

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
        return self._history.copy(deep=False)  # what a strategy writes into its own stays there


class PartsHistory(HistoryColumns):
    """Columns of a history that is worked out column by column, as they are asked for.

    Parameters
    ----------
    parts
        Of the sessions.
    levels
        Value areas in ticks: ``val`` and ``vah``, shape (n,) each.
    instrument, settings
        Whose the history is, and its windows.
    """

    def __init__(
        self, parts: HistoryParts, levels: Mapping[str, Ints], instrument: Instrument, settings: HistorySettings
    ) -> None:
        self._parts, self._levels, self._instrument, self._settings = parts, levels, instrument, settings

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """As of :class:`HistoryColumns`."""
        return self._parts.sessions

    def values(self, name: str) -> NDArray[Any]:
        """As of :class:`HistoryColumns`.

        Raises
        ------
        ConfigurationError
            If there is no such column.
        """
        if name in self._levels:
            return self._instrument.to_prices(self._levels[name])
        try:
            return self._parts.column(name, self._settings)
        except KeyError:
            raise ConfigurationError(
                f"the session history has no {name}; see the columns in docs/strategy.md"
            ) from None

    def ticks(self, name: str) -> Ints:
        """As of :class:`HistoryColumns`."""
        return self._levels[name] if name in self._levels else self._instrument.to_ticks(self.values(name))

    @property
    def contracts(self) -> NDArray[np.object_] | None:
        """As of :class:`HistoryColumns`."""
        return self._parts.contracts

    def frame(self) -> pd.DataFrame:
        """As of :class:`HistoryColumns`."""
        levels = {name: self._instrument.to_prices(ticks) for name, ticks in self._levels.items()}
        return self._parts.history(pd.DataFrame(levels, index=self.sessions), self._settings)


class Seen:
    """Everything that a strategy decides from, for all sessions at once.

    Row t holds what was known at the close of session t, and what is decided on it trades in the session after
    (contract §4): before it opens, or so many minutes within it, with ``today`` besides. A strategy that uses a later
    row for an earlier decision is caught by the audit.

    Parameters
    ----------
    columns
        The session history.
    instrument
        What trades.
    settings
        That the history was made with.
    bars
        For decisions within a session.
    minute
        Of the decision, after the open of the session's hours; None before it.
    """

    def __init__(
        self,
        columns: HistoryColumns,
        instrument: Instrument,
        settings: HistorySettings,
        bars: SessionBars | None = None,
        minute: int | None = None,
    ) -> None:
        self.columns, self.instrument, self.settings = columns, instrument, settings
        self.minute = minute
        self._bars = bars

    @classmethod
    def of(
        cls,
        history: pd.DataFrame,
        instrument: Instrument,
        settings: HistorySettings | None = None,
        bars: pd.DataFrame | None = None,
        known_until: pd.Timestamp | str | None = None,
    ) -> "Seen":
        """See a history that is there as a frame, with the bars for decisions within a session.

        Parameters
        ----------
        history
            As :func:`~pipeline.strategy.session_history` makes it.
        instrument
            What trades.
        settings
            That the history was made with; the contract's by default.
        bars
            Clean bars, for decisions within a session.
        known_until
            Instant up to which the bars are complete (with a zone), which is the last decision's at the latest; by
            default the last bar's end.
        """
        chosen = settings or HistorySettings()
        own = None if bars is None else SessionBars(bars, instrument, chosen.hours, known_until)
        return cls(StoredHistory(history, instrument), instrument, chosen, own)

    def at(self, minute: int) -> "Seen":
        """See the same, and each coming session's bars so many minutes after its hours opened."""
        return Seen(self.columns, self.instrument, self.settings, self._bars, minute)

    @cached_property
    def today(self) -> Today:
        """The coming session's bars that were complete at the decision.

        Raises
        ------
        ConfigurationError
            For a decision before the session opens.
        """
        if self.minute is None or self._bars is None:
            raise ConfigurationError(
                "a strategy that decides at the close before sees nothing of the session; give it decision_minutes"
            )
        return self._bars.until(self.upcoming, self.minute, self.columns.contracts)

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

    def range_ticks(self, factor: float, *, down: bool = False) -> Ints:
        """Return so many average true ranges in whole ticks, shape (n,); 0 where there is none yet.

        Rounded up, so that a distance of fewer ranges is one of fewer ticks; or down, so that a distance of more ranges
        is one of more ticks.
        """
        ranges = np.nan_to_num(self["atr"].astype(np.float64), nan=0.0)
        return (rounded_down if down else rounded_up)(factor * ranges / self.instrument.tick_size)

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
