"""Tables on the screen, narrow enough for eighty columns."""

import math
from functools import partial

import pandas as pd
from rich import box
from rich.table import Table

from pipeline.backtest import Account
from pipeline.market import Instrument
from pipeline.performance import HEADLINE_METRICS, format_line, format_value

__all__ = ["account_line", "frame_table", "results_table", "sessions_table", "side_by_side_table"]

LONGEST_WHOLE = 12
_LEVELS = ("vpoc", "val", "vah", "low", "high")
_COUNTS = ("orders", "closed", "not_reached", "gapped_past_stop", "skipped", "cancelled", "ambiguous")
_COMPARED = {
    "trades": "trades",
    "PF": "profit_factor",
    "Sharpe": "sharpe_ratio",
    "net": "pnl",
}
_WITH_INTERVAL = ("profit_factor", "sharpe_ratio")
_NAMES = {
    "probabilistic_sharpe_ratio": "P(Sharpe > 0)",
    "expectancy_r": "expectancy (R)",
    "maximum_drawdown": "max drawdown",
    "pnl_before_costs": "before costs",
    "pnl": "net",
}


def results_table(summary: pd.DataFrame, title: str) -> Table:
    """Headline metrics of each strategy with their 95 % intervals.

    Parameters
    ----------
    summary
        Indexed by (strategy, metric), with value, low, high and unit.
    """
    strategies = list(summary.index.get_level_values(0).unique())
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("", no_wrap=True)
    for strategy in strategies:
        table.add_column(str(strategy), justify="right", no_wrap=True)
        table.add_column("95 % interval", style="dim", no_wrap=True)
    for metric in (*HEADLINE_METRICS, *_COUNTS):
        if (strategies[0], metric) not in summary.index:
            continue
        cells = [_NAMES.get(metric, metric.replace("_", " "))]
        for strategy in strategies:
            cells += format_line(summary.loc[(strategy, metric)])
        table.add_row(*cells)
    return table


def side_by_side_table(summary: pd.DataFrame, title: str) -> Table:
    """One row per strategy with the figures to compare them by, and their intervals.

    Parameters
    ----------
    summary
        As for :func:`results_table`.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("", no_wrap=True)
    for name, metric in _COMPARED.items():
        table.add_column(name, justify="right", no_wrap=True)
        if metric in _WITH_INTERVAL:
            table.add_column("95 %", style="dim", no_wrap=True)
    for strategy, part in summary.groupby(level=0, sort=False):
        cells = [str(strategy)]
        for metric in _COMPARED.values():
            value, interval = format_line(part.droplevel(0).loc[metric])
            cells += [value, interval] if metric in _WITH_INTERVAL else [value]
        table.add_row(*cells)
    return table


def sessions_table(
    profiles: pd.DataFrame, instrument: Instrument, title: str, last: int, *, counted: str = "volume"
) -> Table:
    """The last sessions of session or trade profiles: prices in the tick's decimals, none of them cut.

    ``counted`` names what the profiles count.
    """
    listed = profiles.tail(last)
    decimals = instrument.price_decimals
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    rows = {"session": listed.index.strftime("%Y-%m-%d")}
    rows |= {name: [f"{price:.{decimals}f}" for price in listed[name]] for name in _LEVELS}
    rows[counted] = [f"{volume:,.10g}" for volume in listed["volume"]]
    rows["VA %"] = [f"{100 * share:.1f}" for share in listed["value_area_volume"] / listed["volume"]]
    if "delta" in listed and listed["delta"].notna().any():
        rows["delta"] = [f"{delta:+,.10g}" for delta in listed["delta"]]
    if "contract" in listed:
        rows["contract"] = listed["contract"].tolist()
    for name in rows:
        table.add_column(name, justify="left" if name in ("session", "contract") else "right", no_wrap=True)
    for row in zip(*rows.values(), strict=True):
        table.add_row(*row)
    return table


def frame_table(frame: pd.DataFrame, title: str) -> Table:
    """A small frame; numbers in ten digits, a missing one as a dash."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in frame.columns:
        number = frame[name].dtype.kind in "fiu"
        # What a reader compares down the column is never cut; notes may wrap.
        whole = number or frame[name].astype(str).str.len().max() <= LONGEST_WHOLE
        table.add_column(str(name).replace("_", " "), justify="right" if number else "left", no_wrap=bool(whole))
    for row in frame.itertuples(index=False):
        table.add_row(*map(_cell, row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:,.10g}"
    return str(value)


def account_line(account: Account, instrument: Instrument) -> str:
    """The capital, risk and costs in force, on one line."""
    money = partial(format_value, unit=instrument.currency)
    rate = instrument.commission_rate
    commission = f"{100 * rate:g} % of notional" if rate else money(instrument.commission_per_side, digits=2)
    ticks = account.slippage_ticks
    return (
        f"Account: {money(account.initial_capital)}, {100 * account.risk_per_trade:g} % at risk per trade; commission "
        f"{commission} per side, slippage {ticks} {'tick' if ticks == 1 else 'ticks'} on stops and closes"
    )
