"""What the audit found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pandas as pd

__all__ = ["AuditReport", "Finding", "Severity"]

Severity = Literal["error", "warning"]

_COLUMNS = ("severity", "check", "feature", "row", "expected", "got", "likely_cause")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    check
        Which check found it: ``truncation``, ``warmup``, ``incremental``, ``rolls``, ``external``, ``values``,
        ``separation``, ``labels``, ``candidates``, ``folds``, ``chain``, ``permutation``, ``signals``, ``fills``.
    feature
        The column; for folds the splitter and its split; of a model its family, with ``score`` or ``threshold``.
    row
        The first row that differs: its session (2021-03-15), or its label.
    expected, got
        What was to be there (for a replay: what was known then) and what is (with all data).
    likely_cause
        One sentence.
    severity
        ``error``: the future is known, or a number can't be relied on. ``warning``: worth a look.
    """

    check: str
    feature: str
    row: str
    expected: float | str
    got: float | str
    likely_cause: str
    severity: Severity = "error"

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.feature}, first at {self.row}: expected {self.expected}, got {self.got}: {self.likely_cause}"


@dataclass(frozen=True)
class AuditReport:
    """What was audited, and every finding, errors first.

    Attributes
    ----------
    findings
        Empty where nothing is wrong.
    judged
        Names of the features that were replayed.
    skipped
        What could not be judged -> why, so that silence is never taken for a proof.
    cutoffs
        Sessions at whose closes the data was cut off.
    sessions
        How many sessions the data has.
    families, folds
        Model families whose chain was replayed, and at the first decision of how many folds.
    """

    findings: tuple[Finding, ...]
    judged: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    cutoffs: tuple[pd.Timestamp, ...] = ()
    sessions: int = 0
    families: tuple[str, ...] = ()
    folds: int = 0

    def joined(self, models: "AuditReport") -> "AuditReport":
        """With what the audit of the models found."""
        findings = sorted((*self.findings, *models.findings), key=lambda finding: finding.severity == "warning")
        skipped = {**self.skipped, **models.skipped}
        return replace(self, findings=tuple(findings), skipped=skipped, families=models.families, folds=models.folds)

    @property
    def passed(self) -> bool:
        """Whether there is no error among the findings."""
        return not any(finding.severity == "error" for finding in self.findings)

    def table(self) -> pd.DataFrame:
        """A row a finding: severity, check, feature, row, expected, got, likely_cause."""
        return pd.DataFrame([asdict(finding) for finding in self.findings], columns=list(_COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON; a missing number is None."""
        findings = [
            {name: None if value != value else value for name, value in asdict(finding).items()}
            for finding in self.findings
        ]
        return {
            "passed": self.passed,
            "sessions": self.sessions,
            "cutoffs": [str(session.date()) for session in self.cutoffs],
            "judged": list(self.judged),
            "families": list(self.families),
            "folds": self.folds,
            "skipped": dict(self.skipped),
            "findings": findings,
        }
