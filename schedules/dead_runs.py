"""Every minute: runs whose process was killed are marked so, and their places in pools given back."""

import dagster as dg

from jobs.processes import close_dead_runs

__all__ = ["dead_runs"]


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs whose process was killed as failed, so that neither the queue nor a pool waits for them.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Close the runs that nobody does any more."""
    closed = close_dead_runs(context.instance)
    if closed:
        return dg.SkipReason(f"Marked as failed, since the process was killed: {', '.join(closed)}.")
    return dg.SkipReason("Nothing to do: every run in progress has its process.")
