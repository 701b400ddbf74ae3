"""Longs beside shorts, how far price ran against and for each trade, and the list of trades."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from pipeline.performance import expectancy, format_value, profit_factor, win_rate
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import cell, folded, kept, key, plain, row, table
from pipeline.reports.stacking import legend_down
from pipeline.reports.theme import BAD, FADED, GOOD, figure_html, restyle
from pipeline.reports.trade_list import trades_file

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["excursion_figure", "excursion_section", "sides_table", "trade_list_section"]

_LISTED = 200
_HOUR, _DAY = "%H:%M", "%Y-%m-%d %H:%M"
_FURTHEST = 6.0  # R, beyond which a favourable excursion is drawn at the edge
_EXCURSIONS = (
    "Each trade's worst and best price while it was held, in R: maximum adverse excursion (MAE) across, maximum "
    "favourable excursion (MFE) up. Filled dots made money, hollow ones did not. Losers high in the picture had been "
    "well ahead; winners far to the right had nearly been stopped. Only prices that the position certainly saw count: "
    "of an entry inside a bar, that bar's adverse extreme and, where the trade outlived it, its close; of the bar of a "
    "stop or target, its open; of both, the fills. So each value is the least it can have been ({exact})."
)


def sides_table(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> str:
    """Trades, win rate, profit factor, expectancy and net result of longs and of shorts."""
    body = []
    for name, frame in trades.items():
        body.append(row([f'<th colspan="8" scope="colgroup">{key(inputs.look(name)[0])}{plain(name)}</th>'], "group"))
        for side in ("long", "short"):
            part = frame[frame["side"] == side]
            cells = [cell(side.capitalize(), tag="th", scope="row"), cell(f"{len(part):,}", "number")]
            figures = (
                (100 * win_rate(part["pnl"]), "%"),
                (profit_factor(part["pnl"]), ""),
                (expectancy(part["pnl"]), inputs.currency),
                (expectancy(part["r_multiple"]), "R"),
                (float(part["pnl"].sum()), inputs.currency),
            )
            cells += [cell(plain(format_value(value, unit)), "number") for value, unit in figures]
            body.append(row(cells))
    names = ("", "Trades", "Win rate", "Profit factor", "Expectancy", "Expectancy, R", "Net")
    head = [cell(name, "number" if name else "", tag="th", scope="col" if name else "") for name in names]
    return table(head, body, "After costs. Expectancy is per trade.")


def excursion_section(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> str:
    """Adverse against favourable excursions, with what can be known of them."""
    every = pd.concat(trades.values())
    if every.empty:
        return '<p class="note">No trades.</p>'
    parts = [f"{100 * every[f'{name}_exact'].mean():.0f} % of the {name.upper()}s are exact" for name in ("mae", "mfe")]
    figure = excursion_figure(inputs, trades)
    note = kept(_EXCURSIONS.format(exact=" and ".join(parts)))
    return f'<p class="note">{note}</p>{figure_html(figure, "excursions-chart", narrow=legend_down(figure))}'


def excursion_figure(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> "go.Figure":
    """A dot a trade; only the first strategy of interest is shown until others are chosen in the legend."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [name for name in inputs.by_interest if len(trades[name])]
    for place, name in enumerate(names):
        color, _ = inputs.look(name)
        won = trades[name]["pnl"] > 0
        for frame, filled in ((trades[name][won], True), (trades[name][~won], False)):
            figure.add_trace(
                go.Scatter(
                    x=frame["mae"].round(3).to_numpy(),
                    y=frame["mfe"].clip(upper=_FURTHEST).round(3).to_numpy(),
                    mode="markers",
                    name=plain(name),
                    legendgroup=name,
                    showlegend=filled,
                    visible=True if place == 0 else "legendonly",
                    text=[_told(inputs, trade) for trade in frame.itertuples()],
                    customdata=frame["mfe"].round(2).to_numpy(),
                    marker={
                        "size": 7,
                        "opacity": 0.8,
                        "color": color if filled else "#fff",
                        "line": {"width": 1.2, "color": color},
                    },
                    cliponaxis=False,
                    hovertemplate=f"{plain(name)}<br>%{{text}}<br>MAE %{{x:.2f}} R, MFE %{{customdata:.2f}} R"
                    "<extra></extra>",
                )
            )
    figure.add_vline(
        x=1, line={"color": BAD, "width": 1, "dash": "dot"}, annotation_text="stop", annotation_font_size=11
    )
    figure.add_hline(
        y=2, line={"color": GOOD, "width": 1, "dash": "dot"}, annotation_text="2 R", annotation_font_size=11
    )
    figure.update_xaxes(title={"text": "MAE, R"}, rangemode="tozero", linecolor=FADED)
    restyle(figure, height=430, simulated=inputs.simulated)
    figure.update_layout(margin={"t": 56})
    figure.update_yaxes(title={"text": "MFE, R"}, rangemode="tozero")
    return figure


def _told(inputs: ReportInputs, trade: Any) -> str:
    result = f"{plain(format_value(trade.pnl, inputs.currency))}, {format_value(trade.r_multiple, 'R')}"
    return f"{trade.session:%Y-%m-%d} {trade.side}, {result}"


def trade_list_section(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> str:
    """The last trades of each backtest, and the way to all of them."""
    count = sum(map(len, trades.values()))
    if not count:
        return '<p class="note">No trades.</p>'
    file = trades_file(inputs)
    note = (
        f'<p class="note">All {count:,} trades of every backtest are in <a href="{quote(file)}" download>{plain(file)}'
        f"</a>, beside this page. Below, the latest {_LISTED} of each at most, the newest first; times are those of "
        f"{plain(inputs.instrument.time_zone)}.</p>"
    )
    folds = [
        folded(f"{plain(name)}: {len(trades[name]):,} trades", _list(inputs, trades[name]))
        for name in inputs.by_interest
    ]
    return note + "".join(folds)


def _list(inputs: ReportInputs, trades: pd.DataFrame) -> str:
    body, digits = [], inputs.instrument.price_decimals
    for trade in trades.iloc[: -_LISTED - 1 : -1].itertuples():
        color = GOOD if trade.pnl > 0 else BAD
        cells = [cell(f"{trade.session:%Y-%m-%d}", tag="th", scope="row"), cell(trade.side)]
        cells += [cell(f"{trade.quantity:,}", "number")]
        later = trade.exit_time.date() != trade.entry_time.date()
        cells.append(cell(f"{trade.entry_time:%H:%M} at {trade.entry_price:,.{digits}f}", "number"))
        cells.append(cell(f"{trade.exit_time:{_DAY if later else _HOUR}} at {trade.exit_price:,.{digits}f}", "number"))
        cells += [cell(plain(trade.exit_reason).replace("_", " "))]
        pnl = plain(format_value(trade.pnl, inputs.currency))
        cells += [cell(f'<span style="color:{color}">{pnl}</span>', "number")]
        cells += [
            cell(format_value(value, "", digits=2), "number") for value in (trade.r_multiple, trade.mae, trade.mfe)
        ]
        body.append(row(cells))
    names = ("Session", "Side", "Contracts", "Entry", "Exit", "Reason", "P&amp;L", "R", "MAE", "MFE")
    words = ("Session", "Side", "Reason")
    head = [cell(name, "" if name in words else "number", tag="th", scope="col") for name in names]
    return table(head, body)
