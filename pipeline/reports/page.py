"""The report: one HTML file that holds everything, plotly.js too, and opens without a network."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.backtest import Account
from pipeline.errors import DataError
from pipeline.performance import buy_and_hold, format_value
from pipeline.reports.breakdown_charts import MOST_NUMBERED, breakdown_figure, multiples_figure
from pipeline.reports.equity_chart import equity_figure, holding_table
from pipeline.reports.gate_chart import gate_figure
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.looks_section import looks_section
from pipeline.reports.markup import bullets, folded, kept, plain, section
from pipeline.reports.model_section import model_section
from pipeline.reports.profile_section import profile_section
from pipeline.reports.replay_section import replay_section
from pipeline.reports.returns_section import returns_section
from pipeline.reports.session_panels import PANEL_HEIGHT, panel_figure, recent_sessions
from pipeline.reports.stacking import stacked
from pipeline.reports.tables import gates_table, orders_table, quality_table, results_table
from pipeline.reports.theme import NARROW_SCRIPT, STRATEGY_COLORS, STYLE_SHEET, figure_html
from pipeline.reports.trade_list import trade_list
from pipeline.reports.trade_section import excursion_section, sides_table, trade_list_section
from pipeline.reports.verdict_section import verdict_section

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["build_report"]

_PANELS, _PANELS_OF_MANY = 12, 6  # sessions with trades, a strategy
_FEW = 2  # strategies, which have room for more
# The browser is told, too, that this page loads nothing: what is not inline does not exist.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_RESIZE = (
    "document.querySelectorAll('details').forEach(d=>d.addEventListener('toggle',()=>"
    "d.querySelectorAll('.plot').forEach(p=>Plotly.Plots.resize(p))));"
)
_SIMULATED = (
    '<div class="simulated" role="note"><strong>SIMULATED MARKET</strong> · '
    '<span class="more">every bar on this page was made by the project\'s own simulator; </span>'
    "nothing here happened on an exchange.</div>"
)


def build_report(inputs: ReportInputs) -> str:
    """The whole page as one self-contained HTML document.

    The same inputs give the same text. Nothing is loaded from elsewhere: scripts and styles are inside.

    Raises
    ------
    DataError
        If results and summaries don't have the same names, or there are none, or more than twelve.
    """
    from plotly.offline import get_plotlyjs

    names = list(inputs.results)
    if not names or len(names) > len(STRATEGY_COLORS) or names != list(inputs.summaries):
        raise DataError(
            f"a report compares one to {len(STRATEGY_COLORS)} strategies; there are results of {names} and summaries "
            f"of {list(inputs.summaries)}"
        )
    trades = trade_list(inputs)
    sections = [
        ("verdict", "Verdict", verdict_section(inputs)),
        ("results", "Results", results_table(inputs)),
        ("equity", "Equity and drawdown", _equity(inputs)),
        ("returns", "Returns by period", returns_section(inputs)),
        *([("models", "Models", model_section(inputs))] if inputs.models else []),
        *([("looks", "Trials on this market", looks_section(inputs))] if _looked(inputs) else []),
        ("trades", "Trades on price", "\n".join(_panels(inputs))),
        ("replay", "Any session", replay_section(inputs, trades)),
        ("sessions", "Latest sessions", profile_section(inputs)),
        ("breakdown", "Sources of profit and loss", _breakdown(inputs)),
        ("sides", "Long and short", sides_table(inputs, trades)),
        ("multiples", "R multiples", _multiples(inputs)),
        ("excursions", "Excursions", excursion_section(inputs, trades)),
        ("trade-list", "Trade list", trade_list_section(inputs, trades)),
        ("gates", "Gates vs. random walks", _gates(inputs)),
        ("orders", "Order outcomes", orders_table(inputs)),
        ("data", "Data", _data(inputs)),
        ("assumptions", "Assumptions", _assumptions(inputs)),
    ]
    links = "".join(f'<a href="#{identifier}">{title}</a>' for identifier, title, _ in sections)
    body = "\n".join(section(*each) for each in sections)
    title = f"{plain(inputs.title)}{' (simulated market)' if inputs.simulated else ''}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE_SHEET}</style>
<script>{get_plotlyjs()}</script>
<script>{NARROW_SCRIPT}</script>
</head>
<body>
{_SIMULATED if inputs.simulated else ""}
<header>
<h1>{title}</h1>
<p class="lead">{_lead(inputs)}</p>
{_facts(inputs)}
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer><p>Definitions of every number, its unit and its limits: docs/statistics.md of the project.
Not investment advice.</p></footer>
<script>{_RESIZE}</script>
</body>
</html>
"""


def _data(inputs: ReportInputs) -> str:
    found = bullets(f"<strong>{each.severity.capitalize()}</strong>: {plain(each.message)}" for each in inputs.findings)
    return (
        f'<p class="note">Source: {plain(inputs.source)}</p>{found if inputs.findings else ""}{quality_table(inputs)}'
    )


def _looked(inputs: ReportInputs) -> bool:
    return inputs.looks is not None or bool(inputs.why_no_looks)


def _lead(inputs: ReportInputs) -> str:
    instrument = inputs.instrument
    held = inputs.profiles.index
    period = f"{held[0]:%Y-%m-%d} to {held[-1]:%Y-%m-%d}" if len(held) else "no session"
    hours = "regular hours" if inputs.settings.hours == "rth" else "the whole trade date"
    words = [
        f"{inputs.symbol}: {instrument.description or instrument.symbol}",
        f"{_count(len(held), 'session')} with a profile, {period}, {hours}",
        f"{len(inputs.bars):,} bars",
    ]
    return plain(" · ".join(words))


def _facts(inputs: ReportInputs) -> str:
    """Risk, capital and costs in force, at the head of the page."""
    account, instrument = inputs.account, inputs.instrument
    slippage = format_value(account.slippage_ticks * instrument.tick_value, inputs.currency)
    facts = {
        "Initial capital": format_value(account.initial_capital, inputs.currency),
        "Risk per trade": f"{100 * account.risk_per_trade:g} % of equity"
        + (", scaled by volatility" if account.volatility_target is not None else ""),
        "Commission": _commission(inputs),
        "Slippage": f"{_count(account.slippage_ticks, 'tick')} ({slippage} per contract) on stops and closes",
    }
    lines = "".join(f"<div><dt>{name}</dt><dd>{kept(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{lines}</dl>'


def _commission(inputs: ReportInputs) -> str:
    fixed = f"{format_value(inputs.instrument.commission_per_side, inputs.currency)} per contract and side"
    rate = inputs.instrument.commission_rate
    return f"{100 * rate:g} % of notional per side, plus {fixed}" if rate else fixed


def _equity(inputs: ReportInputs) -> str:
    held = buy_and_hold(inputs.bars, inputs.instrument, inputs.account)
    note = (
        "Equity at each session's end; below it, the largest fall from the peak at the close of any bar of the "
        "session. A click in the legend hides a line."
    )
    figure = figure_html(equity_figure(inputs, held), "equity-chart")
    return f'<p class="note">{note}</p>{figure}{holding_table(inputs, held)}'


def _panels(inputs: ReportInputs) -> Iterator[str]:
    yield (
        '<p class="note">The latest sessions with trades, in exchange time. Band, dashed line and the profile on the '
        "left are the value area, VPOC and volume of the session <em>before</em>, which is all the orders knew. "
        "Triangles are entries (up long, down short), dots exits (green with a profit); dotted lines are stop and "
        "target. Hover for the trade.</p>"
    )
    count = _PANELS if len(inputs.results) <= _FEW else _PANELS_OF_MANY
    shown = True
    for number, name in enumerate(inputs.by_interest):
        result = inputs.results[name]
        sessions = recent_sessions(result, inputs.profiles, count)
        if not sessions:
            yield f'<p class="note">{plain(name)}: no trades.</p>'
            continue
        figure = _grid(panel_figure(inputs, result, sessions), f"trades-chart-{number}", len(sessions))
        yield folded(plain(name), figure, shown=shown)
        shown = False


def _breakdown(inputs: ReportInputs) -> str:
    if not any(len(result.trades) for result in inputs.results.values()):
        return '<p class="note">No trades.</p>'
    counted = "the number at each bar is its trades" if len(inputs.results) <= MOST_NUMBERED else "hover for the trades"
    note = (
        f"Net profit and loss; {counted}. Among twenty-odd bars a few always look good: with no edge at all, about "
        "every second weekday ends above zero."
    )
    figure = _grid(breakdown_figure(inputs), "breakdown-chart", 4)
    return f'<p class="note">{note}</p>{figure}'


def _grid(figure: "go.Figure", name: str, panels: int) -> str:
    layouts = stacked(figure, panels, panel_height=PANEL_HEIGHT)
    return f'<div class="grid">{figure_html(figure, name, wide=True, narrow=layouts)}</div>'


def _multiples(inputs: ReportInputs) -> str:
    if not any(len(result.trades) for result in inputs.results.values()):
        return '<p class="note">No trades.</p>'
    note = (
        "Result of each trade divided by what its order put at risk. A full stop is a little worse than −1 R, because "
        "of slippage and commission; a target is about 2 R or more before costs."
    )
    return f'<p class="note">{note}</p>{figure_html(multiples_figure(inputs), "multiples-chart")}'


def _gates(inputs: ReportInputs) -> str:
    paths = int(inputs.null_rates["paths"].max()) if len(inputs.null_rates) else 0
    note = (
        f"How often each gate passed, beside how often it passes on {paths:,} simulated random walks without drift. A "
        "gate that passes as often by chance selects nothing. Error bars are binomial 95 % intervals; the market's "
        "windows overlap from session to session, so its true uncertainty is several times wider."
    )
    chosen = int(inputs.signals["rule_signal"].sum())
    total = len(inputs.signals)
    share = f" ({100 * chosen / total:.1f} %)" if total else ""
    note += f" Of {total:,} candidates, {chosen:,}{share} became rule signals."
    return f'<p class="note">{note}</p>{figure_html(gate_figure(inputs), "gates-chart")}{gates_table(inputs)}'


def _margin(rule: object, currency: str) -> str:
    if isinstance(rule, dict):
        return f"a dated table of {currency} per contract"
    return f"{100 * float(str(rule)):g} % of notional"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _assumptions(inputs: ReportInputs) -> str:
    account: Account = inputs.account
    instrument, currency = inputs.instrument, inputs.currency
    ticks = account.slippage_ticks
    through = account.trade_through_ticks
    commission = _commission(inputs)
    cutoff = f"{account.entry_cutoff:%H:%M}" if account.entry_cutoff else "the session's last bar"
    made = [
        f"Inside a bar a limit order fills only once price has traded {_count(through, 'tick')} beyond it; where a bar "
        "opens past the limit, it fills at that open. Limit fills pay no slippage.",
        f"Stops and closes pay {_count(ticks, 'tick')} of slippage "
        f"({format_value(ticks * instrument.tick_value, currency)} per contract). An order still waiting when a bar "
        "opens beyond its stop is cancelled, never filled.",
        "A bar that reaches stop and target counts as stopped; a target inside the entry bar counts only if the bar "
        "closes beyond it.",
        f"Commission: {commission}.",
        f"Size: {100 * account.risk_per_trade:g} % of equity at risk, whole contracts, rounded down; at most "
        f"{account.max_contracts or 'what margin allows'}, with margin of "
        f"{_margin(account.margin_day, currency)} by day and {_margin(account.margin_overnight, currency)} overnight. "
        f"At most {_count(account.max_positions, 'position')} at once.",
        f"Entries until {cutoff}; positions are "
        f"{'held overnight' if account.hold_overnight else 'closed at the end of the session'}.",
    ]
    promised = [
        "The past of one market is one sample. An interval says how far chance alone could have moved the number on "
        "data like this; it says nothing about a market that changes.",
        "Intervals and probabilities here hold for a strategy fixed beforehand. The more settings were tried before "
        "this one, the less they mean: see the deflated Sharpe ratio over all trials"
        f"{', under “Trials on this market”' if _looked(inputs) else ''}.",
        "Within a bar the order of prices is unknown, and nothing is known of the place in the queue at a limit. Both "
        "are resolved against the trader, but a real fill can still be worse.",
        "Taxes, interest on the account and fees for data are left out.",
    ]
    return (
        f"<h3>How orders were filled</h3>{bullets(map(plain, made))}"
        f"<h3>What the numbers don't promise</h3>{bullets(map(plain, promised))}"
    )
