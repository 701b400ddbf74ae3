"""What is unusual about a session: hours cut short, days without trading before or after it, a roll."""

from collections.abc import Iterator

import pandas as pd

from pipeline.market import Hours, Instrument, label_sessions, session_schedule
from pipeline.market.quarterly_futures import is_futures, session_contracts

__all__ = ["roll_notes", "session_bounds", "session_notes"]

_AROUND = pd.Timedelta("40D")
_WEEKEND = 5
_LONGEST_SESSION = pd.Timedelta("2D")


def session_bounds(session: pd.Timestamp, instrument: Instrument, hours: Hours) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return when a session's hours open and close, UTC."""
    opens, closes = ("rth_open", "rth_close") if hours == "rth" else ("open", "close")
    day = session_schedule(instrument, session, session).iloc[0]
    return day[opens], day[closes]


def session_notes(session: pd.Timestamp, instrument: Instrument, hours: Hours) -> list[str]:
    """Say what the exchange's calendar has unusual about a session's hours and its neighbours; often nothing."""
    if instrument.always_open:
        return []
    schedule = session_schedule(instrument, session - _AROUND, session + _AROUND)
    opens, closes = ("rth_open", "rth_close") if hours == "rth" else ("open", "close")
    schedule = schedule[schedule[closes] > schedule[opens]]
    notes = []
    for name, text in ((closes, "closes"), (opens, "opens")):
        clock = pd.DatetimeIndex(schedule[name]).tz_convert(instrument.time_zone).strftime("%H:%M")
        usual, own = pd.Series(clock).mode()[0], clock[schedule.index.get_loc(session)]
        if own != usual:
            notes.append(f"{text} {'early' if own < usual else 'late'}, at {own} instead of {usual}")
    return [*notes, *_neighbours(session, schedule.index)]


def _neighbours(session: pd.Timestamp, sessions: pd.Index) -> Iterator[str]:
    place = sessions.get_loc(session)
    for other, text in ((place - 1, "first session after"), (place + 1, "last session before")):
        first, last = sorted((session, sessions[other]))
        between = pd.date_range(first, last, inclusive="neither")
        closed = between[between.day_of_week < _WEEKEND]
        if len(closed):
            kind = "a long weekend" if len(between) > len(closed) else "a holiday"
            yield f"{text} {kind} (closed on {', '.join(f'{day:%a %F}' for day in closed)})"


def roll_notes(
    decided_on: pd.Timestamp, session: pd.Timestamp, history: pd.DataFrame, bars: pd.DataFrame, instrument: Instrument
) -> list[str]:
    """Say what there is of a roll around a session.

    Parameters
    ----------
    decided_on, session
        The last session that was over, and the one that orders are for.
    history
        Session history, with ``contract`` where the bars carry one.
    bars
        As far as they are known.
    instrument
        What trades.
    """
    notes = []
    if is_futures(instrument):
        codes, rolls = session_contracts(pd.DatetimeIndex([decided_on, session]), instrument.symbol)
        if rolls[1]:
            notes.append(f"quarterly futures usually roll on this day, from {codes[0]} to {codes[1]}")
    if "contract" not in history.columns or decided_on not in history.index:
        return notes
    contracts = history["contract"].to_numpy(object)
    place = int(history.index.get_loc(decided_on))
    if place and contracts[place] != contracts[place - 1]:
        notes.append(f"the bars rolled from {contracts[place - 1]} to {contracts[place]} on {decided_on:%F}")
    newest = str(bars["contract"].iloc[-1])
    if newest != contracts[place]:
        notes.append(
            f"the newest bars are of {newest}, these orders of {contracts[place]}: once the session trades {newest} "
            "only, they are cancelled"
        )
        if _volume_today(bars, newest, instrument) > _volume_today(bars, str(contracts[place]), instrument):
            notes.append(f"volume has moved to {newest}")
    return notes


def _volume_today(bars: pd.DataFrame, contract: str, instrument: Instrument) -> float:
    """Return a contract's volume in the session that the bars end in."""
    recent = bars[bars["timestamp"] > bars["timestamp"].iloc[-1] - _LONGEST_SESSION]
    sessions = label_sessions(recent["timestamp"], instrument).sessions
    own = (sessions == sessions[-1]) & (recent["contract"].astype(str) == contract)
    return float(recent.loc[own, "volume"].sum())
