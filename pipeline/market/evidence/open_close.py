"""Opens and closes in each other's columns: a bar opens where the one before closed, not the other way round."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_FEWEST = 30
_SHARE = 0.8
_FARTHER = 2.0


def look(data: Evidence) -> Iterator[Finding]:
    """Compare the steps from close to open, and from open to close, of bars that follow each other without a gap."""
    bars = data.clean.bars
    if data.bar_length is None or len(bars) <= _FEWEST:
        return
    instants = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    follows = np.diff(instants) == data.bar_length
    if "contract" in bars:
        contracts = bars["contract"].to_numpy()
        follows &= contracts[1:] == contracts[:-1]
    opens, closes = bars["open"].to_numpy(), bars["close"].to_numpy()
    as_read = np.abs(opens[1:] - closes[:-1])[follows]
    swapped = np.abs(closes[1:] - opens[:-1])[follows]
    telling = as_read != swapped
    count, farther = int(telling.sum()), int((as_read > swapped).sum())
    if count >= _FEWEST and farther >= _SHARE * count and as_read.sum() >= _FARTHER * swapped.sum():
        yield Finding(
            "open_close",
            "warning",
            f"in {farther:,} of {count:,} steps from bar to bar, the close read lies nearer to the open before it than "
            "the open read to the close before it: the columns of open and close are probably swapped; name each with "
            "--columns 'open=NAME,close=NAME', or all in the file's order with --names",
        )
