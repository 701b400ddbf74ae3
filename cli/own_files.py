"""The user's own strategies, features and model families that can't be used, and why."""

from pipeline.features.registry import feature_faults
from pipeline.learning.models.registry import family_faults
from pipeline.plugins import Fault
from pipeline.strategy.registry import strategy_faults

__all__ = ["own_faults"]


def own_faults() -> list[Fault]:
    """Return the faults of all files of the user's own, in the order of the folders."""
    return [*strategy_faults(), *feature_faults(), *family_faults()]
