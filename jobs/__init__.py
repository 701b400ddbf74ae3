"""Jobs: which assets are made together."""

from jobs.asset_jobs import ingest, judge, research, train, tune

__all__ = ["ingest", "judge", "research", "train", "tune"]
