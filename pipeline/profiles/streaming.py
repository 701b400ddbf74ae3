"""Profiles of more data than fits memory: chunks are added to the sessions' histograms and then forgotten.

Profiles add (contract §3.6), so what is kept is one dense histogram a session and contract, whatever the
number of trades; chunks may come in any order and on several machines, and be merged.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.bars import require_bars
from pipeline.market.cleaning import OffTick
from pipeline.market.instruments import Instrument
from pipeline.market.session_clock import SessionClock
from pipeline.market.sessions import Hours
from pipeline.market.trades import TRADE_REASONS, JudgedTrades, judge_trades
from pipeline.profiles import kernels
from pipeline.profiles.histogram import spread_rows
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS
from pipeline.profiles.levels import SessionHistograms, area_columns, levels_frame, session_sums, side_columns
from pipeline.profiles.sessions import _integers
from pipeline.profiles.value_area import check_value_area_settings, value_area

__all__ = ["StreamAllocation", "StreamCounts", "StreamedProfiles"]

StreamAllocation = Literal["trades", "uniform", "close"]

_PRICES = ("timestamp", "low", "high", "close", "volume")
_Key = tuple[int, str]  # session as nanoseconds, contract ("" where the data names none)


@dataclass(frozen=True)
class StreamCounts:
    """What became of every row given: ``rows_in = used + refused + other_hours``.

    Attributes
    ----------
    rows_in, used
        Rows given, and rows in the sessions and hours asked for.
    refused
        Reason to number of rows (``pipeline.market.trades.TRADE_REASONS``), for all reasons.
    other_hours
        Rows within a session but outside the hours asked for.
    prices_rounded, volume_rounded
        Rows not refused whose price lies off the tick, or volume off the step; rounded to the nearest.
    """

    rows_in: int
    used: int
    refused: Mapping[str, int]
    other_hours: int
    prices_rounded: int
    volume_rounded: int

    def __post_init__(self) -> None:
        if self.rows_in != self.used + sum(self.refused.values()) + self.other_hours:
            raise AssertionError(f"rows do not add up: {self}")


@dataclass
class _Sum:
    """Histogram of one session and contract, wider than what was traded so that it seldom has to grow."""

    base: int = 0
    volume: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    buy: NDArray[np.int64] | None = None
    sell: NDArray[np.int64] | None = None
    low: int = 0
    high: int = -1
    steps: int = 0
    rows: int = 0
    last: int = 0

    def reserve(self, low: int, high: int) -> None:
        if self.high < self.low:
            self.low, self.high = low, high
            self.base, self.volume = low - 8, np.zeros(high - low + 17, dtype=np.int64)
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.base <= self.low and self.high < self.base + len(self.volume):
            return
        slack = (self.high - self.low) // 4 + 8
        base, width = self.low - slack, self.high - self.low + 1 + 2 * slack
        for name in ("volume", "buy", "sell"):
            held = getattr(self, name)
            if held is not None:
                wider = np.zeros(width, dtype=np.int64)
                wider[self.base - base + np.flatnonzero(held)] = held[held != 0]
                setattr(self, name, wider)
        self.base = base

    def put(self, name: str, lowest: int, rows: NDArray[np.int64]) -> None:
        if len(rows) == 0:
            return
        held = getattr(self, name)
        if held is None:
            held = np.zeros(len(self.volume), dtype=np.int64)
            setattr(self, name, held)
        held[lowest - self.base : lowest - self.base + len(rows)] += rows

    def dense(self, name: str) -> NDArray[np.int64]:
        held = getattr(self, name)
        if held is None:
            return np.zeros(self.high - self.low + 1, dtype=np.int64)
        return np.asarray(held[self.low - self.base : self.high + 1 - self.base])


@dataclass(frozen=True)
class _Part:
    """The rows of one session and contract within a chunk, as integers."""

    key: _Key
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    steps: NDArray[np.int64]
    buy: NDArray[np.int64] | None
    sell: NDArray[np.int64] | None
    last: int


class StreamedProfiles:
    """Session profiles of chunks that come one after the other; memory grows with sessions × price range only.

    The result is the same, bit for bit, for any cut into chunks, any order of them, and any merging of several
    accumulators. Of two contracts in a session the one with more volume in the hours counts; of equals that whose
    last row is later, of equals still the greater by name.

    Parameters
    ----------
    instrument
        Gives tick, volume step and sessions.
    allocation
        ``"trades"``: chunks are trades (as :func:`pipeline.market.trades.judge_trades` takes them), each at its
        price. ``"uniform"`` or ``"close"``: chunks are bars, as in :func:`pipeline.profiles.session_profiles`.
    value_area_basis_points, expansion_rows, hours
        As in :func:`pipeline.profiles.session_profiles`.
    off_tick
        ``"snap"`` rounds trades off the tick to the nearest and counts them, ``"reject"`` refuses them. Bars are
        rounded.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> trades = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:30Z", "2024-03-05 14:31Z"]),
    ...     "price": [5100.0, 5100.25, 5100.25], "volume": [3, 2, 4], "side": ["buy", "sell", "buy"]})
    >>> stream = StreamedProfiles(load_instruments()["ES"])
    >>> for first in range(3):
    ...     stream = stream.add(trades.iloc[first:first + 1])
    >>> stream.result().loc["2024-03-05", ["vpoc", "volume", "buy_volume", "sell_volume", "delta"]].tolist()
    [5100.25, 9.0, 7.0, 2.0, 5.0]
    >>> stream.counts.used, stream.counts.rows_in
    (3, 3)
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        allocation: StreamAllocation = "trades",
        value_area_basis_points: int = 7000,
        expansion_rows: int = 2,
        hours: Hours = "rth",
        off_tick: OffTick = "snap",
    ) -> None:
        if allocation not in get_args(StreamAllocation):
            raise ConfigurationError(
                f"allocation is {allocation!r}; it must be 'trades' (each at its price), or for bars 'uniform' "
                "(low to high) or 'close' (all on the close)"
            )
        if off_tick not in get_args(OffTick):
            raise ConfigurationError(f"off_tick is {off_tick!r}; it must be 'snap' or 'reject'")
        check_value_area_settings(value_area_basis_points, expansion_rows)
        self.instrument = instrument
        self.allocation: StreamAllocation = allocation
        self.value_area_basis_points = value_area_basis_points
        self.expansion_rows = expansion_rows
        self.hours: Hours = hours
        self.off_tick: OffTick = off_tick
        self._clock = SessionClock(instrument, hours)
        self._sums: dict[_Key, _Sum] = {}
        self._counts: Counter[str] = Counter()
        self._reasons = dict.fromkeys(TRADE_REASONS)
        self._contracts: bool | None = None
        self._empty_names = False  # whether a chunk without rows had the column, which binds no other chunk

    def add(self, chunk: pd.DataFrame) -> Self:
        """Add trades or bars; a chunk that is refused with an error leaves everything as it was.

        Raises
        ------
        DataError
            For a chunk that can't be read as trades or bars; before anything is added, and naming the session,
            for volume past 2**62 micro-lots or prices more than 2**24 ticks apart; for a column ``contract`` that
            other chunks do not have.
        """
        if not isinstance(chunk, pd.DataFrame):
            what = "trades" if self.allocation == "trades" else "bars"
            raise DataError(f"{what} must be a pandas DataFrame, not {type(chunk).__name__}")
        if len(chunk) == 0:
            if self.allocation == "trades":
                judge_trades(chunk, self.instrument)
            else:
                require_bars(chunk, _PRICES)
            self._empty_names |= "contract" in chunk.columns
            return self
        named = "contract" in chunk.columns
        self._check_contracts(named)
        parts, counts = self._trade_parts(chunk) if self.allocation == "trades" else self._bar_parts(chunk)
        measured = [(part, *self._measure(part)) for part in parts]
        for part, steps, low, high in measured:
            held = self._sums.setdefault(part.key, _Sum(last=part.last))
            held.rows += len(part.steps)
            held.last = max(held.last, part.last)
            held.steps += steps
            if steps == 0:
                continue
            held.reserve(low, high)
            if self.allocation == "trades":
                _add_at_prices(held, part)
            else:
                held.put("volume", *spread_rows(part.low, part.high, part.steps))
        self._counts.update(counts)
        self._contracts = named
        return self

    def merge(self, other: "StreamedProfiles") -> Self:
        """Add what another accumulator holds; ``other`` stays as it is.

        Raises
        ------
        ConfigurationError
            If its settings differ.
        DataError
            As in :meth:`add`.
        """
        for name in ("instrument", "allocation", "value_area_basis_points", "expansion_rows", "hours", "off_tick"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                shown = (ours.symbol, theirs.symbol) if isinstance(ours, Instrument) else (ours, theirs)
                raise ConfigurationError(
                    f"profiles with {name} {shown[0]!r} and {shown[1]!r} can't be merged; give both the same"
                )
        if other._contracts is not None:
            self._check_contracts(other._contracts)
        for key, theirs in other._sums.items():
            mine = self._sums.get(key, _Sum())
            self._check_total(key, mine.steps + theirs.steps)
            if theirs.high >= theirs.low and mine.high >= mine.low:
                self._check_range(key, min(mine.low, theirs.low), max(mine.high, theirs.high))
        for key, theirs in list(other._sums.items()):
            mine = self._sums.setdefault(key, _Sum(last=theirs.last))
            mine.rows += theirs.rows
            mine.last = max(mine.last, theirs.last)
            mine.steps += theirs.steps
            if theirs.high < theirs.low:
                continue
            mine.reserve(theirs.low, theirs.high)
            mine.put("volume", theirs.low, theirs.dense("volume"))
            for name in ("buy", "sell"):
                if getattr(theirs, name) is not None:
                    mine.put(name, theirs.low, theirs.dense(name))
        self._counts.update(other._counts)
        self._reasons.update(other._reasons)
        self._contracts = other._contracts if self._contracts is None else self._contracts
        self._empty_names |= other._empty_names
        return self

    def count_refused(self, refused: Mapping[str, int], *, prices_rounded: int = 0) -> None:
        """Count rows that were refused, or prices that were rounded, before they came here (by a cleaning, say)."""
        self._counts.update(refused)
        self._counts.update(rows_in=sum(refused.values()), prices_rounded=prices_rounded)
        self._reasons.update(dict.fromkeys(refused))

    @property
    def counts(self) -> StreamCounts:
        """What became of the rows added so far."""
        return StreamCounts(
            rows_in=self._counts["rows_in"],
            used=self._counts["used"],
            refused={reason: self._counts[reason] for reason in self._reasons},
            other_hours=self._counts["other_hours"],
            prices_rounded=self._counts["prices_rounded"],
            volume_rounded=self._counts["volume_rounded"],
        )

    def result(self) -> pd.DataFrame:
        """VPOC, value area and, of trades, who started them, of every session with volume.

        Returns
        -------
        DataFrame
            As :func:`pipeline.profiles.session_profiles` returns it; of trades with ``buy_volume``, ``sell_volume``
            and ``delta`` (their difference), NaN where no trade of the session has a known side, and
            ``attrs``: ``rows_in``, ``rows_used``, ``rows_refused`` (reason to rows, those there are),
            ``rows_other_hours``, ``rows_other_contract`` (used, but of a contract that is not its session's),
            ``prices_rounded``, ``volume_rounded``.
        """
        histograms = self.histograms()
        areas = [
            value_area(
                histograms.rows(k),
                lowest=int(histograms.lowest[k]),
                basis_points=self.value_area_basis_points,
                expansion_rows=self.expansion_rows,
            )
            for k in range(len(histograms))
        ]
        high = histograms.lowest + np.diff(histograms.starts) - 1
        columns: dict[str, Any] = area_columns(areas, histograms.lowest, high, self.instrument)
        if self.allocation == "trades":
            sums = [
                None if side is None else session_sums(side, histograms.starts)
                for side in (histograms.volume, histograms.buy, histograms.sell)
            ]
            columns |= side_columns(histograms.totals, sums[1], sums[2], self.instrument)
        profiles = pd.DataFrame(columns, index=histograms.sessions)
        if histograms.contracts is not None:
            profiles["contract"] = pd.array(histograms.contracts, dtype="str")
        profiles.attrs.update(self._account())
        return profiles

    def levels(self) -> pd.DataFrame:
        """Every tick of every session's profile, empty ones included.

        Returns
        -------
        DataFrame
            Indexed by (``session``, ``price``), both rising: ``volume``; of trades also ``buy_volume``,
            ``sell_volume``, ``delta`` (NaN at a tick whose volume has no known side); ``contract`` where the data
            names one. ``attrs`` as :meth:`result` gives them.
        """
        frame = levels_frame(self.histograms(), sides=self.allocation == "trades")
        frame.attrs.update(self._account())
        return frame

    def histograms(self) -> SessionHistograms:
        """The sessions' dense histograms, one contract a session."""
        chosen = self._winners()
        sums = [self._sums[key] for key in chosen]
        sided = any(each.buy is not None or each.sell is not None for each in sums)

        def flat(name: str) -> NDArray[np.int64]:
            return np.concatenate([np.empty(0, dtype=np.int64), *(each.dense(name) for each in sums)])

        named = self._empty_names if self._contracts is None else self._contracts
        widths = [each.high - each.low + 1 for each in sums]
        return SessionHistograms(
            instrument=self.instrument,
            sessions=pd.DatetimeIndex(np.array([key[0] for key in chosen], dtype="M8[ns]"), name="session"),
            lowest=np.array([each.low for each in sums], dtype=np.int64),
            starts=np.concatenate([[0], np.cumsum(np.array(widths, dtype=np.int64))]).astype(np.int64),
            volume=flat("volume"),
            buy=flat("buy") if sided else None,
            sell=flat("sell") if sided else None,
            contracts=np.array([key[1] for key in chosen], dtype=object) if named else None,
        )

    def _winners(self) -> list[_Key]:
        best: dict[int, _Key] = {}
        for key, held in self._sums.items():
            rival = best.get(key[0])
            if rival is None or self._rank(key, held) > self._rank(rival, self._sums[rival]):
                best[key[0]] = key
        return [best[session] for session in sorted(best) if self._sums[best[session]].steps]

    @staticmethod
    def _rank(key: _Key, held: _Sum) -> tuple[int, int, str]:
        return held.steps, held.last, key[1]

    def _account(self) -> dict[str, Any]:
        counts = self.counts
        rounded = {"prices_rounded": counts.prices_rounded, "volume_rounded": counts.volume_rounded}
        chosen = set(self._winners())
        busy = {key[0] for key in chosen}
        lesser = sum(held.rows for key, held in self._sums.items() if key not in chosen and key[0] in busy)
        return {
            "rows_in": counts.rows_in,
            "rows_used": counts.used,
            "rows_refused": {reason: number for reason, number in counts.refused.items() if number},
            "rows_other_hours": counts.other_hours,
            "rows_other_contract": lesser,
            **rounded,
        }

    def _trade_parts(self, chunk: pd.DataFrame) -> tuple[list[_Part], Counter[str]]:
        judged = judge_trades(chunk, self.instrument, off_tick=self.off_tick)
        counts: Counter[str] = Counter(rows_in=len(judged.instants))
        if judged.reason is not None:
            found = np.bincount(judged.reason[judged.reason >= 0], minlength=len(TRADE_REASONS))
            counts.update({reason: int(number) for reason, number in zip(TRADE_REASONS, found, strict=True)})
            judged = judged.take(judged.reason < 0)
        if (judged.instants[1:] < judged.instants[:-1]).any():
            judged = judged.take(np.argsort(judged.instants, kind="stable"))
        slices = self._clock.slices(judged.instants)
        inside = len(judged.instants)
        for name, rounded in (("prices_rounded", judged.snapped), ("volume_rounded", judged.off_step)):
            if rounded is not None:
                counts[name] = int((rounded if slices.inside is None else rounded & slices.inside).sum())
        if slices.inside is not None:
            inside = int(slices.inside.sum())
            counts["outside_session"] += len(judged.instants) - inside
        counts["used"] = int((slices.stops - slices.starts).sum())
        counts["other_hours"] = inside - counts["used"]
        parts = [
            part
            for session, start, stop in zip(slices.sessions.tolist(), slices.starts, slices.stops, strict=True)
            for part in _contract_parts(session, judged, judged.ticks, judged.ticks, slice(start, stop))
        ]
        return parts, counts

    def _bar_parts(self, chunk: pd.DataFrame) -> tuple[list[_Part], Counter[str]]:
        bars = require_bars(chunk, _PRICES)
        allocation: Literal["uniform", "close"] = "close" if self.allocation == "close" else "uniform"
        low, high, steps, rounded = _integers(bars, self.instrument, allocation)
        codes, names = pd.factorize(bars["contract"]) if "contract" in bars.columns else (None, None)
        instants = pd.DatetimeIndex(bars["timestamp"]).asi8
        contract = None if codes is None else (codes, np.asarray(names, dtype=object))
        judged = JudgedTrades(instants, low, steps, None, None, contract, None, None, None)
        slices = self._clock.slices(instants)
        inside = len(bars) if slices.inside is None else int(slices.inside.sum())
        used = int((slices.stops - slices.starts).sum())
        counts: Counter[str] = Counter(rounded)
        counts.update(rows_in=len(bars), used=used, other_hours=inside - used, outside_session=len(bars) - inside)
        parts = [
            part
            for session, start, stop in zip(slices.sessions.tolist(), slices.starts, slices.stops, strict=True)
            for part in _contract_parts(session, judged, low, high, slice(start, stop))
        ]
        return parts, counts

    def _measure(self, part: _Part) -> tuple[int, int, int]:
        """Steps, lowest and highest tick of a part; an error where it does not fit what is held."""
        steps, status = kernels.total_steps(part.steps, 0, len(part.steps))
        held = self._sums.get(part.key, _Sum())
        self._check_total(part.key, MAX_STEPS + 1 if status != kernels.STATUS_OK else held.steps + int(steps))
        low, high, status = kernels.extent(part.low, part.high, part.steps, 0, len(part.steps))
        if status != kernels.STATUS_OK:
            self._check_range(part.key, 0, MAX_TICKS)
        if steps and held.high >= held.low:
            self._check_range(part.key, min(held.low, int(low)), max(held.high, int(high)))
        return int(steps), int(low), int(high)

    def _check_contracts(self, named: bool) -> None:
        if self._contracts is not None and self._contracts != named:
            raise DataError(
                f"some chunks of {self.instrument.symbol} have a column contract and others have none; "
                "give it to all of them or to none"
            )

    def _check_total(self, key: _Key, steps: int) -> None:
        if steps > MAX_STEPS:
            raise DataError(
                f"{self._name(key)}: volume passes 2**62 micro-lots ({MAX_STEPS:,} volume steps of {MICRO_LOTS:,}), "
                "the most that is summed exactly; check the volume and the instrument's volume_step"
            )

    def _check_range(self, key: _Key, low: int, high: int) -> None:
        if high - low >= MAX_TICKS:
            raise DataError(
                f"{self._name(key)}: prices span more than {MAX_TICKS:,} ticks, so one of them must be wrong; "
                "check them and the instrument's tick_size"
            )

    def _name(self, key: _Key) -> str:
        return f"session {pd.Timestamp(key[0]).date()} of {key[1] or self.instrument.symbol}"


def _add_at_prices(held: _Sum, part: _Part) -> None:
    if part.buy is None or part.sell is None or not (part.buy.any() or part.sell.any()):
        _put_volume(part.low, part.steps, held.base, held.volume)
        return
    for name in ("buy", "sell"):
        if getattr(held, name) is None:
            setattr(held, name, np.zeros(len(held.volume), dtype=np.int64))
    _put_sides(part.low, part.steps, part.buy, part.sell, held.base, held.volume, held.buy, held.sell)


@njit(cache=True, nogil=True)
def _put_volume(ticks, steps, base, volume):  # type: ignore[no-untyped-def]
    for i in range(ticks.size):
        # A trade of nothing may lie beyond the range.
        if steps[i] != 0:
            volume[ticks[i] - base] += steps[i] * MICRO_LOTS


@njit(cache=True, nogil=True)
def _put_sides(ticks, steps, buy, sell, base, volume, bought, sold):  # type: ignore[no-untyped-def]
    for i in range(ticks.size):
        if steps[i] != 0:
            row = ticks[i] - base
            volume[row] += steps[i] * MICRO_LOTS
            bought[row] += buy[i] * MICRO_LOTS
            sold[row] += sell[i] * MICRO_LOTS


def _contract_parts(
    session: int, rows: JudgedTrades, low: NDArray[np.int64], high: NDArray[np.int64], where: slice
) -> list[_Part]:
    def part(name: str, chosen: Any) -> _Part:
        def own(array: Any) -> Any:
            return None if array is None else array[where][chosen]

        return _Part(
            key=(session, name),
            low=own(low),
            high=own(high),
            steps=own(rows.steps),
            buy=own(rows.buy),
            sell=own(rows.sell),
            last=int(own(rows.instants)[-1]),
        )

    if rows.contract is None:
        return [part("", slice(None))]
    codes, names = rows.contract
    within = codes[where]
    if (within == within[0]).all():
        return [part(str(names[within[0]]), slice(None))]
    return [part(str(names[code]), within == code) for code in np.unique(within)]
