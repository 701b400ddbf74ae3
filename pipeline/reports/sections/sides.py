"""Longs beside shorts."""

from pipeline.performance import expectancy, format_value, profit_factor, win_rate
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import group, heads, named, numbers, row, table
from pipeline.reports.section import Section

__all__ = ["SECTION"]

_COLUMNS = ("Trades", "Win rate", "Profit factor", "Expectancy", "Expectancy, R", "Net")


def _html(inputs: ReportInputs) -> str:
    body = []
    for name, frame in inputs.trades.items():
        body.append(group(named(inputs.colors[name], name), 1 + len(_COLUMNS)))
        for side in ("long", "short"):
            part = frame[frame["side"] == side]
            figures = (
                (100 * win_rate(part["pnl"]), "%"),
                (profit_factor(part["pnl"]), ""),
                (expectancy(part["pnl"]), inputs.currency),
                (expectancy(part["r_multiple"]), "R"),
                (float(part["pnl"].sum()), inputs.currency),
            )
            cells = numbers(f"{len(part):,}", *(format_value(value, unit) for value, unit in figures))
            body.append(row(side.capitalize(), cells))
    return table(heads("", *_COLUMNS), body, "After costs. Expectancy is per trade.")


SECTION = Section(110, "sides", "Long and short", _html)
