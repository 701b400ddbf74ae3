"""Silencing of what libraries write to the screen."""

import logging
import warnings

__all__ = ["quieten"]


def quieten() -> None:
    """Leave the screen to the progress and the results: libraries' remarks go to the logs."""
    from dagster import BetaWarning

    # Partition mappings and backfill policies: pinned by the lock, so that a change can't come unseen.
    warnings.filterwarnings("ignore", category=BetaWarning)
    # The transforms tell of every gap that training rows did not have, in each of the dozens of fits of a walk-forward.
    for name in ("alembic", "mlflow", "dagster", "pipeline.learning.transforms"):
        logging.getLogger(name).setLevel(logging.ERROR)
