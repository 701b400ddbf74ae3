"""Candidates, the gates' null pass rates and the rule signals of a book."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from assets.declared import of_book
from assets.groups import SIGNALS
from assets.partitions import user_errors
from assets.tables import table
from pipeline.audit import check_signal_replay, signal_cutoffs
from pipeline.strategy import Seen, make_candidates, make_signals
from resources import ResearchSettings

__all__ = ["candidates", "gate_null_rates", "rule_signals"]


@dg.asset(**of_book(SIGNALS, "pandas", "1", "bar_history", "session_history"))
def candidates(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    session_history: pd.DataFrame,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Every order that the strategy would place, before its gates: those of all sessions and the coming one."""
    with user_errors():
        book = settings.book(context.partition_key)
        book.require_same(bar_history=bar_history, session_history=session_history)
        frame = make_candidates(session_history, book.instrument, book.settings.rules, bar_history)
    frame.attrs = book.made_under("candidates")
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "longs": int((frame["side"] > 0).sum()),
            "shorts": int((frame["side"] < 0).sum()),
            "next_orders": table(frame[frame["session"] == frame["session"].max()]),
        },
    )


@dg.asset(**of_book(SIGNALS, "numpy", "1"))
def gate_null_rates(context: dg.AssetExecutionContext, settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """How often each gate of the strategy passes where there is nothing to find."""
    with user_errors():
        chosen = settings.book(context.partition_key).settings
        rates = chosen.strategy.null_rates(chosen.history, seed=chosen.seed)
    return dg.Output(rates, metadata={"rates": table(rates.reset_index())})


@dg.asset(
    **of_book(SIGNALS, "pandas", "1", "bar_history", "session_history"),
    output_required=False,
    check_specs=[
        dg.AssetCheckSpec(
            "signal_replay",
            asset="rule_signals",
            blocking=True,
            description="candidates, gates and signals made anew on bars that end on rare days, and on days that each "
            "gate lets through, are the same, to the bit; others are not stored",
        )
    ],
)
def rule_signals(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    candidates: pd.DataFrame,
    session_history: pd.DataFrame,
    gate_null_rates: pd.DataFrame,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """Each candidate with its gates, its confidence and whether the rules take it."""
    with user_errors():
        book = settings.book(context.partition_key)
        rules, instrument = book.settings.rules, book.instrument
        book.require_same(bar_history=bar_history, session_history=session_history, candidates=candidates)
        frame = make_signals(session_history, instrument, rules, bar_history)
        real = rules.strategy.pass_rates(Seen.of(session_history, instrument, rules.history, bar_history))
        sessions = signal_cutoffs(frame, session_history, instrument, book.settings.seed)
        findings = check_signal_replay(bar_history, instrument, rules, frame, sessions)
    yield dg.AssetCheckResult(
        check_name="signal_replay",
        passed=not findings,
        description="; ".join(finding.sentence for finding in findings[:3]),
        metadata={"cutoffs": ", ".join(f"{session:%F}" for session in sessions)},
    )
    if findings:
        return
    frame.attrs = book.made_under("rule_signals")
    beside = real.join(gate_null_rates, how="outer", suffixes=("_real", "_by_chance"), sort=False)
    yield dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "rule_signals": int(frame["rule_signal"].sum()),
            "gates": table(beside.reset_index()),
        },
    )
