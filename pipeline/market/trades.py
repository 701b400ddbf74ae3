"""Trades: what each row must be, who started it, and an account of every row that can't be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.cleaning import CleaningReport, OffTick, count_out_of_order, count_reasons, refuse_off_tick
from pipeline.market.frames import numbers_of, require_columns, times_of
from pipeline.market.instruments import Instrument
from pipeline.market.session_clock import inside_sessions

__all__ = ["TRADE_REASONS", "CleanTrades", "JudgedTrades", "clean_trades", "is_trades", "judge_trades"]

# In the order they are tested: what a row's own values say, then where it lies.
TRADE_REASONS = ("missing_value", "bad_price", "negative_volume", "bad_split", "off_tick", "outside_session")

_SIDE_WORDS = {
    "buy": 1, "buyer": 1, "b": 1, "1": 1, "+1": 1, "1.0": 1,
    "sell": -1, "seller": -1, "s": -1, "-1": -1, "-1.0": -1,
    "": 0, "0": 0, "0.0": 0, "n": 0, "none": 0, "unknown": 0, "nan": 0, "<na>": 0, "null": 0,
}  # fmt: skip
_TRUE_WORDS = {"true": True, "1": True, "1.0": True, "t": True, "false": False, "0": False, "0.0": False, "f": False}
_EXACT = 2.0**53  # over this many ticks or steps a float holds no whole number exactly
_NAT = np.iinfo(np.int64).min


@dataclass(frozen=True)
class JudgedTrades:
    """Trades as integers, one entry a row given, and what is wrong with each.

    Attributes
    ----------
    instants
        UTC nanoseconds, shape (rows,).
    ticks, steps
        Price and volume; 0 where the row is refused.
    buy, sell
        Steps of ``steps`` whose aggressor bought, and sold; None where nothing tells.
    contract
        Per row its code, and the names of the codes; None without such a column.
    reason
        Position in ``TRADE_REASONS``, −1 where none holds, int8; None where none holds for any row.
    snapped, off_step
        Rows, not refused, whose price was rounded to the nearest tick, or volume to the nearest step.
    """

    instants: NDArray[np.int64]
    ticks: NDArray[np.int64]
    steps: NDArray[np.int64]
    buy: NDArray[np.int64] | None
    sell: NDArray[np.int64] | None
    contract: tuple[NDArray[np.intp], NDArray[np.object_]] | None
    reason: NDArray[np.int8] | None
    snapped: NDArray[np.bool_] | None
    off_step: NDArray[np.bool_] | None

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "JudgedTrades":
        """Some of the rows, in that order."""

        def some(array: Any) -> Any:
            return None if array is None else array[rows]

        return JudgedTrades(
            instants=self.instants[rows],
            ticks=self.ticks[rows],
            steps=self.steps[rows],
            buy=some(self.buy),
            sell=some(self.sell),
            contract=None if self.contract is None else (self.contract[0][rows], self.contract[1]),
            reason=some(self.reason),
            snapped=some(self.snapped),
            off_step=some(self.off_step),
        )


@dataclass(frozen=True)
class CleanTrades:
    """The outcome of :func:`clean_trades`.

    Attributes
    ----------
    trades
        ``timestamp`` (UTC nanoseconds, not falling), ``price`` (on the tick), ``volume`` (whole steps), what there
        is of ``seq`` and ``contract``, and, where the side is known, ``bid_volume`` (sold) and ``ask_volume`` (bought).
    quarantine
        The other rows as they were given, in their order, with ``reason``.
    report
        The counts.
    """

    trades: pd.DataFrame
    quarantine: pd.DataFrame
    report: CleaningReport


def is_trades(frame: pd.DataFrame) -> bool:
    """Return True if a frame holds trades, not bars: a ``price`` and no ``open``, ``high`` or ``low``."""
    return "price" in frame.columns and not {"open", "high", "low"} & set(frame.columns)


def clean_trades(trades: pd.DataFrame, instrument: Instrument, *, off_tick: OffTick = "snap") -> CleanTrades:
    """Split trades into usable ones, in the order they were made, and refused ones.

    A row gets one reason, the first that holds, in this order:

    1. ``missing_value``: a time, price or volume (or, where those are given, bid or ask volume) that is NaN, infinite,
       empty, or too large to be a number of ticks or steps (over 2^53); an empty ``contract`` where there is such a
       column;
    2. ``bad_price``: a price of zero or less, or one that rounds to it, where the instrument forbids it;
    3. ``negative_volume``: of the trade, or of its bid or ask part;
    4. ``bad_split``: ``bid_volume + ask_volume`` above ``volume``;
    5. ``off_tick``, only where ``off_tick`` is ``reject``;
    6. ``outside_session``: the time lies in no session of the instrument.

    Equal rows are not duplicates: two trades may well be alike.

    Parameters
    ----------
    trades
        As in :func:`judge_trades`; ``seq``, where there is one, orders the trades of one time. Trades equal in
        both stay as they were given.
    instrument
        Gives tick, volume step and sessions.
    off_tick
        Whether prices off the tick are rounded to the nearest one and counted, or refused.

    Raises
    ------
    DataError
        As :func:`judge_trades` does.
    """
    judged = judge_trades(trades, instrument, off_tick=off_tick)
    rows = len(judged.instants)
    reason = np.full(rows, -1, dtype=np.int8) if judged.reason is None else judged.reason.copy()
    usable = np.flatnonzero(reason < 0)
    keys = [judged.instants[usable]]
    if "seq" in trades.columns:
        keys.insert(0, _sequence(trades["seq"])[usable])
    order = usable[np.lexsort(keys)]
    inside = inside_sessions(judged.instants[order], instrument)
    if inside is not None:
        reason[order[~inside]] = TRADE_REASONS.index("outside_session")
        order = order[inside]
    kept = judged.take(order)
    columns: dict[str, Any] = {
        "timestamp": pd.DatetimeIndex(kept.instants.view("M8[ns]"), tz="UTC"),
        "price": instrument.to_prices(kept.ticks),
        "volume": instrument.to_volumes(kept.steps),
    }
    if "seq" in trades.columns:
        columns["seq"] = trades["seq"].to_numpy()[order]
    if kept.buy is not None and kept.sell is not None:
        columns["bid_volume"] = instrument.to_volumes(kept.sell)
        columns["ask_volume"] = instrument.to_volumes(kept.buy)
    if kept.contract is not None:
        columns["contract"] = pd.array(kept.contract[1][kept.contract[0]], dtype="str")
    quarantine = trades[reason >= 0].copy()
    if "timestamp" not in quarantine.columns:
        quarantine.insert(0, "timestamp", quarantine.index)
    quarantine = quarantine.reset_index(drop=True)
    quarantine["reason"] = pd.Series([TRADE_REASONS[each] for each in reason[reason >= 0]], dtype="str")
    report = CleaningReport(
        rows_in=rows,
        kept=len(order),
        quarantined=count_reasons(reason, TRADE_REASONS),
        out_of_order=count_out_of_order(judged.instants[np.sort(order)]),
        snapped=0 if kept.snapped is None else int(kept.snapped.sum()),
        off_step_volume=0 if kept.off_step is None else int(kept.off_step.sum()),
    )
    return CleanTrades(pd.DataFrame(columns), quarantine, report)


def judge_trades(trades: pd.DataFrame, instrument: Instrument, *, off_tick: OffTick = "snap") -> JudgedTrades:
    """Trades as integers, and which rows can't be used and why (without their sessions).

    Parameters
    ----------
    trades
        ``timestamp`` (with a zone; or a ``DatetimeIndex``), ``price``, ``volume``; optional ``contract`` and one of
        these for the side, the first that is there: ``side`` or ``aggressor`` (``buy``/``b``/1,
        ``sell``/``s``/−1, empty/``n``/0 for unknown), ``is_buyer_maker`` (true: the seller was the
        aggressor), or ``bid_volume`` and ``ask_volume`` (ask: bought). In any order of rows.
    instrument
        Gives tick and volume step.
    off_tick
        ``"snap"`` or ``"reject"``.

    Raises
    ------
    ConfigurationError
        For another ``off_tick``.
    DataError
        For a missing column, one that is not numbers, times without a zone, or an unknown side.
    """
    refuse_off_tick(off_tick)
    require_columns(trades, ("timestamp", "price", "volume"), "trades")
    instants = times_of(trades, "trades").asi8
    price, (volume, whole) = numbers_of(trades, "price", "trades"), _volumes(trades, instrument)
    reason = np.full(len(instants), -1, dtype=np.int8)

    def mark(name: str, bad: Any) -> None:
        reason[(reason < 0) & bad] = TRADE_REASONS.index(name)

    missing = instants == _NAT
    if not _within(price, instrument.tick_size * _EXACT):
        missing |= ~(np.abs(price) <= instrument.tick_size * _EXACT)
    if not _within(volume, instrument.volume_step * _EXACT):
        missing |= ~(np.abs(volume) <= instrument.volume_step * _EXACT)
    contract = _contracts(trades)
    if contract is not None:
        missing |= contract[0] < 0
    split = _split(trades, instrument)
    if split is not None:
        missing |= ~(np.abs(split).max(axis=0, initial=0.0) <= instrument.volume_step * _EXACT)
    if missing.any():
        mark("missing_value", missing)
        price, volume = np.where(missing, instrument.tick_size, price), np.where(missing, 0, volume)
        split = None if split is None else np.where(missing, 0.0, split)
    ticks = instrument.to_ticks(price)
    if not instrument.allow_negative_prices and len(price) and (price.min() <= 0 or ticks.min() <= 0):
        mark("bad_price", (price <= 0) | (ticks <= 0))
    if len(volume) and volume.min() < 0:
        mark("negative_volume", volume < 0)
    if split is not None:
        mark("negative_volume", (split < 0).any(axis=0))
        # A split in decimals may pass its volume by the float's own rounding.
        mark("bad_split", split.sum(axis=0) > volume + 0.5 * instrument.volume_step)
    snapped = None
    if not np.array_equal(instrument.to_prices(ticks), price):
        snapped = instrument.off_tick(price)
        if off_tick == "reject":
            mark("off_tick", snapped)
            snapped = None
    steps = volume.astype(np.int64) if whole else instrument.to_steps(volume)
    off_step = None if whole else instrument.off_step(volume)
    refused = reason >= 0 if (reason >= 0).any() else None
    if refused is not None:
        ticks, steps = np.where(refused, 0, ticks), np.where(refused, 0, steps)
        snapped = None if snapped is None else snapped & ~refused
        off_step = None if off_step is None else off_step & ~refused
    buy, sell = _sides(trades, steps, split, instrument)
    return JudgedTrades(
        instants, ticks, steps, buy, sell, contract, None if refused is None else reason, snapped, off_step
    )


def _volumes(trades: pd.DataFrame, instrument: Instrument) -> tuple[NDArray[Any], bool]:
    """Volumes, and whether they are whole steps already."""
    values = trades["volume"]
    if instrument.volume_step == 1 and isinstance(values.dtype, np.dtype) and values.dtype.kind == "i":
        return values.to_numpy(), True
    return numbers_of(trades, "volume", "trades"), False


def _within(values: NDArray[Any], limit: float) -> bool:
    # NaN fails both comparisons.
    return len(values) == 0 or bool(values.min() >= -limit and values.max() <= limit)


def _contracts(trades: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.object_]] | None:
    if "contract" not in trades.columns:
        return None
    codes, names = pd.factorize(trades["contract"])
    names = np.asarray(names, dtype=object)
    if (empty := np.flatnonzero(names == "")).size:
        codes = np.where(codes == empty[0], -1, codes)
    return codes, names


def _split(trades: pd.DataFrame, instrument: Instrument) -> NDArray[np.float64] | None:
    """Sold (at the bid) and bought (at the ask), shape (2, rows), where the trades tell the side so."""
    if any(name in trades.columns for name in ("side", "aggressor", "is_buyer_maker")):
        return None
    if not {"bid_volume", "ask_volume"} <= set(trades.columns):
        return None
    return np.stack([numbers_of(trades, name, "trades") for name in ("bid_volume", "ask_volume")])


def _sides(
    trades: pd.DataFrame, steps: NDArray[np.int64], split: NDArray[np.float64] | None, instrument: Instrument
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    if split is not None:
        # Each part is rounded separately; together they stay within the trade. Refused rows have no steps.
        buy = np.clip(instrument.to_steps(split[1]), 0, steps)
        return buy, np.clip(instrument.to_steps(split[0]), 0, steps - buy)
    for name in ("side", "aggressor"):
        if name in trades.columns:
            side = _coded(trades[name], name, _SIDE_WORDS, "buy, sell, b, s, 1, −1, or n, 0 or nothing for unknown")
            return steps * (side > 0), steps * (side < 0)
    if "is_buyer_maker" in trades.columns:
        words = {word: -1 if maker else 1 for word, maker in _TRUE_WORDS.items()}
        words |= dict.fromkeys(("", "nan", "<na>", "none", "null"), 0)
        side = _coded(trades["is_buyer_maker"], "is_buyer_maker", words, "true, false or nothing for unknown")
        return steps * (side > 0), steps * (side < 0)
    return None, None


def _coded(values: pd.Series, name: str, words: Mapping[str, int], expected: str) -> NDArray[np.int8]:
    kind = values.dtype
    if isinstance(kind, np.dtype) and kind.kind == "b" and "true" in words:
        return np.where(values.to_numpy(), words["true"], words["false"]).astype(np.int8)
    codes, names = pd.factorize(values)
    coded = np.zeros(len(names) + 1, dtype=np.int8)  # the last entry stands for a missing value
    for place, each in enumerate(names):
        word = str(each).strip().lower()
        if word not in words:
            row = int(np.argmax(codes == place))
            hint = (
                "; 'ask' and 'bid' mean the aggressor to some vendors and the price hit to others, so say which: write "
                "buy and sell, or set sides (--sides 'ask=buy,bid=sell' or the other way round)"
                if word in ("a", "ask", "bid")
                else ""
            )
            raise DataError(f"trades' column {name} holds {each!r} at row {row}; it must be {expected}{hint}")
        coded[place] = words[word]
    return coded[codes]


def _sequence(values: pd.Series) -> NDArray[Any]:
    if not pd.api.types.is_integer_dtype(values.dtype):
        raise DataError(f"trades' column seq is {values.dtype}; give whole numbers, rising as the trades were made")
    return values.to_numpy(dtype=np.int64, na_value=0)
