"""The report's tables: results with intervals, what became of every order, pass rates, and the data's quality."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.market import session_schedule
from pipeline.performance import COST_LINES, FEWEST_TRADES, format_interval, format_value, interval_reach
from pipeline.reports.gate_chart import GATE_NAMES, gate_rates
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import both, bullets, cell, plain, row, table
from pipeline.reports.theme import STRATEGY_COLORS

__all__ = ["gates_table", "missing_sessions", "orders_table", "quality_table", "results_table"]

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
_NOTES_OF_ONE = (
    *("drawdown_length", "average_win", "average_loss"),
    *("longest_winning_streak", "longest_losing_streak"),
)  # in place of an interval
_WITHOUT_NOTE = ("drawdown_days", *_NOTES_OF_ONE)

_STATUSES = {
    "closed": "Filled and closed",
    "not_reached": "Limit not reached",
    "gapped_past_stop": "Cancelled: a bar opened beyond the stop first",
    "skipped": "Skipped",
    "cancelled": "Cancelled",
}
_REASONS = {
    "position_open": "another position was open",
    "risk_below_one_contract": "risk allowed less than one contract",
    "margin_below_one_contract": "margin allowed less than one contract",
    "margin_below_quantity": "margin allowed less than the fixed quantity",
    "no_bars": "the session has no bars in these hours",
    "contract_rolled": "the session trades another contract",
}
_QUARANTINE = {
    "missing_value": "missing or infinite value",
    "bad_ohlc": "high or low inconsistent with other prices",
    "bad_price": "price zero or negative",
    "negative_volume": "negative volume",
    "outside_session": "outside every session",
    "off_tick": "price off the tick",
    "duplicate": "identical to another row",
    "conflicting_duplicate": "same time as another row, other values",
}
_CHANGES = {
    "snapped": "kept, price moved to the nearest tick",
    "out_of_order": "kept, sorted into order",
    "off_step_volume": "kept, volume no whole number of steps",
    "impossible_counts": "kept, impossible trade counts emptied",
}
_LISTED = 60
_MOST_WIDE = 2  # strategies that a page has the width for with two columns each, and a remark


def _compact(strategies: Mapping[str, object]) -> bool:
    """Tell whether there are too many strategies for two columns each."""
    return len(strategies) > _MOST_WIDE


def _strategy_heads(names: Mapping[str, object]) -> list[str]:
    """Header cells: a number and its interval or share in two columns each, or, where there are many, in one."""
    kind = 'class="both" scope="col"' if _compact(names) else 'class="pair" colspan="2" scope="colgroup"'
    return [
        f'<th {kind}><span class="key" style="background:{color}"></span>{plain(name).replace("_", "_<wbr>")}</th>'
        for color, name in zip(STRATEGY_COLORS, names, strict=False)
    ]


def results_table(inputs: ReportInputs) -> str:
    """Every metric of every strategy with its interval."""
    compact = _compact(inputs.summaries)
    columns = 1 + len(inputs.summaries) if compact else 2 + 2 * len(inputs.summaries)
    body, remarks = [], []
    for group, metrics in _GROUPS.items():
        body.append(row([f'<th colspan="{columns}" scope="colgroup">{group}</th>'], "group"))
        for metric, name in metrics.items():
            lines = [summary.loc[metric] for summary in inputs.summaries.values() if metric in summary.index]
            if len(lines) != len(inputs.summaries):
                continue
            shared, own = _notes([str(line["note"]) for line in lines])
            remark = "" if metric in _WITHOUT_NOTE else "; ".join(map(plain, shared))
            cells = [cell(name, tag="th", scope="row")]
            for summary, line, reasons in zip(inputs.summaries.values(), lines, own, strict=True):
                value = format_value(line["value"], line["unit"])
                if compact:
                    reasons = [reason for reason in reasons if not _known(reason, summary)]
                beside, words = _beside(metric, summary, line, reasons)
                if compact:
                    # Of a drawdown the last part, whether it was recovered.
                    beside = beside.split(", ")[-1] if metric == "drawdown_length" else beside
                    cells += [both(value, beside, words=words)]
                else:
                    words = words and metric not in COST_LINES
                    cells += [cell(plain(value), "number"), cell(plain(beside), f"interval{' words' * words}")]
            body.append(row(cells if compact else [*cells, cell(remark, "remark")]))
            if remark:
                remarks.append(f"{plain(name)}: {remark}")
    head = [cell("", tag="th"), *_strategy_heads(inputs.summaries), *([] if compact else [cell("", tag="th")])]
    caption = (
        "Each value with its 95 % interval where one is meaningful (stationary bootstrap, 2,000 resamples: returns by "
        f"session, trade results by trade), which takes at least {FEWEST_TRADES} trades. All after commission and "
        "slippage, except where stated. "
        + interval_reach(max(len(result.daily_returns) for result in inputs.results.values()))
    )
    found = table(head, body, f"{caption}{plain(_begins(inputs))}", even=compact)
    if compact:
        found += f"\n<details><summary>Definitions</summary>{bullets(remarks)}</details>"
    return found


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


def _known(reason: str, summary: pd.DataFrame) -> bool:
    """Tell whether the caption and the row of trades say it already: in every cell it would hide the numbers."""
    return not summary.loc["trades", "value"] or reason.startswith("too few trades (")


def _beside(metric: str, summary: pd.DataFrame, line: pd.Series, reasons: list[str]) -> tuple[str, bool]:
    """The text beside a value, and whether it is words rather than an interval."""
    interval = format_interval(line["low"], line["high"], line["unit"], value=line["value"])
    if metric in _NOTES_OF_ONE:
        return str(line["note"]), True
    if metric in COST_LINES:
        return _a_contract(summary, metric), True
    return "; ".join(filter(None, [interval, *([] if metric in _WITHOUT_NOTE else reasons)])), not interval


def _a_contract(summary: pd.DataFrame, metric: str) -> str:
    each = summary["value"].get(f"{metric}_ticks", float("nan"))
    return "" if pd.isna(each) else f"{format_value(each, 'ticks')} per contract"


def _notes(notes: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Parts of the strategies' notes that all share, and those of each alone."""
    parts = [[part for part in note.split("; ") if part] for note in notes]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return shared, [[part for part in own if part not in shared] for own in parts]


def orders_table(inputs: ReportInputs) -> str:
    """Every end an order can have, with the number of orders that had it, and why some were not tried."""
    compact = _compact(inputs.results)
    orders = [result.orders for result in inputs.results.values()]
    body = []

    def line(name: str, counts: list[int], kind: str = "", totals: list[int] | None = None) -> None:
        cells = [cell(plain(name), tag="th", scope="row")]
        for count, total in zip(counts, totals or [len(frame) for frame in orders], strict=True):
            share = f"{100 * count / total:.1f} %" if total else "–"
            cells += [both(f"{count:,}", share)] if compact else [cell(f"{count:,}", "number"), cell(share, "interval")]
        body.append(row(cells, kind))

    for status, name in _STATUSES.items():
        chosen = [frame[frame["status"] == status] for frame in orders]
        line(name, [len(frame) for frame in chosen])
        reasons = sorted({reason for frame in chosen for reason in frame["reason"].astype(str) if reason})
        for reason in reasons:
            counts = [int((frame["reason"] == reason).sum()) for frame in chosen]
            line(_REASONS.get(reason, reason.replace("_", " ")), counts, "part")
    line("All orders", [len(frame) for frame in orders])
    trades = [result.trades for result in inputs.results.values()]
    ambiguous = [int(frame["ambiguous"].astype(bool).sum()) for frame in trades]
    totals = [len(frame) for frame in trades]
    line("Trades with stop and target in one bar (ambiguous, counted as stopped)", ambiguous, totals=totals)
    head = [cell("", tag="th"), *_strategy_heads(inputs.results)]
    return table(head, body, "Every order has exactly one outcome. The last row is a share of trades.", even=compact)


def gates_table(inputs: ReportInputs) -> str:
    """Pass rates with standard errors, and how many times chance's rate the market's is."""
    body = []
    for gate, rates in gate_rates(inputs).iterrows():
        chance = rates["chance_pass_rate"]
        ratio = f"{rates['market_pass_rate'] / chance:.2f}" if chance > 0 else "–"
        cells = [cell(plain(GATE_NAMES.get(str(gate), gate)), tag="th", scope="row")]
        for kind in ("market", "chance"):
            error = rates[f"{kind}_standard_error"]
            cells.append(cell(f"{rates[f'{kind}_pass_rate']:.1f} % ± {error:.1f}", "number"))
        body.append(row([*cells, cell(ratio, "number")]))
    names = ("Gate", plain(inputs.symbol), "Random walks", "Ratio")
    head = [cell(name, "number" if i else "", tag="th", scope="col") for i, name in enumerate(names)]
    return table(
        head, body, "Pass rate ± one standard error; the ratio is the market's rate over that of random walks."
    )


def missing_sessions(inputs: ReportInputs) -> pd.DatetimeIndex:
    """Sessions of the calendar, between the first and the last profile, that have no profile."""
    held = inputs.profiles.index
    if not len(held):
        return pd.DatetimeIndex([])
    schedule = session_schedule(inputs.instrument, held[0], held[-1])
    if inputs.settings.hours == "rth":
        schedule = schedule[schedule["rth_close"] > schedule["rth_open"]]
    return pd.DatetimeIndex(schedule.index.difference(held))


def quality_table(inputs: ReportInputs) -> str:
    """Rows in, kept and quarantined by reason; sessions held, thin and missing."""
    cleaning = dict(inputs.cleaning)
    rows_in, kept = cleaning.pop("rows_in", None), cleaning.pop("kept", None)
    changes = {name: cleaning.pop(name) for name in _CHANGES if name in cleaning}
    body = []

    def line(name: str, count: int, of: int | None, kind: str = "") -> None:
        share = "" if not of else f"{100 * count / of:.2f} %"
        cells = [cell(plain(name), tag="th", scope="row"), cell(f"{count:,}", "number"), cell(share, "interval")]
        body.append(row(cells, kind))

    if kept is not None:
        rows_in = kept + sum(cleaning.values()) if rows_in is None else rows_in
        line("Rows read", rows_in, None)
        line("Rows kept", kept, rows_in)
    for name, count in changes.items():
        line(_CHANGES[name], count, kept, "part")
    line("Rows quarantined", sum(cleaning.values()), rows_in)
    for reason, count in cleaning.items():
        if count:
            line(_QUARANTINE.get(reason, reason.replace("_", " ")), count, rows_in, "part")
    missing = missing_sessions(inputs)
    sessions = len(inputs.profiles)
    line("Sessions with a profile", sessions, sessions + len(missing))
    line("Sessions of the calendar without volume in these hours", len(missing), sessions + len(missing))
    usual = inputs.profiles["volume"].rolling(60, min_periods=20).median().shift(1)
    thin = int((inputs.profiles["volume"] < 0.35 * usual).sum())
    line("Sessions with under 35 % of the median volume of the 60 before", thin, sessions)
    listed = ", ".join(f"{session:%Y-%m-%d}" for session in missing[:_LISTED])
    more = f" and {len(missing) - _LISTED:,} more" if len(missing) > _LISTED else ""
    named = (
        f'<details><summary>Sessions missing</summary><p class="note">{listed}{more}</p></details>' if listed else ""
    )
    head = [cell("", tag="th"), cell("Count", "number", tag="th", scope="col"), cell("Share", "interval", tag="th")]
    return table(head, body) + named
