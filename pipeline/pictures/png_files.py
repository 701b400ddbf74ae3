"""Figures as PNG files, and these as Markdown for pages where no script may run."""

import base64
import io
from typing import TYPE_CHECKING

from pipeline.shown import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "picture_markdown", "png"]


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches."""
    # Figure itself, not pyplot: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure


def png(figure: "Figure", *, label_size: float = 8) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(shown(text.get_text(), lines=True))
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=label_size)
    buffer = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # dollars are money, and a name may hold any character
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def picture_markdown(picture: bytes, alternative: str) -> str:
    """Markdown with the PNG inside, for asset metadata."""
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(picture).decode()})"
