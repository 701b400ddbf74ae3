"""Candidates, the gates' null pass rates and the rule signals."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from assets.declared import WHOLE, of_symbol
from assets.groups import SIGNALS
from assets.partitions import concatenated, user_errors
from assets.tables import table
from pipeline.audit import check_signal_replay, signal_cutoffs
from pipeline.made_under import made_under, require_same_settings
from pipeline.strategy import Seen, make_candidates, make_signals
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["candidates", "gate_null_rates", "rule_signals"]


@dg.asset(**of_symbol(SIGNALS, "pandas", "1"), ins={"bars": WHOLE})
def candidates(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    session_history: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Every order that the strategy would place, before its gates: those of all sessions and the coming one."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        require_same_settings({"session_history": session_history}, chosen, dataset)
        within = concatenated(bars, dataset, "bars") if chosen.strategy.decision_minutes() else None
        frame = make_candidates(session_history, dataset.instrument, chosen.rules, within)
    frame.attrs = made_under("candidates", chosen, dataset)
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "longs": int((frame["side"] > 0).sum()),
            "shorts": int((frame["side"] < 0).sum()),
            "next_orders": table(frame[frame["session"] == frame["session"].max()]),
        },
    )


@dg.asset(group_name=SIGNALS, owners=["team:research"], kinds={"parquet", "numpy"}, code_version="1")
def gate_null_rates(settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """How often each gate of the strategy passes where there is nothing to find."""
    with user_errors():
        chosen = settings.load()
        rates = chosen.strategy.null_rates(chosen.history, seed=chosen.seed)
    return dg.Output(rates, metadata={"rates": table(rates.reset_index())})


@dg.asset(
    **of_symbol(SIGNALS, "pandas", "1"),
    ins={"bars": WHOLE},
    check_specs=[
        dg.AssetCheckSpec(
            "signal_replay",
            asset="rule_signals",
            blocking=True,
            description="candidates, gates and signals made anew on bars that end on rare days, and on days that each "
            "gate lets through, are the same, to the bit",
        )
    ],
)
def rule_signals(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    candidates: pd.DataFrame,
    session_history: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Each candidate with its gates, its confidence and whether the rules take it."""
    with user_errors():
        chosen = settings.load()
        rules, dataset = chosen.rules, bar_source.dataset(context.partition_key)
        require_same_settings({"session_history": session_history, "candidates": candidates}, chosen, dataset)
        whole = concatenated(bars, dataset, "bars")
        frame = make_signals(session_history, dataset.instrument, rules, whole)
        real = rules.strategy.pass_rates(Seen.of(session_history, dataset.instrument, rules.history, whole))
        sessions = signal_cutoffs(frame, session_history, dataset.instrument, chosen.seed)
        findings = check_signal_replay(whole, dataset.instrument, rules, frame, sessions)
    frame.attrs = made_under("rule_signals", chosen, dataset)
    beside = real.join(gate_null_rates, how="outer", suffixes=("_real", "_by_chance"), sort=False)
    yield dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "rule_signals": int(frame["rule_signal"].sum()),
            "gates": table(beside.reset_index()),
        },
    )
    yield dg.AssetCheckResult(
        check_name="signal_replay",
        passed=not findings,
        description="; ".join(finding.sentence for finding in findings[:3]),
        metadata={"cutoffs": ", ".join(f"{session:%F}" for session in sessions)},
    )
