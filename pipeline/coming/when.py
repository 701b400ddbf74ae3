"""Which session orders are for, seen at an instant: whether it is still to come, under way or over."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.market import Instrument

__all__ = ["ComingSession", "coming_at", "exchange_time"]


@dataclass(frozen=True)
class ComingSession:
    """Orders of one session, seen at an instant.

    Attributes
    ----------
    orders
        Rows of :func:`~pipeline.coming.coming_orders`.
    session, opens, closes
        Whose they are, and its hours, UTC.
    known_until
        End of the last bar that they were made from.
    now
        The instant.
    instrument
        What trades.
    """

    orders: pd.DataFrame
    session: pd.Timestamp
    opens: pd.Timestamp
    closes: pd.Timestamp
    known_until: pd.Timestamp
    now: pd.Timestamp
    instrument: Instrument

    @property
    def state(self) -> Literal["coming", "under way", "over"]:
        """Whether the session is still to come, has opened, or is over."""
        if self.now >= self.closes:
            return "over"
        return "coming" if self.now < self.opens else "under way"

    @property
    def hours(self) -> str:
        """The session and its hours, exchange time and UTC."""
        zones = dict.fromkeys((self.instrument.time_zone, "UTC"))
        local, *utc = (_span(self.opens.tz_convert(zone), self.closes.tz_convert(zone)) for zone in zones)
        return f"{self.session:%A %F}, {local}{f' ({utc[0]})' if utc else ''}"

    @property
    def standing(self) -> str:
        """One sentence on the session's state and on how new the bars are."""
        known = exchange_time(self.known_until, self.instrument)
        if self.state == "over":
            return f"The last bar is of {known}: these orders were for {self.session:%A %F}, which is over."
        if self.state == "under way":
            opened = exchange_time(self.opens, self.instrument)
            text = f"The session has been under way since {opened}; the last bar is of {known}."
            return f"{text} A decision is due that needs newer bars: run again." if self._due else text
        return f"The session is still to come; the last bar is of {known}."

    @property
    def _due(self) -> bool:
        waits = self.orders["action"] == "waits"
        return bool((self.orders.loc[waits, "decides_at"] <= self.now).any())

    @property
    def notes(self) -> list[str]:
        """What is unusual about the session."""
        return [str(note) for note in self.orders["notes"].iloc[0].split("; ") if note]


def coming_at(orders: pd.DataFrame, instrument: Instrument, now: pd.Timestamp | None = None) -> ComingSession:
    """See stored orders at an instant.

    Parameters
    ----------
    orders
        From :func:`~pipeline.coming.coming_orders`, one row or more.
    instrument
        What trades.
    now
        With a zone; by default the end of the last bar, as the orders were made.

    Returns
    -------
    ComingSession
        The first session that is not over by then; the last one there is where all are.
    """
    known_until = pd.Timestamp(orders.attrs["known_until"])
    moment = known_until if now is None else max(now.tz_convert("UTC"), known_until)
    open_still = orders[orders["closes"] > moment]
    session = (open_still if len(open_still) else orders.tail(1))["session"].iloc[0]
    own = orders[orders["session"] == session].reset_index(drop=True)
    opens, closes = own["opens"].iloc[0], own["closes"].iloc[0]
    return ComingSession(own, session, opens, closes, known_until, moment, instrument)


def _span(opens: pd.Timestamp, closes: pd.Timestamp) -> str:
    clock = "%H:%M" if opens.date() == closes.date() else "%a %H:%M"
    return f"{opens:{clock}}–{closes:{clock}} {opens.tzinfo}"


def exchange_time(moment: pd.Timestamp, instrument: Instrument) -> str:
    """Write an instant as the exchange's clock shows it, with the zone."""
    return f"{moment.tz_convert(instrument.time_zone):%a %F %H:%M} {instrument.time_zone}"
