"""Orders for the coming session: what the rules and each trained model would place, with size and gates."""

import dagster as dg
import pandas as pd

from assets.declared import WHOLE, of_symbol
from assets.groups import JUDGEMENT
from assets.judgement import EVERY_FAMILY, of_families
from assets.partitions import concatenated, user_errors
from assets.tables import table
from pipeline.coming import coming_at, coming_orders, order_table
from pipeline.made_under import made_under, require_same_settings
from pipeline.modelling import learning_version
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["next_orders"]


@dg.asset(**of_symbol(JUDGEMENT, "pandas", "1"), ins={"bars": WHOLE, "model_signals": EVERY_FAMILY})
def next_orders(
    context: dg.AssetExecutionContext,
    bars: PartitionedFrames,
    session_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    model_signals: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Orders for the session after the last bar: side, prices, size, gates, score, and what is unusual about it."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen, instrument = settings.load(), dataset.instrument
        made = {"session_history": session_history, "rule_signals": rule_signals, "candidates": candidates}
        require_same_settings(made, chosen, dataset)
        trained = of_families(model_signals, learning_version(training_set, candidates, dataset.identity), chosen)
        untrained = {
            family: f"no model of the present candidates: 'vpoc models train {family} --symbol {dataset.key}' trains it"
            for family in chosen.models.families
            if family not in trained
        }
        whole = concatenated(bars, dataset, "bars")
        frame = coming_orders(
            rule_signals, session_history, whole, instrument, chosen, models=trained, untrained=untrained
        )
    frame.attrs |= made_under("next_orders", chosen, dataset)
    if frame.empty:
        return dg.Output(frame, metadata={"orders": "none: no session has bars with volume in these hours"})
    coming = coming_at(frame, instrument)
    return dg.Output(
        frame,
        metadata={
            "session": coming.hours,
            "known_until": coming.standing,
            "unusual": "; ".join(coming.notes) or "nothing",
            "next_orders": table(order_table(coming)),
        },
    )
