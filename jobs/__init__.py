"""Jobs: which assets are made together."""

from jobs.asset_jobs import ingest, judge, prepare, research, train, tune

__all__ = ["ingest", "judge", "prepare", "research", "train", "tune"]
