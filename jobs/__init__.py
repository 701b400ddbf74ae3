"""Jobs: which assets are made together."""

from jobs.asset_jobs import desk, ingest, judge, prepare, research, train, tune

__all__ = ["desk", "ingest", "judge", "prepare", "research", "train", "tune"]
