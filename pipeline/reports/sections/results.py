"""Every metric of every strategy with its interval."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.performance import COST_LINES, FEWEST_TRADES, format_line, format_value, interval_reach
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, bullets, folded, group, heads, named, plain, row, table
from pipeline.reports.section import Section

__all__ = ["SECTION", "metrics_table", "strategy_heads"]

_GROUPS: dict[str, dict[str, str]] = {
    "Return and risk": {
        "sharpe_ratio": "Sharpe ratio",
        "probabilistic_sharpe_ratio": "Probabilistic Sharpe ratio",
        "sortino_ratio": "Sortino ratio",
        "total_return": "Total return",
        "annual_return": "CAGR",
        "maximum_drawdown": "Maximum drawdown",
        "maximum_drawdown_amount": "Maximum drawdown in money",
        "calmar_ratio": "Calmar ratio",
        "drawdown_length": "Drawdown length, sessions",
        "drawdown_days": "Drawdown length, calendar days",
        "tail_ratio": "Tail ratio",
        "sessions": "Sessions",
    },
    "Trades": {
        "trades": "Trades",
        "win_rate": "Win rate",
        "profit_factor": "Profit factor",
        "expectancy": "Expectancy per trade",
        "expectancy_r": "Expectancy per trade, R",
        "average_trade": "Average trade per contract",
        "average_win": "Average win",
        "average_loss": "Average loss",
        "longest_winning_streak": "Longest winning streak",
        "longest_losing_streak": "Longest losing streak",
        "time_in_trade": "Time in trade, minutes",
        "exposure": "Exposure",
        "turnover": "Turnover",
    },
    "Before and after costs": {
        "pnl_before_costs": "Profit or loss before costs",
        "slippage": "less slippage",
        "pnl_before_commission": "Before commission",
        "commission": "less commission",
        "pnl": "Net profit or loss",
    },
}
# Whose note stands in place of an interval; of a drawdown its last part, whether it was recovered.
_NOTE_BELOW = ("drawdown_length", "average_win", "average_loss", "longest_winning_streak", "longest_losing_streak")
_WITHOUT_NOTE = ("drawdown_days", *_NOTE_BELOW)


def strategy_heads(inputs: ReportInputs) -> list[str]:
    """Header cells of a table with a column for each strategy."""
    names = [named(color, name).replace("_", "_<wbr>") for name, color in inputs.colors.items()]
    return heads("", *names, kind="both")


def _html(inputs: ReportInputs) -> str:
    sessions = max(len(result.daily_returns) for result in inputs.results.values())
    return metrics_table(strategy_heads(inputs), inputs.summaries, sessions, plain(_begins(inputs)))


def metrics_table(head: Sequence[str], summaries: Mapping[str, pd.DataFrame], sessions: int, more: str = "") -> str:
    """A table of every metric with its interval, a column for each summary, and the definitions folded below it.

    Parameters
    ----------
    head
        Header cells, the first over the metrics.
    summaries
        By name, in the order of the further header cells.
    sessions
        How many the intervals rest on.
    more
        Ready HTML at the end of the caption.
    """
    body, definitions = [], []
    for title, metrics in _GROUPS.items():
        body.append(group(title, 1 + len(summaries)))
        for metric, name in metrics.items():
            lines = [summary.loc[metric] for summary in summaries.values() if metric in summary.index]
            if len(lines) != len(summaries):
                continue
            shared, own = _notes([str(line["note"]) for line in lines])
            cells = []
            for summary, line, reasons in zip(summaries.values(), lines, own, strict=True):
                below, words = _below(metric, summary, line, reasons)
                cells.append(both(format_value(line["value"], line["unit"]), below, words=words))
            body.append(row(name, cells))
            if shared and metric not in _WITHOUT_NOTE:
                definitions.append(f"{plain(name)}: {'; '.join(map(plain, shared))}")
    caption = (
        "Each value with its 95 % interval where one is meaningful (stationary bootstrap, 2,000 resamples: returns by "
        f"session, trade results by trade), which takes at least {FEWEST_TRADES} trades. All after commission and "
        "slippage, except where stated. " + interval_reach(sessions)
    )
    found = table(head, body, f"{caption}{more}", even=True)
    return f"{found}\n{folded('Definitions', bullets(definitions))}"


def _begins(inputs: ReportInputs) -> str:
    """Say when the strategies begin; empty where all begin together."""
    firsts: dict[str, list[str]] = {}
    for name, result in inputs.results.items():
        if len(result.daily_returns):
            firsts.setdefault(f"{result.daily_returns.index[0]:%Y-%m-%d}", []).append(name)
    if len(firsts) < 2:
        return ""
    parts = "; ".join(f"{', '.join(names)} on {first}" for first, names in sorted(firsts.items()))
    return f" Not all begin at the same time: {parts}. Totals over time are then not comparable."


def _below(metric: str, summary: pd.DataFrame, line: pd.Series, reasons: list[str]) -> tuple[str, bool]:
    """The text below a value, and whether it is words rather than an interval."""
    if metric in _NOTE_BELOW:
        return str(line["note"]).split(", ")[-1], True
    if metric in COST_LINES:
        each = summary["value"].get(f"{metric}_ticks", float("nan"))
        return "" if pd.isna(each) else f"{format_value(each, 'ticks')} per contract", True
    _, interval = format_line(line)
    # The caption and the row of trades say it already: in every cell it would hide the numbers.
    known = not summary.loc["trades", "value"] or metric in _WITHOUT_NOTE
    told = [] if known else [reason for reason in reasons if not reason.startswith("too few trades (")]
    return "; ".join(filter(None, [interval, *told])), not interval


def _notes(notes: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Parts of the strategies' notes that all share, and those of each alone."""
    parts = [[part for part in note.split("; ") if part] for note in notes]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return shared, [[part for part in own if part not in shared] for own in parts]


SECTION = Section(20, "results", "Results", _html)
