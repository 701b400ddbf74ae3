"""What a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.backtest import Account, BacktestResult
from pipeline.market import Instrument
from pipeline.strategy import StrategySettings

__all__ = ["ReportInputs"]


@dataclass(frozen=True)
class ReportInputs:
    """Everything :func:`pipeline.reports.build_report` shows, as the chapters before it made it.

    Attributes
    ----------
    title
        Heading of the page.
    symbol
        Key of the series (``ES``, ``ES-SIM``).
    source
        Where the bars come from, in words.
    simulated
        Whether the market is simulated; the page then says so everywhere.
    instrument, account, settings
        What was traded, with what account, by what rules.
    bars, profiles, history
        Clean bars, session profiles and session history.
    results, summaries
        By name of the strategy, in the order shown, both with the same names: what
        :func:`pipeline.backtest.simulate` and :func:`pipeline.performance.summary` gave.
    signals
        All candidates with what each gate says of them, from :func:`pipeline.strategy.rule_signals`.
    null_rates
        From :func:`pipeline.strategy.null_pass_rates`.
    cleaning
        Counts of rows: ``rows_in`` (by default kept and quarantined together), ``kept``, ``snapped``,
        ``out_of_order``, ``off_step_volume``, and each reason of the quarantine. Those left out are not shown.
    currency
        The account's, which is the instrument's quote currency.
    """

    title: str
    symbol: str
    source: str
    simulated: bool
    instrument: Instrument
    account: Account
    settings: StrategySettings
    bars: pd.DataFrame
    profiles: pd.DataFrame
    history: pd.DataFrame
    results: Mapping[str, BacktestResult]
    summaries: Mapping[str, pd.DataFrame]
    signals: pd.DataFrame
    null_rates: pd.DataFrame
    cleaning: Mapping[str, int]
    currency: str = "$"
