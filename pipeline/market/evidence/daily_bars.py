"""Bars of a day or longer."""

from collections.abc import Iterator

import numpy as np

from pipeline.market.evidence.data import HOUR, Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_FEWEST = 5


def look(data: Evidence) -> Iterator[Finding]:
    """Look at the usual step between bars."""
    if len(data.instants) < _FEWEST:
        return
    step = float(np.median(np.diff(data.instants)))
    if step < 20 * HOUR:
        return
    kind = "daily bars" if step < 6 * 24 * HOUR else "bars longer than a day"
    yield Finding(
        "daily_bars",
        "error",
        f"these are {kind}: they hold no intraday volume profile, and no fills can be derived from them; "
        "give bars of an hour or less (daily values of a volatility index go into volatility_index of settings.yaml)",
    )
