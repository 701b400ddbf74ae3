"""The user's own features that fail or look ahead: left out, told by name, file and line, and nothing else stops."""

from collections.abc import Iterable, Mapping

import dagster as dg
import pandas as pd

from pipeline.audit import Finding
from pipeline.features import registered

__all__ = ["OWN_FEATURES", "own_and_built_in", "own_features_check", "without"]

OWN_FEATURES = "own_features"


def own_and_built_in(findings: Iterable[Finding]) -> tuple[dict[str, str], list[Finding]]:
    """Split errors into what is wrong with each of the user's own features, and the findings about anything else."""
    known = registered()
    own: dict[str, str] = {}
    others = []
    for finding in findings:
        if finding.severity != "error":
            continue
        if finding.feature in known and not known[finding.feature].built_in:
            said = f"{finding.check}, first at {finding.row}: {finding.likely_cause}"
            own.setdefault(finding.feature, str(finding.got) if finding.check == "values" else said)
        else:
            others.append(finding)
    return own, others


def without(frame: pd.DataFrame, refused: Iterable[str]) -> pd.DataFrame:
    """Return a frame without these features and those that mirror them."""
    known = registered()
    left = {each for name in refused for each in (name, known[name].mirror)}
    return frame[[name for name in frame.columns if name not in left]]


def own_features_check(asset: str, refused: Mapping[str, str]) -> dg.AssetCheckResult:
    """Tell which of the user's own features are left out, where they are and why."""
    known = registered()
    said = (f"{name} ({known[name].place}) is left out: {why}" for name, why in refused.items())
    return dg.AssetCheckResult(
        check_name=OWN_FEATURES,
        asset_key=asset,
        passed=not refused,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(said),
    )
