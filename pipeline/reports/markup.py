"""Small pieces of HTML; everything that comes from data passes through :func:`plain`."""

import re
from collections.abc import Collection, Iterable, Sequence
from html import escape

from pipeline.shown import shown

__all__ = [
    "both",
    "bullets",
    "cell",
    "folded",
    "group",
    "heads",
    "kept",
    "key",
    "named",
    "note",
    "numbers",
    "plain",
    "row",
    "section",
    "table",
]

_FIRST_WIDTH, _EVEN_WIDTH, _PAGE_WIDTH = 150, 104, 1080  # least pixels, and those of a wide page
_MOST_FIRST_WIDTH = 220


def plain(text: object) -> str:
    """Text with what HTML would read as markup escaped, for the page and for labels in charts."""
    return escape(shown(str(text), lines=True))


def kept(text: str) -> str:
    """Escaped text in which no line ends between a number and its percent sign, or a minus and its dollar."""
    return plain(text).replace(" %", "\N{NO-BREAK SPACE}%").replace("−$", "−\N{WORD JOINER}$")


def note(text: str, kind: str = "note") -> str:
    """A paragraph of ready HTML."""
    return f'<p class="{kind}">{text}</p>'


def cell(content: str, kind: str = "", *, tag: str = "td", scope: str = "") -> str:
    """One table cell around ready HTML."""
    attributes = "".join(f' {name}="{value}"' for name, value in (("class", kind), ("scope", scope)) if value)
    return f"<{tag}{attributes}>{content}</{tag}>"


def numbers(*texts: str) -> list[str]:
    """Cells of escaped text set to the right."""
    return [cell(plain(text), "number") for text in texts]


def both(value: str, below: str = "", *, words: bool = False, color: str = "") -> str:
    """One table cell that holds a number and, below it, its interval or share, or a few ``words``."""
    ends = (
        _dates_kept(plain(below)) if words else " to ".join(f"<span>{plain(end)}</span>" for end in below.split(" to "))
    )
    text = f'<span style="color:{color};font-weight:600">{plain(value)}</span>' if color else plain(value)
    return cell(text + (f'<div class="interval">{ends}</div>' if below else ""), "both")


def _dates_kept(text: str) -> str:
    return re.sub(r"(?<=\d)-(?=\d)", "\N{NON-BREAKING HYPHEN}", text)


def key(color: str) -> str:
    """A square of a strategy's colour, before its name."""
    return f'<span class="key" style="background:{color}"></span>'


def named(color: str, name: str) -> str:
    """A strategy's colour and its name."""
    return key(color) + plain(name)


def heads(*names: str, kind: str = "number", left: Collection[str] = ()) -> list[str]:
    """Header cells of ready HTML, all but the first and those to the ``left`` set as their ``kind`` of column."""
    first, *others = names
    return [
        cell(first, tag="th", scope="col" if first else ""),
        *(cell(name, "" if name in left else kind, tag="th", scope="col") for name in others),
    ]


def row(name: str, cells: Iterable[str], *, kind: str = "", head: str = "") -> str:
    """One table row: its name as ready HTML, which is of the kind ``head``, and ready cells."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<tr{attribute}>{cell(name, head, tag='th', scope='row')}{''.join(cells)}</tr>"


def group(name: str, columns: int) -> str:
    """One table row that is the heading of those below it."""
    return f'<tr class="group"><th colspan="{columns}" scope="colgroup">{name}</th></tr>'


def table(head: Sequence[str], body: Iterable[str], caption: str = "", *, even: bool = False) -> str:
    """A table of ready header cells and rows, which scrolls sideways where it is too wide, its caption above.

    ``even`` columns share what width the first one leaves.
    """
    # Not a caption element: that would be as wide as the table, and cut where the table is.
    title = f"{note(caption)}\n" if caption else ""
    lines = "\n".join(body)
    others = _EVEN_WIDTH * (len(head) - 1)
    first = min(_MOST_FIRST_WIDTH, max(_FIRST_WIDTH, _PAGE_WIDTH - others))
    kind = f' class="even" style="min-width:{first + others}px;--first:{first}px"' if even else ""
    inner = f"<table{kind}><thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"
    return f'{title}<div class="scroll rows">{inner}</div>'


def bullets(items: Iterable[str]) -> str:
    """A list of ready HTML items."""
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def folded(summary: str, content: str, *, shown: bool = False) -> str:
    """Ready HTML below a line that opens and closes it."""
    return f"<details{' open' if shown else ''}><summary>{summary}</summary>{content}</details>"


def section(identifier: str, title: str, content: str) -> str:
    """A section with its heading; ``identifier`` is where links lead."""
    heading = f'<h2 id="{identifier}-title">{title}</h2>'
    return f'<section id="{identifier}" aria-labelledby="{identifier}-title">\n{heading}\n{content}\n</section>'
