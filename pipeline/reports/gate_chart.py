"""Gate pass rates on the market beside those on pure chance."""

from typing import TYPE_CHECKING

import pandas as pd

from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import plain
from pipeline.reports.theme import INK, STRATEGY_COLORS, restyle
from pipeline.strategy import gate_pass_rates

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["GATE_NAMES", "gate_figure", "gate_rates"]

GATE_NAMES = {
    "slope_long": "slope up (long)",
    "slope_short": "slope down (short)",
    "r_squared": "R² above threshold",
    "trend_long": "trend, long",
    "trend_short": "trend, short",
    "calm": "calm",
    "direction_long": "direction probability, long",
    "direction_short": "direction probability, short",
    "confidence_long": "confidence, long",
    "confidence_short": "confidence, short",
    "rule_signal_long": "rule signal, long",
    "rule_signal_short": "rule signal, short",
}
_TWO_SIDED_95 = 1.96


def gate_rates(inputs: ReportInputs) -> pd.DataFrame:
    """Pass rates and standard errors in percent, market beside chance, indexed by gate."""
    market = gate_pass_rates(inputs.history, inputs.settings)[["pass_rate", "standard_error"]]
    chance = inputs.null_rates[["pass_rate", "standard_error"]]
    gates = [gate for gate in inputs.null_rates.index if gate in market.index]
    return 100 * market.add_prefix("market_").join(chance.add_prefix("chance_")).loc[gates]


def gate_figure(inputs: ReportInputs) -> "go.Figure":
    """A row a gate: the share of sessions it opened on, and the share of random walks, with 95 % bars."""
    import plotly.graph_objects as go

    rates = gate_rates(inputs)
    names = [plain(GATE_NAMES.get(gate, gate)) for gate in rates.index]
    figure = go.Figure()
    for kind, name, color, symbol in (
        ("chance", "random walks", "#8a94a0", "diamond-open"),
        ("market", plain(inputs.symbol), STRATEGY_COLORS[0], "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=rates[f"{kind}_pass_rate"].round(3).to_numpy(),
                y=names,
                name=name,
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 2, "color": color}},
                error_x={
                    "array": (_TWO_SIDED_95 * rates[f"{kind}_standard_error"]).round(3).to_numpy(),
                    "color": color,
                    "thickness": 1.4,
                    "width": 4,
                },
                hovertemplate=f"{name}, %{{y}}: %{{x:.1f}} %<extra></extra>",
            )
        )
    figure.update_xaxes(title={"text": "Pass rate, %"}, rangemode="tozero")
    restyle(figure, height=60 + 34 * max(4, len(names)) + 50, simulated=inputs.simulated)
    figure.update_yaxes(autorange="reversed", tickfont={"color": INK})
    return figure
