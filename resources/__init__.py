"""The outside world, wrapped: bar source, Parquet store, settings, compute device, MLflow."""

from resources.bar_source import BarSource
from resources.compute import ComputeDevice, training_pool
from resources.mlflow_tracking import MLflowTracking, TrackedRun, TrackedTraining
from resources.parquet_store import BacktestStore, ParquetStore, PartitionedBacktests, PartitionedFrames
from resources.research_settings import ResearchSettings

__all__ = [
    "BacktestStore",
    "BarSource",
    "ComputeDevice",
    "MLflowTracking",
    "ParquetStore",
    "PartitionedBacktests",
    "PartitionedFrames",
    "ResearchSettings",
    "TrackedRun",
    "TrackedTraining",
    "training_pool",
]
