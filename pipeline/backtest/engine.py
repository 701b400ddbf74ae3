"""Orders on bars: what each order may see, handed to the compiled replay, and its answer as frames."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.account import Account, margin_per_session
from pipeline.backtest.fills import (
    CANCELLED,
    CLOSE_BAR,
    CLOSED,
    CONTRACT_ROLLED,
    NO_BARS,
    ORDER_REASONS,
    SESSION_END,
    STATUSES,
    TRADABLE,
    replay,
)
from pipeline.backtest.ledger import BacktestResult, equity_by_session, trade_table
from pipeline.backtest.orders import OrderBook, read_orders
from pipeline.market import Hours, Instrument, SessionLabels, label_sessions
from pipeline.market.bars import bar_columns, require_bars

__all__ = ["simulate"]

_log = logging.getLogger(__name__)

_CHUNK = 1 << 15  # bars worked on at a time, so that what is between two steps stays in the cache
_PRICES = ("open", "high", "low", "close")
_NO_FINER = np.empty((4, 0), np.int64), np.empty((2, 0), np.int64)


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


def simulate(
    bars: pd.DataFrame,
    orders: pd.DataFrame,
    instrument: Instrument,
    account: Account,
    *,
    hours: Hours = "rth",
    finer_bars: pd.DataFrame | None = None,
) -> BacktestResult:
    """Run bracket orders on bars under the fill rules of the contract's §6, as ``docs/fills.md`` explains them.

    Parameters
    ----------
    bars
        Clean bars: timestamp (the bar's open, with a zone, strictly increasing), open, high, low, close; optional
        contract. All are marked to market; only those in ``hours`` trade. Prices off the tick are taken at the
        nearest one.
    orders
        One bracket order a row: session, side (+1, −1), entry, stop, target (prices on the tick); optional quantity
        (fixed contracts, else the sizing rule), contract (cancelled where the session has bars of another only) and
        volatility (annualised; for ``account.volatility_target``). In a session longs are looked at first, then
        in the order given.
    instrument, account
        What is traded and under which settings.
    hours
        ``rth``, the regular hours, or ``eth``, the whole trade date: when orders live and positions leave.
    finer_bars
        Bars of a shorter span of the same series, on which a bar that reaches stop and target both is decided. Where
        they don't decide it either, or are missing, it stays a stop and is counted ambiguous.

    Returns
    -------
    BacktestResult
        Trades, the end of every order, equity a bar.

    Raises
    ------
    DataError
        For bars or orders that can't be used: names column or row, and what to do.
    ConfigurationError
        For settings that don't fit the orders (a margin table that starts too late, no volatility).
    """
    columns = bar_columns(bars, ("timestamp", *_PRICES))
    book = read_orders(orders, instrument, account)
    timestamps = pd.DatetimeIndex(columns["timestamp"], copy=True)  # the result keeps it
    labels = label_sessions(timestamps, instrument)
    contract = pd.Series(columns["contract"]) if "contract" in columns else None
    grid = _grid(labels, contract, hours, account.hold_overnight)
    ticks, off_tick = _ticks(columns, instrument)
    if off_tick:
        _log.warning(
            "%s of %s bars have prices off %s's tick; the nearest tick is taken", off_tick, len(bars), instrument.symbol
        )
    finer = _NO_FINER if finer_bars is None else _within(finer_bars, timestamps, contract, instrument)

    segment, status, reason = _place(book, grid, contract)
    live = np.flatnonzero(segment >= 0)
    first_bar = grid.segment_first[segment[live]]
    last_bar = grid.segment_end[segment[live]]
    if account.entry_cutoff is not None:
        instants = _cutoffs(grid.sessions, account.entry_cutoff, labels.schedule, instrument, hours)
        cutoff_bar = np.searchsorted(timestamps.asi8, instants.asi8, side="left")
        last_bar = np.minimum(last_bar, cutoff_bar[grid.segment_session[segment[live]]])
    rank = np.lexsort((live, -book.side[live], first_bar))
    live, first_bar, last_bar = live[rank], first_bar[rank], last_bar[rank]

    day, night = _margins(account, grid, int(segment[live[0]]) if len(live) else -1)
    equity, ends, commissions = replay(
        ticks,
        grid.flags,
        *finer,
        book.side[live],
        book.entry[live],
        book.stop[live],
        book.target[live],
        book.quantity[live],
        book.risk[live],
        first_bar,
        last_bar,
        grid.session_first,
        *day,
        *night,
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
    status[live], reason[live] = ends[0], ends[1]
    closed = np.flatnonzero(ends[0] == CLOSED)
    closed = closed[np.argsort(ends[3, closed], kind="stable")]  # by bar of entry, then as they were looked at
    rows = live[closed]
    trades = trade_table(
        ends[:, closed],
        commissions[closed],
        session=book.session[rows],
        side=book.side[rows],
        risk_ticks=np.abs(book.entry[rows] - book.stop[rows]),
        labels=orders.index[rows],
        timestamps=timestamps,
        contract=contract,
        instrument=instrument,
    )
    at_close = pd.Series(equity, index=timestamps.rename("timestamp"), name="equity")
    return BacktestResult(
        trades=trades,
        orders=orders.assign(status=_names(STATUSES, status), reason=_names(ORDER_REASONS, reason)),
        equity=at_close,
        session_equity=equity_by_session(at_close, labels),
        account=account,
        instrument=instrument,
        off_tick_bars=off_tick,
    )


def _grid(labels: SessionLabels, contract: pd.Series | None, hours: Hours, hold_overnight: bool) -> _Grid:
    tradable = np.flatnonzero(labels.mask(hours))
    n = len(labels.position)
    # Counted over all bars, so that a change between two tradable bars shows in them.
    changes = np.zeros(n, np.int64)
    if contract is not None and n:
        codes = pd.factorize(contract)[0]
        changes[1:] = np.cumsum(codes[1:] != codes[:-1])
    session = labels.position[tradable]
    run = changes[tradable]
    new_session = np.ones(len(tradable), np.bool_)
    new_session[1:] = session[1:] != session[:-1]
    new_run = np.ones(len(tradable), np.bool_)
    new_run[1:] = run[1:] != run[:-1]
    ends_session = np.append(new_session[1:], True)[: len(tradable)]
    ends_run = np.append(new_run[1:], True)[: len(tradable)]
    flags = np.zeros(n, np.uint8)
    flags[tradable] = TRADABLE
    flags[tradable[ends_session]] |= SESSION_END
    closes = ends_run if hold_overnight else ends_run | ends_session
    flags[tradable[closes]] |= CLOSE_BAR
    starts = new_session | new_run
    return _Grid(
        flags=flags,
        sessions=labels.schedule.index[session[new_session]],
        session_first=tradable[new_session],
        segment_first=tradable[starts],
        segment_end=tradable[ends_session | ends_run] + 1,
        segment_session=(np.cumsum(new_session) - 1)[starts],
    )


def _ticks(bars: Mapping[str, Any] | pd.DataFrame, instrument: Instrument) -> tuple[NDArray[np.int64], int]:
    count = len(bars["close"])
    ticks = np.empty((4, count), np.int64)
    off = np.zeros(count, np.bool_)
    for row, name in enumerate(_PRICES):
        prices = np.asarray(bars[name], dtype=np.float64)
        for first in range(0, count, _CHUNK):
            part = slice(first, first + _CHUNK)
            ticks[row, part] = instrument.to_ticks(prices[part])
            if not np.array_equal(instrument.to_prices(ticks[row, part]), prices[part]):
                off[part] |= instrument.off_tick(prices[part])
    return ticks, int(off.sum())


def _place(
    book: OrderBook, grid: _Grid, contract: pd.Series | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each order's segment, −1 where it has none, with status and reason then."""
    m = len(book.session)
    status, reason = np.zeros(m, np.int64), np.zeros(m, np.int64)
    segment = np.full(m, -1, np.int64)
    row = np.searchsorted(grid.sessions.asi8, book.session.asi8)
    found = row < len(grid.sessions)
    found[found] = grid.sessions.asi8[row[found]] == book.session.asi8[found]
    status[~found], reason[~found] = CANCELLED, NO_BARS
    # Without a contract of its own, an order is meant for the one the session opens with.
    segment[found] = np.searchsorted(grid.segment_session, row[found], side="left")
    if contract is None or book.contract is None:
        return segment, status, reason
    held = contract.iloc[grid.segment_first].to_numpy(dtype=object)
    for order in np.flatnonzero(found):
        wanted = book.contract[order]
        if wanted is None or held[segment[order]] == wanted:
            continue
        end = np.searchsorted(grid.segment_session, row[order], side="right")
        others = [s for s in range(segment[order], end) if held[s] == wanted]
        if others:
            segment[order] = others[0]
        else:
            segment[order], status[order], reason[order] = -1, CANCELLED, CONTRACT_ROLLED
    return segment, status, reason


def _cutoffs(
    sessions: pd.DatetimeIndex, cutoff: dt.time, schedule: pd.DataFrame, instrument: Instrument, hours: Hours
) -> pd.DatetimeIndex:
    """Instant of each session from which on nothing enters.

    That clock time on the session's date; where the whole trade date is traded and it lies after the close, on the
    evening before, if the session is open then.
    """
    zone = ZoneInfo(instrument.time_zone)
    clock = pd.Timedelta(hours=cutoff.hour, minutes=cutoff.minute, seconds=cutoff.second)

    def local(days: pd.DatetimeIndex) -> pd.DatetimeIndex:
        instants = (days + clock).tz_localize(zone, ambiguous=np.zeros(len(days), bool), nonexistent="shift_forward")
        return instants.tz_convert("UTC").as_unit("ns")

    instants = local(sessions)
    if hours == "rth":
        return instants
    opens = pd.DatetimeIndex(schedule.loc[sessions, "open"]).as_unit("ns")
    closes = pd.DatetimeIndex(schedule.loc[sessions, "close"]).as_unit("ns")
    evening = local(sessions - pd.Timedelta(days=1))
    return instants.where((instants < closes) | (evening < opens), evening)


def _margins(
    account: Account, grid: _Grid, first_segment: int
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Day and overnight margin per session; sessions before the first order need none."""
    first = grid.segment_session[first_segment] if first_segment >= 0 else len(grid.sessions)
    sessions = grid.sessions[first:]
    tables = []
    for name in ("margin_day", "margin_overnight"):
        # What is never held overnight needs no overnight margin, whatever the table says.
        needed = sessions if name == "margin_day" or account.hold_overnight else sessions[:0]
        rate, amount = margin_per_session(getattr(account, name), needed, name)
        pad = np.zeros(first), np.zeros(len(sessions) - len(needed))
        tables.append((np.concatenate([pad[0], rate, pad[1]]), np.concatenate([pad[0], amount, pad[1]])))
    return tables[0], tables[1]


def _within(
    finer_bars: pd.DataFrame, timestamps: pd.DatetimeIndex, contract: pd.Series | None, instrument: Instrument
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finer bars in ticks, shape (4, k), and each bar's range of them, shape (2, n)."""
    finer = require_bars(finer_bars, ("timestamp", *_PRICES))
    instants = timestamps.asi8
    if len(instants) < 2:  # one bar says nothing of how long it lasts
        return np.empty((4, 0), np.int64), np.zeros((2, len(instants)), np.int64)
    steps, counts = np.unique(np.diff(instants), return_counts=True)
    ends = instants + steps[np.argmax(counts)]  # the usual length: a gap in the bars is not part of one
    ends[:-1] = np.minimum(ends[:-1], instants[1:])
    at = pd.DatetimeIndex(finer["timestamp"]).as_unit("ns").asi8
    bar = np.searchsorted(instants, at, side="right") - 1
    inside = (bar >= 0) & (at < ends[bar])
    if contract is not None and "contract" in finer.columns:
        inside &= finer["contract"].to_numpy(dtype=object) == contract.to_numpy(dtype=object)[bar]
    ticks, _ = _ticks(finer[inside], instrument)
    rows = np.arange(len(instants))
    return ticks, np.stack(
        [np.searchsorted(bar[inside], rows, side="left"), np.searchsorted(bar[inside], rows, side="right")]
    )


def _names(names: tuple[str, ...], codes: NDArray[np.int64]) -> pd.api.extensions.ExtensionArray:
    return pd.array(np.array(names, dtype=object)[codes], dtype="str")
