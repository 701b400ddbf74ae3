"""Tables on the screen."""

import pandas as pd
from rich.table import Table

from pipeline.performance import HEADLINE_METRICS, format_interval, format_value

__all__ = ["frame_table", "results_table"]

_COUNTS = ("orders", "closed", "not_reached", "gapped_past_stop", "skipped", "cancelled", "ambiguous")


def results_table(summary: pd.DataFrame, title: str) -> Table:
    """Headline metrics of each strategy with their 95 % intervals.

    Parameters
    ----------
    summary
        Indexed by (strategy, metric), with value, low, high and unit.
    """
    strategies = list(summary.index.get_level_values(0).unique())
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for strategy in strategies:
        table.add_column(strategy, justify="right", no_wrap=True)
        table.add_column("95 % interval", justify="left", style="dim", no_wrap=True)
    for metric in (*HEADLINE_METRICS, *_COUNTS):
        if (strategies[0], metric) not in summary.index:
            continue
        cells = [metric.replace("_", " ")]
        for strategy in strategies:
            row = summary.loc[(strategy, metric)]
            interval = format_interval(row["low"], row["high"], row["unit"])
            cells += [format_value(row["value"], row["unit"]), interval]
        table.add_row(*cells)
    return table


def frame_table(frame: pd.DataFrame, title: str) -> Table:
    """A small frame, as it is."""
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        table.add_column(str(name), justify="right" if frame[name].dtype.kind in "fiu" else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:,.10g}" if isinstance(value, float) else str(value) for value in row))
    return table
