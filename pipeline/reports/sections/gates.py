"""Gate pass rates on the market beside those on pure chance."""

import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import heads, note, numbers, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.theme import INK, MUTED, STRATEGY_COLORS, TWO_SIDED_95
from pipeline.strategy import Seen

__all__ = ["SECTION", "gate_rates"]


def _html(inputs: ReportInputs) -> str:
    paths, chance = int(inputs.null_rates["paths"].max()) if len(inputs.null_rates) else 0, inputs.strategy.chance
    chosen, total = int(inputs.signals["rule_signal"].sum()), len(inputs.signals)
    share = f" ({100 * chosen / total:.1f} %)" if total else ""
    text = (
        f"How often each gate passed, beside how often it passes where there is nothing to find: {paths:,} decisions "
        f"on {chance.lower()}. A gate that passes as often by chance selects nothing. Error bars are binomial 95 % "
        "intervals; the market's "
        "windows overlap from session to session, so its true uncertainty is several times wider. "
        f"Of {total:,} candidates, {chosen:,}{share} became rule signals."
    )
    rates = gate_rates(inputs)
    return note(text) + chart(_figure(inputs, rates), "gates-chart") + _table(inputs, rates)


def gate_rates(inputs: ReportInputs) -> pd.DataFrame:
    """Pass rates and standard errors in percent, market beside chance, indexed by gate."""
    seen = Seen.of(inputs.history, inputs.instrument, inputs.settings, inputs.bars)
    market = inputs.strategy.pass_rates(seen)[["pass_rate", "standard_error"]]
    chance = inputs.null_rates[["pass_rate", "standard_error"]]
    gates = [gate for gate in inputs.null_rates.index if gate in market.index]
    return 100 * market.add_prefix("market_").join(chance.add_prefix("chance_")).loc[gates]


def _figure(inputs: ReportInputs, rates: pd.DataFrame) -> go.Figure:
    """A row a gate: the share of sessions it opened on, and the share on pure chance, with 95 % bars."""
    titles = inputs.strategy.titles()
    names = [plain(titles.get(gate, gate)) for gate in rates.index]
    figure = go.Figure()
    for kind, name, color, symbol in (
        ("chance", plain(inputs.strategy.chance.lower()), MUTED, "diamond-open"),
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
    body, titles, chance = [], inputs.strategy.titles(), inputs.strategy.chance
    for gate, line in rates.iterrows():
        market, null = (
            f"{line[f'{kind}_pass_rate']:.1f} % ± {line[f'{kind}_standard_error']:.1f}" for kind in ("market", "chance")
        )
        by_chance = line["chance_pass_rate"]
        ratio = f"{line['market_pass_rate'] / by_chance:.2f}" if by_chance > 0 else "–"
        body.append(row(plain(titles.get(str(gate), gate)), numbers(market, null, ratio)))
    head = heads("Gate", plain(inputs.symbol), plain(chance), "Ratio")
    return table(
        head, body, f"Pass rate ± one standard error; the ratio is the market's rate over that on {chance.lower()}."
    )


SECTION = Section(150, "gates", "Gates vs. chance", _html)
