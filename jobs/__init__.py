"""Jobs: which assets are made together."""

from jobs.ingest import ingest
from jobs.research import research

__all__ = ["ingest", "research"]
