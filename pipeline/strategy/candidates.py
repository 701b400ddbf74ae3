"""The two setups each session offers the next one: fade the value area from either end (contract §5)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, next_session
from pipeline.strategy.settings import StrategySettings

__all__ = ["Setups", "candidates_frame", "find_setups", "make_candidates", "sessions_without_candidates"]

Ints = NDArray[np.int64]

# Distances are whole ticks or means of whole ticks: what is nearer to a whole tick than this is float noise.
_NOISE = 1e-6


def make_candidates(
    history: pd.DataFrame, instrument: Instrument, settings: StrategySettings | None = None
) -> pd.DataFrame:
    """A long at VAL and a short at VAH for the session after each one of the history.

    The target is the other end of the value area. The stop lies ``min(k × ATR, distance / 2)`` from the entry, rounded
    up to whole ticks (away from the entry), ``k`` being ``settings.stop_atr_factor`` and distance that from entry to
    target. Half of an odd distance is rounded up too, so the reward can fall one tick short of twice the risk.

    Parameters
    ----------
    history
        As :func:`pipeline.strategy.session_history` makes it with the same settings, shape (n, ...).

    Returns
    -------
    DataFrame
        Two rows or none a session, in order, the long first. The last session of the history gives those of the
        coming session.

        session
            The next of the exchange's calendar, when the setup may trade.
        decided_on
            The session it comes from.
        side
            +1 long, −1 short.
        entry, stop, target
            Prices on the tick.
        contract
            Of ``decided_on``, where the history has one.
        stop_ticks, target_ticks
            Distances from the entry.

    Raises
    ------
    ConfigurationError
        If the history was made with another ATR window.
    """
    chosen = settings or StrategySettings()
    found = find_setups(*_areas(history, instrument), _known_ranges(history, chosen), instrument, chosen)
    decided = pd.DatetimeIndex(history.index)[found.row]
    contract = history["contract"].to_numpy(object)[found.row] if "contract" in history.columns else None
    return candidates_frame(found, decided, next_session(decided, instrument, chosen.hours), contract, instrument)


@dataclass(frozen=True)
class Setups:
    """The candidates of some sessions as numbers, two or none a session, the long first; shape (2k,) each.

    Attributes
    ----------
    row
        The session each comes from.
    side
        +1, −1.
    entry, stop, target
        Ticks.
    """

    row: Ints
    side: Ints
    entry: Ints
    stop: Ints
    target: Ints


def find_setups(
    val: Ints, vah: Ints, average_range: NDArray[np.float64], instrument: Instrument, settings: StrategySettings
) -> Setups:
    """The setups of :func:`make_candidates` from value areas in ticks and average true ranges, shape (n,) each."""
    stop, distance, offered = _stops(val, vah, average_range, instrument, settings)
    row = np.flatnonzero(offered).repeat(2)
    # Long and short alternate within a session.
    side = np.tile(np.array([1, -1], np.int64), len(row) // 2)
    entry = np.where(side > 0, val[row], vah[row])
    return Setups(row, side, entry, entry - side * stop[row], entry + side * distance[row])


def candidates_frame(
    found: Setups,
    decided: pd.DatetimeIndex,
    session: pd.DatetimeIndex,
    contract: NDArray[np.object_] | None,
    instrument: Instrument,
) -> pd.DataFrame:
    """The frame of :func:`make_candidates`; days and contract are each setup's own."""
    candidates = pd.DataFrame(
        {
            "session": session,
            "decided_on": decided,
            "side": found.side,
            "entry": instrument.to_prices(found.entry),
            "stop": instrument.to_prices(found.stop),
            "target": instrument.to_prices(found.target),
        }
    )
    if contract is not None:
        candidates["contract"] = pd.array(contract, dtype="str")
    candidates["stop_ticks"] = np.abs(found.entry - found.stop)
    candidates["target_ticks"] = np.abs(found.target - found.entry)
    return candidates


def sessions_without_candidates(
    history: pd.DataFrame, instrument: Instrument, settings: StrategySettings | None = None
) -> pd.DataFrame:
    """Sessions of the history that offer no setup, and why.

    Returns
    -------
    DataFrame
        ``decided_on`` and ``reason``: ``no_atr`` (too few sessions before it) or ``stop_below_minimum`` (value area or
        average true range too narrow for a stop of ``min_stop_ticks``). With those of :func:`make_candidates` every
        session of the history is accounted for.
    """
    chosen = settings or StrategySettings()
    ranges = _known_ranges(history, chosen)
    without = np.flatnonzero(~_stops(*_areas(history, instrument), ranges, instrument, chosen)[2])
    reason = np.where(np.isnan(ranges[without]), "no_atr", "stop_below_minimum")
    return pd.DataFrame(
        {"decided_on": pd.DatetimeIndex(history.index)[without], "reason": pd.array(reason, dtype="str")}
    )


def _areas(history: pd.DataFrame, instrument: Instrument) -> tuple[Ints, Ints]:
    return instrument.to_ticks(history["val"]), instrument.to_ticks(history["vah"])


def _known_ranges(history: pd.DataFrame, settings: StrategySettings) -> NDArray[np.float64]:
    if settings.atr_column not in history.columns:
        raise ConfigurationError(
            f"the session history has no {settings.atr_column}; compute it with the same "
            f"atr_window, {settings.atr_window}"
        )
    return history[settings.atr_column].to_numpy(np.float64)


def _stops(
    val: Ints, vah: Ints, average_range: NDArray[np.float64], instrument: Instrument, settings: StrategySettings
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Per session: stop and target distance in ticks, and whether there is a candidate."""
    distance, known = vah - val, ~np.isnan(average_range)
    reach = settings.stop_atr_factor * np.where(known, average_range, 0.0) / instrument.tick_size
    stop = np.ceil(np.minimum(reach, distance / 2) - _NOISE).astype(np.int64)
    return stop, distance, known & (stop >= settings.min_stop_ticks)
