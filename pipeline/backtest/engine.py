"""Orders on bars, from frames to frames."""

import pandas as pd

from pipeline.backtest.account import Account
from pipeline.backtest.ledger import BacktestResult
from pipeline.backtest.orders import read_orders
from pipeline.backtest.outcomes import ORDER_REASONS, STATUSES
from pipeline.backtest.prepared import NO_FINER, PreparedBars, words
from pipeline.errors import ConfigurationError
from pipeline.market import Hours, Instrument

__all__ = ["simulate"]


def simulate(
    bars: pd.DataFrame | PreparedBars,
    orders: pd.DataFrame,
    instrument: Instrument,
    account: Account,
    *,
    hours: Hours = "rth",
    intrabar_bars: pd.DataFrame | None = None,
) -> BacktestResult:
    """Run orders on bars under the fill rules of the contract's §6 and §6a, as ``docs/fills.md`` explains them.

    Parameters
    ----------
    bars
        Clean bars: timestamp (the bar's open, with a zone, strictly increasing), open, high, low, close; optional
        contract. All are marked to market; only those in ``hours`` trade. Prices off the tick are taken at the
        nearest one. :class:`PreparedBars` of the same instrument where many sets of orders are run on them.
    orders
        One order a row: session, side (+1, −1), entry, stop, target (prices on the tick); optional quantity (fixed
        contracts, else the sizing rule), contract (cancelled where the session has bars of another only) and
        volatility (annualised; for ``account.volatility_target``). Within a session longs are tried first, then in the
        order given. Those of §6a, absent or empty for a plain bracket: type (limit, stop, market, which has no entry),
        an empty target, live_from and live_until (instants with a zone), group, trail_ticks, breakeven_ticks,
        give_back_percent with give_back_from_ticks, max_bars. The size of a stop order comes from the distance of its
        entry to its stop, as a limit's; a market order's from that of its fill.
    instrument, account
        What is traded and under which settings.
    hours
        ``rth``, the regular hours, or ``eth``, the whole trade date: when orders live and positions leave.
    intrabar_bars
        Bars of a shorter span of the same series, on which a bar that reaches stop and target both is decided. Where
        they don't decide it either, or are missing, it stays a stop and is counted ambiguous.

    Returns
    -------
    BacktestResult
        Trades, the end of every order, equity per bar.

    Raises
    ------
    DataError
        For bars or orders that can't be used: names column or row, and what to do.
    ConfigurationError
        For settings that don't fit the orders (a margin table that starts too late, no volatility).
    """
    if isinstance(bars, PreparedBars) and bars.instrument != instrument:
        raise ConfigurationError(
            f"the bars were prepared for {bars.instrument.symbol}, not for {instrument.symbol} as it is given here; "
            "prepare them with that"
        )
    prepared = bars if isinstance(bars, PreparedBars) else PreparedBars(bars, instrument)
    book = read_orders(orders, instrument, account)
    finer = NO_FINER if intrabar_bars is None else prepared.within(intrabar_bars)

    run = prepared.run(book, account, hours, finer)
    return BacktestResult(
        trades=prepared.trades(book, run, orders.index),
        orders=orders.assign(status=words(STATUSES, run.status), reason=words(ORDER_REASONS, run.reason)),
        equity=pd.Series(run.equity, index=prepared.timestamps.rename("timestamp"), name="equity", copy=False),
        session_equity=prepared.session_equity(run.equity),
        account=account,
        instrument=instrument,
        off_tick_bars=prepared.off_tick,
    )
