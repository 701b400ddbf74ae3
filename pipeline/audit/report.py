"""The audit's report: findings, their severity and the advice that goes with them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pandas as pd

__all__ = ["AuditReport", "Finding", "Severity", "defect_sentence"]

Severity = Literal["error", "warning"]

_COLUMNS = ("severity", "check", "feature", "row", "expected", "got", "likely_cause")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    check
        Which check found it: ``truncation``, ``warmup``, ``incremental``, ``rolls``, ``external``, ``values``,
        ``separation``, ``labels``, ``candidates``, ``folds``, ``chain``, ``permutation``, ``signals``, ``choice``,
        ``fills``.
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
    built_in
        Where the column comes with the program, its place in the code; empty for a user's own.
    """

    check: str
    feature: str
    row: str
    expected: float | str
    got: float | str
    likely_cause: str
    severity: Severity = "error"
    built_in: str = ""

    @property
    def is_defect(self) -> bool:
        """Return True for an error in a column that comes with the program."""
        return bool(self.built_in) and self.severity == "error"

    @property
    def advice(self) -> str:
        """Say what to do about it: a defect of the program is not for its user to track down."""
        return defect_sentence([self]) if self.is_defect else self.likely_cause

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.feature}, first at {self.row}: expected {self.expected}, got {self.got}: {self.advice}"


def defect_sentence(findings: Sequence[Finding]) -> str:
    """Say what to do about errors in columns that come with the program."""
    names = list(dict.fromkeys(finding.feature for finding in findings))
    places = ", ".join(dict.fromkeys(finding.built_in for finding in findings))
    one = len(names) == 1
    return (
        f"{', '.join(names)} {'comes' if one else 'come'} with this program ({places}): unless you changed that code, "
        f"this is a defect of the program, not of your data or settings. To go on without {'it' if one else 'them'}, "
        f"set 'features: {{leave_out: [{', '.join(names)}]}}' in settings.yaml; and please report it with what "
        "'vpoc audit --json' prints"
    )


@dataclass(frozen=True)
class AuditReport:
    """Everything that was audited, and every finding, errors first.

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
        """Return this report joined with that of the models' audit."""
        findings = sorted((*self.findings, *models.findings), key=lambda finding: finding.severity == "warning")
        skipped = {**self.skipped, **models.skipped}
        return replace(self, findings=tuple(findings), skipped=skipped, families=models.families, folds=models.folds)

    @property
    def passed(self) -> bool:
        """Return True if no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def table(self) -> pd.DataFrame:
        """A row a finding: severity, check, feature, row, expected, got, likely_cause."""
        return pd.DataFrame([asdict(finding) for finding in self.findings], columns=list(_COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON; a missing number is None."""
        findings = [
            {name: None if value != value else value for name, value in asdict(finding).items()}
            | {"advice": finding.advice}
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
