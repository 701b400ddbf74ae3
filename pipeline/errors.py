"""The errors a user can mend: each text is one sentence that names the place and says what to do."""

__all__ = ["ConfigurationError", "DataError", "PipelineError", "UnknownSymbolError"]


class PipelineError(ValueError):
    """A mistake the user can mend; programs show its text without a traceback."""


class ConfigurationError(PipelineError):
    """A setting that is impossible or missing."""


class DataError(PipelineError):
    """Data that cannot be read or used as it is."""


class UnknownSymbolError(PipelineError):
    """A symbol that no instrument is defined for."""
