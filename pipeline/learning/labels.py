"""A candidate's label: what the backtest's own engine makes of it, alone, and when that is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest import Account, BacktestResult, simulate
from pipeline.backtest.orders import OrderBatch, read_orders
from pipeline.errors import DataError
from pipeline.market import Hours, Instrument, SessionLabels, label_sessions, session_schedule
from pipeline.market.bar_times import bar_ends, complete_until, session_ends
from pipeline.market.bars import require_bars

__all__ = ["LABEL_COLUMNS", "candidate_labels", "known_outcomes"]

LABEL_COLUMNS = (
    "start",
    "end",
    "status",
    "reason",
    "filled",
    "label",
    "r_multiple",
    "net",
    "exit_reason",
    "entry_time",
    "exit_time",
    "ambiguous",
)
PENDING = "pending"

_NEVER = np.iinfo(np.int64).max
# Never short of margin or called, whatever is held; with fixed quantities it touches no price and no profit.
_MONEY = 1e15


def candidate_labels(
    bars: pd.DataFrame,
    candidates: pd.DataFrame,
    instrument: Instrument,
    account: Account | None = None,
    *,
    hours: Hours = "rth",
    intrabar_bars: pd.DataFrame | None = None,
    known_until: pd.Timestamp | str | None = None,
) -> pd.DataFrame:
    """Outcome of each candidate as :func:`pipeline.backtest.simulate` trades it: alone, one contract.

    Alone means that no other candidate takes its slot or its margin, and that the account's money never binds: capital,
    sizing, margin and ``max_positions`` don't matter here. Slippage, trade-through, the entry cut-off and
    ``hold_overnight`` of the account do.

    Parameters
    ----------
    bars
        Clean bars, as ``simulate`` takes them, two or more; those after a label's ``end`` don't change it.
    candidates
        As :func:`pipeline.strategy.make_candidates` gives them: session, decided_on, side, entry, stop, target,
        optional contract; shape (m, ...).
    hours
        Of the bars an order lives on.
    intrabar_bars
        As for ``simulate``.
    known_until
        Up to when the bars are complete, with a zone; by default the end of the last bar. It matters for the last
        session only: a clock can tell that a session is over, missing bars can't.

    Returns
    -------
    DataFrame
        Index of ``candidates``.

        start
            Decision: close of the trade date ``decided_on``, UTC; ``decided_at`` where the candidates have that.
        end
            From when on the outcome is known, UTC: the end of the bar of the exit, or of the one that opened beyond the
            stop; the end of the session's hours for what ends with them (closed at the close, not reached, no bars,
            another contract); for a position closed as the contract changes, the end of the first bar after
            it. NaT while pending.
        status, reason
            The order's, as in the backtest, or ``pending``: not known at the end of the bars.
        filled
            Whether it became a trade whose outcome is known.
        label
            1.0 if the trade's net is above zero, else 0.0; NaN where not filled.
        r_multiple, net
            Of the trade, net in money for one contract after costs; NaN where not filled.
        exit_reason, entry_time, exit_time, ambiguous
            Of the trade (times are bars' opens); empty, NaT and False where not filled.

    Raises
    ------
    DataError
        For bars or candidates that can't be used: names column or row.
    """
    frame = require_bars(bars, ("timestamp", "open", "high", "low", "close"))
    if "decided_on" not in candidates.columns:
        raise DataError("the candidates have no column decided_on, the session whose close a label starts at; add it")
    if not len(candidates):
        return _empty(candidates.index)
    # max_positions and the money make each order blind to the others: one run then says what m runs would.
    alone = (account or Account()).model_copy(
        update={
            "initial_capital": _MONEY,
            "max_positions": len(candidates),
            "margin_day": 1e-9,
            "margin_overnight": 1e-9,
            "volatility_target": None,
        }
    )
    # Alone, no other of its group takes its place.
    orders = candidates.drop(columns=["quantity", "volatility", "group"], errors="ignore").reset_index(drop=True)
    orders = orders.assign(quantity=1)
    book = read_orders(orders, instrument, alone)
    start = _starts(candidates, book.session, instrument)
    result = simulate(frame, orders, instrument, alone, hours=hours, intrabar_bars=intrabar_bars)
    end = _ends(frame, book, result, hours)
    until = complete_until(known_until, bar_ends(pd.DatetimeIndex(frame["timestamp"]).asi8))

    known = end <= until
    trades = result.trades.set_index("order").reindex(orders.index)
    filled = known & (result.orders["status"] == "closed").to_numpy()
    net = trades["pnl"].to_numpy(np.float64)
    columns = {
        "start": start,
        "end": pd.DatetimeIndex(np.where(known, end, pd.NaT.value).view("M8[ns]")).tz_localize("UTC"),
        "status": result.orders["status"].where(known, PENDING).array,
        "reason": result.orders["reason"].where(known, "").array,
        "filled": filled,
        "label": np.where(filled, (net > 0).astype(np.float64), np.nan),
        "r_multiple": np.where(filled, trades["r_multiple"], np.nan),
        "net": np.where(filled, net, np.nan),
        "exit_reason": trades["exit_reason"].where(filled, "").astype("str").array,
        "entry_time": trades["entry_time"].where(filled).array,
        "exit_time": trades["exit_time"].where(filled).array,
        "ambiguous": filled & trades["ambiguous"].eq(True).to_numpy(),
    }
    return pd.DataFrame(columns, index=candidates.index)[list(LABEL_COLUMNS)]


def known_outcomes(labels: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of the candidates that became trades, as models learn them, in the labels' index."""
    known = labels["filled"] & labels["end"].notna()
    return labels.loc[known, ["start", "end", "label", "r_multiple", "net"]]


def _starts(candidates: pd.DataFrame, session: pd.DatetimeIndex, instrument: Instrument) -> pd.DatetimeIndex:
    decided = pd.DatetimeIndex(pd.to_datetime(candidates["decided_on"])).as_unit("ns")
    late = np.asarray(decided.isna() | ~(decided < session))
    if late.any():
        row = int(np.argmax(late))
        raise DataError(
            f"candidates row {candidates.index[row]}: decided_on is {candidates['decided_on'].iloc[row]}, not a "
            "session "
            f"before {session[row].date()}, the one it trades in; give the session at whose close it was decided"
        )
    if "decided_at" in candidates.columns:
        return pd.DatetimeIndex(candidates["decided_at"]).as_unit("ns")
    schedule = session_schedule(instrument, decided.min(), session.max())
    for name, dates in (("decided_on", decided), ("session", session)):
        if (strange := ~dates.isin(schedule.index)).any():
            row = int(np.argmax(strange))
            raise DataError(
                f"candidates row {candidates.index[row]}: {name} is {dates[row].date()}, which is not a session of "
                f"{instrument.symbol}'s calendar {instrument.calendar}; give the trade date"
            )
    return pd.DatetimeIndex(schedule.loc[decided, "close"]).as_unit("ns")


def _ends(bars: pd.DataFrame, book: OrderBatch, result: BacktestResult, hours: Hours) -> NDArray[np.int64]:
    """Per order, from when on its end is known, in nanoseconds; ``_NEVER`` where these bars don't tell."""
    opens = pd.DatetimeIndex(bars["timestamp"]).asi8
    over = bar_ends(opens)
    labels = label_sessions(pd.DatetimeIndex(bars["timestamp"]), result.instrument)
    tradable = np.flatnonzero(labels.mask(hours))
    hours_end = session_ends(opens, labels, hours)

    # What ends with its session.
    end = _session_closes(book.session, labels, hours_end, result.instrument, hours)

    trades = result.trades
    exit_bar = np.searchsorted(opens, pd.DatetimeIndex(trades["exit_time"]).as_unit("ns").asi8)
    known = over[exit_bar]
    closed = np.flatnonzero((trades["exit_reason"] == "close").to_numpy())
    if len(closed):
        bar = exit_bar[closed]
        following = np.searchsorted(tradable, bar, side="right")
        after = tradable[np.minimum(following, len(tradable) - 1)]
        # Closed before the contract changed, which the bar after it shows.
        shown = np.where(following < len(tradable), over[after], _NEVER)
        if not result.account.hold_overnight:
            session_over = np.maximum(hours_end[labels.position[bar]], over[bar])
            shown = np.where((after != bar) & (labels.position[after] == labels.position[bar]), shown, session_over)
        known[closed] = shown
    end[trades["order"].to_numpy(np.int64)] = known

    gapped = np.flatnonzero((result.orders["status"] == "gapped_past_stop").to_numpy())
    first_tick, session = result.instrument.to_ticks(bars["open"])[tradable], labels.position[tradable]
    begin = np.searchsorted(session, labels.schedule.index.get_indexer(book.session[gapped]))
    if "live_from" in result.orders.columns:
        live = pd.DatetimeIndex(pd.to_datetime(result.orders["live_from"], utc=True)).as_unit("ns").asi8[gapped]
        begin = np.maximum(begin, np.searchsorted(opens[tradable], live))
    contract = bars["contract"].to_numpy(dtype=object)[tradable] if "contract" in bars.columns else None
    for order, bar in zip(gapped, begin, strict=True):
        wanted = book.contract[order] if book.contract is not None and contract is not None else None
        while book.side[order] * (first_tick[bar] - book.stop[order]) > 0 or (
            wanted is not None and contract is not None and contract[bar] != wanted
        ):
            bar += 1
        end[order] = over[tradable[bar]]
    return end


def _session_closes(
    session: pd.DatetimeIndex,
    labels: SessionLabels,
    hours_end: NDArray[np.int64],
    instrument: Instrument,
    hours: Hours,
) -> NDArray[np.int64]:
    schedule = session_schedule(instrument, session.min(), session.max())
    closes = pd.DatetimeIndex(schedule["rth_close" if hours == "rth" else "close"]).as_unit("ns").asi8.copy()
    shared = labels.schedule.index.get_indexer(schedule.index)
    closes[shared >= 0] = hours_end[shared[shared >= 0]]
    return closes[schedule.index.get_indexer(session)]


def _empty(index: pd.Index) -> pd.DataFrame:
    moments = pd.DatetimeIndex([], tz="UTC").as_unit("ns")
    kinds = {
        **dict.fromkeys(("start", "end", "entry_time", "exit_time"), moments),
        **dict.fromkeys(("status", "reason", "exit_reason"), pd.array([], dtype="str")),
        **dict.fromkeys(("filled", "ambiguous"), np.empty(0, np.bool_)),
        **dict.fromkeys(("label", "r_multiple", "net"), np.empty(0)),
    }
    return pd.DataFrame({name: kinds[name] for name in LABEL_COLUMNS}, index=index)
