"""The frame of every page: one HTML file that holds everything, plotly.js too, and opens without a network."""

from collections.abc import Mapping
from types import ModuleType

from pipeline.reports.charts import NARROW_SCRIPT
from pipeline.reports.markup import kept, plain, section
from pipeline.reports.section import parts_in
from pipeline.reports.theme import STYLE_SHEET

__all__ = ["document", "simulated_banner"]

# The browser is told, too, that this page loads nothing: what is not inline does not exist.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_RESIZE = (
    "document.querySelectorAll('details').forEach(d=>d.addEventListener('toggle',()=>"
    "d.querySelectorAll('.plot').forEach(p=>Plotly.Plots.resize(p))));"
)


def document(
    inputs: object,
    sections: ModuleType,
    *,
    title: str,
    lead: str,
    facts: Mapping[str, str],
    definitions: str = "docs/statistics.md",
    banner: str = "",
) -> str:
    """A whole page as one self-contained HTML document.

    The same inputs give the same text. Nothing is loaded from elsewhere: scripts and styles are inside.

    Parameters
    ----------
    inputs
        What the sections are made from.
    sections
        Package whose modules each have a ``SECTION``.
    title, lead
        Heading and the line below it, as plain text.
    facts
        At the head of the page, by name, as plain text.
    definitions
        Where numbers are defined, in the project.
    banner
        Ready HTML above everything, from :func:`simulated_banner`.
    """
    from plotly.offline import get_plotlyjs

    made = [(each, each.html(inputs)) for each in parts_in(sections, "SECTION")]
    made = [(each, html) for each, html in made if html]
    links = "".join(f'<a href="#{each.identifier}">{each.title}</a>' for each, _ in made)
    body = "\n".join(section(each.identifier, each.title, html) for each, html in made)
    shown = "".join(f"<div><dt>{name}</dt><dd>{kept(value)}</dd></div>" for name, value in facts.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{plain(title)}</title>
<style>{STYLE_SHEET}</style>
<script>{get_plotlyjs()}</script>
<script>{NARROW_SCRIPT}</script>
</head>
<body>
{banner}
<header>
<h1>{plain(title)}</h1>
<p class="lead">{plain(lead)}</p>
<dl class="facts">{shown}</dl>
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer><p>Definitions of every number, its unit and its limits: {definitions} of the project.
Not investment advice.</p></footer>
<script>{_RESIZE}</script>
</body>
</html>
"""


def simulated_banner(head: str, which: str, rest: str) -> str:
    """A line that stays in view: a heading, which bars are simulated (not on narrow screens), and what that means."""
    return (
        f'<div class="simulated" role="note"><strong>{head}</strong> · <span class="more">{plain(which)} </span>'
        f"{plain(rest)}</div>"
    )
