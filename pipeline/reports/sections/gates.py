"""Gate pass rates on the market beside those on pure chance."""

import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import heads, note, numbers, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import INK, MUTED, STRATEGY_COLORS, TWO_SIDED_95
from pipeline.strategy import gate_pass_rates

__all__ = ["SECTION", "gate_rates"]

_NAMES = {
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


def _html(inputs: ReportInputs) -> str:
    paths = int(inputs.null_rates["paths"].max()) if len(inputs.null_rates) else 0
    chosen, total = int(inputs.signals["rule_signal"].sum()), len(inputs.signals)
    share = f" ({100 * chosen / total:.1f} %)" if total else ""
    text = (
        f"How often each gate passed, beside how often it passes on {paths:,} simulated random walks without drift. A "
        "gate that passes as often by chance selects nothing. Error bars are binomial 95 % intervals; the market's "
        "windows overlap from session to session, so its true uncertainty is several times wider. "
        f"Of {total:,} candidates, {chosen:,}{share} became rule signals."
    )
    rates = gate_rates(inputs)
    return note(text) + chart(_figure(inputs, rates), "gates-chart") + _table(inputs, rates)


def gate_rates(inputs: ReportInputs) -> pd.DataFrame:
    """Pass rates and standard errors in percent, market beside chance, indexed by gate."""
    market = gate_pass_rates(inputs.history, inputs.settings)[["pass_rate", "standard_error"]]
    chance = inputs.null_rates[["pass_rate", "standard_error"]]
    gates = [gate for gate in inputs.null_rates.index if gate in market.index]
    return 100 * market.add_prefix("market_").join(chance.add_prefix("chance_")).loc[gates]


def _figure(inputs: ReportInputs, rates: pd.DataFrame) -> go.Figure:
    """A row a gate: the share of sessions it opened on, and the share of random walks, with 95 % bars."""
    names = [plain(_NAMES.get(gate, gate)) for gate in rates.index]
    figure = go.Figure()
    for kind, name, color, symbol in (
        ("chance", "random walks", MUTED, "diamond-open"),
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
                    "array": (TWO_SIDED_95 * rates[f"{kind}_standard_error"]).round(3).to_numpy(),
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


def _table(inputs: ReportInputs, rates: pd.DataFrame) -> str:
    """Pass rates with standard errors, and how many times chance's rate the market's is."""
    body = []
    for gate, line in rates.iterrows():
        market, chance = (
            f"{line[f'{kind}_pass_rate']:.1f} % ± {line[f'{kind}_standard_error']:.1f}" for kind in ("market", "chance")
        )
        by_chance = line["chance_pass_rate"]
        ratio = f"{line['market_pass_rate'] / by_chance:.2f}" if by_chance > 0 else "–"
        body.append(row(plain(_NAMES.get(str(gate), gate)), numbers(market, chance, ratio)))
    head = heads("Gate", plain(inputs.symbol), "Random walks", "Ratio")
    return table(
        head, body, "Pass rate ± one standard error; the ratio is the market's rate over that of random walks."
    )


SECTION = Section(150, "gates", "Gates vs. random walks", _html)
