"""Features: what is known at each session's close, for models to learn from."""

from pipeline.features.anchors import anchor_warmup, anchored, chain_contracts
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import Feature, FeatureRegistry, feature, registered
from pipeline.features.table import (
    build_features,
    candidate_features,
    history_needed,
    require_history,
    update_features,
)

__all__ = [
    "Feature",
    "FeatureInputs",
    "FeatureRegistry",
    "anchor_warmup",
    "anchored",
    "build_features",
    "candidate_features",
    "chain_contracts",
    "feature",
    "history_needed",
    "registered",
    "require_history",
    "update_features",
]
