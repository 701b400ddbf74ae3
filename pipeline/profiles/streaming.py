"""Profiles of more data than fits memory: chunks are added to the sessions' histograms and then forgotten.

Volume profiles add (contract §3.6), so what is kept is one dense histogram per session and contract, whatever the
number of trades; of TPO profiles the range of every time bracket is kept, and ranges join. So chunks may come in any
order and on several machines, and be merged.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, Unpack, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.bars import require_bars
from pipeline.market.cleaning import OffTick
from pipeline.market.instruments import Instrument
from pipeline.market.trades import TRADE_REASONS, is_trades, judge_trades
from pipeline.profiles import kernels
from pipeline.profiles.brackets import bracket_ranges
from pipeline.profiles.histogram import spread_rows
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS
from pipeline.profiles.levels import SessionHistograms, area_columns, levels_frame, session_sums, side_columns
from pipeline.profiles.refusals import too_much, too_wide
from pipeline.profiles.session_sums import SessionSum
from pipeline.profiles.settings import CommonOptions, ProfileSettings
from pipeline.profiles.stream_parts import Key, Part, bar_parts, trade_parts
from pipeline.profiles.value_area import value_area
from pipeline.profiles.whole_bars import PRICES

__all__ = ["StreamAllocation", "StreamCounts", "StreamOptions", "StreamedProfiles", "trade_options"]

StreamAllocation = Literal["trades", "uniform", "close", "tpo"]


@dataclass(frozen=True)
class StreamCounts:
    """Fate of every row given: ``rows_in = used + refused + other_hours``.

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


class StreamOptions(CommonOptions, total=False):
    """Settings of :class:`StreamedProfiles` as keyword arguments."""

    allocation: StreamAllocation
    off_tick: OffTick


def trade_options(settings: ProfileSettings) -> StreamOptions:
    """Return the settings for trades: one has one price, so that volume has one way to be allocated."""
    return {**settings.options, "allocation": "tpo" if settings.rows.by_time else "trades"}


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
        ``"tpo"``: chunks are bars or trades, whose time is counted.
    off_tick
        ``"snap"`` rounds trades off the tick to the nearest and counts them, ``"reject"`` refuses them. Bars are
        rounded.
    **common
        As in :func:`pipeline.profiles.session_profiles`.

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
        off_tick: OffTick = "snap",
        **common: Unpack[CommonOptions],
    ) -> None:
        if allocation not in get_args(StreamAllocation):
            raise ConfigurationError(
                f"allocation is {allocation!r}; it must be 'trades' (each at its price), for bars 'uniform' (low to "
                "high) or 'close' (all on the close), or 'tpo' (time instead of volume)"
            )
        if off_tick not in get_args(OffTick):
            raise ConfigurationError(f"off_tick is {off_tick!r}; it must be 'snap' or 'reject'")
        self.instrument = instrument
        self.allocation: StreamAllocation = allocation
        # A trade is all at its close.
        self.settings = ProfileSettings.of(allocation="close" if allocation == "trades" else allocation, **common)
        self.rule = self.settings.rows
        self.off_tick: OffTick = off_tick
        self._sums: dict[Key, SessionSum] = {}
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
                require_bars(chunk, ("timestamp", *PRICES))
            self._empty_names |= "contract" in chunk.columns
            return self
        named = "contract" in chunk.columns
        self._check_contracts(named)
        trades = self.allocation == "trades" or (self.rule.by_time and is_trades(chunk))
        where = self.instrument, self.settings.hours, self.rule
        parts, counts = trade_parts(chunk, *where, self.off_tick) if trades else bar_parts(chunk, *where)
        measured = [(part, *self._measure(part)) for part in parts]
        for part, steps, low, high in measured:
            held = self._sums.setdefault(part.key, SessionSum(self.rule.ticks_per_row, last=part.last))
            held.rows += len(part.steps)
            held.last = max(held.last, part.last)
            held.steps += steps
            if part.brackets is not None:
                held.join(_ranges(part.low, part.high, part.brackets))
                continue
            if steps == 0:
                continue
            held.reserve(low, high)
            if trades:
                held.put_trades(part.low, part.steps, part.buy, part.sell)
            else:
                held.put("volume", *spread_rows(part.low, part.high, part.steps, ticks_per_row=held.ticks_per_row))
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
        for (name, ours), theirs in zip(self._settings.items(), other._settings.values(), strict=True):
            if ours != theirs:
                shown = (ours.symbol, theirs.symbol) if isinstance(ours, Instrument) else (ours, theirs)
                raise ConfigurationError(
                    f"profiles with {name} {shown[0]!r} and {shown[1]!r} can't be merged; give both the same"
                )
        if other._contracts is not None:
            self._check_contracts(other._contracts)
        for key, theirs in other._sums.items():
            mine = self._sums.get(key, SessionSum(self.rule.ticks_per_row))
            self._check_total(key, mine.steps + theirs.steps)
            if not theirs.empty and not mine.empty:
                self._check_range(key, min(mine.low, theirs.low), max(mine.high, theirs.high))
        for key, theirs in list(other._sums.items()):
            mine = self._sums.setdefault(key, SessionSum(self.rule.ticks_per_row, last=theirs.last))
            mine.rows += theirs.rows
            mine.last = max(mine.last, theirs.last)
            mine.steps += theirs.steps
            mine.join(theirs.brackets)
            if theirs.empty or self.rule.by_time:
                continue
            mine.reserve(theirs.low, theirs.high)
            mine.put("volume", theirs.lowest, theirs.dense("volume"))
            for name in ("buy", "sell"):
                if getattr(theirs, name) is not None:
                    mine.put(name, theirs.lowest, theirs.dense(name))
        self._counts.update(other._counts)
        self._reasons.update(other._reasons)
        self._contracts = other._contracts if self._contracts is None else self._contracts
        self._empty_names |= other._empty_names
        return self

    @property
    def _settings(self) -> dict[str, Any]:
        own = {"instrument": self.instrument, **self.settings.options}
        return {**own, "allocation": self.allocation, "off_tick": self.off_tick}

    def count_refused(self, refused: Mapping[str, int], *, prices_rounded: int = 0) -> None:
        """Count rows that were refused, or prices that were rounded, before they came here (by a cleaning, say)."""
        self._counts.update(refused)
        self._counts.update(rows_in=sum(refused.values()), prices_rounded=prices_rounded)
        self._reasons.update(dict.fromkeys(refused))

    @property
    def counts(self) -> StreamCounts:
        """Return the fate of the rows added so far."""
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
            value_area(histograms.rows(k), self.settings.area, lowest=int(histograms.lowest[k]))
            for k in range(len(histograms))
        ]
        columns: dict[str, Any] = area_columns(areas, histograms.low, histograms.high, self.instrument, self.rule)
        if self.allocation == "trades":
            sums = [
                None if side is None else session_sums(side, histograms.starts)
                for side in (histograms.volume, histograms.buy, histograms.sell)
            ]
            columns |= side_columns(histograms.totals, sums[1], sums[2], self.instrument, self.rule)
        profiles = pd.DataFrame(columns, index=histograms.sessions)
        if histograms.contracts is not None:
            profiles["contract"] = pd.array(histograms.contracts, dtype="str")
        profiles.attrs.update(self._account())
        return profiles

    def levels(self) -> pd.DataFrame:
        """Every row of every session's profile, empty ones included.

        Returns
        -------
        DataFrame
            Indexed by (``session``, ``price``), both rising, the price being the row's lowest: ``volume`` (TPOs where
            time is counted); of trades also ``buy_volume``, ``sell_volume``, ``delta`` (NaN at a row whose volume has
            no known side); ``contract`` where the data names one. ``attrs`` as :meth:`result` gives them.
        """
        frame = levels_frame(self.histograms(), sides=self.allocation == "trades")
        frame.attrs.update(self._account())
        return frame

    def histograms(self) -> SessionHistograms:
        """The sessions' dense histograms, one contract per session."""
        chosen = self._winners()
        sums = [self._sums[key] for key in chosen]
        sided = any(each.buy is not None or each.sell is not None for each in sums)

        def flat(name: str) -> NDArray[np.int64]:
            return np.concatenate([np.empty(0, dtype=np.int64), *(self._dense(each, name) for each in sums)])

        named = self._empty_names if self._contracts is None else self._contracts
        widths = [each.highest - each.lowest + 1 for each in sums]
        return SessionHistograms(
            instrument=self.instrument,
            rule=self.rule,
            sessions=pd.DatetimeIndex(np.array([key[0] for key in chosen], dtype="M8[ns]"), name="session"),
            low=np.array([each.low for each in sums], dtype=np.int64),
            high=np.array([each.high for each in sums], dtype=np.int64),
            starts=np.concatenate([[0], np.cumsum(np.array(widths, dtype=np.int64))]).astype(np.int64),
            volume=flat("volume"),
            buy=flat("buy") if sided else None,
            sell=flat("sell") if sided else None,
            contracts=np.array([key[1] for key in chosen], dtype=object) if named else None,
        )

    def _dense(self, held: SessionSum, name: str) -> NDArray[np.int64]:
        return held.tpos(self.rule) if self.rule.by_time else held.dense(name)

    def _winners(self) -> list[Key]:
        best: dict[int, Key] = {}
        for key, held in self._sums.items():
            rival = best.get(key[0])
            if rival is None or self._rank(key, held) > self._rank(rival, self._sums[rival]):
                best[key[0]] = key
        return [best[session] for session in sorted(best) if not self._sums[best[session]].empty]

    @staticmethod
    def _rank(key: Key, held: SessionSum) -> tuple[int, int, str]:
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

    def _measure(self, part: Part) -> tuple[int, int, int]:
        """Steps, lowest and highest tick of a part; an error where it does not fit what is held."""
        steps, status = kernels.total_steps(part.steps, 0, len(part.steps))
        held = self._sums.get(part.key, SessionSum(self.rule.ticks_per_row))
        self._check_total(part.key, MAX_STEPS + 1 if status != kernels.STATUS_OK else held.steps + int(steps))
        counted = part.steps if part.brackets is None else np.ones(len(part.steps), np.int64)
        low, high, status = kernels.extent(part.low, part.high, counted, 0, len(counted))
        if status != kernels.STATUS_OK:
            self._check_range(part.key, 0, MAX_TICKS)
        if low <= high and not held.empty:
            self._check_range(part.key, min(held.low, int(low)), max(held.high, int(high)))
        return int(steps), int(low), int(high)

    def _check_contracts(self, named: bool) -> None:
        if self._contracts is not None and self._contracts != named:
            raise DataError(
                f"some chunks of {self.instrument.symbol} have a column contract and others have none; "
                "give it to all of them or to none"
            )

    def _check_total(self, key: Key, steps: int) -> None:
        if steps > MAX_STEPS:
            raise too_much(self._name(key))

    def _check_range(self, key: Key, low: int, high: int) -> None:
        if high - low >= MAX_TICKS:
            raise too_wide(self._name(key))

    def _name(self, key: Key) -> str:
        return f"session {pd.Timestamp(key[0]).date()} of {key[1] or self.instrument.symbol}"


def _ranges(low: NDArray[np.int64], high: NDArray[np.int64], brackets: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    begins, lows, highs = bracket_ranges(low, high, brackets)
    return dict(zip(brackets[begins].tolist(), zip(lows.tolist(), highs.tolist(), strict=True), strict=True))
