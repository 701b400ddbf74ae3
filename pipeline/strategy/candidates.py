"""The two setups each session offers the next one: fade the value area from either end (contract §5)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, next_session
from pipeline.strategy.settings import StrategySettings

__all__ = ["make_candidates", "sessions_without_candidates"]

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
    stop, distance, reason = _stops(history, instrument, chosen)
    offered = np.flatnonzero(reason == "")
    val, vah = (instrument.to_ticks(history[name])[offered] for name in ("val", "vah"))
    stop, distance = stop[offered], distance[offered]
    decided = pd.DatetimeIndex(history.index)[offered]
    # Long and short alternate within a session.
    entry = np.stack([val, vah], axis=1).ravel()
    stops = np.stack([val - stop, vah + stop], axis=1).ravel()
    target = np.stack([vah, val], axis=1).ravel()
    candidates = pd.DataFrame(
        {
            "session": next_session(decided, instrument).repeat(2),
            "decided_on": decided.repeat(2),
            "side": np.tile(np.array([1, -1], np.int64), len(offered)),
            "entry": instrument.to_prices(entry),
            "stop": instrument.to_prices(stops),
            "target": instrument.to_prices(target),
        }
    )
    if "contract" in history.columns:
        candidates["contract"] = pd.array(history["contract"].to_numpy(object)[offered].repeat(2), dtype="str")
    candidates["stop_ticks"] = stop.repeat(2)
    candidates["target_ticks"] = distance.repeat(2)
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
    reason = _stops(history, instrument, settings or StrategySettings())[2]
    without = np.flatnonzero(reason != "")
    return pd.DataFrame(
        {
            "decided_on": pd.DatetimeIndex(history.index)[without],
            "reason": pd.array(reason[without], dtype="str"),
        }
    )


def _stops(
    history: pd.DataFrame, instrument: Instrument, settings: StrategySettings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.object_]]:
    """Per session: stop and target distance in ticks, and why there is no candidate ('' where there is)."""
    if settings.atr_column not in history.columns:
        raise ConfigurationError(
            f"the session history has no {settings.atr_column}; make it with the same atr_window, {settings.atr_window}"
        )
    distance = instrument.to_ticks(history["vah"]) - instrument.to_ticks(history["val"])
    atr = history[settings.atr_column].to_numpy(np.float64)
    known = ~np.isnan(atr)
    reach = settings.stop_atr_factor * np.where(known, atr, 0.0) / instrument.tick_size
    stop = np.ceil(np.minimum(reach, distance / 2) - _NOISE).astype(np.int64)
    narrow = np.where(stop < settings.min_stop_ticks, "stop_below_minimum", "").astype(object)
    return stop, distance, np.where(known, narrow, "no_atr").astype(object)
