"""Rolls that the file doesn't say: a continuous series of futures without a column of contracts."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.evidence.data import HOUR, Evidence
from pipeline.market.evidence.finding import Finding
from pipeline.market.instruments import Instrument
from pipeline.market.quarterly_futures import is_futures, third_fridays
from pipeline.market.sessions import label_sessions

__all__ = ["likely_rolls", "look"]

_LONG = pd.Timedelta(days=100)  # longer than a quarter: one contract is hardly traded so long
_BEFORE, _AFTER = pd.Timedelta(days=9), pd.Timedelta(days=4)  # around a third Friday
_LEAST_TIMES = 10.0  # the usual step between sessions
_LEAST_OF_RANGE = 0.15  # of the session before; news moves the market within the session too, a roll at its open only
_ENOUGH = 5
_SELDOM = 0.2
_MOST_NAMED = 6


def look(data: Evidence) -> Iterator[Finding]:
    """Say what a continuous series without contracts means, and where it probably rolls."""
    bars = data.clean.bars
    if not is_futures(data.instrument) or bars.empty or _knows_its_contracts(bars):
        return
    rolls = likely_rolls(bars, data.instrument)
    if rolls.empty and not _spans_a_roll(bars):
        return
    meant = (
        "the file has no column of contracts, so returns, profiles and orders run across rolls and the price step "
        "there counts as a move of the market; give the contract in a column named contract, or one file per contract"
    )
    if rolls.empty:
        yield Finding("rolls", "note", meant)
        return
    named = [f"{row.session:%Y-%m-%d} ({row.jump:+g})" for row in rolls.itertuples()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    yield Finding("rolls", "warning", f"likely rolls: {', '.join(named[:_MOST_NAMED])}{more}; {meant}")


def likely_rolls(bars: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Find where a continuous series of quarterly futures probably changes contract.

    Around each third Friday of March, June, September and December that is the step from one session to the next that
    stands out most from the usual one, or a session that ends with the expiring contract, hours before its close.

    Returns
    -------
    DataFrame
        ``session`` (the first of the new contract), ``jump`` (its first open less the close before, in points),
        ``times`` (the jump as a multiple of the usual step), ``expired`` (the session before ended early, with its
        contract).
    """
    instants = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    schedule = label_sessions(bars["timestamp"], instrument).schedule
    opens, closes = (pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8 for name in ("open", "close"))
    first, stop = np.searchsorted(instants, opens), np.searchsorted(instants, closes)
    held = np.flatnonzero(stop > first)
    columns = ["session", "jump", "times", "expired"]
    if len(held) < 3:
        return pd.DataFrame(columns=columns)
    first, stop = first[held], stop[held]
    sessions = pd.DatetimeIndex(schedule.index[held])
    jump = bars["open"].to_numpy()[first[1:]] - bars["close"].to_numpy()[stop[:-1] - 1]
    early = closes[held[:-1]] - instants[stop[:-1] - 1] > 4 * HOUR
    early &= early.mean() < _SELDOM  # a file of mornings ends early every day
    steps = pd.DataFrame({"session": sessions[1:], "jump": jump, "before": sessions[:-1]})
    reach = np.maximum.reduceat(bars["high"].to_numpy(), first) - np.minimum.reduceat(bars["low"].to_numpy(), first)
    steps["stands_out"] = np.abs(jump) >= _LEAST_OF_RANGE * reach[:-1]
    steps["times"] = np.abs(jump) / _usual(jump, sessions, instrument.tick_size)
    found = []
    for friday in third_fridays(sessions[0] - _AFTER, sessions[-1] + _BEFORE):
        near = steps[(steps["session"] >= friday - _BEFORE) & (steps["session"] <= friday + _AFTER)]
        # The last trade of an expiring contract is the auction of Friday morning, 08:30 in Chicago.
        expired = near[(near["before"] == friday) & early[near.index]]
        chosen = (
            expired if len(expired) else near[near["stands_out"] & (near["times"] >= _LEAST_TIMES)].nlargest(1, "times")
        )
        found.append(chosen.assign(expired=bool(len(expired))))
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _usual(jump: NDArray[np.float64], sessions: pd.DatetimeIndex, tick: float) -> NDArray[np.float64]:
    """The median step between sessions, of weekends and holidays apart, where there are enough of them."""
    size = np.abs(jump)
    paused = np.diff(sessions.to_numpy()) > np.timedelta64(1, "D")
    usual = np.full(len(size), np.median(size))
    for kind in (paused, ~paused):
        if kind.sum() >= _ENOUGH:
            usual[kind] = np.median(size[kind])
    return np.maximum(usual, tick)


def _spans_a_roll(bars: pd.DataFrame) -> bool:
    """Return True if the bars cover all the days in which a quarter's contract is left for the next."""
    first, last = (bars["timestamp"].iloc[place].tz_localize(None) for place in (0, -1))
    fridays = third_fridays(first, last)
    return bool(((fridays - _BEFORE >= first) & (fridays + _AFTER <= last)).any())


def _knows_its_contracts(bars: pd.DataFrame) -> bool:
    if "contract" not in bars:
        return False
    # One name over years is the name of the series, not of a contract.
    short = bars["timestamp"].iloc[-1] - bars["timestamp"].iloc[0] < _LONG
    return bool(short or (bars["contract"] != bars["contract"].iloc[0]).any())
