"""Candidates, the gates' null pass rates and the rule signals."""

import dagster as dg
import pandas as pd

from assets.partitions import SYMBOLS, user_errors
from assets.tables import table
from pipeline.strategy import gate_pass_rates, make_candidates, null_pass_rates
from pipeline.strategy import rule_signals as make_rule_signals
from resources import BarSource, ResearchSettings

__all__ = ["candidates", "gate_null_rates", "rule_signals"]

GROUP = "signals"
OWNERS = ["team:research"]


@dg.asset(
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "pandas"},
    code_version="1",
)
def candidates(
    context: dg.AssetExecutionContext,
    session_history: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Two bracket orders a session, for the session after: fades of the value area's edges (contract §5)."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        frame = make_candidates(session_history, dataset.instrument, settings.load().strategy)
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "longs": int((frame["side"] > 0).sum()),
            "shorts": int((frame["side"] < 0).sum()),
            "next_orders": table(frame[frame["session"] == frame["session"].max()]),
        },
    )


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"parquet", "numpy"}, code_version="1")
def gate_null_rates(settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """How often each gate passes on driftless random walks, where there is nothing to find."""
    with user_errors():
        chosen = settings.load()
        rates = null_pass_rates(chosen.strategy, seed=chosen.seed)
    return dg.Output(rates, metadata={"rates": table(rates.reset_index())})


@dg.asset(
    partitions_def=SYMBOLS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "pandas"},
    code_version="1",
)
def rule_signals(
    candidates: pd.DataFrame,
    session_history: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Each candidate with its gates, confidence and whether the rules take it, the null rates beside."""
    with user_errors():
        strategy = settings.load().strategy
        frame = make_rule_signals(candidates, session_history, strategy)
        real = gate_pass_rates(session_history, strategy)
    beside = real.join(gate_null_rates, how="outer", suffixes=("_real", "_on_random_walks"), sort=False)
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "rule_signals": int(frame["rule_signal"].sum()),
            "gates": table(beside.reset_index()),
        },
    )
