"""The screen: rich's console, on which nothing that is printed can move the cursor or read as markup."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from pipeline.shown import shown

__all__ = ["Console"]


class Console(RichConsole):
    """Prints text as it is, but for control characters: names from files, contracts and paths come in most lines.

    A line with colours asks for it by ``markup=True``, and holds no such name.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, **options})

    def sentence(self, text: str | Text) -> None:
        """Print text that a terminal shows wrapped between words, and a file gets as it is, one line per paragraph.

        A path or an address that is longer than the window stays whole.
        """
        self.print(text, soft_wrap=not self.is_terminal, overflow="ignore", crop=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make rich's text, escaped before its width is measured."""
        return super().render_str(shown(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, and escape what a text made elsewhere holds; rich's own codes are none of it."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(shown(segment.text, lines=True), segment.style)
