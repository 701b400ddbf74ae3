"""Times that can't be a bar's: in the future, or rounded by a number type with too few digits."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_FEWEST = 20
_SECOND = 10**9


def look(data: Evidence) -> Iterator[Finding]:
    """Hold the last time against the clock, and all against the grid of a 32-bit float."""
    if len(data.instants) < _FEWEST:
        return
    last = pd.Timestamp(int(data.instants[-1]), tz="UTC")
    if last > pd.Timestamp.now(tz="UTC") + pd.Timedelta(days=7):
        yield Finding(
            "future",
            "warning",
            f"the last bar is of {last:%Y-%m-%d}, in the future: the times are probably read in a wrong form; name "
            "--time-format",
        )
    # A float of 32 bits holds 24 binary digits: seconds since 1970 in steps of 128 (64 before 2004).
    step = int(np.gcd.reduce(np.diff(data.instants)))
    seconds = step // _SECOND
    if step % _SECOND == 0 and seconds in (64, 128, 256) and not (data.instants % (seconds * _SECOND)).any():
        yield Finding(
            "rounded_times",
            "warning",
            f"all times are whole multiples of {seconds} seconds since 1970: they were stored in 32-bit floating-point "
            "numbers, which round them; write the file again with whole numbers",
        )
