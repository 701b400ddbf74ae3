"""Features of a symbol and the volatility index they may use; labels, sequences and the training set of a book."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from assets.declared import OWNERS, of_book, of_symbol
from assets.groups import FEATURES
from assets.own_features import OWN_FEATURES, own_and_built_in, own_features_check, without
from assets.partitions import user_errors
from assets.tables import table
from pipeline.audit import AuditReport, Finding, audit_folds, audit_separation, auditing
from pipeline.books import REFUSED
from pipeline.chain import make_training_set, sound_features
from pipeline.errors import DataError
from pipeline.features import FeatureInputs, registered
from pipeline.features.description import correlation_clusters, describe_features
from pipeline.features.sequences import sequence_features
from pipeline.home import expanded, vpoc_home
from pipeline.learning import CombinatorialPurged, PurgedWalkForward, candidate_labels
from pipeline.learning.models import TRAINING_META
from pipeline.made_under import made_under, require_same_settings
from pipeline.market.daily_series import read_daily_series
from pipeline.reports.pictures import correlation_picture, drift_picture
from resources import BarSource, ResearchSettings

__all__ = ["features", "labels", "sequences", "training_set", "volatility_index"]

MOST_DRIFTED = 25
AUDITED_SESSIONS = 504
# Beside the rare days.
CUTOFFS = 2
FEWEST_AUDITED = 3


@dg.asset(group_name=FEATURES, owners=OWNERS, kinds={"parquet"}, code_version="1")
def volatility_index(context: dg.AssetExecutionContext, settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """Daily closes of the VIX from the file named in settings.yaml; without one it is empty, its features left out."""
    with user_errors():
        path = settings.load().volatility_index
        if path is None:
            context.log.info("no volatility_index in settings.yaml: features that need the VIX will be absent")
            frame = pd.DataFrame({"timestamp": pd.DatetimeIndex([]).as_unit("ns"), "close": pd.Series(dtype=float)})
        else:
            frame = read_daily_series(vpoc_home().root / expanded(path))
    return dg.Output(frame, metadata={"dagster/row_count": len(frame), "path": path or "none set"})


@dg.asset(
    **of_symbol(FEATURES, "pandas", "1"),
    output_required=False,
    check_specs=[
        dg.AssetCheckSpec(
            "no_look_ahead",
            asset="features",
            blocking=True,
            description="features of the last two years recomputed on data cut off on rare days and others are the "
            "same, to the bit (vpoc audit); others are not stored",
        ),
        dg.AssetCheckSpec(
            OWN_FEATURES,
            asset="features",
            description="your own features neither fail nor look ahead; one that does is left out",
        ),
    ],
)
def features(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    volatility_index: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Every registered feature at each session's close (see docs/feature_dictionary.md)."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        require_same_settings({"bar_history": bar_history}, chosen, dataset)
        vix = volatility_index if len(volatility_index) else None
        with auditing(
            bar_history, dataset.instrument, chosen, of="features", vix=vix, sessions=AUDITED_SESSIONS, cutoffs=CUTOFFS
        ) as audited:
            inputs = FeatureInputs.from_bars(bar_history, dataset.instrument, chosen.history, vix=vix)
            frame, failed = sound_features(inputs, chosen.features.chosen())
            report = audited() if len(inputs.sessions) >= FEWEST_AUDITED else None
    leaking, errors = own_and_built_in(report.findings if report is not None else ())
    refused = {**leaking, **failed}
    frame = without(frame, refused)
    frame.attrs = {**made_under("features", chosen, dataset), REFUSED: sorted(refused)}
    yield own_features_check("features", refused)
    check = _no_look_ahead(report, errors, "features")
    yield check
    if check.passed:
        yield dg.Output(frame, metadata=_described(frame, dataset.title))


def _described(frame: pd.DataFrame, title: str) -> dict[str, Any]:
    described = describe_features(frame)
    absent = sorted(set(registered()) - set(frame.columns))
    clusters = correlation_clusters(frame)
    return {
        "dagster/row_count": len(frame),
        "features": frame.shape[1],
        "absent": ", ".join(absent) or "none",
        "missing": table(described.sort_values("missing", ascending=False).head(MOST_DRIFTED).reset_index()),
        "drift": table(described.sort_values("drift", ascending=False).head(MOST_DRIFTED).reset_index()),
        "distributions": dg.MetadataValue.md(
            drift_picture(frame, described["drift"], f"{title}: the most drifted features")
        ),
        "say_the_same": dg.MetadataValue.json(clusters),
        "correlations": dg.MetadataValue.md(correlation_picture(frame, f"{title}: correlations of features")),
    }


@dg.asset(**of_book(FEATURES, "numba", "1", "bar_history"))
def labels(
    context: dg.AssetExecutionContext, bar_history: pd.DataFrame, candidates: pd.DataFrame, settings: ResearchSettings
) -> dg.Output[pd.DataFrame]:
    """Each candidate's outcome, traded on its own under the backtest's fill rules; when it was decided and known."""
    with user_errors():
        book = settings.book(context.partition_key)
        book.require_same(bar_history=bar_history, candidates=candidates)
        frame = candidate_labels(
            bar_history,
            candidates,
            book.instrument,
            book.settings.account_for(book.instrument),
            hours=book.settings.history.hours,
        )
    frame.attrs = book.made_under("labels")
    ends = frame.groupby(["status", "reason"]).size().rename("candidates").reset_index()
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "filled": int(frame["filled"].sum()),
            "share_above_zero": float(frame["label"].mean()),
            "mean_r": float(frame["r_multiple"].mean()),
            "ends": table(ends),
        },
    )


@dg.asset(**of_book(FEATURES, "pandas", "1", "bar_history", "profile_history", "session_history"))
def sequences(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    profile_history: pd.DataFrame,
    session_history: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Past sessions, weeks and half hours as known when each candidate was decided (see docs/sequences.md)."""
    with user_errors():
        book = settings.book(context.partition_key)
        book.require_same(
            bar_history=bar_history,
            profile_history=profile_history,
            session_history=session_history,
            candidates=candidates,
        )
        inputs = FeatureInputs(bar_history, profile_history, session_history, book.instrument, book.settings.history)
        frame = sequence_features(inputs, candidates)
    frame.attrs = book.made_under("sequences")
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "columns": frame.shape[1],
            "missing": float(frame.isna().to_numpy().mean()) if frame.size else 0.0,
        },
    )


@dg.asset(
    **of_book(FEATURES, "pandas", "1", "features", "bar_history"),
    output_required=False,
    check_specs=[
        dg.AssetCheckSpec(
            "clean_for_learning",
            asset="training_set",
            blocking=True,
            description="no feature is a label in disguise; no training label interval meets a test interval; a set "
            "that is not clean is not stored",
        ),
        dg.AssetCheckSpec(
            "no_look_ahead",
            asset="training_set",
            blocking=True,
            description="labels, sequences and splits of the last two years recomputed on "
            "data cut off on rare days and others are the same, to the bit (vpoc audit)",
        ),
        dg.AssetCheckSpec(
            OWN_FEATURES,
            asset="training_set",
            description="none of your own features is a label in disguise; one that is, is left out",
        ),
    ],
)
def training_set(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    features: pd.DataFrame,
    labels: pd.DataFrame,
    rule_signals: pd.DataFrame,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """One row per candidate that became a trade: side-aware features, label, times for purging, and weight."""
    with user_errors():
        book = settings.book(context.partition_key)
        book.require_same(bar_history=bar_history, features=features, labels=labels, rule_signals=rule_signals)
        with auditing(
            bar_history, book.instrument, book.settings, of="labels", sessions=AUDITED_SESSIONS, cutoffs=CUTOFFS
        ) as audited:
            frame = make_training_set(rule_signals, features, labels)
            report = audited() if len(features) >= FEWEST_AUDITED else None
    names = [name for name in frame.columns if name not in TRAINING_META]
    found = audit_separation(frame[names], frame[["label", "r_multiple", "net"]], frame["side"])
    disguised, telling = own_and_built_in(found)
    frame = without(frame, disguised)
    refused = sorted({*features.attrs.get(REFUSED, ()), *disguised})
    frame.attrs = {**book.made_under("training_set"), REFUSED: refused}
    names = [name for name in names if name in frame.columns]
    metadata: dict[str, Any] = {"dagster/row_count": len(frame), "features": len(names)}
    if len(frame):
        metadata |= {
            "share_above_zero": float(frame["label"].mean()),
            "mean_uniqueness": float(frame["weight"].mean()),
            "first": str(frame["start"].iloc[0]),
            "last": str(frame["end"].max()),
        }
    yield own_features_check("training_set", disguised)
    errors = [finding for finding in report.findings if finding.severity == "error"] if report is not None else []
    checks = [_clean_for_learning(frame, telling), _no_look_ahead(report, errors, "training_set")]
    yield from checks
    if all(check.passed for check in checks):
        yield dg.Output(frame, metadata=metadata)


def _no_look_ahead(report: AuditReport | None, errors: Sequence[Finding], asset: str) -> dg.AssetCheckResult:
    if report is None:
        said = f"not judged: fewer than {FEWEST_AUDITED} sessions leave nothing to cut off"
        return dg.AssetCheckResult(check_name="no_look_ahead", asset_key=asset, passed=True, description=said)
    first = errors[0] if errors else None
    return dg.AssetCheckResult(
        check_name="no_look_ahead",
        asset_key=asset,
        passed=not errors,
        description=f"{first.check}: {first.feature}, first at {first.row}: {first.advice}" if first else "",
        metadata={
            "cutoffs": ", ".join(str(session.date()) for session in report.cutoffs),
            "features_replayed": len(report.judged),
            "not_judged": dg.MetadataValue.json(dict(report.skipped)),
            "findings": table(report.table().astype(str).head(MOST_DRIFTED)),
        },
    )


def _clean_for_learning(frame: pd.DataFrame, telling: Sequence[Finding]) -> dg.AssetCheckResult:
    """No feature is a label in disguise, and the project's splitters keep the labels' times apart."""
    findings = list(telling)
    splitters = (PurgedWalkForward(5), CombinatorialPurged(6, 2))
    small = ""
    for splitter in splitters:
        try:
            findings += audit_folds(splitter, frame[["start", "end"]])
        except DataError as error:
            small = str(error)  # too few rows for this many folds: said, and no reason to stop
    return dg.AssetCheckResult(
        check_name="clean_for_learning",
        asset_key="training_set",
        passed=not findings,
        description="; ".join(f"{finding.feature}: {finding.likely_cause}" for finding in findings[:3]) or small,
    )
