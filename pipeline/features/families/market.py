"""Features of another market: the VIX, as known at the session's close.

A row dated d counts from the session after d on: yesterday's close (:mod:`pipeline.features.externals`). Values are
aligned to sessions first and compared then, so that a holiday of the one exchange makes no odd step.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.features.externals import STALE_DAYS, as_known
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]

# Sessions that the newest known row can lie back, the first included.
_REACH = STALE_DAYS + 1


def _known_close(inputs: FeatureInputs, name: str) -> Floats:
    """The last positive close of a daily series known at each session's close."""

    def make() -> Floats:
        frame = inputs.external[name]
        if "close" not in frame.columns:
            raise DataError(f"the external series {name} has no column close; rename or add it")
        close = frame["close"].to_numpy(np.float64)
        return as_known(frame, np.where(close > 0, close, np.nan), inputs.sessions, inputs.closes)

    found: Floats = inputs.once(("known close", name), make)
    return found


@feature(
    family="market",
    warmup=_REACH,
    description="VIX close of the day before, annualised percent; missing where the last one known is older than ten "
    "days.",
    needs=("vix",),
)
def vix_level(inputs: FeatureInputs) -> Floats:
    return _known_close(inputs, "vix")


@feature(
    family="market",
    warmup=lambda sessions: sessions + _REACH,
    description="Log change of the known VIX close over {sessions} sessions.",
    over={"sessions": (1, 5, 20)},
    needs=("vix",),
)
def vix_change(inputs: FeatureInputs, sessions: int) -> Floats:
    logs = np.log(_known_close(inputs, "vix"))
    change = np.full(len(logs), np.nan)
    change[sessions:] = logs[sessions:] - logs[:-sessions]
    return change


@feature(
    family="market",
    warmup=lambda sessions: sessions + _REACH,
    description="Share of the last {sessions} sessions, this one included, whose known VIX close is at or below this "
    "one's; missing where less than three quarters are known.",
    over={"sessions": (252,)},
    needs=("vix",),
)
def vix_percentile(inputs: FeatureInputs, sessions: int) -> Floats:
    windows = trailing(_known_close(inputs, "vix"), sessions)
    known = (~np.isnan(windows)).sum(axis=1)
    below = (windows <= windows[:, -1:]).sum(axis=1)
    enough = (known >= 0.75 * sessions) & ~np.isnan(windows[:, -1])
    return np.where(enough, below / np.maximum(known, 1), np.nan)


@feature(
    family="market",
    warmup=_REACH,
    description="VIX over the three-month VIX3M, both of the day before, less 1: above 0 near fear exceeds far.",
    needs=("vix", "vix3m"),
)
def vix_term(inputs: FeatureInputs) -> Floats:
    return _known_close(inputs, "vix") / _known_close(inputs, "vix3m") - 1
