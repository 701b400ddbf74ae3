"""The errors a user can fix: each text is one sentence that names the place and says what to do."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pipeline.shown import shown

__all__ = [
    "BooksError",
    "ChainError",
    "ConfigurationError",
    "DataError",
    "PipelineError",
    "UnknownSymbolError",
    "did_you_mean",
]


class PipelineError(ValueError):
    """A mistake the user can fix; programs show its text without a traceback.

    Names from files go into the text: it never carries a terminal's escapes.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(shown(text))


class ConfigurationError(PipelineError):
    """A setting that is impossible or missing."""


class DataError(PipelineError):
    """Data that cannot be read or used as it is."""


class ChainError(PipelineError):
    """A step of a chain of runs failed; the text is the step's own message."""


class BooksError(ChainError):
    """Books of a symbol that failed; all others are done.

    Attributes
    ----------
    failed
        What went wrong, by book.
    """

    def __init__(self, failed: Mapping[str, str], symbol: str) -> None:
        said = (why if name == symbol else f"book {name}: {why}" for name, why in failed.items())
        super().__init__("; ".join(said))
        self.failed = dict(failed)


class UnknownSymbolError(PipelineError):
    """A symbol that no instrument is defined for."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?``, to append to a sentence on an unknown name; empty where none is like it."""
    by_small = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), by_small, n=1, cutoff=0.6)
    return f"; did you mean {by_small[close[0]]}?" if close else ""
