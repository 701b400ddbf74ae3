"""Orders for the coming session: what the rules and each trained model would place, with size and gates."""

import dagster as dg
import pandas as pd

from assets.declared import EVERY_FAMILY, of_book
from assets.groups import JUDGEMENT
from assets.judgement import of_families
from assets.partitions import user_errors
from assets.tables import table
from pipeline.coming import coming_at, coming_orders, order_table
from pipeline.modelling import learning_version
from resources import PartitionedFrames, ResearchSettings

__all__ = ["next_orders"]


@dg.asset(**of_book(JUDGEMENT, "pandas", "1", "bar_history", "session_history", model_signals=EVERY_FAMILY))
def next_orders(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    session_history: pd.DataFrame,
    rule_signals: pd.DataFrame,
    model_signals: PartitionedFrames,
    training_set: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Orders for the session after the last bar: side, prices, size, gates, score, and what is unusual about it."""
    with user_errors():
        book = settings.book(context.partition_key)
        chosen, instrument = book.settings, book.instrument
        book.require_same(
            bar_history=bar_history, session_history=session_history, rule_signals=rule_signals, candidates=candidates
        )
        version = learning_version(training_set, candidates, book.dataset.identity)
        trained = of_families(model_signals, version, chosen)
        untrained = {
            family: f"no model of the present candidates: 'vpoc models train {family} {book.option}' trains it"
            for family in chosen.models.families
            if family not in trained
        }
        frame = coming_orders(
            rule_signals, session_history, bar_history, instrument, chosen, models=trained, untrained=untrained
        )
    frame.attrs |= book.made_under("next_orders")
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
