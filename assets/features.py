"""Features, labels and the training set, by symbol; and the volatility index they may use."""

from typing import Any

import dagster as dg
import pandas as pd

from assets.partitions import SYMBOLS, WHOLE_HISTORY, concatenated, user_errors
from assets.tables import table
from pipeline.features import FeatureInputs, build_features, candidate_features, registered
from pipeline.features.description import correlation_clusters, describe_features
from pipeline.home import expanded, vpoc_home
from pipeline.learning import average_uniqueness, candidate_labels
from pipeline.market import Instrument
from pipeline.market.daily_series import read_daily_series
from pipeline.reports.pictures import correlation_picture
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["features", "labels", "training_set", "volatility_index"]

GROUP = "features"
OWNERS = ["team:research"]
WHOLE = dg.AssetIn(partition_mapping=WHOLE_HISTORY, metadata={"allow_missing_partitions": True})
MOST_DRIFTED = 25


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"parquet"}, code_version="1")
def volatility_index(context: dg.AssetExecutionContext, settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """The VIX by day, from the file that the settings name; empty where they name none, and its features absent."""
    with user_errors():
        path = settings.load().volatility_index
        if path is None:
            context.log.info("no volatility_index in settings.yaml: features that need the VIX will be absent")
            frame = pd.DataFrame({"timestamp": pd.DatetimeIndex([]).as_unit("ns"), "close": pd.Series(dtype=float)})
        else:
            frame = read_daily_series(vpoc_home().root / expanded(path))
    return dg.Output(frame, metadata={"dagster/row_count": len(frame), "path": path or "none set"})


@dg.asset(
    ins={"bars": WHOLE},
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "pandas"},
    code_version="1",
)
def features(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    volatility_index: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Every registered feature at each session's close (docs/feature_dictionary.md)."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        inputs = feature_inputs(concatenated(bars, dataset, "bars"), dataset.instrument, settings, volatility_index)
        frame = build_features(inputs)
    frame.attrs = {"source": dataset.identity}
    described = describe_features(frame)
    absent = sorted(set(registered()) - set(frame.columns))
    clusters = correlation_clusters(frame)
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "features": frame.shape[1],
            "absent": ", ".join(absent) or "none",
            "missing": table(described.sort_values("missing", ascending=False).head(MOST_DRIFTED).reset_index()),
            "drift": table(described.sort_values("drift", ascending=False).head(MOST_DRIFTED).reset_index()),
            "say_the_same": dg.MetadataValue.json(clusters),
            "correlations": dg.MetadataValue.md(correlation_picture(frame, f"{dataset.key}: correlations of features")),
        },
    )


@dg.asset(
    ins={"bars": WHOLE},
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "numba"},
    code_version="1",
)
def labels(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    candidates: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Each candidate's outcome, traded alone by the backtest's own fills, with when it was decided and known."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        frame = candidate_labels(
            concatenated(bars, dataset, "bars"),
            candidates,
            dataset.instrument,
            chosen.account_for(dataset.instrument),
            hours=chosen.strategy.hours,
        )
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


@dg.asset(partitions_def=SYMBOLS, group_name=GROUP, owners=OWNERS, kinds={"parquet", "pandas"}, code_version="1")
def training_set(
    candidates: pd.DataFrame, features: pd.DataFrame, labels: pd.DataFrame, rule_signals: pd.DataFrame
) -> dg.Output[pd.DataFrame]:
    """A row a candidate that became a trade: side-aware features, label, times for purging, and weight."""
    with user_errors():
        rows = candidate_features(candidates, features)
        known = labels["filled"] & labels["end"].notna()
        frame = rows[known].copy()
        outcome = labels.loc[known, ["start", "end", "label", "r_multiple", "net"]]
        weight = average_uniqueness(outcome["start"], outcome["end"])
    frame = pd.concat(
        [
            candidates.loc[known, ["session", "decided_on", "side"]],
            outcome,
            rule_signals.loc[known, ["rule_signal"]],
            frame,
        ],
        axis=1,
    ).assign(weight=weight)
    metadata: dict[str, Any] = {"dagster/row_count": len(frame), "features": rows.shape[1]}
    if len(frame):
        metadata |= {
            "share_above_zero": float(frame["label"].mean()),
            "mean_uniqueness": float(frame["weight"].mean()),
            "first": str(frame["start"].iloc[0]),
            "last": str(frame["end"].max()),
        }
    return dg.Output(frame, metadata=metadata)


def feature_inputs(
    bars: pd.DataFrame, instrument: Instrument, settings: ResearchSettings, volatility_index: pd.DataFrame
) -> FeatureInputs:
    """What features are made of; without the VIX where there is none."""
    vix = volatility_index if len(volatility_index) else None
    return FeatureInputs.from_bars(bars, instrument, settings.load().strategy, vix=vix)
