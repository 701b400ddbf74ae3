"""The audit: proof by replay that nothing a model learns from knows the future."""

from pipeline.audit.cutoffs import last_sessions
from pipeline.audit.fit_rows import FitLog, FitSpy, audit_fit_rows, spied
from pipeline.audit.folds import audit_folds
from pipeline.audit.report import AuditReport, Finding
from pipeline.audit.run import audit
from pipeline.audit.separation import AUC_LIMIT, CORRELATION_LIMIT, audit_labels, audit_separation

__all__ = [
    "AUC_LIMIT",
    "CORRELATION_LIMIT",
    "AuditReport",
    "Finding",
    "FitLog",
    "FitSpy",
    "audit",
    "audit_fit_rows",
    "audit_folds",
    "audit_labels",
    "audit_separation",
    "last_sessions",
    "spied",
]
