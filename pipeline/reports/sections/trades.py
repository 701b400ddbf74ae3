"""Trades on price: a small chart for each of the latest sessions with trades."""

import pandas as pd

from pipeline.backtest import BacktestResult
from pipeline.performance import format_value
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import folded, note, plain
from pipeline.reports.section import Section
from pipeline.reports.session_charts import panel, session_charts
from pipeline.reports.theme import BAD, GOOD

__all__ = ["SECTION", "recent_sessions"]

_PANELS, _PANELS_OF_MANY = 12, 6  # sessions with trades, a strategy
_FEW = 2  # strategies, which have room for more
_WIDTH = 300
_NOTE = (
    "The latest sessions with trades, in exchange time. Band, dashed line and the profile on the left are the value "
    "area, VPOC and {counted} of the session <em>before</em>, which is all the orders knew. Triangles are entries (up "
    "long, down short), dots exits (green with a profit); dotted lines are stop and target. Hover for the trade."
)


def _html(inputs: ReportInputs) -> str:
    counted = "TPOs" if inputs.settings.allocation == "tpo" else "volume"
    parts, shown = [note(_NOTE.format(counted=counted))], True
    for place, name in enumerate(inputs.by_interest):
        sessions = recent_sessions(
            inputs.results[name], inputs.profiles, _PANELS if len(inputs.results) <= _FEW else _PANELS_OF_MANY
        )
        if not sessions:
            parts.append(note(f"{plain(name)}: no trades."))
            continue
        panels = "".join(_panel(inputs, name, place, session) for session in sessions)
        parts.append(folded(plain(name), f'<div class="grid" style="--least:{_WIDTH}px">{panels}</div>', shown=shown))
        shown = False
    if not inputs.profiles.empty:
        parts.append(session_charts(inputs))
    return "\n".join(parts)


def recent_sessions(result: BacktestResult, profiles: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """The last sessions with trades, in order, of those that a session with a profile precedes."""
    sessions = pd.DatetimeIndex(result.trades["session"].unique()).sort_values()
    return list(sessions[profiles.index.searchsorted(sessions) > 0][-count:])


def _panel(inputs: ReportInputs, name: str, place: int, session: pd.Timestamp) -> str:
    trades = inputs.trades[name]
    made = float(trades.loc[trades["session"] == session, "pnl"].sum())
    text = plain(f"{'+' if made > 0 else ''}{format_value(made, inputs.currency, digits=0)}")
    color = GOOD if made > 0 else BAD
    caption = f'<figcaption>{session:%a %Y-%m-%d} &nbsp;<span style="color:{color}">{text}</span></figcaption>'
    return f"<figure>{caption}{panel(session, place)}</figure>"


SECTION = Section(70, "trades", "Trades on price", _html)
