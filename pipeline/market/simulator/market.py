"""Simulation of clean bars from an instrument, a date and a seed."""

import datetime as dt
import math
import numbers
import zlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument
from pipeline.market.quarterly_futures import is_futures, session_contracts
from pipeline.market.sessions import session_schedule
from pipeline.market.simulator.character import character_of, rhythm
from pipeline.market.simulator.walk import walk_market

__all__ = ["BAR_MINUTES", "simulate_market"]

BAR_MINUTES = {
    "1min": 1, "2min": 2, "3min": 3, "5min": 5, "10min": 10, "15min": 15, "30min": 30, "60min": 60, "1h": 60,
}  # fmt: skip
"""Length in minutes of each ``bar`` there is."""

_MINUTE = 60_000_000_000
_HEAT = 1.15  # what swells and bursts within the day make of a session's volatility
_MOST_SESSIONS = 20_000
_EARLIEST, _LATEST = 1990, 2100


def simulate_market(
    instrument: Instrument,
    start: dt.date | str,
    sessions: int,
    seed: int,
    edge: float = 0.0,
    bar: str = "5min",
) -> pd.DataFrame:
    """Bars of a market without an edge, or with one planted.

    Prices are a martingale on the tick grid: volatility clusters over months, days and hours, follows
    the time of day and has heavy tails, but a step up is as probable as a step down, whatever came before.
    The same arguments give the same bytes; a longer market begins with the shorter one of the same
    seed; bars of every length are one and the same market.

    Parameters
    ----------
    instrument
        What is traded; its calendar says when, holidays and early closes included.
    start
        The first session is the first on or after this date (1990 to 2100).
    sessions
        How many sessions, 1 to 20,000.
    seed
        Not negative. Instruments have markets of their own under the same seed.
    edge
        Pull toward the value area (70 %) of the session before, 0 (none: the null market) to 1. In regular
        hours, while the price is at or beyond an edge of it, by one of its widths W at most, each one-tick
        step toward it has odds ``exp(4 edge / W)`` to 1. There is none in a contract's first session.
    bar
        Length of a bar: a key of :data:`BAR_MINUTES`.

    Returns
    -------
    DataFrame
        Clean bars, one row per bar: ``timestamp`` (the bar's open, UTC), ``open``, ``high``, ``low``, ``close``,
        ``volume``, ``contract`` (futures only), ``num_trades``, ``bid_volume``, ``ask_volume``. Every bar of
        every session is there, the whole trade date.

    Raises
    ------
    ConfigurationError
        For an argument outside the ranges above: names it and its value.
    """
    bar_minutes = _check(sessions, seed, edge, bar)
    schedule = _schedule(instrument, start, int(sessions))
    opens, closes, regular_opens, regular_closes = (_minutes(schedule[name]) for name in schedule)
    lengths = closes - opens
    regular_begin = np.clip(regular_opens - opens, 0, lengths)
    regular_end = np.maximum(np.clip(regular_closes - opens, 0, lengths), regular_begin)

    character = character_of(instrument)
    shape, volatility, volume = _shapes(instrument, lengths, regular_begin, regular_end)
    daily_steps = character.daily_volume / instrument.volume_step
    codes, rolls = None, np.zeros(len(schedule), np.bool_)
    if is_futures(instrument):
        codes, rolls = session_contracts(pd.DatetimeIndex(schedule.index), instrument.symbol)
    # A market of few hours a day opens farther from where it closed: the world went on without it.
    hours_closed = np.concatenate(([0], opens[1:] - closes[:-1])) / 60
    gap = np.where(lengths < 720, 0.15, 0.042) * np.sqrt(hours_closed) * character.daily_volatility / _HEAT

    stream = np.random.SeedSequence([int(seed), zlib.crc32(instrument.symbol.encode())])
    walked = walk_market(
        np.random.Generator(np.random.PCG64(stream)),
        lengths,
        regular_begin,
        regular_end,
        rolls,
        gap,
        shape,
        volatility * character.daily_volatility / _HEAT,
        volume * daily_steps,
        max(int(instrument.to_ticks(character.price)), 1),
        character.daily_trades / daily_steps,
        float(edge),
        bar_minutes,
    )
    return _frame(instrument, walked, opens, -(-lengths // bar_minutes), codes, bar_minutes)


def _check(sessions: int, seed: int, edge: float, bar: str) -> int:
    if not isinstance(sessions, numbers.Integral) or not 1 <= sessions <= _MOST_SESSIONS:
        raise ConfigurationError(f"sessions is {sessions!r}; it must be a whole number from 1 to {_MOST_SESSIONS:,}")
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ConfigurationError(f"seed is {seed!r}; it must be a whole number that is not negative")
    if not isinstance(edge, numbers.Real) or not math.isfinite(edge) or not 0 <= edge <= 1:
        raise ConfigurationError(f"edge is {edge!r}; it must be a number from 0 (none) to 1 (strong)")
    if bar not in BAR_MINUTES:
        raise ConfigurationError(f"bar is {bar!r}; it must be one of {', '.join(BAR_MINUTES)}")
    return BAR_MINUTES[bar]


def _schedule(instrument: Instrument, start: dt.date | str, sessions: int) -> pd.DataFrame:
    try:
        first = pd.Timestamp(start)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"start is {start!r}; it must be a date such as 2020-01-02") from error
    if pd.isna(first) or not _EARLIEST <= first.year <= _LATEST:
        raise ConfigurationError(f"start is {start!r}; it must be a date from {_EARLIEST} to {_LATEST}")
    first = first.tz_localize(None).normalize()
    last = first + pd.Timedelta(days=sessions * (1 if instrument.always_open else 1.6) + 15)
    schedule = session_schedule(instrument, first, last)
    schedule = schedule[schedule["close"] > schedule["open"]].iloc[:sessions]
    if len(schedule) < sessions:
        raise ConfigurationError(
            f"sessions is {sessions}, but the calendar {instrument.calendar} has only {len(schedule)} from "
            f"{first.date()} on; start earlier or ask for fewer"
        )
    return schedule


def _minutes(column: pd.Series) -> NDArray[np.int64]:
    return pd.DatetimeIndex(column).as_unit("ns").asi8 // _MINUTE


def _shapes(
    instrument: Instrument, lengths: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The rhythm of each kind of session; that of the full one, the same whatever is asked for, adds to one."""
    nominal = session_schedule(instrument, "2019-01-07", "2019-01-31")
    opens, closes, regular_opens, regular_closes = (_minutes(nominal[name]) for name in nominal)
    full = int(np.argmax(closes - opens))
    kinds, shape = np.unique(np.column_stack((lengths, begin, end)), axis=0, return_inverse=True)
    always_open = instrument.always_open
    usual_volatility, usual_volume = rhythm(
        int(closes[full] - opens[full]),
        int(regular_opens[full] - opens[full]),
        int(regular_closes[full] - opens[full]),
        always_open=always_open,
    )
    volatility, volume = np.zeros((2, len(kinds), int(lengths.max())))
    for row, (length, regular_begin, regular_end) in enumerate(kinds):
        each = rhythm(int(length), int(regular_begin), int(regular_end), always_open=always_open)
        volatility[row, :length], volume[row, :length] = each
    return (
        shape.ravel().astype(np.int64),
        volatility / np.sqrt(np.sum(usual_volatility**2)),
        volume / np.sum(usual_volume),
    )


def _frame(
    instrument: Instrument,
    walked: NDArray[np.int64],
    opens: NDArray[np.int64],
    counts: NDArray[np.int64],
    codes: NDArray[np.object_] | None,
    bar_minutes: int,
) -> pd.DataFrame:
    first = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(first, counts)
    instants = (np.repeat(opens, counts) + within * bar_minutes) * _MINUTE
    columns: dict[str, object] = {"timestamp": pd.DatetimeIndex(instants.view("datetime64[ns]"), tz="UTC")}
    columns |= {name: instrument.to_prices(walked[i]) for i, name in enumerate(("open", "high", "low", "close"))}
    columns["volume"] = instrument.to_volumes(walked[4])
    if codes is not None:
        columns["contract"] = pd.array(np.repeat(codes, counts), dtype="str")
    columns["num_trades"] = walked[5].astype(np.float64)
    columns["bid_volume"] = instrument.to_volumes(walked[6])
    columns["ask_volume"] = instrument.to_volumes(walked[7])
    return pd.DataFrame(columns)
