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
    state
        Whether the session is ``coming``, ``under way`` or ``over``.
    instrument
        What trades.
    """

    orders: pd.DataFrame
    session: pd.Timestamp
    opens: pd.Timestamp
    closes: pd.Timestamp
    known_until: pd.Timestamp
    state: Literal["coming", "under way", "over"]
    instrument: Instrument

    @property
    def hours(self) -> str:
        """The session and its hours, exchange time and UTC."""
        zone = self.instrument.time_zone
        utc = f"{self.opens:%H:%M}–{self.closes:%H:%M} UTC"
        if zone == "UTC":
            return f"{self.session:%A %F}, {utc}"
        opens, closes = (end.tz_convert(zone) for end in (self.opens, self.closes))
        return f"{self.session:%A %F}, {opens:%H:%M}–{closes:%H:%M} {zone} ({utc})"

    @property
    def standing(self) -> str:
        """One sentence on the session's state and on how new the bars are."""
        known = exchange_time(self.known_until, self.instrument)
        if self.state == "over":
            return f"The last bar is of {known}: these orders were for {self.session:%A %F}, which is over."
        if self.state == "under way":
            opened = exchange_time(self.opens, self.instrument)
            return f"The session has been under way since {opened}; the last bar is of {known}."
        return f"The session is still to come; the last bar is of {known}."

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
    state: Literal["coming", "under way", "over"] = "coming" if moment < opens else "under way"
    return ComingSession(own, session, opens, closes, known_until, "over" if moment >= closes else state, instrument)


def exchange_time(moment: pd.Timestamp, instrument: Instrument) -> str:
    """Write an instant as the exchange's clock shows it, with the zone."""
    return f"{moment.tz_convert(instrument.time_zone):%a %F %H:%M} {instrument.time_zone}"
