"""The errors a user can mend: each text is one sentence that names the place and says what to do."""

from pipeline.shown import shown

__all__ = ["ConfigurationError", "DataError", "PipelineError", "UnknownSymbolError"]


class PipelineError(ValueError):
    """A mistake the user can mend; programs show its text without a traceback.

    Names from files go into the text: it never carries a terminal's escapes.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(shown(text))


class ConfigurationError(PipelineError):
    """A setting that is impossible or missing."""


class DataError(PipelineError):
    """Data that cannot be read or used as it is."""


class UnknownSymbolError(PipelineError):
    """A symbol that no instrument is defined for."""
