"""The audit: proof by replay that nothing a model learns from knows the future."""

from pipeline.audit.chain_replay import WholeRun, check_chain, folds_of
from pipeline.audit.choice_replay import check_choice_replay
from pipeline.audit.cutoffs import last_sessions, rare_days
from pipeline.audit.folds import audit_folds
from pipeline.audit.model_audit import audit_models
from pipeline.audit.permutation import Permutation, check_permutation
from pipeline.audit.report import AuditReport, Finding
from pipeline.audit.run import audit, audit_trading, auditing
from pipeline.audit.separation import AUC_LIMIT, CORRELATION_LIMIT, audit_labels, audit_separation
from pipeline.audit.trading_replay import check_fill_replay, check_signal_replay, fill_cutoffs, signal_cutoffs
from pipeline.audit.training_proof import TrainingProof, prove_training, proving_training

__all__ = [
    "AUC_LIMIT",
    "CORRELATION_LIMIT",
    "AuditReport",
    "Finding",
    "Permutation",
    "TrainingProof",
    "WholeRun",
    "audit",
    "audit_folds",
    "audit_labels",
    "audit_models",
    "audit_separation",
    "audit_trading",
    "auditing",
    "check_chain",
    "check_choice_replay",
    "check_fill_replay",
    "check_permutation",
    "check_signal_replay",
    "fill_cutoffs",
    "folds_of",
    "last_sessions",
    "prove_training",
    "proving_training",
    "rare_days",
    "signal_cutoffs",
]
