"""Small pieces of HTML; everything that comes from data passes through :func:`plain`."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["bullets", "cell", "plain", "row", "section", "table"]


def plain(text: object) -> str:
    """Text with what HTML would read as markup escaped, for the page and for labels in charts."""
    return escape(str(text))


def cell(content: str, kind: str = "", *, tag: str = "td", scope: str = "") -> str:
    """One table cell around ready HTML."""
    attributes = "".join(f' {name}="{value}"' for name, value in (("class", kind), ("scope", scope)) if value)
    return f"<{tag}{attributes}>{content}</{tag}>"


def row(cells: Iterable[str], kind: str = "") -> str:
    """One table row of ready cells."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<tr{attribute}>{''.join(cells)}</tr>"


def table(head: Sequence[str], body: Sequence[str], caption: str = "") -> str:
    """A table of ready header cells and rows, which scrolls sideways where it is too wide, its caption above."""
    # Not a caption element: that would be as wide as the table, and cut where the table is.
    title = f'<p class="note">{caption}</p>\n' if caption else ""
    lines = "\n".join(body)
    return (
        f'{title}<div class="scroll rows"><table><thead>{row(head)}</thead>\n<tbody>\n{lines}\n</tbody></table></div>'
    )


def bullets(items: Iterable[str]) -> str:
    """A list of ready HTML items."""
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def section(identifier: str, title: str, *content: str) -> str:
    """A section with its heading; ``identifier`` is where links lead."""
    inner = "\n".join(content)
    heading = f'<h2 id="{identifier}-title">{title}</h2>'
    return f'<section id="{identifier}" aria-labelledby="{identifier}-title">\n{heading}\n{inner}\n</section>'
