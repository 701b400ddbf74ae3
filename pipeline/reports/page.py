"""The report: one HTML file that holds everything, plotly.js too, and opens without a network."""

from pipeline.errors import DataError
from pipeline.performance import format_value
from pipeline.reports import sections
from pipeline.reports.charts import NARROW_SCRIPT
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import kept, plain, section
from pipeline.reports.section import parts_in
from pipeline.reports.theme import STRATEGY_COLORS, STYLE_SHEET
from pipeline.reports.wording import commission, counted

__all__ = ["build_report"]

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

    The same inputs give the same text. Nothing is loaded from elsewhere: scripts and styles are inside. Its sections
    are the modules of :mod:`pipeline.reports.sections`.

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
    made = [(each, each.html(inputs)) for each in parts_in(sections, "SECTION")]
    made = [(each, html) for each, html in made if html]
    links = "".join(f'<a href="#{each.identifier}">{each.title}</a>' for each, _ in made)
    body = "\n".join(section(each.identifier, each.title, html) for each, html in made)
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


def _lead(inputs: ReportInputs) -> str:
    instrument = inputs.instrument
    held = inputs.profiles.index
    period = f"{held[0]:%Y-%m-%d} to {held[-1]:%Y-%m-%d}" if len(held) else "no session"
    hours = "regular hours" if inputs.settings.hours == "rth" else "the whole trade date"
    words = [
        f"{inputs.symbol}: {instrument.description or instrument.symbol}",
        f"{counted(len(held), 'session')} with a profile, {period}, {hours}",
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
        "Commission": commission(instrument),
        "Slippage": f"{counted(account.slippage_ticks, 'tick')} ({slippage} per contract) on stops and closes",
    }
    lines = "".join(f"<div><dt>{name}</dt><dd>{kept(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{lines}</dl>'
