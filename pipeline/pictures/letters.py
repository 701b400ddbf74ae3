"""The letters of a TPO profile: which time brackets touched each row, as Market Profile traders write it."""

import string

import numpy as np
import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.profiles.brackets import bracket_ranges, brackets_by_session
from pipeline.profiles.rows import RowRule

__all__ = ["CLOSE_MARK", "OPEN_MARK", "bracket_letter", "tpo_letters"]

OPEN_MARK, CLOSE_MARK = "O", "#"

_LETTERS = string.ascii_uppercase + string.ascii_lowercase


def bracket_letter(number: int) -> str:
    """The letter of a bracket, counted from 0: A to Z, then a to z, and so on from A.

    Examples
    --------
    >>> [bracket_letter(number) for number in (0, 12, 26, 52)]
    ['A', 'M', 'a', 'A']
    """
    return _LETTERS[number % len(_LETTERS)]


def tpo_letters(
    bars: pd.DataFrame, instrument: Instrument, rule: RowRule, *, hours: Hours, ticks_per_row: int | None = None
) -> tuple[str, ...]:
    """The letters of each row of a session, from its lowest row up, in the order of time.

    Parameters
    ----------
    bars
        Of one session and contract, with ``open``, as :func:`pipeline.profiles.select_sessions` gives them.
    rule
        Gives the length of a bracket, and the height of a row where ``ticks_per_row`` is None.

    Returns
    -------
    tuple of str
        ``O`` stands at the open in place of the first bracket's letter, ``#`` at the close in place of the last
        one's (of one bracket's only row, ``O``).

    Notes
    -----
    Letters in the order of the brackets are Steidlmayer's (Chicago Board of Trade, *Market Profile* handbook). That
    O is kept for a profile's first print is the convention of Linn Software's Investor/RT, which marks the last
    print with #.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 15:00Z"]), "open": [25.0, 25.25],
    ...     "high": [25.5, 25.75], "low": [25.0, 25.25], "close": [25.25, 25.5]})
    >>> tpo_letters(bars, load_instruments()["ES"], RowRule("tpo"), hours="rth")
    ('O', 'AB', 'A#', 'B')
    """
    size = ticks_per_row or rule.ticks_per_row
    _, bracket = brackets_by_session(pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8, instrument, rule, hours)
    low, high = (instrument.to_ticks(bars[name]) for name in ("low", "high"))
    begins, low, high = bracket_ranges(low, high, bracket)
    numbers = bracket[begins]
    lowest = int(low.min()) // size
    rows: list[list[str]] = [[] for _ in range(int(high.max()) // size - lowest + 1)]
    for number, bottom, top in zip(numbers.tolist(), (low // size).tolist(), (high // size).tolist(), strict=True):
        for row in rows[bottom - lowest : top - lowest + 1]:
            row.append(bracket_letter(number))
    opened, closed = (
        int(instrument.to_ticks(np.array([bars[name].iloc[place]]))[0]) // size - lowest
        for name, place in (("open", 0), ("close", -1))
    )
    rows[closed][-1] = CLOSE_MARK
    rows[opened][0] = OPEN_MARK
    return tuple("".join(row) for row in rows)
