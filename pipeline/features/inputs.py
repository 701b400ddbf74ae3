"""Inputs of the features: bars, profiles and what is derived from them, cut off wherever an audit likes."""

import datetime as dt
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.features.externals import cut_external, require_external
from pipeline.market import Instrument, SessionLabels, label_sessions, session_schedule
from pipeline.market.bars import require_bars
from pipeline.profiles.naked import naked_at_close
from pipeline.profiles.sessions import session_profiles
from pipeline.profiles.structure import session_structure
from pipeline.strategy import HistorySettings, session_history

__all__ = ["FeatureInputs"]

_log = logging.getLogger(__name__)

_OWN = frozenset({"bars", "profiles", "history"})
_SUMMED = ("volume", "num_trades", "bid_volume", "ask_volume")
_MINUTE = 60 * 10**9


@dataclass(frozen=True)
class FeatureInputs:
    """Everything a feature may look at. The last session must be over: its bars are taken to be all there are.

    Attributes
    ----------
    bars
        Clean bars.
    profiles
        Of the settings' hours, from :func:`pipeline.profiles.session_profiles`, one row per session.
    history
        From :func:`pipeline.strategy.session_history`, the same rows.
    instrument
        What trades.
    settings
        Those the profiles and the history were made with.
    structure, naked
        From :func:`pipeline.profiles.structure.session_structure` and :func:`pipeline.profiles.naked.naked_at_close`,
        the same rows; None where not made.
    external
        Series from elsewhere by name (``vix``): a row per day with ``timestamp`` (or such an index) and the values,
        optionally ``known_at`` (:mod:`pipeline.features.externals`).
    """

    bars: pd.DataFrame
    profiles: pd.DataFrame
    history: pd.DataFrame
    instrument: Instrument
    settings: HistorySettings
    structure: pd.DataFrame | None = None
    naked: pd.DataFrame | None = None
    external: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("profiles", "structure", "naked"):
            table = getattr(self, name)
            if table is not None and not pd.DatetimeIndex(table.index).equals(pd.DatetimeIndex(self.history.index)):
                raise DataError(f"{name} and history are not of the same sessions; make both from the same profiles")
        for name, frame in self.external.items():
            require_external(name, frame)

    @classmethod
    def from_bars(
        cls,
        bars: pd.DataFrame,
        instrument: Instrument,
        settings: HistorySettings | None = None,
        vix: pd.DataFrame | None = None,
        *,
        external: Mapping[str, pd.DataFrame] | None = None,
        structure: bool = True,
        naked: bool = True,
    ) -> Self:
        """Make profiles, history, structure and naked VPOCs from bars.

        Parameters
        ----------
        bars
            What :func:`pipeline.market.bars.require_bars` takes.
        settings
            Hours, profile and windows; the contract's by default.
        vix
            Daily VIX rows: ``external["vix"]``.
        external
            Other series by name.
        structure, naked
            Whether to make these tables; features that need them are absent without.

        Raises
        ------
        DataError
            For bars that can't be used, or too few: no session with volume.
        """
        chosen = settings or HistorySettings()
        clean = require_bars(bars)
        rows = chosen.row_rule(instrument).options
        profiles = session_profiles(clean, instrument, **chosen.profile(instrument).options)
        series = dict(external or {})
        if vix is not None:
            series["vix"] = vix
        return cls(
            bars=clean,
            profiles=profiles,
            history=session_history(clean, profiles, instrument, chosen),
            instrument=instrument,
            settings=chosen,
            structure=session_structure(clean, profiles, instrument, hours=chosen.hours, **rows) if structure else None,
            naked=naked_at_close(profiles, clean, instrument, hours=chosen.hours, **rows) if naked else None,
            external=series,
        )

    def until(self, session: dt.date | str) -> Self:
        """The same, as it was known at that session's close: everything made again from what there was then."""
        last = _date(session)
        closes = self._schedule_of(last)[self._hours_close].iloc[0]
        end = self._schedule_of(last)["close"].iloc[0]
        kept = int(np.searchsorted(self._instants, pd.Timestamp(end).as_unit("ns").value))
        return self._again(
            self.bars.iloc[:kept],
            {name: cut_external(frame, last=last, close=closes) for name, frame in self.external.items()},
        )

    def since(self, session: dt.date | str) -> Self:
        """The same, as if data began at that session: everything made again from what comes after."""
        first = _date(session)
        begin = self._schedule_of(first)["open"].iloc[0]
        kept = int(np.searchsorted(self._instants, pd.Timestamp(begin).as_unit("ns").value))
        return self._again(
            self.bars.iloc[kept:].reset_index(drop=True),
            {name: cut_external(frame, first=first) for name, frame in self.external.items()},
        )

    def recent(self, sessions: int) -> Self:
        """The last sessions, with their rows of every table as they are; for working out only what is new."""
        if sessions >= len(self.sessions):
            return self
        first = self.sessions[len(self.sessions) - sessions]
        begin = self._schedule_of(first)["open"].iloc[0]
        kept = int(np.searchsorted(self._instants, pd.Timestamp(begin).as_unit("ns").value))
        return replace(
            self,
            bars=self.bars.iloc[kept:].reset_index(drop=True),
            **{
                name: table.iloc[-sessions:]
                for name in ("profiles", "history", "structure", "naked")
                if (table := getattr(self, name)) is not None
            },
        )

    def has(self, name: str) -> bool:
        """Return True if an input exists: a table, a column of the bars, or an external series."""
        if name in _OWN:
            return True
        if name in ("structure", "naked"):
            return getattr(self, name) is not None
        return name in self.external or name in self.bars.columns

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns, computed once and kept: for what several features share."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        """Sessions of the history, one a row of the features, shape (sessions,)."""
        return pd.DatetimeIndex(self.history.index).as_unit("ns").rename("session")

    @cached_property
    def rolled(self) -> NDArray[np.bool_]:
        """Mark the sessions whose contract differs from the one before; True in the first, shape (sessions,)."""
        changed = np.ones(len(self.sessions), np.bool_)
        if "contract" in self.history.columns:
            names = self.history["contract"].to_numpy(object)
            changed[1:] = names[1:] != names[:-1]
        else:
            changed[1:] = False
        return changed

    @cached_property
    def atr(self) -> NDArray[np.float64]:
        """Average true range of each session's history, price units, NaN before it is known, shape (sessions,)."""
        return self.history[self.settings.atr_column].to_numpy(np.float64)

    @cached_property
    def hour_bars(self) -> pd.DataFrame:
        """Bars with volume (all, where profiles count time), of the settings' hours and their session's contract.

        Returns
        -------
        DataFrame
            The bars' columns, ``session``, and ``row`` (the session's number in ``sessions``, int64).
        """
        clean = require_bars(self.bars)
        labels = self._labels
        row_of = self.sessions.get_indexer(pd.DatetimeIndex(labels.schedule.index).as_unit("ns"))
        counted = self.instrument.to_steps(clean["volume"].to_numpy()) > 0
        counted |= self.settings.allocation == "tpo"
        inside = labels.mask(self.settings.hours) & counted
        row = np.where(inside, row_of[labels.position] if len(row_of) else -1, -1)
        kept = np.flatnonzero(row >= 0)
        if "contract" in clean.columns and "contract" in self.history.columns:
            codes, names = pd.factorize(clean["contract"])
            ours = pd.Index(np.asarray(names, dtype=object)).get_indexer(self.history["contract"].to_numpy(object))
            kept = kept[codes[kept] == ours[row[kept]]]
        held = clean.iloc[kept].reset_index(drop=True)
        held["row"] = row[kept].astype(np.int64)
        held["session"] = self.sessions[row[kept]]
        return held

    @cached_property
    def session_bars(self) -> pd.DataFrame:
        """One bar per session, of :attr:`hour_bars`, shape (sessions, ...).

        Returns
        -------
        DataFrame
            Indexed by session: open, high, low, close, volume, and where the bars have them contract, num_trades,
            bid_volume, ask_volume (sums).
        """
        held = self.hour_bars
        table = _merged(held, held["row"].to_numpy()).set_index("session")
        table.index = pd.DatetimeIndex(table.index).as_unit("ns").rename("session")
        if not table.index.equals(self.sessions):
            raise DataError("history holds sessions without bars in these hours; make it from these bars")
        return table.drop(columns=["row", "timestamp"])

    @cached_property
    def bar_minutes(self) -> NDArray[np.float64]:
        """Length of the bars of each session's hours in minutes, shape (sessions,).

        The longest that all steps between them are multiples of: bars without trades may be missing. From the session's
        own bars only, so that it is known at its close. NaN with fewer than two bars.
        """
        held = self.hour_bars
        length = np.full(len(self.sessions), np.nan)
        if len(held) == 0:
            return length
        row, instants = held["row"].to_numpy(), pd.DatetimeIndex(held["timestamp"]).as_unit("ns").asi8
        first = np.flatnonzero(np.diff(row, prepend=-1))
        steps = np.diff(instants, prepend=instants[0])
        steps[first] = 0
        common = np.gcd.reduceat(steps, first)
        length[row[first]] = np.where(common > 0, common / _MINUTE, np.nan)
        return length

    def frames(self, minutes: int) -> pd.DataFrame:
        """Bars of 5, 15, 30, 60 minutes of :attr:`hour_bars`, counted from the open of each session's hours.

        Only frames that end by the close of the hours: the half hour left over of 390 minutes in frames of 60 is none.
        No frame spans two sessions, so none spans two contracts. Sessions whose bars can't be put together to that
        length (:attr:`bar_minutes`) have none.

        Returns
        -------
        DataFrame
            In order: ``timestamp`` (the frame's open, UTC), ``session``, ``row`` (the session's number), open, high,
            low, close, volume, and the further columns of :attr:`session_bars`.
        """
        if not isinstance(minutes, int) or minutes < 1:
            raise ConfigurationError(f"frames of {minutes!r} minutes were asked for; give a whole number, 1 or more")
        return cast(pd.DataFrame, self.once(("frames", minutes), lambda: self._frames(minutes)))

    def at_close(self, frames: pd.DataFrame, values: pd.Series | NDArray[np.float64]) -> pd.Series:
        """Return the last value of each session, indexed by session; NaN where it has no frame."""
        row = frames["row"].to_numpy()
        last = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else np.empty(0, np.int64)
        found = np.full(len(self.sessions), np.nan)
        found[row[last]] = np.asarray(values, np.float64)[last]
        return pd.Series(found, index=self.sessions)

    def _frames(self, minutes: int) -> pd.DataFrame:
        held = self.hour_bars
        length = minutes * _MINUTE
        fits = minutes % self.bar_minutes == 0
        if not fits.all():
            _log.info(
                "%s: bars of %d of %d sessions can't make frames of %d minutes; features on them are missing there",
                self.instrument.symbol,
                int((~fits).sum()),
                len(fits),
                minutes,
            )
        held = held[fits[held["row"].to_numpy()]]
        row = held["row"].to_numpy()
        opens, closes = (
            pd.DatetimeIndex(self._own_schedule[name]).as_unit("ns").asi8[row]
            for name in (self._hours_close.replace("close", "open"), self._hours_close)
        )
        number = (pd.DatetimeIndex(held["timestamp"]).asi8 - opens) // length
        starts = opens + number * length
        whole = starts + length <= closes
        held, row, number, starts = held[whole], row[whole], number[whole], starts[whole]
        frames = _merged(held, row * (1 << 20) + number)
        first = np.flatnonzero(np.diff(row * (1 << 20) + number, prepend=-1))
        frames["timestamp"] = pd.DatetimeIndex(starts[first], tz="UTC")
        return frames

    @cached_property
    def _labels(self) -> SessionLabels:
        return label_sessions(pd.DatetimeIndex(require_bars(self.bars, ("timestamp",))["timestamp"]), self.instrument)

    @cached_property
    def _instants(self) -> NDArray[np.int64]:
        return pd.DatetimeIndex(require_bars(self.bars, ("timestamp",))["timestamp"]).as_unit("ns").asi8

    @cached_property
    def _own_schedule(self) -> pd.DataFrame:
        if len(self.sessions) == 0:
            return self._labels.schedule.iloc[:0]
        return session_schedule(self.instrument, self.sessions[0], self.sessions[-1]).loc[self.sessions]

    @property
    def _hours_close(self) -> str:
        return "rth_close" if self.settings.hours == "rth" else "close"

    @cached_property
    def closes(self) -> pd.DatetimeIndex:
        """Close of each session's hours (UTC), shape (sessions,): the instant a feature's value is known."""
        return pd.DatetimeIndex(self._own_schedule[self._hours_close]).as_unit("ns")

    def _schedule_of(self, session: pd.Timestamp) -> pd.DataFrame:
        found = session_schedule(self.instrument, session, session)
        if len(found) == 0:
            raise DataError(
                f"{session.date()} is not a session of {self.instrument.symbol} ({self.instrument.calendar}); "
                "name a trade date of its calendar"
            )
        return found

    def _again(self, bars: pd.DataFrame, external: Mapping[str, pd.DataFrame]) -> Self:
        return type(self).from_bars(
            bars,
            self.instrument,
            self.settings,
            external=external,
            structure=self.structure is not None,
            naked=self.naked is not None,
        )


def _merged(held: pd.DataFrame, group: NDArray[np.int64]) -> pd.DataFrame:
    """Bars put together: consecutive rows of the same group become one."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(group)) - 1 if len(starts) else starts
    columns: dict[str, Any] = {
        "timestamp": held["timestamp"].iloc[starts].array,
        "session": held["session"].iloc[starts].array,
        "row": held["row"].to_numpy()[starts],
        "open": held["open"].to_numpy()[starts],
        "high": _reduced(np.maximum, held["high"], starts),
        "low": _reduced(np.minimum, held["low"], starts),
        "close": held["close"].to_numpy()[ends],
    }
    for name in _SUMMED:
        if name in held.columns:
            columns[name] = _reduced(np.add, held[name], starts)
    if "contract" in held.columns:
        columns["contract"] = held["contract"].iloc[starts].array
    return pd.DataFrame(columns)


def _reduced(function: np.ufunc, values: pd.Series, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    array = values.to_numpy(np.float64)
    return function.reduceat(array, starts) if len(starts) else array[:0]


def _date(session: dt.date | str) -> pd.Timestamp:
    try:
        return pd.Timestamp(session).tz_localize(None).normalize()
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"session {session!r} is not a date; write it as 2021-03-15") from error
