"""When jobs run by themselves."""

from schedules.nightly import nightly_schedules
from schedules.research_after_ingest import research_after_ingest

__all__ = ["nightly_schedules", "research_after_ingest"]
