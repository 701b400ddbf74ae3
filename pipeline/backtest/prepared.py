"""Bars as the compiled replay needs them, and what each order may see of them."""

import datetime as dt
import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.account import Account, margin_per_session
from pipeline.backtest.orders import OrderBatch
from pipeline.backtest.outcomes import CANCELLED, CONTRACT_ROLLED, EXIT_REASONS, NO_BARS
from pipeline.backtest.placed import Placed, Run, placed_orders
from pipeline.backtest.replay import replay
from pipeline.backtest.replayed import CLOSE_BAR, MARKET, SESSION_END, TRADABLE, Bars, Margins, Rules
from pipeline.market import Hours, Instrument, session_schedule
from pipeline.market.bar_times import bar_ends
from pipeline.market.bars import bar_columns, require_bars
from pipeline.market.contracts import ContractRuns, contract_runs
from pipeline.market.frames import times_of
from pipeline.market.sessions import at_clock, session_slices
from pipeline.market.whole_numbers import all_rise, nearest_ticks, ordinary_columns, whole_prices, whole_range

__all__ = ["NO_FINER", "PreparedBars", "words"]

_log = logging.getLogger(__name__)

_FITS_INT32 = 2**31 - 2
_PRICES = ("open", "high", "low", "close")
NO_FINER = np.empty((4, 0), np.int64), np.empty((2, 0), np.int64)


@dataclass(frozen=True)
class _Grid:
    """The bars as the replay sees them.

    A segment is a run of bars of one contract in the hours of one session; an order lives in one segment.
    """

    flags: NDArray[np.uint8]  # per bar
    sessions: pd.DatetimeIndex  # with tradable bars
    session_first: NDArray[np.int64]  # per session, its first tradable bar
    segment_first: NDArray[np.int64]
    segment_end: NDArray[np.int64]
    segment_session: NDArray[np.int64]  # per segment, its row in ``sessions``
    segment_contract: NDArray[np.object_] | None  # per segment; None where the bars carry none


class PreparedBars:
    """Bars as :func:`simulate` needs them, worked out once for many sets of orders: ticks, sessions, contracts.

    Parameters
    ----------
    bars, instrument
        As of :func:`simulate`.

    Raises
    ------
    DataError
        For bars that can't be used.
    """

    def __init__(self, bars: pd.DataFrame, instrument: Instrument) -> None:
        self.instrument = instrument
        if (ordinary := _ordinary(bars, instrument)) is not None:
            instants, self.ticks, contract = ordinary
            self.off_tick = 0
        else:
            columns = bar_columns(bars, ("timestamp", *_PRICES))
            instants, contract = columns["timestamp"].asi8, columns.get("contract")
            self.ticks = np.empty((4, len(instants)), np.int64)
            self.off_tick = nearest_ticks([columns[name] for name in _PRICES], instrument, self.ticks)
            if np.abs(self.ticks).max(initial=0) < _FITS_INT32:
                self.ticks = self.ticks.astype(np.int32)  # one kind for the compiler, but for prices beyond it
        self.timestamps = _index(bars, instants)
        self.contract = None if contract is None else pd.Series(contract)
        if self.off_tick:
            _log.warning(
                "%s of %s bars have prices off %s's tick grid; they are rounded to the nearest tick",
                self.off_tick,
                len(bars),
                instrument.symbol,
            )
        self._grids: dict[tuple[Hours, bool], _Grid] = {}
        self._cutoff_bars: dict[tuple[Hours, dt.time], NDArray[np.int64]] = {}

    def run(
        self,
        book: OrderBatch,
        account: Account,
        hours: Hours,
        finer: tuple[NDArray[np.int64], NDArray[np.int64]] = NO_FINER,
    ) -> Run:
        """Run checked orders; ``finer`` are finer bars in ticks and each bar's range of them."""
        placed = self.placed(book, account, hours, finer)
        return placed.ended(*replay(placed.bars, placed.orders, placed.margins, placed.rules))

    def placed(
        self,
        book: OrderBatch,
        account: Account,
        hours: Hours,
        finer: tuple[NDArray[np.int64], NDArray[np.int64]] = NO_FINER,
    ) -> Placed:
        """Return what a replay of checked orders takes; ``finer`` as of :meth:`run`."""
        instrument, grid = self.instrument, self.grid(hours, account.hold_overnight)
        segment, status, reason = _place(book, grid)
        live = np.flatnonzero(segment >= 0)
        own = segment[live]
        cutoff_bar = None
        if account.entry_cutoff is not None:
            cutoff_bar = self.cutoff_bars(hours, account.entry_cutoff)[grid.segment_session[own]]
        bounds = grid.segment_first[own], grid.segment_end[own]
        live, orders, no_bars = placed_orders(book, live, bounds, cutoff_bar, self.timestamps.asi8)
        rules = Rules(
            account.initial_capital,
            instrument.tick_value,
            instrument.commission_per_side,
            instrument.commission_rate,
            account.slippage_ticks,
            account.trade_through_ticks,
            account.max_positions,
            account.max_contracts or 0,
            account.hold_overnight,
        )
        margins = _margins(account, grid, int(segment[live[0]]) if len(live) else -1)
        bars = Bars(self.ticks, grid.flags, grid.session_first, *finer)
        return Placed(bars, orders, margins, rules, live, no_bars, status, reason)

    def pnl(self, book: OrderBatch, run: Run) -> NDArray[np.float64]:
        """Money of a run's trades after commission, shape (t,)."""
        quantity, _, entry_tick, _, exit_tick, _, _ = run.ends[2:]
        return book.side[run.rows] * (exit_tick - entry_tick) * self.instrument.tick_value * quantity - run.commissions

    def trades(self, book: OrderBatch, run: Run, labels: pd.Index) -> pd.DataFrame:
        """Trades of a run as :class:`~pipeline.backtest.ledger.BacktestResult` has them; ``labels`` are the orders'."""
        quantity, entry_bar, entry_tick, exit_bar, exit_tick, exit_reason, ambiguous = run.ends[2:]
        planned = book.entry[run.rows]
        if book.kinds is not None:
            planned = np.where(book.kinds.type[run.rows] == MARKET, entry_tick, planned)
        risk_ticks = np.abs(planned - book.stop[run.rows])
        pnl, to_prices = self.pnl(book, run), self.instrument.to_prices
        columns: dict[str, object] = {
            "session": book.session[run.rows],
            "side": book.side[run.rows],
            "quantity": quantity,
            "entry_time": self.timestamps[entry_bar],
            "entry_price": to_prices(entry_tick),
            "exit_time": self.timestamps[exit_bar],
            "exit_price": to_prices(exit_tick),
            "exit_reason": words(EXIT_REASONS, exit_reason),
            "commission": run.commissions,
            "pnl": pnl,
            "ambiguous": ambiguous.astype(bool),
            "order": labels[run.rows],
        }
        if self.contract is not None:
            columns["contract"] = self.contract.iloc[entry_bar].array
        columns["r_multiple"] = pnl / (risk_ticks * self.instrument.tick_value * quantity)
        columns["bars_held"] = exit_bar - entry_bar + 1
        return pd.DataFrame(columns, copy=False)

    def within(self, intrabar_bars: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Finer bars in ticks, shape (4, k), and each bar's range of them, shape (2, n)."""
        contract = self.contract
        finer = require_bars(intrabar_bars, ("timestamp", *_PRICES))
        instants, ends = self.timestamps.asi8, self.bar_ends
        if not len(instants):
            return NO_FINER
        at = pd.DatetimeIndex(finer["timestamp"]).as_unit("ns").asi8
        bar = np.searchsorted(instants, at, side="right") - 1
        inside = (bar >= 0) & (at < ends[bar])
        if contract is not None and "contract" in finer.columns:
            inside &= finer["contract"].to_numpy(dtype=object) == contract.to_numpy(dtype=object)[bar]
        ticks = np.empty((4, int(inside.sum())), np.int64)
        nearest_ticks([finer[name].to_numpy()[inside] for name in _PRICES], self.instrument, ticks)
        rows = np.arange(len(instants))
        return ticks, np.stack(
            [np.searchsorted(bar[inside], rows, side="left"), np.searchsorted(bar[inside], rows, side="right")]
        )

    def grid(self, hours: Hours, hold_overnight: bool) -> _Grid:
        """Return the replay's view of the bars in these hours, kept between runs."""
        key = hours, hold_overnight
        if key not in self._grids:
            self._grids[key] = _grid(self.timestamps.asi8, self._runs, self.instrument, hours, hold_overnight)
        return self._grids[key]

    def cutoff_bars(self, hours: Hours, cutoff: dt.time) -> NDArray[np.int64]:
        """Per session with tradable bars, the first bar that can't enter any more."""
        key = hours, cutoff
        if key not in self._cutoff_bars:
            sessions = self.grid(hours, False).sessions
            instants = _cutoffs(sessions, cutoff, self.instrument, hours)
            self._cutoff_bars[key] = np.searchsorted(self.timestamps.asi8, instants.asi8, side="left")
        return self._cutoff_bars[key]

    @cached_property
    def bar_ends(self) -> NDArray[np.int64]:
        """Instant at which each bar is over; a single bar, which doesn't say how long it lasts, at its open."""
        instants = self.timestamps.asi8
        return bar_ends(instants) if len(instants) > 1 else instants.copy()

    @cached_property
    def session_ends(self) -> tuple[NDArray[np.int64], pd.DatetimeIndex]:
        """The row of every session's last bar, and the sessions."""
        slices = session_slices(self.timestamps.asi8, self.instrument, "eth")
        return slices.stops - 1, slices.index

    @cached_property
    def _runs(self) -> ContractRuns | None:
        return None if self.contract is None else contract_runs(self.contract)

    def session_equity(self, equity: NDArray[np.float64]) -> pd.Series:
        """Equity at the last bar of every session."""
        ends, sessions = self.session_ends
        return pd.Series(equity[ends], index=sessions, name="equity")


def _index(bars: pd.DataFrame, instants: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return the bars' times as an index that stays as it is, whatever is written into the frame later."""
    if "timestamp" in bars.columns:
        return times_of(bars, "bars")  # pandas copies a column that it shares before writing into it
    return pd.DatetimeIndex(instants.view("M8[ns]"), tz="UTC", copy=True)


def _grid(
    instants: NDArray[np.int64], runs: ContractRuns | None, instrument: Instrument, hours: Hours, hold_overnight: bool
) -> _Grid:
    slices = session_slices(instants, instrument, hours)
    changes = np.empty(0, np.int64) if runs is None else runs.changes
    session = np.searchsorted(slices.starts, changes, side="right") - 1
    inside = (session >= 0) & (changes < slices.stops[session]) if len(slices.starts) else np.zeros(len(changes), bool)
    first = np.union1d(slices.starts, changes[inside])
    owner = np.searchsorted(slices.starts, first, side="right") - 1
    ends_session = np.append(owner[1:] != owner[:-1], True)[: len(first)]
    end = np.where(ends_session, slices.stops[owner], np.append(first[1:], 0)[: len(first)])
    # Counted over all bars, so that a change between two tradable bars shows in them.
    run = np.searchsorted(changes, first, side="right")
    ends_run = np.append(run[1:] != run[:-1], True)[: len(first)]
    flags = slices.mask(len(instants)).astype(np.uint8) * np.uint8(TRADABLE)
    flags[slices.stops - 1] |= SESSION_END
    flags[end[ends_run if hold_overnight else ends_run | ends_session] - 1] |= CLOSE_BAR
    return _Grid(
        flags=flags,
        sessions=slices.index,
        session_first=slices.starts,
        segment_first=first,
        segment_end=end,
        segment_session=owner,
        segment_contract=None if runs is None else runs.names[runs.at(first)],
    )


def _ordinary(
    bars: pd.DataFrame, instrument: Instrument
) -> tuple[NDArray[np.int64], NDArray[Any], pd.Series | None] | None:
    """Times, ticks and contracts of bars; None where something is out of the ordinary, be it wrong or not."""
    columns = ordinary_columns(bars, ("timestamp", *_PRICES))
    contract = bars["contract"] if columns is not None and "contract" in bars.columns else None
    if columns is None or not all_rise(columns["timestamp"]) or (contract is not None and contract.isna().any()):
        return None
    ticks = np.empty((4, len(bars)), np.int32)
    fits = whole_range(columns["low"], columns["high"], instrument, ticks[2], ticks[1])
    for row, name in ((0, "open"), (3, "close")):
        fits = fits and whole_prices(columns[name], instrument, ticks[row])
    names = None if contract is None else contract.astype("str").reset_index(drop=True)
    return (columns["timestamp"], ticks, names) if fits else None


def _place(book: OrderBatch, grid: _Grid) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each order's segment, −1 where it has none, with status and reason then."""
    m = len(book.session)
    status, reason = np.zeros(m, np.int64), np.zeros(m, np.int64)
    segment = np.full(m, -1, np.int64)
    row = np.searchsorted(grid.sessions.asi8, book.session.asi8)
    found = row < len(grid.sessions)
    found[found] = grid.sessions.asi8[row[found]] == book.session.asi8[found]
    status[~found], reason[~found] = CANCELLED, NO_BARS
    # Without a contract of its own, an order is meant for the one the session opens with.
    segment[found] = np.searchsorted(grid.segment_session, np.arange(len(grid.sessions)))[row[found]]
    held = grid.segment_contract
    if held is None or book.contract is None:
        return segment, status, reason
    named = np.flatnonzero(found & (book.contract != None))  # noqa: E711 (elementwise)
    for order in named[held[segment[named]] != book.contract[named]]:
        end = np.searchsorted(grid.segment_session, row[order], side="right")
        others = [s for s in range(segment[order], end) if held[s] == book.contract[order]]
        if others:
            segment[order] = others[0]
        else:
            segment[order], status[order], reason[order] = -1, CANCELLED, CONTRACT_ROLLED
    return segment, status, reason


def _cutoffs(sessions: pd.DatetimeIndex, cutoff: dt.time, instrument: Instrument, hours: Hours) -> pd.DatetimeIndex:
    """Instant of each session from which on nothing enters.

    That clock time on the session's date; where the whole trade date is traded and it lies after the close, on the
    evening before, if the session is open then.
    """
    zone = ZoneInfo(instrument.time_zone)
    instants = at_clock(sessions, cutoff, zone)
    if hours == "rth" or len(sessions) == 0:
        return instants
    schedule = session_schedule(instrument, sessions[0], sessions[-1])
    opens = pd.DatetimeIndex(schedule.loc[sessions, "open"]).as_unit("ns")
    closes = pd.DatetimeIndex(schedule.loc[sessions, "close"]).as_unit("ns")
    evening = at_clock(sessions - pd.Timedelta(days=1), cutoff, zone)
    return instants.where((instants < closes) | (evening < opens), evening)


def _margins(account: Account, grid: _Grid, first_segment: int) -> Margins:
    """Day and overnight margin per session; sessions before the first order need none."""
    first = grid.segment_session[first_segment] if first_segment >= 0 else len(grid.sessions)
    sessions = grid.sessions[first:]
    columns = []
    for name in ("margin_day", "margin_overnight"):
        # What is never held overnight needs no overnight margin, whatever the table says.
        needed = sessions if name == "margin_day" or account.hold_overnight else sessions[:0]
        for values in margin_per_session(getattr(account, name), needed, name):
            columns.append(np.concatenate([np.zeros(first), values, np.zeros(len(sessions) - len(needed))]))
    return Margins(*columns)


def words(names: tuple[str, ...], codes: NDArray[np.int64]) -> pd.api.extensions.ExtensionArray:
    """Spell codes out, each a position in ``names``."""
    return pd.array(list(names), dtype="str").take(codes)
