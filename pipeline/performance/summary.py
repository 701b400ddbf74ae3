"""One table of a backtest: every metric with its 95 % interval, unit and what to know about it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest import BookLedger
from pipeline.market.sessions import session_schedule
from pipeline.performance import kernels, metrics
from pipeline.performance.account_result import AccountResult
from pipeline.performance.drawdowns import maximum_drawdown
from pipeline.performance.metric_table import MetricTable, noted
from pipeline.performance.sharpe import probabilistic_sharpe_ratio
from pipeline.performance.uncertainty import resampled_intervals

__all__ = [
    "COST_LINES",
    "FEWEST_TRADES",
    "HEADLINE_METRICS",
    "DailyStatistics",
    "Kernel",
    "add_daily",
    "add_trade_results",
    "interval_reach",
    "summary",
    "summary_to_dict",
    "verdict",
]

HEADLINE_METRICS = (
    "sharpe_ratio",
    "sortino_ratio",
    "probabilistic_sharpe_ratio",
    "total_return",
    "annual_return",
    "maximum_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "expectancy_r",
    "pnl_before_costs",
    "slippage",
    "commission",
    "pnl",
)
# From what the prices gave to what the account got; each also in ticks per contract, as ``<name>_ticks``.
COST_LINES = ("pnl_before_costs", "slippage", "pnl_before_commission", "commission", "pnl")
# Below it resamples repeat a handful of outcomes: an interval would be too narrow and look surer than the data are.
FEWEST_TRADES = 30
# Regimes that last so small a share of the sessions leave the intervals right (vpoc bench statistics).
_SHORT_REGIME = 25
ORDER_STATUSES = ("closed", "not_reached", "gapped_past_stop", "skipped", "cancelled")

_EACH_ONCE = "mean per contract after costs; each trade counts once here, in money larger positions weigh more"

Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]
DailyStatistics = Mapping[str, tuple[Kernel, str, str]]


def summary(result: AccountResult, *, seed: int = 0, currency: str = "$") -> pd.DataFrame:
    """Metrics of a backtest with their uncertainty.

    Parameters
    ----------
    result
        What ``pipeline.backtest.simulate`` or ``simulate_desk`` returns.
    seed
        Of the bootstrap; the same seed gives the same intervals.
    currency
        Unit of money: the account's, which is the instruments' quote currency.

    Returns
    -------
    DataFrame
        Indexed by metric: ``value``, ``low``, ``high`` (95 % stationary-bootstrap interval; NaN where none is
        meaningful), ``unit`` and ``note``. Values with unit ``%`` are in percent. What cannot be computed is NaN and
        its note says why. With fewer than :data:`FEWEST_TRADES` trades there is no interval and no probabilistic
        Sharpe ratio.

    Notes
    -----
    Ratios and returns are resampled by session, results of trades by trade, each with 2,000 stationary-bootstrap
    resamples of blocks long enough for regimes (:func:`~pipeline.performance.uncertainty.regime_block_length`). The
    probabilistic Sharpe ratio allows for autocorrelation (:func:`~pipeline.performance.sharpe.variance_inflation`).
    """
    table = MetricTable()
    _add_returns(table, result, seed)
    _add_drawdown(table, result, currency)
    _add_trades(table, result, seed, currency)
    _add_orders(table, result)
    return table.frame()


def _add_returns(table: MetricTable, result: AccountResult, seed: int) -> None:
    returns = metrics.finite_values(result.daily_returns, "daily returns")
    year = result.periods_per_year
    statistics: dict[str, tuple[Kernel, str, str]] = {
        "sharpe_ratio": (lambda r: kernels.sharpe(r, year), "", f"daily returns of all sessions × √{year}"),
        "sortino_ratio": (lambda r: kernels.sortino(r, year), "", "downside deviation about 0"),
        "total_return": (lambda r: 100 * kernels.compound(r), "%", "compounded"),
        "annual_return": (lambda r: 100 * kernels.growth(r, year), "%", "compound annual growth rate"),
        "tail_ratio": (kernels.tail_ratio, "", "95th over 5th percentile of daily returns"),
    }
    add_daily(table, returns, statistics, len(result.trades), seed)


def add_daily(
    table: MetricTable, values: NDArray[np.float64], statistics: DailyStatistics, trades: int, seed: int
) -> None:
    """Add statistics of daily values, the probabilistic Sharpe ratio after the Sharpe ratio, and the sessions.

    Parameters
    ----------
    table
        Added to.
    values
        Returns or P&L of all sessions, shape (n,).
    statistics
        Kernel, unit and note by name.
    trades
        How many made them; intervals take at least :data:`FEWEST_TRADES`.
    seed
        Of the bootstrap.
    """
    samples = {name: (values, entry[0]) for name, entry in statistics.items()}
    intervals = resampled_intervals(samples, values, seed=seed) if trades >= FEWEST_TRADES else {}
    for name, (kernel, unit, note) in statistics.items():
        value = float(kernel(values))
        why = _why_nan(name, values) if math.isnan(value) else _too_few(trades, "an interval")
        table.add(name, value, unit, noted(note, why), intervals.get(name))
        if name == "sharpe_ratio":
            known = trades >= FEWEST_TRADES
            probability = 100 * probabilistic_sharpe_ratio(values, dependent=True) if known else math.nan
            why = _why_nan(name, values) if math.isnan(value) else _too_few(trades, "a probability")
            note = noted("probability that the true Sharpe ratio is above 0", why)
            table.add("probabilistic_sharpe_ratio", probability, "%", note)
    table.add("sessions", len(values), "sessions", "with bars, idle ones included")


def _counted(count: int, noun: str) -> str:
    return f"no {noun}s" if not count else f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def _too_few(trades: int, wanted: str) -> str:
    """Say why there is a value only; empty where there are enough trades."""
    if trades >= FEWEST_TRADES:
        return ""
    return f"too few trades ({trades}) for {wanted}" if trades else "no trades"


def _why_nan(name: str, returns: NDArray[np.float64]) -> str:
    if len(returns) < 2:
        return f"{_counted(len(returns), 'session')}, not enough"
    if np.ptp(returns) == 0:
        return "every session returned the same"
    return {
        "sortino_ratio": "no session lost",
        "tail_ratio": "too few sessions with a gain or a loss",
        "annual_return": "all was lost",
    }.get(name, "cannot be computed")


def _add_drawdown(table: MetricTable, result: AccountResult, currency: str) -> None:
    worst = maximum_drawdown(result.equity, initial=result.initial_capital)
    note = "no bars" if math.isnan(worst.fraction) else "from equity at every bar's close"
    table.add("maximum_drawdown", 100 * worst.fraction, "%", note)
    table.add("maximum_drawdown_amount", worst.amount, currency, note)
    growth = metrics.annual_return(result.daily_returns, periods_per_year=result.periods_per_year)
    calmar = growth / worst.fraction if worst.fraction > 0 else math.nan
    why = "" if worst.fraction > 0 else "no drawdown"
    table.add("calmar_ratio", calmar, "", noted("CAGR over maximum drawdown, of the whole period", why))
    if worst.end is None:
        table.add("drawdown_length", 0.0 if worst.fraction == 0 else math.nan, "sessions", "no drawdown")
        table.add("drawdown_days", 0.0 if worst.fraction == 0 else math.nan, "days", "no drawdown")
        return
    start = worst.start if worst.start is not None else result.equity.index[0]
    passed = _sessions_begun(result, pd.DatetimeIndex([start, worst.end]))
    days = (worst.end - start) / pd.Timedelta(days=1)
    state = "not recovered" if worst.recovery is None else f"recovered {worst.recovery:%Y-%m-%d}"
    note = f"from {start:%Y-%m-%d}, lowest {worst.trough:%Y-%m-%d}, {state}"
    table.add("drawdown_length", float(passed[1] - passed[0]), "sessions", note)
    table.add("drawdown_days", days, "days", note)


def _sessions_begun(result: AccountResult, instants: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Count the result's sessions that have opened at each instant, which may lie between two of them."""
    sessions = pd.DatetimeIndex(result.daily_returns.index).as_unit("ns")
    instruments = {ledger.instrument.symbol: ledger.instrument for ledger in result.ledgers}
    schedules = [session_schedule(each, sessions[0], sessions[-1])["open"] for each in instruments.values()]
    first = pd.concat(schedules).groupby(level=0).min()  # where calendars differ, a date begins with the earliest
    opens = np.maximum.accumulate(pd.DatetimeIndex(first).as_unit("ns").asi8)
    begun = np.searchsorted(opens, instants.as_unit("ns").asi8, side="right")
    days = pd.DatetimeIndex(first.index).as_unit("ns").asi8
    dates = np.append(days[:1] - 1, days)[begun]  # before the first there is none
    return np.searchsorted(sessions.asi8, dates, side="right")


def _add_trades(table: MetricTable, result: AccountResult, seed: int, currency: str) -> None:
    trades = result.trades
    values = [pd.Series(ledger.instrument.tick_value, index=ledger.trades.index) for ledger in result.ledgers]
    add_trade_results(table, trades, pd.concat(values).reindex(trades.index).to_numpy(np.float64), seed, currency)
    pnl = trades["pnl"].to_numpy(dtype=np.float64)
    for name, part in (("average_win", pnl[pnl > 0]), ("average_loss", pnl[pnl < 0])):
        table.add(name, float(kernels.mean(part)), currency, _counted(len(part), "trade"))
    _add_streaks(table, trades)
    entries = pd.DatetimeIndex(pd.to_datetime(trades["entry_time"], utc=True))
    exits = pd.DatetimeIndex(pd.to_datetime(trades["exit_time"], utc=True))
    held = (exits - entries) / pd.Timedelta(minutes=1)
    table.add(
        "time_in_trade",
        float(kernels.mean(np.asarray(held, dtype=np.float64))),
        "minutes",
        noted("mean, from the entry bar's open to the exit bar's", "" if len(pnl) else "no trades"),
    )
    bars = pd.DatetimeIndex(result.equity.index)
    table.add("exposure", 100 * metrics.exposure(bars, entries, exits), "%", "share of bars with a position")
    _add_turnover(table, result)
    _add_costs(table, result, currency)


def add_trade_results(
    table: MetricTable, trades: pd.DataFrame, tick_values: NDArray[np.float64], seed: int, currency: str
) -> None:
    """Add how many trades there were, and what they made each.

    Parameters
    ----------
    table
        Added to.
    trades
        As of :class:`~pipeline.backtest.BacktestResult`, shape (n,).
    tick_values
        Money per tick and contract of each, shape (n,).
    seed, currency
        As of :func:`summary`.
    """
    pnl = trades["pnl"].to_numpy(dtype=np.float64)
    multiples = trades["r_multiple"].to_numpy(dtype=np.float64)
    ticks = pnl / (trades["quantity"].to_numpy(dtype=np.float64) * tick_values)
    statistics: dict[str, tuple[NDArray[np.float64], Kernel, str, str]] = {
        "win_rate": (pnl, lambda v: 100 * kernels.positive_share(v), "%", "trades with a profit after commission"),
        "profit_factor": (pnl, kernels.profit_factor, "", "gains over losses"),
        "expectancy": (pnl, kernels.mean, currency, "mean profit or loss per trade"),
        "expectancy_r": (multiples, kernels.mean, "R", "mean R multiple per trade"),
        "average_trade": (ticks, kernels.mean, "ticks", _EACH_ONCE),
    }
    samples = {name: entry[:2] for name, entry in statistics.items()}
    intervals = resampled_intervals(samples, pnl, seed=seed) if len(pnl) >= FEWEST_TRADES else {}
    table.add("trades", len(trades), "trades")
    for name, (sample, kernel, unit, note) in statistics.items():
        value = float(kernel(sample))
        why = "no losing trade" if np.isinf(value) else _too_few(len(pnl), "an interval")
        table.add(name, value, unit, noted(note, why), intervals.get(name))


def _add_streaks(table: MetricTable, trades: pd.DataFrame) -> None:
    """Longest runs of trades won and lost in the order they ended, beside what luck alone is expected to show."""
    pnl = trades.sort_values("exit_time", kind="stable")["pnl"].to_numpy(dtype=np.float64)
    for name, hits in (("longest_winning_streak", pnl > 0), ("longest_losing_streak", pnl < 0)):
        expected = metrics.expected_longest_run(len(hits), float(hits.mean())) if len(hits) else math.nan
        note = "no trades" if not len(hits) else "" if math.isnan(expected) else f"about {expected:.0f} by luck alone"
        table.add(name, metrics.longest_run(hits), "trades", note)


def _add_turnover(table: MetricTable, result: AccountResult) -> None:
    notional = 0.0
    for ledger in result.ledgers:
        entered, left, quantity = (
            ledger.trades[name].to_numpy(dtype=np.float64) for name in ("entry_price", "exit_price", "quantity")
        )
        notional += float((np.abs(entered + left) * quantity).sum()) * ledger.instrument.point_value
    years = len(result.daily_returns) / result.periods_per_year
    average = float(result.equity.mean()) if len(result.equity) else math.nan
    table.add("turnover", metrics.turnover(notional, average, years), "× per year", "notional, both sides, over equity")


def _slipped(ledger: BookLedger) -> float:
    """Contracts of all fills that pay slippage: those that are not a limit's."""
    quantity = ledger.trades["quantity"].to_numpy(dtype=np.float64)
    slipped = quantity[ledger.trades["exit_reason"].ne("target").to_numpy(dtype=bool)].sum()  # a target is a limit
    if "type" in ledger.orders.columns:
        entered = ledger.orders.loc[ledger.trades["order"], "type"]
        slipped += quantity[entered.isin(["stop", "market"]).to_numpy(dtype=bool)].sum()
    return float(slipped)


def _add_costs(table: MetricTable, result: AccountResult, currency: str) -> None:
    """Profit and loss before costs, each cost, and what was left, in money and in ticks per contract."""
    trades, ticks = result.trades, result.slippage_ticks
    slippage = sum(_slipped(ledger) * ticks * ledger.instrument.tick_value for ledger in result.ledgers)
    commission, net = float(trades["commission"].sum()), float(trades["pnl"].sum())
    amounts = {
        "pnl_before_costs": (net + commission + slippage, "without slippage and commission"),
        "slippage": (
            slippage,
            f"estimated: {_counted(ticks, 'tick')} per contract on each fill that is not a limit's; "
            "already in the fill prices",
        ),
        "pnl_before_commission": (net + commission, "from the fill prices"),
        "commission": (commission, "total, both sides"),
        "pnl": (net, "of closed trades, after all costs"),
    }
    one_tick = sum(float(ledger.trades["quantity"].sum()) * ledger.instrument.tick_value for ledger in result.ledgers)
    for name in COST_LINES:
        table.add(name, amounts[name][0], currency, amounts[name][1])
    for name in COST_LINES:
        each = amounts[name][0] / one_tick if one_tick else math.nan
        table.add(f"{name}_ticks", each, "ticks", "per contract" if one_tick else "no trades")


def _add_orders(table: MetricTable, result: AccountResult) -> None:
    orders = result.orders
    table.add("orders", len(orders), "orders")
    counts = orders["status"].value_counts()
    for status in ORDER_STATUSES:
        table.add(f"orders_{status}", int(counts.get(status, 0)), "orders")
    for status in ("skipped", "cancelled"):
        reasons = orders.loc[orders["status"] == status, "reason"].value_counts().sort_index()
        for reason, count in reasons.items():
            table.add(f"{status}: {reason}", int(count), "orders")
    ambiguous = int(result.trades["ambiguous"].astype(bool).sum())
    table.add("ambiguous", ambiguous, "trades", "stop and target in one bar, counted as stopped")


def summary_to_dict(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A summary as plain values for JSON, by metric; NaN and infinity become None, and the note says why."""
    return {
        str(name): {
            key: (value if isinstance(value, str) else float(value) if math.isfinite(value) else None)
            for key, value in row.items()
        }
        for name, row in table.to_dict(orient="index").items()
    }


def verdict(table: pd.DataFrame) -> str:
    """Say what the interval of the Sharpe ratio supports, in one sentence.

    With fewer than :data:`FEWEST_TRADES` trades that is nothing, whatever the interval.
    """
    trades = int(table.loc["trades", "value"])
    low, high = float(table.loc["sharpe_ratio", "low"]), float(table.loc["sharpe_ratio", "high"])
    if not trades:
        return "No trades, so there is nothing to judge."
    if trades < FEWEST_TRADES:
        return f"Too few trades to judge ({trades}): an interval needs at least {FEWEST_TRADES}."
    if math.isnan(low):
        return "The Sharpe ratio has no interval here, so nothing can be said about an edge."
    spread = f"the 95 % interval of the Sharpe ratio is {_signed(low)} to {_signed(high)}"
    if low > 0:
        return f"Some evidence of an edge, before any correction for how many ideas were tried: {spread}."
    if high < 0:
        return f"Evidence of a loss, not of an edge: {spread}."
    return f"No evidence of an edge: {spread}, which includes zero."


def interval_reach(sessions: int) -> str:
    """Say what intervals from so many sessions leave out, in one sentence."""
    return (
        f"Intervals allow for regimes that last up to about {max(sessions // _SHORT_REGIME, 1)} sessions; where they "
        "last longer they are too narrow, and they say nothing about a market that changes for good."
    )


def _signed(value: float) -> str:
    text = f"{value:.2f}"
    return text.replace("-", "−") if float(text) else "0.00"
