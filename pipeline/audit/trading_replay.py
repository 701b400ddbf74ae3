"""Signals and fills: what is known of them at a time must not change with what comes after it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.audit.cutoffs import rare_days
from pipeline.audit.report import Finding
from pipeline.audit.tables import differing, differs, plain
from pipeline.backtest import BacktestResult, simulate
from pipeline.errors import DataError
from pipeline.fresh_processes import in_fresh_processes
from pipeline.hardware import processors
from pipeline.market import Hours, Instrument, label_sessions, session_schedule
from pipeline.market.bar_times import bar_ends
from pipeline.research import make_profiles
from pipeline.strategy import TradingRules, gate_columns, make_signals, session_history

__all__ = ["check_fill_replay", "check_signal_replay", "fill_cutoffs", "signal_cutoffs"]

WORTH_PROCESSES = 200_000
"""Bars from which on cut-offs are checked side by side."""

_PRICES = ("open", "high", "low", "close")
_OF_A_GATE = 2
_SIGNAL = (
    "a gate, a level or the confidence uses what comes after the session it is decided on: another row of the history, "
    "or a statistic of all of it"
)
_FILL = "a fill, a size or the equity uses bars that come after it"


def signal_cutoffs(signals: pd.DataFrame, history: pd.DataFrame, instrument: Instrument, seed: int) -> pd.DatetimeIndex:
    """Sessions to cut off at: rare days, one that each gate lets through for either side, and the last but one.

    A gate that looks ahead finds nothing at the end of the data and is shut: that shows only where it was open.

    Parameters
    ----------
    signals
        From :func:`pipeline.strategy.make_signals`.
    history
        The session history they come from.
    instrument
        Whose calendar counts.
    seed
        Draws among the days of a kind.
    """
    random = np.random.default_rng(seed)
    sessions, last = pd.DatetimeIndex(history.index), len(history) - 1
    rare = rare_days(history, instrument, seed).values()
    chosen = {int(place) for places in rare for place in places} | ({last - 1} if last else set())
    row = sessions.get_indexer(pd.DatetimeIndex(signals["decided_on"]))
    for name in [each for each in gate_columns(signals) if signals[each].dtype == np.bool_]:
        for side in (1, -1):
            passing = row[(signals[name] & (signals["side"] == side)).to_numpy() & (row < last)]
            chosen.update(random.choice(passing, min(_OF_A_GATE, len(passing)), replace=False).tolist())
    return sessions[sorted(chosen)]


def check_signal_replay(
    bars: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules,
    signals: pd.DataFrame,
    sessions: Iterable[pd.Timestamp],
) -> list[Finding]:
    """Make candidates and gates again on bars that end with each of these sessions; every row has to be the same.

    Parameters
    ----------
    bars
        All bars.
    instrument, rules
        That the signals were made with.
    signals
        From :func:`pipeline.strategy.make_signals`.
    sessions
        To cut off at.

    Returns
    -------
    list of Finding
        One a column, the first row that differs at any cut-off.
    """
    return _in_parts(_signals_differ, bars, (instrument, rules, signals), pd.DatetimeIndex(list(sessions)))


def _signals_differ(
    bars: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules,
    signals: pd.DataFrame,
    sessions: pd.DatetimeIndex,
) -> list[Finding]:
    found: dict[str, Finding] = {}
    for then, now, at in _cut_off(bars, instrument, rules, signals, sessions):
        if not then.index.equals(now.index):
            found.setdefault(
                "candidates",
                Finding("signals", "candidates", at, f"{len(then)} rows", f"{len(now)} rows", _SIGNAL),
            )
            continue
        for name in now.columns:
            wrong = differs(then[name], now[name])
            if wrong.any():
                row = int(np.argmax(wrong))
                side = "long" if now["side"].iloc[row] > 0 else "short"
                label = f"{pd.Timestamp(now['decided_on'].iloc[row]).date()} {side}"
                expected, got = plain(then[name].iloc[row]), plain(now[name].iloc[row])
                found.setdefault(name, Finding("signals", name, label, expected, got, _SIGNAL))
    return list(found.values())


def _cut_off(
    bars: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules,
    signals: pd.DataFrame,
    sessions: pd.DatetimeIndex,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, str]]:
    """Signals made of what was known at a time, those among all that were decided by then, and the time.

    Times are each session's close and, where decisions fall within the session after it, these too.
    """
    opens = pd.DatetimeIndex(bars["timestamp"])
    ends = pd.DatetimeIndex(bar_ends(opens.as_unit("ns").asi8), tz="UTC")
    on = pd.DatetimeIndex(signals["decided_on"])
    within = pd.DatetimeIndex(signals["decided_at"]) if "decided_at" in signals.columns else None
    for session in sessions:
        cut = bars[opens < session_schedule(instrument, session, session)["close"].iloc[0]]
        profiles = make_profiles(cut, instrument, rules.history)
        history = session_history(cut, profiles, instrument, rules.history)
        if within is None:
            yield make_signals(history, instrument, rules), signals[on <= session], f"{session:%F}"
            continue
        for instant in within[on == session].unique():
            then = make_signals(history, instrument, rules, bars[ends <= instant], known_until=instant)
            yield then, signals[within <= instant], f"{instant:%F %H:%M}Z"


def fill_cutoffs(bars: pd.DataFrame, result: BacktestResult, seed: int, *, trades: int = 8) -> pd.DatetimeIndex:
    """Bars after which to change everything: entry and exit of some trades, and of rare days the trades and the end.

    Parameters
    ----------
    bars
        Of the backtest.
    result
        Its result.
    trades
        How many are drawn by the seed; the worst and the best, and one of each rare day, count too.

    Returns
    -------
    DatetimeIndex
        Opens of bars, rising; at most 2 × trades + 70.
    """
    made, opens = result.trades, pd.DatetimeIndex(result.equity.index)
    history = _by_session(bars, result.instrument)
    sessions = pd.DatetimeIndex(history.index)
    rare = sorted({int(place) for places in rare_days(history, result.instrument, seed).values() for place in places})
    random = np.random.default_rng(seed)
    chosen = set(random.choice(len(made), min(trades, len(made)), replace=False).tolist())
    if len(made):
        chosen |= {int(made["pnl"].argmin()), int(made["pnl"].argmax())}
        first = pd.Series(np.arange(len(made))).groupby(pd.DatetimeIndex(made["session"])).first()
        chosen |= set(first.reindex(sessions[rare]).dropna().astype(int))
    held = made.iloc[sorted(chosen)]
    places = opens.get_indexer(pd.DatetimeIndex([*held["entry_time"], *held["exit_time"]]))
    ends = history["last_bar"].to_numpy(np.int64)[rare]
    # Nothing lies behind the last bar.
    places = np.unique(np.concatenate([places, ends]))
    return opens[places[(places >= 0) & (places < len(opens) - 1)]]


def _by_session(bars: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Build the table :func:`~pipeline.audit.cutoffs.rare_days` needs from bars alone, with each session's last bar."""
    labels = label_sessions(pd.DatetimeIndex(bars["timestamp"]), instrument)
    inside = labels.position >= 0
    held = bars.assign(bar=np.arange(len(bars)))[inside]
    groups = held.groupby(labels.position[inside])
    columns: dict[str, Any] = {
        "high": groups["high"].max(),
        "low": groups["low"].min(),
        "volume": groups["volume"].sum() if "volume" in held.columns else groups.size().astype(np.float64),
        "log_return": np.log(groups["close"].last().clip(lower=instrument.tick_size)).diff(),
        "last_bar": groups["bar"].last(),
    }
    if "contract" in held.columns:
        columns["contract"] = groups["contract"].last()
    history = pd.DataFrame(columns)
    return history.set_axis(pd.DatetimeIndex(labels.schedule.index[history.index]), axis=0)


def check_fill_replay(
    bars: pd.DataFrame, orders: pd.DataFrame, result: BacktestResult, hours: Hours, cutoffs: pd.DatetimeIndex
) -> list[Finding]:
    """Trade the same orders where everything after a bar is another market; all up to its close has to be the same.

    The later bars keep their times and stand still at a price a hundredth above the bar's close, so that sessions end
    when they do, and whatever looks ahead by as little as one bar sees something else. Compared are equity at every
    close up to the bar's, all that the trades over by then tell, and the entries of those still open.

    Parameters
    ----------
    bars, orders, hours
        That the backtest was made with.
    result
        Of the backtest.
    cutoffs
        The last bars that stay, by their open.

    Returns
    -------
    list of Finding
        One a thing that differs (``equity``, a column of the trades or orders), at the first bar, trade or order.
    """
    return _in_parts(_fills_differ, bars, (orders, result, hours), cutoffs)


def _in_parts(
    check: Callable[..., list[Finding]], bars: pd.DataFrame, given: tuple[Any, ...], cutoffs: pd.DatetimeIndex
) -> list[Finding]:
    """Check cut-offs in as many parts as there are processors, where each takes long; the first finding of each thing.

    In fresh processes, which know nothing of the whole run but what they are given.
    """
    parts = processors() if len(bars) >= WORTH_PROCESSES else 1
    calls = [(bars, *given, part) for part in np.array_split(np.arange(len(cutoffs)), parts) if len(part)]
    calls = [(*call[:-1], cutoffs[call[-1]]) for call in calls]
    found = in_fresh_processes(check, calls) if len(calls) > 1 else [check(*call) for call in calls]
    first: dict[str, Finding] = {}
    for finding in (each for part in found for each in part):
        first.setdefault(finding.feature, finding)
    return list(first.values())


def _fills_differ(
    bars: pd.DataFrame, orders: pd.DataFrame, result: BacktestResult, hours: Hours, cutoffs: pd.DatetimeIndex
) -> list[Finding]:
    opens = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns")
    found: dict[str, Finding] = {}
    for last in cutoffs:
        place = int(opens.get_indexer(pd.DatetimeIndex([last]))[0])
        if place < 0:
            raise DataError(f"no bar opens at {last}; cut off at existing bars")
        other = simulate(
            _changed_after(bars, place, result.instrument), orders, result.instrument, result.account, hours=hours
        )
        one, two = (each.equity.to_numpy(np.float64)[: place + 1] for each in (other, result))
        wrong = differing(one, two)
        if wrong.any():
            row = int(np.argmax(wrong))
            finding = Finding("fills", "equity", str(opens[row]), float(one[row]), float(two[row]), _FILL)
            found.setdefault("equity", finding)
        for finding in (*_trades_differ(other.trades, result.trades, last), *_orders_differ(other, result, last)):
            found.setdefault(finding.feature, finding)
    return list(found.values())


def _trades_differ(other: pd.DataFrame, made: pd.DataFrame, last: pd.Timestamp) -> list[Finding]:
    entered = [frame[frame["entry_time"] <= last].set_index("order") for frame in (other, made)]
    if set(entered[0].index) != set(entered[1].index):
        order = min(set(entered[0].index) ^ set(entered[1].index))
        then, now = (f"{len(frame)} trades by {last}" for frame in entered)
        return [Finding("fills", "trades", f"order {order}", then, now, _FILL)]
    over = [frame[frame["exit_time"] <= last] for frame in entered]
    if set(over[0].index) != set(over[1].index):
        order = min(set(over[0].index) ^ set(over[1].index))
        then, now = (f"{len(frame)} trades over by {last}" for frame in over)
        return [Finding("fills", "trades", f"order {order}", then, now, _FILL)]
    findings = []
    for names, (then, now) in (
        (("quantity", "entry_time", "entry_price"), entered),
        (("exit_time", "exit_price", "exit_reason", "pnl", "ambiguous", "bars_held"), over),
    ):
        for name in names:
            wrong = differs(then.loc[now.index, name], now[name])
            if wrong.any():
                row = int(np.argmax(wrong))
                order = now.index[row]
                expected, got = plain(then.loc[order, name]), plain(now.loc[order, name])
                findings.append(Finding("fills", name, f"order {order}", expected, got, _FILL))
    return findings


def _orders_differ(other: BacktestResult, made: BacktestResult, last: pd.Timestamp) -> list[Finding]:
    """Ends of the orders whose session was over the day before."""
    today = last.tz_convert(made.instrument.time_zone).tz_localize(None).normalize()
    then, now = (each.orders[pd.DatetimeIndex(each.orders["session"]) < today] for each in (other, made))
    if not then.index.equals(now.index):
        counts = f"{len(then)} orders over by {last}", f"{len(now)} orders, or others"
        return [Finding("fills", "orders", "the orders", *counts, _FILL)]
    findings = []
    for name in ("status", "reason"):
        if (wrong := differs(then[name], now[name])).any():
            row = int(np.argmax(wrong))
            values = str(then[name].iloc[row]), str(now[name].iloc[row])
            findings.append(Finding("fills", name, f"order {now.index[row]}", *values, _FILL))
    return findings


def _changed_after(bars: pd.DataFrame, place: int, instrument: Instrument) -> pd.DataFrame:
    close = float(bars["close"].iloc[place])
    ticks = instrument.to_ticks(np.array([close + max(abs(close) / 100, 8 * instrument.tick_size)]))
    price = float(instrument.to_prices(ticks)[0])
    later = np.arange(len(bars)) > place
    return bars.assign(**{name: np.where(later, price, bars[name].to_numpy(np.float64)) for name in _PRICES})
