"""The outside world, wrapped: bar source, Parquet store, settings, MLflow."""

from resources.bar_source import BarSource
from resources.mlflow_tracking import MLflowTracking, TrackedRun
from resources.parquet_store import ParquetStore, PartitionedFrames
from resources.research_settings import ResearchSettings

__all__ = ["BarSource", "MLflowTracking", "ParquetStore", "PartitionedFrames", "ResearchSettings", "TrackedRun"]
