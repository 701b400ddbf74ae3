"""Models on bars that nothing was made of yet: each family trained, its folds replayed, its labels shuffled."""

from collections.abc import Callable

import pandas as pd

from pipeline.audit.chain_replay import WholeRun, check_chain, folds_of
from pipeline.audit.permutation import check_permutation
from pipeline.audit.report import AuditReport, Finding
from pipeline.chain import make_chain
from pipeline.learning.compute import Compute
from pipeline.learning.walk_forward import too_few_rows
from pipeline.market import Instrument
from pipeline.modelling import walk_family
from pipeline.settings import Settings

__all__ = ["audit_models"]


def audit_models(
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: Settings,
    *,
    vix: pd.DataFrame | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> AuditReport:
    """Train the settings' families, and cut the bars off at the first decision of each fold.

    On the processor, where a training gives the same bits each time. A family that tunes itself inside each fold is
    left to the check of its own training.

    Parameters
    ----------
    bars, instrument, settings
        As for :func:`pipeline.chain.make_chain`.
    vix
        Daily VIX rows.
    progress
        Called as (steps done, steps in all, what was done).

    Returns
    -------
    AuditReport
        Findings of ``chain`` and ``permutation``; ``families`` and ``folds`` say what was replayed, ``skipped`` what
        was not.
    """
    nested = [family for family in settings.models.families if family in settings.tuning.nested]
    families = [family for family in settings.models.families if family not in nested]
    skipped = dict.fromkeys(nested, "it tunes itself inside each fold; the check of its training replays it")
    if not families:
        return AuditReport((), skipped=skipped)
    chain = make_chain(bars, instrument, settings, vix=vix)
    inputs = chain.learning_inputs(instrument.symbol)
    selection, seed, compute = settings.models, settings.seed, Compute(threads=settings.compute.threads)
    if why := too_few_rows(inputs.rows("features", selection.weights), selection.splitter()):
        return AuditReport((), skipped={**skipped, **dict.fromkeys(families, why)})
    total, done = 2 * len(families) + selection.splits, 0

    def tell(what: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, what)

    findings: list[Finding] = []
    predictions = {}
    for family in families:
        predictions[family] = walk_family(inputs, selection, family, seed=seed, compute=compute).predictions
        tell(f"{family} trained")
        findings += check_permutation(inputs, selection, family, seed=seed, compute=compute).findings(family)
        tell(f"{family} on shuffled labels")
    whole = WholeRun(bars, instrument, settings, chain.signals, inputs, predictions, vix)
    folds = folds_of(predictions[families[0]])
    for fold in folds:
        findings += check_chain(whole, fold, compute=compute)
        tell(f"the chain to fold {fold}")
    return AuditReport(tuple(findings), skipped=skipped, families=tuple(families), folds=len(folds))
