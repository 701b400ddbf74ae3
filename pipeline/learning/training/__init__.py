"""The training core of the torch families: one loop, on any device, that can be repeated, resumed and explained."""

from pipeline.learning.training.settings import TrainingSettings

__all__ = ["TrainingSettings"]
