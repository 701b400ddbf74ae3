"""Jobs: which assets are made together."""

from jobs.ingest import ingest
from jobs.judge import judge
from jobs.research import research
from jobs.train import train
from jobs.tune import tune

__all__ = ["ingest", "judge", "research", "train", "tune"]
