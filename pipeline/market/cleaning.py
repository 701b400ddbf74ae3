"""Clean bars and quarantine: every row that comes in is kept or stored with its reason, and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.frames import numbers_of, require_columns, times_of
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import label_sessions

__all__ = [
    "REASONS",
    "CleanBars",
    "CleaningReport",
    "OffTick",
    "clean_bars",
    "count_out_of_order",
    "count_reasons",
    "joined",
    "refuse_off_tick",
]

OffTick = Literal["snap", "reject"]

# In the order they are tested: what a row's own values say, then where it lies, then its neighbours.
REASONS = (
    "missing_value",
    "bad_ohlc",
    "bad_price",
    "negative_volume",
    "outside_session",
    "off_tick",
    "duplicate",
    "conflicting_duplicate",
)

_PRICES = ("open", "high", "low", "close")
_VALUES = (*_PRICES, "volume")
_OPTIONAL_NUMBERS = ("num_trades", "bid_volume", "ask_volume")
_OPTIONAL = ("contract", *_OPTIONAL_NUMBERS)

# Over this many ticks a float holds no whole number exactly; a bar of more steps fits no session's profile, whose total
# stays below 2^62 micro-lots (contract §3).
_MOST_TICKS, _MOST_STEPS = 2.0**53, 2.0**42
# A high so many times the usual one, or the bar's own low, is not a price of this market.
_TIMES_USUAL, _TIMES_LOW = 1e4, 100.0


@dataclass(frozen=True)
class CleaningReport:
    """Fate of the rows.

    Attributes
    ----------
    rows_in, kept
        Rows given, and rows that are clean bars, or trades.
    quarantined
        Reason to number of rows, for all reasons.
    out_of_order
        Kept rows that stood after a kept row of a later time, and were sorted.
    snapped
        Kept rows with a price off the tick, which was rounded to the nearest.
    off_step_volume
        Kept rows whose volume is not a whole number of steps; profiles round it to the nearest.
    impossible_counts
        Kept rows with an impossible number of trades, bid or ask volume (infinite, negative, over 2^53), which was
        emptied.
    """

    rows_in: int
    kept: int
    quarantined: Mapping[str, int]
    out_of_order: int
    snapped: int
    off_step_volume: int
    impossible_counts: int = 0

    def __post_init__(self) -> None:
        if self.rows_in != self.kept + self.rows_quarantined:
            raise AssertionError(
                f"{self.rows_in} rows came in, but {self.kept} were kept and {self.rows_quarantined} quarantined"
            )

    @property
    def rows_quarantined(self) -> int:
        """Rows quarantined, for whatever reason."""
        return sum(self.quarantined.values())


@dataclass(frozen=True)
class CleanBars:
    """The outcome of :func:`clean_bars`.

    Attributes
    ----------
    bars
        Clean bars: ``timestamp`` (UTC nanoseconds, strictly increasing), prices on the tick, volume, and what
        there is of ``contract num_trades bid_volume ask_volume``.
    quarantine
        The other rows as they were given, in their order, with ``reason``, ``source_file`` and ``source_line``.
    report
        The counts.
    """

    bars: pd.DataFrame
    quarantine: pd.DataFrame
    report: CleaningReport


def clean_bars(raw: pd.DataFrame, instrument: Instrument, *, off_tick: OffTick = "snap") -> CleanBars:
    """Split raw bars into clean ones and quarantined ones (contract §2).

    A row gets one reason, the first that holds, in this order:

    1. ``missing_value``: a time, price or volume that is NaN, infinite, empty, or too large to count (over 2^53 ticks
       or 2^42 steps); an empty ``contract`` where there is such a column;
    2. ``bad_ohlc``: high below, or low above, another price;
    3. ``bad_price``: a price that is zero or less, or rounds to it, or a high over 100 times the bar's low, where the
       instrument forbids prices below zero; a high over 10,000 times the median high of these rows;
    4. ``negative_volume``;
    5. ``outside_session``: the bar's open lies in no session of the instrument;
    6. ``off_tick``, only where ``off_tick`` is ``reject``;
    7. ``duplicate`` and ``conflicting_duplicate``: of the rows left that share a time, the first one given stays;
       the others are duplicates where all their values equal its own as read, and conflicting otherwise.

    Parameters
    ----------
    raw
        Columns ``timestamp`` (with a time zone), ``open high low close volume``; optionally ``contract num_trades
        bid_volume ask_volume``, and ``source_file``, ``source_line`` (otherwise empty and the row's number).
    instrument
        Gives tick, volume step and sessions.
    off_tick
        Whether prices off the tick are rounded to the nearest one and counted, or quarantined.

    Raises
    ------
    DataError
        If a column is missing, is not numbers, or the timestamps have no zone.
    """
    refuse_off_tick(off_tick)
    rows = _checked(raw)
    instants = _instants(rows)
    values = {name: rows[name].to_numpy() for name in _VALUES}
    reason = np.full(len(rows), -1, dtype=np.int8)  # −1: none

    def mark(name: str, bad: NDArray[np.bool_]) -> None:
        reason[(reason < 0) & bad] = REASONS.index(name)

    mark("missing_value", _missing(rows, values, instrument))
    mark("bad_ohlc", _bad_ohlc(values))
    if not instrument.allow_negative_prices:
        mark("bad_price", _not_positive(values["low"], instrument, reason < 0))
        mark("bad_price", (values["low"] > 0) & (values["high"] > _TIMES_LOW * values["low"]))
    mark("bad_price", _impossible(values["high"], reason < 0))
    mark("negative_volume", values["volume"] < 0)
    mark("outside_session", _outside(rows["timestamp"], instrument, reason < 0))
    off = _off_tick(values, instrument, reason < 0)
    if off_tick == "reject":
        mark("off_tick", off)
    left = np.flatnonzero(reason < 0)
    order = left[np.argsort(instants[left], kind="stable")]
    first = _first_of_their_time(instants[order])
    later = first != np.arange(len(order))
    same = _equal_rows(rows, order[later], order[first[later]])
    reason[order[later]] = np.where(same, REASONS.index("duplicate"), REASONS.index("conflicting_duplicate"))

    kept = order[~later]
    bars, impossible_counts = _bars(rows, kept, instrument)
    out = reason >= 0
    quarantine = rows[out].reset_index(drop=True)
    quarantine["reason"] = pd.Series([REASONS[each] for each in reason[out]], dtype="str")
    report = CleaningReport(
        rows_in=len(raw),
        kept=len(bars),
        quarantined=count_reasons(reason, REASONS),
        out_of_order=count_out_of_order(instants[np.sort(kept)]),
        snapped=int(np.sum(off[kept])),
        off_step_volume=int(np.sum(instrument.off_step(values["volume"][kept]))),
        impossible_counts=impossible_counts,
    )
    return CleanBars(bars, quarantine, report)


def joined(parts: Sequence[CleanBars]) -> CleanBars:
    """Clean bars of several stretches of time, in their order, as one."""
    counts = ("rows_in", "kept", "out_of_order", "snapped", "off_step_volume", "impossible_counts")
    report = CleaningReport(
        **{name: sum(getattr(part.report, name) for part in parts) for name in counts},
        quarantined={reason: sum(part.report.quarantined[reason] for part in parts) for reason in REASONS},
    )
    bars = pd.concat([part.bars for part in parts], ignore_index=True)
    return CleanBars(bars, pd.concat([part.quarantine for part in parts], ignore_index=True), report)


def refuse_off_tick(off_tick: str) -> None:
    """Refuse what is no way to treat prices off the tick."""
    if off_tick not in get_args(OffTick):
        raise ConfigurationError(f"off_tick is {off_tick!r}; it must be 'snap' or 'reject'")


def count_reasons(reason: NDArray[np.int8], reasons: Sequence[str]) -> dict[str, int]:
    """Count the rows of each reason, given per row its position among them, or −1."""
    counts = np.bincount(reason[reason >= 0], minlength=len(reasons))
    return {name: int(count) for name, count in zip(reasons, counts, strict=True)}


def count_out_of_order(instants: NDArray[np.int64]) -> int:
    """Count the times that stand after a later one."""
    return int(np.sum(instants < np.maximum.accumulate(instants)))


def _checked(raw: pd.DataFrame) -> pd.DataFrame:
    require_columns(raw, ("timestamp", *_VALUES), "raw bars")
    times = times_of(raw, "raw bars")
    rows = raw.reset_index(drop=True)
    rows["timestamp"] = times
    for name in (*_VALUES, *(each for each in _OPTIONAL_NUMBERS if each in rows)):
        rows[name] = numbers_of(rows, name, "raw bars")
    if "contract" in rows:
        rows["contract"] = rows["contract"].astype("str")
    if "source_file" not in rows:
        rows["source_file"] = pd.Series("", index=rows.index, dtype="str")
    if "source_line" not in rows:
        rows["source_line"] = np.arange(1, len(rows) + 1, dtype=np.int64)
    return rows


def _instants(rows: pd.DataFrame) -> NDArray[np.int64]:
    return pd.DatetimeIndex(rows["timestamp"]).asi8


def _missing(
    rows: pd.DataFrame, values: Mapping[str, NDArray[np.float64]], instrument: Instrument
) -> NDArray[np.bool_]:
    missing = rows["timestamp"].isna().to_numpy(dtype=bool, copy=True)
    for name, each in values.items():
        most = instrument.volume_step * _MOST_STEPS if name == "volume" else instrument.tick_size * _MOST_TICKS
        missing |= ~(np.abs(each) <= most)
    if "contract" in rows:
        missing |= (rows["contract"].isna() | (rows["contract"] == "")).to_numpy(dtype=bool)
    return missing


def _bad_ohlc(values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    opens, high, low, close = (values[name] for name in _PRICES)
    return (high < np.maximum(opens, close)) | (low > np.minimum(opens, close)) | (high < low)


def _not_positive(low: NDArray[np.float64], instrument: Instrument, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    bad = np.zeros(len(low), dtype=bool)
    bad[rows] = (low[rows] <= 0) | (instrument.to_ticks(low[rows]) <= 0)
    return bad


def _impossible(high: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    positive = np.sort(high[rows & (high > 0)])
    if len(positive) == 0:
        return np.zeros(len(high), dtype=bool)
    # The lower of the two middle ones: of two rows, the good one.
    return high > _TIMES_USUAL * positive[(len(positive) - 1) // 2]


def _outside(timestamps: pd.Series, instrument: Instrument, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    outside = np.zeros(len(timestamps), dtype=bool)
    years = timestamps.dt.year.to_numpy()
    absurd = rows & ((years < 1901) | (years >= 2200))  # no calendar reaches there
    rows = rows & ~absurd
    outside[absurd] = True
    outside[rows] = label_sessions(timestamps[rows], instrument).position < 0
    return outside


def _off_tick(
    values: Mapping[str, NDArray[np.float64]], instrument: Instrument, rows: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    off = np.zeros(len(rows), dtype=bool)
    for name in _PRICES:
        off[rows] |= instrument.off_tick(values[name][rows])
    return off


def _first_of_their_time(instants: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per place in sorted times, the first place with the same time."""
    places = np.arange(len(instants))
    starts = np.concatenate(([True], instants[1:] != instants[:-1]))[: len(instants)]
    return np.maximum.accumulate(np.where(starts, places, 0))


def _equal_rows(rows: pd.DataFrame, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    equal = np.ones(len(left), dtype=bool)
    for name in (*_VALUES, *(each for each in _OPTIONAL if each in rows)):
        ours, theirs = rows[name].iloc[left].to_numpy(), rows[name].iloc[right].to_numpy()
        equal &= (ours == theirs) | (pd.isna(ours) & pd.isna(theirs))
    return equal


def _bars(rows: pd.DataFrame, kept: NDArray[np.int64], instrument: Instrument) -> tuple[pd.DataFrame, int]:
    """The clean bars, and in how many of them an impossible count was emptied."""
    names = ["timestamp", *_VALUES, *(each for each in _OPTIONAL if each in rows)]
    bars = rows[names].iloc[kept].reset_index(drop=True)
    for name in _PRICES:
        bars[name] = instrument.to_prices(instrument.to_ticks(bars[name].to_numpy()))
    emptied = np.zeros(len(bars), dtype=bool)
    for name in (each for each in _OPTIONAL_NUMBERS if each in bars):
        count = bars[name].to_numpy()
        impossible = (count < 0) | (count > _MOST_TICKS)
        if impossible.any():
            bars[name] = np.where(impossible, np.nan, count)
            emptied |= impossible
    return bars, int(emptied.sum())
