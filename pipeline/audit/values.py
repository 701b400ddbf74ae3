"""Values that no model can take: infinite, never there, not computed at all."""

from collections.abc import Mapping

import numpy as np

from pipeline.audit.report import Finding
from pipeline.audit.tables import RawTable
from pipeline.features import Feature, FeatureInputs, history_needed
from pipeline.features.registry import RESERVED_NAMES

__all__ = ["check_values"]


def check_values(inputs: FeatureInputs, features: Mapping[str, Feature], whole: RawTable) -> list[Finding]:
    """Features that fail, are infinite or are missing throughout although the history suffices; forbidden names."""
    findings = []
    needed = history_needed(inputs, features=features)
    for name in features:
        if name in RESERVED_NAMES:
            cause = "a label or candidate column among the features; leave it out"
            findings.append(Finding("separation", name, "every row", "no such column", name, cause))
        if name in whole.failed:
            cause = "the feature's function raises; see its message"
            findings.append(
                Finding("values", name, str(inputs.sessions[0].date()), "a value", whole.failed[name], cause)
            )
        if name in whole.infinite:
            sessions = whole.infinite[name]
            findings.append(
                Finding(
                    "values",
                    name,
                    str(sessions[0].date()),
                    "a number or missing",
                    f"infinite in {len(sessions)} sessions, last on {sessions[-1].date()}",
                    "a division by zero, or the logarithm of zero; let it be missing where it is undefined",
                )
            )
        elif name in whole.frame and len(inputs.sessions) >= needed[name] and np.isnan(whole.column(name)).all():
            findings.append(
                Finding(
                    "values",
                    name,
                    str(inputs.sessions[0].date()),
                    "a value",
                    f"missing in all {len(inputs.sessions)} sessions",
                    "never defined on this data (bars too long for its frames, no contract codes), or a wrong join",
                    severity="warning",
                )
            )
    return findings
