"""The verdict: what the intervals allow, in one sentence and a table."""

import math
from collections.abc import Mapping

import pandas as pd

from pipeline.performance import FEWEST_TRADES, format_line, format_value, verdict
from pipeline.reports.deflation import SURE, deflation
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, heads, kept, named, note, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import BAD, GOOD

__all__ = ["SECTION", "SHARPE_CAPTION", "verdict_table"]

SHARPE_CAPTION = "Annualised Sharpe ratio after costs, over all sessions, with its 95 % interval."
_COLUMNS = ("Sharpe ratio", "Probability that it is above 0", "Deflated", "Trades", "Sessions")


def _html(inputs: ReportInputs) -> str:
    deflated = _deflated(inputs)
    text = _overall(inputs, deflated)
    if inputs.simulated:
        text = f"On a simulated market: {text[0].lower()}{text[1:]}"
    return note(kept(text), "overall") + _table(inputs, deflated)


def _overall(inputs: ReportInputs, deflated: dict[str, float]) -> str:
    if len(inputs.summaries) == 1:
        return verdict(next(iter(inputs.summaries.values())))
    known = {
        name: float(table.loc["sharpe_ratio", "low"])
        for name, table in inputs.summaries.items()
        if table.loc["trades", "value"] >= FEWEST_TRADES
    }
    known = {name: low for name, low in known.items() if not math.isnan(low)}
    if not known:
        return "No backtest has enough trades to be judged."
    found = [name for name, low in known.items() if low > 0]
    if not found:
        return f"None of the {len(inputs.summaries)} backtests shows evidence of an edge."
    sure = [name for name in found if deflated.get(name, SURE) >= SURE]
    if sure:
        return f"{' and '.join(sure)} {'shows' if len(sure) == 1 else 'show'} some evidence of an edge."
    verb = "has a Sharpe ratio" if len(found) == 1 else "have Sharpe ratios"
    return f"{' and '.join(found)} {verb} above 0, but no more than the best of so many trials shows by luck."


def _deflated(inputs: ReportInputs) -> dict[str, float]:
    """Deflated Sharpe ratio in percent of the strategies that have one; none where nothing was chosen among several."""
    if inputs.looks is None or inputs.looks.count < 2:
        return {}
    found = deflation(inputs.looks, inputs.results, inputs.summaries)["deflated_sharpe_ratio"].dropna()
    return {str(name): float(value) for name, value in found.items()}


def _table(inputs: ReportInputs, deflated: dict[str, float]) -> str:
    caption = SHARPE_CAPTION
    if deflated and inputs.looks is not None:
        caption += (
            f" Deflated: the probability once the best of the {inputs.looks.count:,} trials recorded on this market is "
            "allowed for."
        )
    return verdict_table(inputs.summaries, inputs.colors, deflated, caption)


def verdict_table(
    summaries: Mapping[str, pd.DataFrame], colors: Mapping[str, str], deflated: Mapping[str, float], caption: str
) -> str:
    """A table of what each summary supports, with its Sharpe ratio and the probability that it is above 0.

    Parameters
    ----------
    summaries, colors
        By name.
    deflated
        Deflated Sharpe ratio in percent by name, where one is known.
    caption
        Plain text.
    """
    body = []
    for name, summary in summaries.items():
        judged = verdict(summary).partition(": ")[0].rstrip(".")
        below = f'<div class="says"{_color(summary, deflated.get(name))}>{kept(judged)}</div>'
        chances = (float(summary.loc["probabilistic_sharpe_ratio", "value"]), deflated.get(name, math.nan))
        cells = [
            both(*format_line(summary.loc["sharpe_ratio"])),
            *(both(format_value(chance, "%")) for chance in chances),
            *(both(f"{int(summary.loc[count, 'value']):,}") for count in ("trades", "sessions")),
        ]
        body.append(row(named(colors[name], name) + below, cells, head="long"))
    return table(heads("", *_COLUMNS, kind="both"), body, kept(caption), even=True)


def _color(summary: pd.DataFrame, deflated: float | None) -> str:
    """Green and red only where the interval leaves zero out, and green only what the number of trials leaves."""
    low, high = (float(summary.loc["sharpe_ratio", end]) for end in ("low", "high"))
    if summary.loc["trades", "value"] < FEWEST_TRADES or math.isnan(low) or low <= 0 <= high:
        return ""
    if low > 0:
        return "" if deflated is not None and deflated < SURE else f' style="color:{GOOD}"'
    return f' style="color:{BAD}"'


SECTION = Section(10, "verdict", "Verdict", _html)
