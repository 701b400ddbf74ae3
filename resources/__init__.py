"""The outside world, wrapped: bar source, Parquet store, settings, compute device, MLflow."""

from resources.bar_source import BarSource
from resources.compute import ComputeDevice, training_pool
from resources.mlflow_tracking import MLflowTracking, TrackedRun, TrackedTraining
from resources.parquet_store import ParquetStore, PartitionedFrames
from resources.research_settings import ResearchSettings

__all__ = [
    "BarSource",
    "ComputeDevice",
    "MLflowTracking",
    "ParquetStore",
    "PartitionedFrames",
    "ResearchSettings",
    "TrackedRun",
    "TrackedTraining",
    "training_pool",
]
